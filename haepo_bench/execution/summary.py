"""What `run` prints: at the end a table of results, before a dry run a table of what is to do."""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from haepo_bench.execution.estimate import total_seconds, without_checkpoints
from haepo_bench.execution.obsolete import Obsolete
from haepo_bench.execution.progress import remedy_lines
from haepo_bench.execution.session import Forecast
from haepo_bench.execution.survey import Stored
from haepo_bench.results.record import FINISHED, TINY_MODEL
from haepo_bench.statistics.curves import random_once_diverged
from haepo_bench.suite.plan import Cell, Plan, RunKey
from haepo_bench.text import visible
from haepo_bench.wording import decimals_of, duration, fixed, many, named_seeds

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_FAILURES_SHOWN = 20
_CHANGES_SHOWN = 8


def print_results(plan: Plan, runs: Mapping[RunKey, Stored], root: Path, console: "Console") -> None:
    """The result table of all runs asked for, what failed and why, and the algorithms' footnotes."""
    table = _table("Task", "Algorithm", "Score", "Return", "Seeds", "Remarks", numbers=("Score", "Return", "Seeds"))
    notes = _Footnotes()
    known_runs = {
        cell.folder: [runs[RunKey(cell.folder, seed)] for seed in cell.seeds if RunKey(cell.folder, seed) in runs]
        for cell in plan.cells
    }
    finished = {folder: [run for run in known if run.status in FINISHED] for folder, known in known_runs.items()}
    for cell in plan.cells:
        known, results = known_runs[cell.folder], finished[cell.folder]
        decimals = _decimals([each for each in plan.cells if each.task == cell.task], finished)
        table.add_row(
            *_texts(
                cell.task,
                algorithm_name(cell) + notes.mark(cell),
                _text(_mean(_score(cell, run) for run in results), 2),
                _text(_mean(_return(cell, run, "eval_return") for run in results), decimals),
                f"{len(results)} of {len(cell.seeds)}" if len(results) < len(cell.seeds) else str(len(results)),
                _remarks(cell, known),
            )
        )
    console.print(table)
    _say(console, "Score and return: final evaluation of the sampled policy, mean over the seeds that have a result;")
    _say(console, "a diverged seed counts as the random policy. The report has intervals and curves.")
    notes.print(console)
    for line in _failure_lines(plan, runs, root):
        _say(console, line)


def print_forecast(plan: Plan, forecast: Forecast, console: "Console") -> None:
    """What a run would do."""
    survey, jobs, estimates = forecast.survey, forecast.jobs, forecast.estimates
    table = _table("Task", "Algorithm", "Done", "To do", "Failed", "Time", numbers=("Done", "To do", "Failed", "Time"))
    notes = _Footnotes()
    missing = {cell.folder: seeds for cell, seeds in survey.missing}
    waiting = set(survey.waiting)
    for cell in plan.cells:
        states = [survey.stored.get(RunKey(cell.folder, seed)) for seed in cell.seeds]
        todo = missing.get(cell.folder, ())
        estimate = estimates.get(cell.folder)
        time = ""
        if todo and estimate is not None:
            time = f"{'~' if estimate.measured else '?'} {duration(estimate.seconds * len(todo))}"
        table.add_row(
            *_texts(
                cell.task,
                algorithm_name(cell) + notes.mark(cell),
                str(sum(state is not None and state.status in FINISHED for state in states)),
                named_seeds(todo) if todo else "",
                str(sum(RunKey(cell.folder, seed) in waiting for seed in cell.seeds) or ""),
                time,
            )
        )
    console.print(table)
    notes.print(console)
    runs = sum(len(seeds) for seeds in missing.values())
    workers = plan.execution.workers
    work = f"{many(runs, 'run')} to do in {many(len(jobs), 'job')}"
    if plan.execution.executor == "local":
        _say(console, f"{work} on {many(workers, 'worker')}: roughly {duration(total_seconds(jobs, workers))}.")
    else:
        _say(console, f"{work}: roughly {duration(total_seconds(jobs, 1))} of one core.")
    if any(not estimates[folder].measured for folder in missing):
        _say(console, "Times marked ? are guesses from typical speeds; those marked ~ come from stored runs.")
    unkept = without_checkpoints(jobs, plan.execution.checkpoint_seconds)
    if unkept:
        _say(console, unkept)
    for line in _obsolete_lines(forecast.obsolete):
        _say(console, line)
    if survey.waiting:
        _say(console, f"{many(len(survey.waiting), 'failed run')} left alone; to run again: --retry-failed.")


