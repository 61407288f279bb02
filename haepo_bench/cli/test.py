"""`haepo-bench test`."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from haepo_bench import catalogue
from haepo_bench.cli.arguments import complete_name, say
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.suite.hushed import hushed
from haepo_bench.suite.local.reference import on_the_command_line
from haepo_bench.terminal import echo
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.conformance.findings import Check, CheckResult
    from haepo_bench.suite.local.code import LocalCode
    from haepo_bench.suite.names import Names
    from haepo_bench.tasks.base import Task
    from haepo_bench.training.algorithm import AlgorithmDefinition

#: Small tasks that an algorithm is to learn one of: many learn the first.
_SMALL = ("bandit/10-arm", "corridor/8")


def try_out(
    name: Annotated[
        str,
        typer.Argument(
            help="A Python file, an algorithm, a task, or a suite: the files that it names.",
            metavar="FILE|NAME|SUITE",
            autocompletion=complete_name,
        ),
    ],
    files: Annotated[
        list[str] | None,
        typer.Option("--files", metavar="FILE", help="A data file that a task may read; repeatable."),
    ] = None,
    time_limit: Annotated[
        int | None,
        typer.Option("--time-limit", min=1, max=100_000, metavar="N", help="Steps after which an episode is cut off."),
    ] = None,
) -> None:
    """Try an algorithm or a task in all ways in which code of one's own goes wrong unnoticed.

    Each failure comes with Python that shows it. Passing says nothing of whether an algorithm is good.
    """
    failed = 0
    for title, checks in _subjects(name, tuple(files or ()), time_limit):
        echo(title)
        failed += _carry_out(checks)
    if failed:
        echo(f"\n{many(failed, 'check')} failed")
        raise typer.Exit(ExitCode.RUN_FAILED)
    echo("\nall checks passed")


class _Given(NamedTuple):
    """What a task is made with, besides its address."""

    time_limit: int | None
    options: dict[str, Any]
    files: tuple[str, ...]


def _subjects(text: str, files: tuple[str, ...], limit: int | None) -> "Iterator[tuple[str, Sequence[Check]]]":
    from haepo_bench.suite.names import Names

    if Path(text).suffix in {".yaml", ".yml"}:
        yield from _of_a_suite(text)
        return
    folder, name = on_the_command_line(text) or (None, text)
    names = Names(folder)
    if folder is None and (name in catalogue.FAMILIES or name in {each.name for each in catalogue.list_algorithms()}):
        for member in names.algorithms(name):
            yield member, _algorithm(names, member, None)
        return
    code = names.task_code(name)
    if code is not None:
        from haepo_bench.suite.local import objects

        say(f"runs {code.described}")
        with hushed():
            is_algorithm = objects.defines_algorithm(code)
        if is_algorithm:
            yield name, _algorithm(names, name, folder, files)
            return
    yield name, _task(names, name, folder, _Given(limit, {}, files))


def _of_a_suite(text: str) -> "Iterator[tuple[str, Sequence[Check]]]":
    """Files that a suite names, each task with the keys that it has there."""
    from haepo_bench.suite.names import Names
    from haepo_bench.suite.resolve import load_plan

    plan = load_plan(text, say=say)
    seen: set[str] = set()
    for cell in plan.cells:
        folder = cell.lookup.folder
        names = Names(folder)
        if names.algorithm_code(cell.uses) is not None and cell.uses not in seen:
            yield cell.uses, _algorithm(names, cell.uses, folder, cell.lookup.files)
        if names.task_code(cell.lookup.address) is not None and cell.task not in seen:
            given = _Given(cell.time_limit, dict(cell.options), cell.lookup.files)
            yield cell.task, _task(names, cell.lookup.address, folder, given)
        seen |= {cell.uses, cell.task}
    if not any(cell.lookup.folder for cell in plan.cells):
        raise UserError("the suite names no file of its own", where=text, remedy="name a task or an algorithm to test")


def _algorithm(names: "Names", use: str, folder: Path | None, files: tuple[str, ...] = ()) -> "Sequence[Check]":
    from haepo_bench.conformance.suite import algorithm_suite
    from haepo_bench.suite.local.loading import forget

    code = names.algorithm_code(use)

    def anew() -> "AlgorithmDefinition":
        forget(code)
        return names.algorithm(use)

    with hushed():
        definition = names.algorithm(use)
        small = [catalogue.task(address) for address in _SMALL]
        expression = f"{_expression(folder)}.algorithm({use!r})"
        own = None if code is None else anew
        return algorithm_suite(definition, expression, small, anew=own, allowed=_allowed(code, folder, files))


def _task(names: "Names", address: str, folder: Path | None, given: _Given) -> "Sequence[Check]":
    from haepo_bench.conformance.suite import task_suite
    from haepo_bench.suite.local.loading import forget

    code = names.task_code(address)

    def make() -> "Task":
        return names.task(address, time_limit=given.time_limit, options=given.options)

    arguments = f"{address!r}, time_limit={given.time_limit}, options={given.options!r}"
    with hushed():
        return task_suite(
            make,
            f"{_expression(folder)}.task({arguments})",
            _allowed(code, folder, given.files),
            lambda: forget(code),
        )


def _allowed(code: "LocalCode | None", folder: Path | None, files: Sequence[str]) -> list[Path]:
    """Files that may be opened: the code's own and those that are declared."""
    own = [] if code is None else [module.path for module in code.modules.values()]
    return [*own, *(Path(folder or ".", name) for name in files)]


def _expression(folder: Path | None) -> str:
    return f"Names({'None' if folder is None else f'Path({str(folder)!r})'})"


def _carry_out(checks: "Sequence[Check]") -> int:
    """Prints what each check finds; how many failed."""
    import torch  # every algorithm has it loaded by now

    from haepo_bench.conformance.findings import carry_out

    torch.set_num_threads(1)  # as workers have it: small tensors gain nothing from more

    failed = 0
    findings = carry_out(checks)
    while True:
        with hushed():
            finding = next(findings, None)
        if finding is None:
            return failed
        failed += bool(finding.problem)
        for line in _lines(finding):
            echo(line)


def _lines(finding: "CheckResult") -> list[str]:
    if finding.skipped:
        return [f"  -     {finding.check}: {finding.skipped}"]
    if not finding.problem:
        return [f"  ok    {finding.check}"]
    lines = [f"  FAIL  {finding.check}", textwrap.indent(textwrap.fill(finding.problem, 100), " " * 10)]
    if finding.again:
        header = "from pathlib import Path\nfrom haepo_bench.suite.names import Names\n"
        lines += ["          to see it:", textwrap.indent(header + finding.again, " " * 12)]
    return lines
