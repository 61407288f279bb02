"""Runs as data frames.

A diverged run is a result: from the mark at which it diverged on its return is the random reference's and its score 0,
at the budget too. On a task without references such a run has no return after it diverged.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haepo_bench.results.selection import Run, SelectedCell, failure_reason
from haepo_bench.statistics.curves import area_under_curve, area_until, last_defined, value_at

Array = NDArray[Any]

#: Numbers of a run's cost, as the record names them.
COSTS = (
    "wall_seconds",
    "cpu_seconds",
    "env_steps_collected",
    "gradient_steps",
    "episodes",
    "evaluation_env_steps",
    "evaluation_seconds",
    "peak_memory_bytes",
)

#: What only a run's last evaluation measures, as the record's `final` names it.
LAST_MEASURED = ("pass_at_1", "initial_pass_at_1", "pass_at_8", "initial_pass_at_8")

#: Curve columns that say how training went rather than how well, and what only the last evaluation measures.
DIAGNOSTICS = (
    "effective_sample_size",
    "policy_entropy",
    "kl_previous",
    "gradient_norm",
    "state_coverage",
    "relative_coverage",
    "goals_found",
    "goals_retained",
    "regret",
    "good_arm_excess",
    "short_way_share",
    "long_way_share",
    "right_choice_share",
    "clean_return",
    "reward_alignment",
    "implicit_value",
    "implicit_value_deviation",
    "proxy_return",
    "kl_initial",
    "eval_response_length",
    "cut_off_share",
    "distinct_2",
    "exact_match",
    "well_formed",
    "facts_found",
    "claims_true",
    "tokens_per_second",
    "seconds_per_step",
    *LAST_MEASURED,
)

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


class Frames(NamedTuple):
    """A suite's runs as frames; `runs` from `run_frame`, `curves` from `curve_frame`."""

    runs: pd.DataFrame
    curves: pd.DataFrame


def frames(cells: Sequence[SelectedCell]) -> Frames:
    """Both frames of the cells of a selection."""
    curves = curve_frame(cells)
    return Frames(run_frame(cells, curves), curves)


def curve_frame(cells: Sequence[SelectedCell]) -> pd.DataFrame:
    """One row a mark of each run that has a result, in the order of cells, seeds and marks.

    Columns: task, algorithm, seed, status; the record's curve columns, NaN where a run does not have one; and from the
    references return_filled and return_greedy_filled (the return, and after divergence that of the random reference),
    score and score_greedy (NaN on tasks without references).
    """
    runs = [(cell, run) for cell in cells for run in cell.runs]
    lengths = [len(run.curve["env_steps"]) for _, run in runs]
    names = dict.fromkeys(["env_steps", "eval_return", "eval_return_greedy"])
    names.update(dict.fromkeys(name for _, run in runs for name in run.curve))

    def repeated(value: Callable[[SelectedCell, Run], Any], dtype: Any = None) -> Array:
        return np.repeat(np.array([value(cell, run) for cell, run in runs], dtype=dtype), lengths)

    frame = pd.DataFrame(
        {
            "task": repeated(lambda cell, _: cell.task, object),
            "algorithm": repeated(lambda cell, _: cell.algorithm, object),
            "seed": repeated(lambda _, run: run.record.seed, np.int64),
            "status": repeated(lambda _, run: run.record.status, object),
        }
        | {
            name: np.concatenate(
                [
                    np.empty(0),
                    *(run.curve.get(name, np.full(n, np.nan)) for (_, run), n in zip(runs, lengths, strict=True)),
                ]
            )
            for name in names
        },
        # Every column is an array of its own already; a copy of them all would double the memory of a large store.
        copy=False,
    )
    random = repeated(lambda _, run: run.record.references.random if run.record.references else np.nan, float)
    solved = repeated(lambda _, run: run.record.references.solved if run.record.references else np.nan, float)
    diverged = (frame["status"] == "diverged").to_numpy()
    # A diverged run is evaluated no more: its sampled return is undefined from then on.
    gone = diverged & frame["eval_return"].isna().to_numpy()
    for suffix in ("", "_greedy"):
        filled = np.where(gone, random, frame[f"eval_return{suffix}"].to_numpy())
        frame[f"return{suffix}_filled"] = filled
        frame[f"score{suffix}"] = (filled - random) / (solved - random)
    return frame