def _obsolete_lines(obsolete: Sequence[Obsolete]) -> list[str]:
    """One line for all cells that have runs of other code for the same reasons."""
    reasons: dict[str, list[str]] = {}
    for found in obsolete:
        if found.changed is None:
            reason = "made by a version that did not keep what it executed"
        else:
            more = len(found.changed) - _CHANGES_SHOWN
            shown = ", ".join(found.changed[:_CHANGES_SHOWN]) + (f" and {more} more" if more > 0 else "")
            reason = f"changed since: {shown or 'nothing that is hashed any more'}"
        runs = "1 run" if found.runs == 1 else f"{found.runs} runs"
        reasons.setdefault(reason, []).append(f"{algorithm_name(found.cell)} on {found.cell.task} ({runs})")
    if not reasons:
        return []
    return ["Runs of other code are stored; they are kept, and not used:"] + [
        f"  {', '.join(cells)}: {reason}" for reason, cells in reasons.items()
    ]


def algorithm_name(cell: Cell) -> str:
    """The suite's name for the algorithm, followed by what it is where the name does not say it."""
    return cell.algorithm if cell.algorithm == cell.uses else f"{cell.algorithm} ({cell.uses})"


class _Footnotes:
    """Numbers the footnotes in the order in which they appear; equal texts share a number."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def mark(self, cell: Cell) -> str:
        text = cell.information.footnote
        if not text:
            return ""
        if text not in self._texts:
            self._texts.append(text)
        return f" [{self._texts.index(text) + 1}]"

    def print(self, console: "Console") -> None:
        for number, text in enumerate(self._texts, start=1):
            _say(console, f"[{number}] {text}")


def _score(cell: Cell, run: Stored) -> float | None:
    return None if cell.references is None else _counted(run, "score", 0.0)


def _return(cell: Cell, run: Stored, column: str) -> float | None:
    return _counted(run, column, nan if cell.references is None else cell.references.random)


def _counted(run: Stored, column: str, random: float) -> float | None:
    """A number of the final evaluation; where the run diverged, the random policy's."""
    value, sampled = (_number(run.final.get(name)) for name in (column, "eval_return"))
    counted = float(random_once_diverged(value, run.status == "diverged", random, sampled=sampled))
    return None if isnan(counted) else counted


def _number(value: float | None) -> float:
    return nan if value is None else float(value)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _decimals(cells: Iterable[Cell], finished: Mapping[str, Sequence[Stored]]) -> int:
    """Those that the report shows of the returns on a task."""
    return decimals_of(
        _mean(_return(cell, run, column) for run in finished[cell.folder])
        for cell in cells
        for column in ("eval_return", "eval_return_greedy")
    )


def _text(mean: float | None, decimals: int) -> str:
    return "-" if mean is None else fixed(mean, decimals)


def _remarks(cell: Cell, known: Sequence[Stored]) -> str:
    counts = {
        status: sum(run.status == status for run in known)
        for status in ("diverged", "failed", "timed_out", "interrupted", "damaged")
    }
    said = [f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count]
    return ", ".join([*said, TINY_MODEL] if TINY_MODEL in cell.notes else said)


def _failure_lines(plan: Plan, runs: Mapping[RunKey, Stored], root: Path) -> list[str]:
    """One line for the seeds of a cell that share a log and a reason, and beneath it what to do where that is known."""
    groups: dict[tuple[str, str, str, str, str], list[int]] = {}
    for cell in plan.cells:
        for seed in cell.seeds:
            run = runs.get(RunKey(cell.folder, seed))
            if run is None or run.error is None or run.status == "interrupted":
                continue
            reason = f"{run.error.type}: {run.error.message.partition(chr(10))[0]}"
            log = f" (log: {root / run.log})" if run.log else ""
            name = f"{cell.task} {algorithm_name(cell)}"
            key = (run.status.replace("_", " "), name, reason, log, remedy_lines(run.error))
            groups.setdefault(key, []).append(seed)
    lines = [
        f"{status}: {name} {named_seeds(seeds)}: {reason}{log}{remedy}"
        for (status, name, reason, log, remedy), seeds in groups.items()
    ]
    more = len(lines) - _FAILURES_SHOWN
    return [*lines[:_FAILURES_SHOWN], f"... and {more} more, see the report"] if more > 0 else lines


def _table(*columns: str, numbers: Sequence[str]) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return table


def _texts(*cells: str) -> list["Text"]:
    # Text objects, because rich would read [1] in a string as markup.
    from rich.text import Text

    return [Text(visible(cell)) for cell in cells]


def _say(console: "Console", line: str) -> None:
    console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
