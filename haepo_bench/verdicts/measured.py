"""What claims are judged by: each algorithm's measures on each task, and what a task's address says of its kind."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.results.frames import Frames
from haepo_bench.results.selection import SelectedCell
from haepo_bench.statistics.aggregates import cvar, family_weights
from haepo_bench.statistics.curves import last_defined
from haepo_bench.statistics.rates import collapsed
from haepo_bench.statistics.survival import time_to_threshold

Array = NDArray[Any]
Columns = Mapping[str, Array]


@dataclass(frozen=True)
class Measured:
    """An algorithm on a task.

    Args:
        values: {measure: [run]}, NaN where a run does not have one; measures that no run has are absent.
        planned: runs asked for.
        seeds: [run] of the values.
        uniform: {measure: what a uniform policy is expected to have of it}, where that is known.
    """

    values: Mapping[str, Array]
    shown: int
    planned: int
    seeds: tuple[int, ...] = ()
    uniform: Mapping[str, float] = field(default_factory=dict)

    def estimate(self, measure: str) -> float:
        """The number itself."""
        return float(cvar(self.values["final_score"]) if measure == "cvar" else np.nanmean(self.values[measure]))

    def has(self, measure: str) -> bool:
        """Whether any run has it."""
        return ("final_score" if measure == "cvar" else measure) in self.values


#: By task and algorithm, both as the suite names them.
Table = Mapping[tuple[str, str], Measured]
#: The lowest and the highest value of a measure that any run has on a task, by task and measure.
Extremes = dict[tuple[str, str], tuple[float, float]]


def by_cell(cells: Sequence[SelectedCell], data: Frames) -> tuple[list[Columns], list[Columns]]:
    """The frames' rows of each cell as arrays; both frames are in the order of the cells."""
    lengths = (
        (data.runs, [len(cell.seeds) for cell in cells]),
        (data.curves, [sum(len(run.curve["env_steps"]) for run in cell.runs) for cell in cells]),
    )
    parts: list[list[Columns]] = []
    for frame, counts in lengths:
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        stops = np.cumsum(counts).tolist()
        parts.append(
            [
                {name: column[stop - count : stop] for name, column in columns.items()}
                for stop, count in zip(stops, counts, strict=True)
            ]
        )
    return parts[0], parts[1]


def measure(
    cells: Sequence[SelectedCell],
    runs: Sequence[Columns],
    curves: Sequence[Columns],
    threshold: float,
    uniform_success: Mapping[str, float],
) -> dict[tuple[str, str], Measured]:
    """Every cell's measures, diverged runs included.

    Args:
        runs: the rows of the run frame of each cell, [seed asked for] a column.
        curves: the rows of the curve frame of each cell, [run * point] per column, runs major.
        threshold: score whose first time is the time to threshold.
        uniform_success: env steps until a uniform policy's first success, as the plan declares them. There, and only
            there, the first success decides exploration: never because of what the runs did.
    """
    first = [_first_success(cell, columns) for cell, columns in zip(cells, curves, strict=True)]
    # A run that never succeeded has no such column: where other runs of the task have it, it is slower than them all.
    known = {cell.task for cell, sooner in zip(cells, first, strict=True) if not np.isnan(sooner).all()}
    table = {}
    for cell, of_runs, of_curves, sooner in zip(cells, runs, curves, first, strict=True):
        # In the order of the cell's runs, as the curves are.
        order = np.argsort(of_runs["seed"], kind="stable")
        of_runs = {name: column[order] for name, column in of_runs.items()}
        shown = np.isin(of_runs["status"], ["done", "diverged"])
        diverged = of_runs["status"][shown] == "diverged"
        found = {name: of_runs[name][shown] for name in ("area", "final_score", "final_return")}
        found |= {name: of_runs[name][shown] for name in ("area_in_time", "score_in_time") if _any(of_runs[name])}
        # What a run that diverged had learned is lost.
        found |= {
            name: np.where(diverged & _any(of_runs[name]), 0.0, of_runs[name][shown])
            for name in ("goals_retained", "reward_alignment")
        }
        if "relative_coverage" in of_curves and cell.runs:
            # Of the whole way: on small tasks everybody has seen every state by the end.
            found["relative_coverage"] = _mean_over_marks(of_curves["relative_coverage"].reshape(len(cell.runs), -1))
        uniform = {}
        if "relative_coverage" in found:
            # Half, so that it is on one scale with successes, and twice a uniform policy's is all that can be claimed.
            found["exploration"], uniform["exploration"] = found["relative_coverage"] / 2, 0.5
        if cell.task in uniform_success and cell.runs:
            found["exploration"], uniform["exploration"] = _earliness(cell, of_curves, uniform_success[cell.task])
        if cell.task in known:
            found["first_success_sooner"] = np.where(np.isnan(sooner), 0.0, sooner < 1).astype(float)
        if cell.runs and _any(found["final_score"]):
            score = of_curves["score"].reshape(len(cell.runs), -1)
            marks = cell.runs[0].curve["env_steps"]
            found["time_to_threshold"] = time_to_threshold(score, marks, threshold).time / marks[-1]
            found["collapse"] = collapsed(score).astype(float)
            found["not_collapsed"] = 1.0 - found["collapse"]
        # Returns near the largest float have infinite scores, which are undefined as in all tables.
        values = {name: np.where(np.isfinite(own), own, np.nan) for name, own in found.items() if _any(own)}
        table[cell.task, cell.algorithm] = Measured(
            values, int(shown.sum()), len(cell.seeds), tuple(run.record.seed for run in cell.runs), uniform
        )
    return table


