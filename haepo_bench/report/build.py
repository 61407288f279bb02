"""From stored runs to the report document."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench import __version__
from haepo_bench.report.claims import scorecard
from haepo_bench.report.document import (
    CONFIDENCE,
    AlgorithmResult,
    Band,
    Curve,
    DamagedFile,
    DivergedRun,
    Estimate,
    Information,
    MissingRun,
    NotShownRuns,
    ReportDocument,
    RunRow,
    Seeds,
    SuiteResult,
    TaskResult,
)
from haepo_bench.report.opening import open_results
from haepo_bench.report.text import plain, plain_lines
from haepo_bench.results.frames import COSTS, DIAGNOSTICS, MEASURES, Frames, frames
from haepo_bench.results.selection import SelectedCell, Selection
from haepo_bench.statistics.intervals import corrected_mean_interval

Array = NDArray[Any]
Columns = Mapping[str, Array]

#: Provenance that differs from run to run or from job to job.
_NOT_PROVENANCE = frozenset({"started", "seeds", "log", "file", "sha256"})


def build_report(results: Path) -> ReportDocument:
    """The report on everything that lies in `results`: a suite's folder, or a folder of such.

    Raises:
        UserError: no such folder, or nothing in it has a result.
    """
    selections = open_results(results)
    # Returns near the largest float overflow in means and scores; such numbers are shown as undefined.
    with np.errstate(over="ignore", invalid="ignore"):
        return ReportDocument(haepo_bench_version=__version__, suites=[_suite(selection) for selection in selections])


def _suite(selection: Selection) -> SuiteResult:
    data = frames(selection.cells)
    tasks: dict[str, list[tuple[SelectedCell, Columns, Columns]]] = defaultdict(list)
    by_cell = _by_cell(selection.cells, data)
    for cell, runs, curves in zip(selection.cells, *by_cell, strict=True):
        tasks[cell.task].append((cell, runs, curves))
    return SuiteResult(
        suite=plain(selection.name),
        description=plain(selection.description),
        plan=selection.plan,
        source=plain_lines(selection.source),
        runs_planned=sum(len(cell.seeds) for cell in selection.cells),
        runs_shown=sum(len(cell.runs) for cell in selection.cells),
        scorecard=scorecard(selection, *by_cell),
        tasks=[_task(task, cells) for task, cells in tasks.items()],
        not_shown=[
            NotShownRuns(folder=plain(left.folder), runs=left.runs, reason=plain(left.reason))
            for left in selection.not_shown
        ],
        damaged=[DamagedFile(file=plain(str(file.path)), reason=plain(file.reason)) for file in selection.damaged],
        provenance=_provenance(selection.cells),
    )


def _by_cell(cells: Sequence[SelectedCell], data: Frames) -> tuple[list[Columns], list[Columns]]:
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


def _task(task: str, cells: Sequence[tuple[SelectedCell, Columns, Columns]]) -> TaskResult:
    samples = [cell.sample for cell, _, _ in cells]
    results = [_algorithm(*cell) for cell in cells]
    return TaskResult(
        task=plain(task),
        references=next((sample.references for sample in samples if sample and sample.references), None),
        budget=next((result.curve.env_steps[-1] for result in results if result.curve), None),
        algorithms=results,
    )


def _algorithm(cell: SelectedCell, runs: Columns, curves: Columns) -> AlgorithmResult:
    sample, known = cell.sample, cell.information
    shown = np.isin(runs["status"], ["done", "diverged"])
    done = runs["status"] == "done"
    scored = sample is not None and sample.references is not None

    def estimate(name: str) -> Estimate:
        return _estimate(runs[name][shown])

    return AlgorithmResult(
        algorithm=plain(cell.algorithm),
        uses=plain(cell.uses),
        label=plain(known.label if known else cell.uses),
        footnote=plain(known.footnote) if known else "",
        notes=[plain(note) for note in sample.notes] if sample else [],
        information=Information(
            told=known.told if known else None,
            critic=known.critic if known else None,
            discount=known.discount if known else None,
        ),
        settings_hash=plain(cell.settings_hash),
        code_hash=plain(cell.code_hash),
        seeds=Seeds(
            planned=list(cell.seeds),
            shown=runs["seed"][shown].tolist(),
            diverged=[
                DivergedRun(seed=int(runs["seed"][i]), reason=plain(str(runs["reason"][i])))
                for i in np.flatnonzero(runs["status"] == "diverged")
            ],
            missing=[MissingRun(seed=run.seed, status=run.status, reason=plain(run.reason)) for run in cell.absent],
        ),
        final_score=estimate("final_score") if scored else None,
        final_score_greedy=estimate("final_score_greedy") if scored else None,
        area=estimate("area") if scored else None,
        final_return=estimate("final_return"),
        final_return_greedy=estimate("final_return_greedy"),
        area_return=estimate("area_return"),
        cost={name: estimate(name).mean for name in COSTS},
        diagnostics={name: _estimate(runs[name][done]) for name in DIAGNOSTICS if not np.isnan(runs[name][done]).all()},
        curve=_curve(curves, len(cell.runs), scored) if cell.runs else None,
        runs=[
            RunRow(
                seed=int(runs["seed"][i]),
                status=runs["status"][i],
                measures={name: _number(runs[name][i]) for name in MEASURES},
                cost={name: _number(runs[name][i]) for name in COSTS},
            )
            for i in np.flatnonzero(shown)
        ],
    )


def _curve(curves: Columns, runs: int, scored: bool) -> Curve:
    """curves: {column: [run * mark]}, runs major."""
    block = {name: column.reshape(runs, -1) for name, column in curves.items() if name != "task"}
    # A diverged run's clock stops. Averaging it in up to there would make the mean run backwards where it drops out.
    done = block["status"][:, 0] == "done"
    clock = block.get("wall_seconds", np.full(block["env_steps"].shape, np.nan))
    return Curve(
        env_steps=block["env_steps"][0].tolist(),
        wall_seconds=_numbers(corrected_mean_interval(clock[done] if done.any() else clock).mean),
        score=_band(block["score"]) if scored else None,
        eval_return=_band(block["return_filled"]),
    )


def _estimate(values: Array) -> Estimate:
    """values: [seed]."""
    mean, low, high, n = corrected_mean_interval(values, confidence=CONFIDENCE)
    return Estimate(mean=_number(mean), low=_number(low), high=_number(high), n=int(n))


def _band(values: Array) -> Band:
    """values: [seed, mark]."""
    mean, low, high, n = corrected_mean_interval(values, confidence=CONFIDENCE)
    return Band(mean=_numbers(mean), low=_numbers(low), high=_numbers(high), n=n.tolist())


def _provenance(cells: Sequence[SelectedCell]) -> dict[str, list[str]]:
    """Each distinct value among the runs shown, nested keys joined by a dot."""
    found: dict[str, set[str]] = defaultdict(set)
    for cell in cells:
        for run in cell.runs:
            for key, value in _flat(run.record.provenance):
                found[plain(key)].add(plain(str(value)))
    return {key: sorted(values) for key, values in sorted(found.items())}


def _flat(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{key}.")
        elif value is not None and key not in _NOT_PROVENANCE:
            flat.append((prefix + key, value))
    return flat


def _number(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None


def _numbers(values: Array) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
