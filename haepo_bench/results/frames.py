"""Runs as data frames.

A diverged run is a result: from the evaluation point at which it diverged on its return is the random reference's and
its score 0, at the budget too. On a task without references such a run has no return after it diverged.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haepo_bench.results.columns import COLUMNS, COST_COLUMNS, MEASURED
from haepo_bench.results.declared_columns import apart, in_order
from haepo_bench.results.selection import Run, SelectedCell, failure_reason
from haepo_bench.statistics.curves import area_under_curve, area_until, last_defined, random_once_diverged, value_at

Array = NDArray[Any]

#: Numbers of a run's cost, as the record names them.
COSTS = tuple(COST_COLUMNS)

#: Diagnostics of the registry: every run frame has them.
_KNOWN_DIAGNOSTICS = tuple(name for name in COLUMNS if name not in MEASURED)

#: The record's `final` repeats the end of the curve under these names.
_FINAL_RETURNS = ("eval_return", "eval_return_greedy", "eval_return_std", "score", "score_greedy")

#: What a run is judged by; see `run_frame`.
MEASURES = (
    "final_score",
    "final_score_greedy",
    "area",
    "final_return",
    "final_return_greedy",
    "area_return",
    "score_in_time",
    "area_in_time",
    "return_in_time",
)

_KEYS = ("task", "algorithm", "seed", "status")
_DERIVED = ("return_filled", "return_greedy_filled", "score", "score_greedy")
#: Columns of the run frame before the diagnostics.
_RUN = (*_KEYS, "reason", *MEASURES, *COSTS)
#: What the frames call columns of their own.
_TAKEN = {*_RUN, *_DERIVED} - COLUMNS.keys()


def shown_name(name: str) -> str:
    """The column of the frames that holds a record's column `name`: with `_recorded` behind it where that is theirs."""
    return apart(name, _TAKEN)


class Frames(NamedTuple):
    """A suite's runs as frames; `runs` from `run_frame`, `curves` from `curve_frame`."""

    runs: pd.DataFrame
    curves: pd.DataFrame


def frames(cells: Sequence[SelectedCell]) -> Frames:
    """Both frames of the cells of a selection."""
    curves = curve_frame(cells)
    return Frames(run_frame(cells, curves), curves)


def curve_frame(cells: Sequence[SelectedCell]) -> pd.DataFrame:
    """One row per evaluation point of each run that has a result, in the order of cells, seeds and points.

    Columns: task, algorithm, seed, status; the record's curve columns, NaN where a run does not have one (`shown_name`
    says what they are called); and from the references return_filled and return_greedy_filled (the return, and after
    divergence that of the random reference), score and score_greedy (NaN on tasks without references).
    """
    runs = [(cell, run) for cell in cells for run in cell.runs]
    lengths = [len(run.curve["env_steps"]) for _, run in runs]
    names = {name: name for name in ("env_steps", "eval_return", "eval_return_greedy")}
    names.update({shown_name(name): name for _, run in runs for name in run.curve})

    def repeated(value: Callable[[SelectedCell, Run], Any], dtype: Any = None) -> Array:
        return np.repeat(np.array([value(cell, run) for cell, run in runs], dtype=dtype), lengths)

    def words(value: Callable[[SelectedCell, Run], str]) -> "pd.Series[Any]":
        # As objects: the runs of a cell share theirs, where strings of pandas would be one copy a row.
        return pd.Series(repeated(value, object), dtype=object, copy=False)

    frame = pd.DataFrame(
        {
            "task": words(lambda cell, _: cell.task),
            "algorithm": words(lambda cell, _: cell.algorithm),
            "seed": repeated(lambda _, run: run.record.seed, np.int64),
            "status": words(lambda _, run: run.record.status),
        }
        | {
            shown: np.concatenate(
                [
                    np.empty(0),
                    *(run.curve.get(name, np.full(n, np.nan)) for (_, run), n in zip(runs, lengths, strict=True)),
                ]
            )
            for shown, name in names.items()
        },
        # Every column is an array of its own already; a copy of them all would double the memory of a large store.
        copy=False,
    )
    random = repeated(lambda _, run: run.record.references.random if run.record.references else np.nan, float)
    solved = repeated(lambda _, run: run.record.references.solved if run.record.references else np.nan, float)
    diverged = (frame["status"] == "diverged").to_numpy()
    sampled = frame["eval_return"].to_numpy()
    for suffix in ("", "_greedy"):
        filled = random_once_diverged(frame[f"eval_return{suffix}"].to_numpy(), diverged, random, sampled=sampled)
        frame[f"return{suffix}_filled"] = filled
        frame[f"score{suffix}"] = (filled - random) / (solved - random)
    return frame


def run_frame(cells: Sequence[SelectedCell], curves: pd.DataFrame) -> pd.DataFrame:
    """One row per run that was asked for, in the order of cells and seeds; without a result, numbers are NaN.

    Columns: task, algorithm, seed, status (also `missing` and `damaged`), reason, the `MEASURES`, the `COSTS` and the
    diagnostics: the last defined value of every other curve column, and what only `final` has. final_* is the value at
    the budget, `area` the area under the score curve, `area_return` that under the return curve, both divided by the
    budget. *_in_time are over the task's common time: score and return reached by then, and the area under the
    score curve up to then, divided by it.
    """
    blocks = cell_blocks(cells, curves)
    common = common_times(cells)
    ends = {
        shown_name(name): name
        for cell in cells
        for run in cell.runs
        for name in run.record.final
        if name not in _FINAL_RETURNS and name not in run.curve
    }
    names = [*_RUN, *in_order([*_KNOWN_DIAGNOSTICS, *_diagnostics_of(curves.columns), *ends])]
    parts = [_run_columns(cell, block, common.get(cell.task), ends) for cell, block in zip(cells, blocks, strict=True)]
    columns = {}
    for name in names:
        words, dtype = name in (*_KEYS, "reason") and name != "seed", np.int64 if name == "seed" else float
        own = [part.get(name) for part in parts]
        filled = [np.full(len(cell.seeds), np.nan) if x is None else x for cell, x in zip(cells, own, strict=True)]
        joined = np.concatenate([np.empty(0, object if words else dtype), *filled])
        columns[name] = pd.Series(joined, dtype=object if words else dtype, copy=False)
    return pd.DataFrame(columns, copy=False)