def run_frame(cells: Sequence[SelectedCell], curves: pd.DataFrame) -> pd.DataFrame:
    """One row a run that was asked for, in the order of cells and seeds; without a result, numbers are NaN.

    Columns: task, algorithm, seed, status (also `missing` and `damaged`), reason, the `MEASURES`, the `COSTS` and the
    last defined value of the `DIAGNOSTICS`. final_* is the value at the budget, `area` the area under the score curve,
    `area_return` that under the return curve, both divided by the budget. *_in_time are over the task's
    `common_seconds`: score and return reached by then, and the area under the score curve up to then, divided by it.
    """
    rows: list[dict[str, Any]] = []
    blocks = cell_blocks(cells, curves)
    common = common_seconds(cells)
    for cell, block in zip(cells, blocks, strict=True):
        row = {"task": cell.task, "algorithm": cell.algorithm}
        results: dict[int, dict[str, Any]] = {}
        numbers = _reduce(block, common.get(cell.task)) if cell.runs else {}
        for i, run in enumerate(cell.runs):
            cost = run.record.cost
            results[run.record.seed] = {
                "status": run.record.status,
                "reason": failure_reason(run.record),
                **{name: values[i] for name, values in numbers.items()},
                **{name: cost.get(name) for name in COSTS},
                **{name: run.record.final.get(name) for name in LAST_MEASURED},
            }
        for absent in cell.absent:
            results[absent.seed] = {"status": absent.status, "reason": absent.reason}
        rows += [{**row, "seed": seed, **results[seed]} for seed in cell.seeds]
    names = ["task", "algorithm", "seed", "status", "reason", *MEASURES, *COSTS, *DIAGNOSTICS]
    frame = pd.DataFrame(rows, columns=names)
    return frame.astype(dict.fromkeys(names[5:], float))


def cell_blocks(cells: Sequence[SelectedCell], curves: pd.DataFrame) -> list[dict[str, Array]]:
    """The rows of `curve_frame` of each cell, {column: [run, mark]}: all runs of a cell share their marks."""
    columns = {name: curves[name].to_numpy() for name in curves.columns}
    blocks, start = [], 0
    for cell in cells:
        marks = len(cell.runs[0].curve["env_steps"]) if cell.runs else 0
        stop = start + marks * len(cell.runs)
        blocks.append({name: column[start:stop].reshape(len(cell.runs), marks) for name, column in columns.items()})
        start = stop
    return blocks


def common_seconds(cells: Sequence[SelectedCell]) -> dict[str, float]:
    """{task: training seconds that its fastest algorithm took for the budget}, mean over the seeds that are done.

    At that time every algorithm is still training or just done, so that nobody's curve has to be continued by guessing.
    Tasks on which no run has a clock are absent.
    """
    common: dict[str, float] = {}
    for cell in cells:
        clocks = [run.curve["wall_seconds"][-1] for run in cell.runs if "wall_seconds" in run.curve]
        known = [clock for clock in clocks if np.isfinite(clock)]
        if known and np.mean(known) > 0:
            common[cell.task] = min(common.get(cell.task, np.inf), float(np.mean(known)))
    return common


def _reduce(block: dict[str, Array], seconds: float | None) -> dict[str, Array]:
    """block: {column: [run, mark]} -> {measure or diagnostic: [run]}."""
    marks = block["env_steps"][0]
    reduced = {
        "final_score": block["score"][:, -1],
        "final_score_greedy": block["score_greedy"][:, -1],
        "area": area_under_curve(block["score"], marks),
        "final_return": block["return_filled"][:, -1],
        "final_return_greedy": block["return_greedy_filled"][:, -1],
        "area_return": area_under_curve(block["return_filled"], marks),
    }
    if seconds is not None and "wall_seconds" in block:
        clock = block["wall_seconds"]
        reduced["score_in_time"] = value_at(block["score"], clock, seconds)
        reduced["area_in_time"] = area_until(block["score"], clock, seconds)
        reduced["return_in_time"] = value_at(block["return_filled"], clock, seconds)
    return reduced | {name: last_defined(block[name]) for name in DIAGNOSTICS if name in block}
