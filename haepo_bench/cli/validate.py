"""`haepo-bench validate`."""

import contextlib
import json
import shlex
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from haepo_bench.cli.arguments import OnlyOption, SetOption, SuiteArgument, say
from haepo_bench.cli.claim_lines import claim_lines
from haepo_bench.cli.layout import columns, paragraph
from haepo_bench.cli.search_cost import extent
from haepo_bench.terminal import echo
from haepo_bench.wording import duration, many, seed_ranges

if TYPE_CHECKING:
    from haepo_bench.suite.plan import Cell, Plan


def validate(
    suite: SuiteArgument,
    sets: SetOption = None,
    only: OnlyOption = None,
    no_code: Annotated[
        bool,
        typer.Option("--no-code", help="Run no Python file of the suite's folder; check all that needs none."),
    ] = False,
) -> None:
    """Check a suite to the last hyper-parameter and print what would run.

    Python files that it names are imported and tried, after their names are printed.
    """
    from haepo_bench.suite.own_files import names_files
    from haepo_bench.suite.resolve import load_plan

    # Files of the suite's folder are tried in another process: they may end it.
    if not no_code and names_files(suite, sets or ()):
        from haepo_bench.execution.resolving import SuiteWorker

        with contextlib.closing(SuiteWorker()) as worker:
            plan = worker.load_plan(suite, sets or (), only or (), say=say)
    else:
        plan = load_plan(suite, sets or (), only or (), say=say, run_code=not no_code)
    title = f"{plan.suite}: {plan.description}" if plan.description else plan.suite
    echo(paragraph(title))
    echo("\ntasks")
    echo(columns(_tasks(plan)))
    echo("\nalgorithms")
    for line in _algorithms(plan):
        echo(line)
    if lines := claim_lines(plan):
        echo("\nclaims")
        for line in lines:
            echo(paragraph(line, indent="  "))
    if plan.declared_search is not None:
        echo(f"\nsearch\n  {extent(plan.declared_search)}")
        echo(paragraph(f"what it costs: haepo-bench tune {shlex.quote(suite)} --dry-run", indent="  "))
    execution = plan.execution
    steps = sum(cell.budget * len(cell.seeds) for cell in plan.cells)
    echo(f"\n{many(len(plan.cells), 'cell')}, {many(plan.runs, 'run')}, {many(steps, 'training step')} in all")
    workers = many(execution.workers, "worker")
    timeout = duration(execution.timeout_seconds)
    echo(paragraph(f"{workers}, timeout {timeout} per job, device {execution.device}: {execution.device_reason}"))
    if no_code:
        echo(f"\nvalid as far as it can be seen without running code; next: haepo-bench validate {shlex.quote(suite)}")
        return
    echo(f"\nvalid; next: haepo-bench run {shlex.quote(suite)}")


def _tasks(plan: "Plan") -> list[tuple[str, str]]:
    rows = {}
    for cell in plan.cells:
        limit = f", episodes of at most {cell.time_limit:,}" if cell.time_limit else ""
        normalised = " and ".join(name for name, done in cell.options.get("normalise", {}).items() if done)
        rows[cell.task] = (
            f"{many(cell.budget, 'training step')}{limit}, evaluated every {cell.evaluation_every:,} "
            f"with {many(cell.evaluation_episodes, 'episode')}"
            f"{f', training with normalised {normalised}' if normalised else ''}"
        )
    return list(rows.items())


def _algorithms(plan: "Plan") -> list[str]:
    lines = []
    cells = sorted(plan.cells, key=lambda cell: [c.algorithm for c in plan.cells].index(cell.algorithm))
    for name, group in groupby(cells, key=lambda cell: cell.algorithm):
        own = list(group)
        first = own[0]
        what = name if name == first.uses else f"{name} ({first.uses})"
        lines.append(f"  {what}: {many(len(first.seeds), 'seed')} ({seed_ranges(first.seeds)})")
        # What holds on all its tasks is said once.
        for title, texts in (("", [_changes(cell) for cell in own]), ("note: ", ["; ".join(c.notes) for c in own])):
            if len(set(texts)) == 1:
                lines += [paragraph(title + texts[0], indent="      ")] if texts[0] else []
            else:
                lines += [
                    paragraph(f"on {cell.task}: {title}{text}", indent="      ")
                    for cell, text in zip(own, texts, strict=True)
                    if text
                ]
    return lines


def _changes(cell: "Cell") -> str:
    """Parameters that are not the algorithm's defaults."""
    from haepo_bench.suite.names import Names

    names = Names(cell.lookup.folder)
    described = names.algorithm(cell.uses).describe_parameters()
    if cell.settings["task"]["backend"] == "language":
        described = [*described, *names.language_algorithm(cell.uses).describe_parameters()]
    defaults = {d.name: d.default for d in described}
    return ", ".join(
        f"{name} {json.dumps(value)}" + (f" (default {_json(defaults[name])})" if name in defaults else "")
        for name, value in cell.parameters.items()
        if _json(defaults.get(name)) != json.dumps(value)
    )


def _json(value: Any) -> str:
    from pydantic_core import to_jsonable_python

    value = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
    return json.dumps(to_jsonable_python(value, fallback=str))