def _run_columns(
    cell: SelectedCell, block: dict[str, Array], common: "CommonTime | None", ends: Mapping[str, str]
) -> dict[str, Array]:
    """A cell's part of the run frame, {column: [seed asked for]}; columns that none of its runs has are absent.

    Args:
        ends: {column: name in `final`} of what only `final` has.
    """
    places = {seed: place for place, seed in enumerate(cell.seeds)}
    own = np.array([places[run.record.seed] for run in cell.runs], dtype=int)

    def spread(values: Iterable[Any]) -> Array:
        filled = np.full(len(places), np.nan)
        filled[own] = np.array(list(values), dtype=float)
        return filled

    status, reason = np.empty(len(places), dtype=object), np.empty(len(places), dtype=object)
    for run in cell.runs:
        place = places[run.record.seed]
        status[place], reason[place] = run.record.status, failure_reason(run.record)
    for absent in cell.absent:
        status[places[absent.seed]], reason[places[absent.seed]] = absent.status, absent.reason
    found = {
        "task": np.full(len(places), cell.task, dtype=object),
        "algorithm": np.full(len(places), cell.algorithm, dtype=object),
        "seed": np.array(cell.seeds, dtype=np.int64),
        "status": status,
        "reason": reason,
    }
    if cell.runs:
        found |= {name: spread(values) for name, values in _reduce(block, common).items()}
        found |= {name: spread(run.record.cost.get(name) for run in cell.runs) for name in COSTS}
        for shown, name in ends.items():
            found[shown] = spread(run.record.final.get(name) for run in cell.runs)
    return found


def diagnostics(runs: Iterable[str]) -> list[str]:
    """Those of the columns of a run frame that are diagnostics."""
    return [name for name in runs if name not in _RUN]


def _diagnostics_of(curves: Iterable[str]) -> list[str]:
    """Those of the columns of a curve frame that say how training went rather than how far it is or how well it did."""
    return [name for name in curves if name not in (*_KEYS, *_DERIVED) and name not in MEASURED]


def cell_blocks(cells: Sequence[SelectedCell], curves: pd.DataFrame) -> list[dict[str, Array]]:
    """The rows of `curve_frame` of each cell, {column: [run, point]}: its runs share their evaluation points."""
    columns = {name: curves[name].to_numpy() for name in curves.columns}
    blocks, start = [], 0
    for cell in cells:
        marks = len(cell.runs[0].curve["env_steps"]) if cell.runs else 0
        stop = start + marks * len(cell.runs)
        blocks.append({name: column[start:stop].reshape(len(cell.runs), marks) for name, column in columns.items()})
        start = stop
    return blocks


class CommonTime(NamedTuple):
    """The time at which all algorithms on a task are compared.

    Args:
        clock: curve column: CPU seconds where all runs have them, else wall seconds.
        seconds: of training, that the fastest algorithm took for the budget; mean over its seeds.
    """

    clock: str
    seconds: float


def common_times(cells: Sequence[SelectedCell]) -> dict[str, CommonTime]:
    """{task: the time that its fastest algorithm took for the budget}.

    At that time every algorithm is still training or just done, so that nobody's curve has to be continued by guessing.
    Tasks on which no run has a clock are absent.
    """
    ends: dict[str, dict[str, list[list[float]]]] = {}
    for cell in cells:
        for clock in ("cpu_seconds", "wall_seconds"):
            known = [run.curve[clock][-1] for run in cell.runs if clock in run.curve]
            known = [end for end in known if np.isfinite(end)]
            ends.setdefault(cell.task, {}).setdefault(clock, []).extend([known] if cell.runs else [])
    found = {}
    for task, clocks in ends.items():
        clock = "cpu_seconds" if all(clocks["cpu_seconds"]) else "wall_seconds"
        means = [float(np.mean(known)) for known in clocks[clock] if known]
        if any(mean > 0 for mean in means):
            found[task] = CommonTime(clock, min(mean for mean in means if mean > 0))
    return found


def _reduce(block: dict[str, Array], common: CommonTime | None) -> dict[str, Array]:
    """block: {column: [run, point]} -> {measure or diagnostic: [run]}."""
    marks = block["env_steps"][0]
    reduced = {
        "final_score": block["score"][:, -1],
        "final_score_greedy": block["score_greedy"][:, -1],
        "area": area_under_curve(block["score"], marks),
        "final_return": block["return_filled"][:, -1],
        "final_return_greedy": block["return_greedy_filled"][:, -1],
        "area_return": area_under_curve(block["return_filled"], marks),
    }
    if common is not None and common.clock in block:
        clock = block[common.clock]
        reduced["score_in_time"] = value_at(block["score"], clock, common.seconds)
        reduced["area_in_time"] = area_until(block["score"], clock, common.seconds)
        reduced["return_in_time"] = value_at(block["return_filled"], clock, common.seconds)
    return reduced | {name: last_defined(block[name]) for name in _diagnostics_of(block)}