def _first_success(cell: SelectedCell, curves: Columns) -> Array:
    """[run]: env steps until the first success in units of what a uniform policy needs; NaN where there was none."""
    if "relative_first_success" not in curves or not cell.runs:
        return np.full(len(cell.runs), np.nan)
    return last_defined(curves["relative_first_success"].reshape(len(cell.runs), -1))


def _earliness(cell: SelectedCell, curves: Columns, needed: float) -> tuple[Array, float]:
    """How early the first success came: the share of the budget that was left, 0 without one; and a uniform policy's.

    The latter with steps until its first success that are exponentially distributed with the known mean.

    Returns:
        [run], and a scalar.
    """
    budget = float(cell.runs[0].curve["env_steps"][-1])
    first = np.full(len(cell.runs), np.nan)
    if "first_success" in curves:
        first = last_defined(curves["first_success"].reshape(len(cell.runs), -1))
    earliness = 1 - np.minimum(np.where(np.isnan(first), budget, first), budget) / budget
    return earliness, 1 + (needed / budget) * math.expm1(-budget / needed)


def _mean_over_marks(values: Array) -> Array:
    """values: [run, point] -> [run]: mean of those that are not NaN."""
    defined = ~np.isnan(values)
    n = defined.sum(axis=1)
    return np.where(n > 0, np.where(defined, values, 0.0).sum(axis=1) / np.maximum(n, 1), np.nan)


def _any(values: Array) -> bool:
    return bool(np.isfinite(values).any())


def extremes(table: Table) -> Extremes:
    """Of all measures on all tasks."""
    found: Extremes = {}
    for (task, _), measured in table.items():
        for name, values in measured.values.items():
            low, high = found.get((task, name), (math.inf, -math.inf))
            found[task, name] = (min(low, float(np.nanmin(values))), max(high, float(np.nanmax(values))))
    return found


def filled(
    table: Table,
    seen: Extremes,
    keys: Iterable[tuple[str, str]],
    measure: str,
    candidates: Container[str],
    *,
    favour: bool,
) -> Table:
    """Those of the keys, with one measure, and the extremes of the task in place of missing runs.

    Args:
        seen: `extremes` of the table.
        favour: the highest for the candidates and the lowest for the others; else the other way round.
    """
    measure = "final_score" if measure == "cvar" else measure
    complete = {}
    for task, algorithm in keys:
        measured = table[task, algorithm]
        values, missing = measured.values[measure], measured.planned - measured.shown
        if missing:
            good = favour == (algorithm in candidates)
            values = np.append(values, np.full(missing, seen[task, measure][int(good)]))
        complete[task, algorithm] = Measured({measure: values}, measured.shown, measured.planned)
    return complete


def weights_of(tasks: Sequence[str]) -> Array:
    """tasks: [task] -> [task]: weights that sum to 1; families of tasks weigh alike, wrapped ones with their family."""
    return family_weights([family(task) for task in tasks])


def family(task: str) -> str:
    """The family in a task's address, `gym` of `noise(gym/CartPole-v1,0.5)`."""
    return innermost(task).partition("/")[0]


def innermost(task: str) -> str:
    """The address inside all wrappers."""
    return task.rpartition("(")[2].partition(",")[0].rstrip(")")


def wrappers(task: str) -> list[str]:
    """The wrappers around a task, the outermost first."""
    return task.split("(")[:-1]


#: Why a control is in no number over several tasks: it is there to be set beside its task.
CONTROL_REASON = "a control: training receives random rewards there"


def is_control(task: str) -> bool:
    """Whether training receives random rewards there, which the address says."""
    return "random-reward" in wrappers(task)


def number(value: Any) -> float | None:
    """A number for the document: null where undefined."""
    return float(value) if np.isfinite(value) else None


def numbers(values: Array) -> list[float | None]:
    """[n] -> a list for the document: null where undefined."""
    return [number(value) for value in values.tolist()]
