"""`haepo-bench references`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench.cli.arguments import say
from haepo_bench.errors import UserError
from haepo_bench.suite.hushed import hushed
from haepo_bench.suite.local.reference import on_the_command_line
from haepo_bench.terminal import echo

if TYPE_CHECKING:
    from haepo_bench.tasks.base import Task


def references(
    task: Annotated[
        str,
        typer.Argument(metavar="TASK", help="A task, a Python file that defines one, or a suite for all its tasks."),
    ],
    episodes: Annotated[int, typer.Option(min=10, max=1_000_000, metavar="N", help="Episodes of a task.")] = 10_000,
    time_limit: Annotated[
        int | None, typer.Option(min=1, max=100_000, metavar="N", help="Steps after which an episode is cut off.")
    ] = None,
) -> None:
    """Measure what the random policy gets on TASK, and print what to paste into a suite.

    Which return counts as solved only you can say.
    """
    for found in _tasks(task, time_limit):
        _print(found, episodes)


def _tasks(text: str, time_limit: int | None) -> "list[Task]":
    from haepo_bench.suite.names import Names

    if Path(text).suffix in {".yaml", ".yml"}:
        from haepo_bench.suite.resolve import load_plan

        if time_limit is not None:
            raise UserError("a suite says the time limits of its tasks", where="--time-limit", remedy="leave it out")
        cells = {cell.task: cell for cell in load_plan(text, say=say).cells}
        with hushed():
            return [
                Names(cell.lookup.folder).task(cell.lookup.address, time_limit=cell.time_limit, options=cell.options)
                for cell in cells.values()
            ]
    folder, address = on_the_command_line(text) or (None, text)
    names = Names(folder)
    code = names.task_code(address)
    if code is not None:
        say(f"runs {code.described}")
    with hushed():
        return [names.task(address, time_limit=time_limit, options={})]


def _print(task: "Task", episodes: int) -> None:
    from haepo_bench.tasks.base import LANGUAGE
    from haepo_bench.tasks.measuring import random_returns

    if task.backend == LANGUAGE:
        raise UserError(f"{task.id} is a language task: its policies start from a model", remedy="name another task")
    with hushed():
        returns = random_returns(task, episodes)
    mean, deviation = float(returns.mean()), float(returns.std(ddof=1))
    # Of a mean of so many episodes the normal distribution says enough.
    half = 1.96 * deviation / len(returns) ** 0.5
    low, high = float(returns.min()), float(returns.max())
    echo(f"# {task.id}: {len(returns):,} episodes of the uniformly random policy, returns {low:g} to {high:g}")
    echo(f"# mean {mean:.6g}, 95% interval {mean - half:.6g} to {mean + half:.6g}, standard deviation {deviation:.4g}")
    if task.references is not None:
        echo(f"# it has references: random {task.references.random:g}, solved {task.references.solved:g}")
        return
    echo("references:")
    echo(f"  random: {mean:.5g}")
    echo("  solved: ...    # the return at which you call it solved")
    echo(f'  source: "random: mean of {len(returns):,} episodes of the uniform policy; solved: ..."')
    if task.return_bounds is None:
        echo("# bounds: [..., ...]    # the least and the greatest return that an episode can have")
