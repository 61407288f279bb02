"""From stored runs to the report document."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench import __version__
from haepo_bench.report.document import (
    AlgorithmInformation,
    AlgorithmResult,
    Curve,
    DiagnosticColumn,
    DivergedRun,
    Improvement,
    NotShownRuns,
    ReportDocument,
    RunRow,
    RunWithoutResult,
    Seeds,
    SuiteResult,
    TaskResult,
)
from haepo_bench.report.document_numbers import MeanEstimate, MissingRange
from haepo_bench.report.numbers.across import across, improvements
from haepo_bench.report.numbers.claims import scorecard
from haepo_bench.report.numbers.damaged import damaged_files
from haepo_bench.report.numbers.estimates import band, bounds_of_returns, estimate_of, intervals_of
from haepo_bench.report.numbers.history import history, left_out
from haepo_bench.report.numbers.ladders import ladders
from haepo_bench.report.numbers.overoptimisation import overoptimisation
from haepo_bench.report.numbers.pairwise import pairwise
from haepo_bench.report.numbers.searches import searches
from haepo_bench.report.numbers.singles import RunFiles, parameters_of, single_seeds
from haepo_bench.results.claims import CONTROLS, DEFAULT_THRESHOLD
from haepo_bench.results.columns import Column
from haepo_bench.results.declared_columns import PROVENANCE_KEY, declared, described, in_order
from haepo_bench.results.frames import COSTS, MEASURES, CommonTime, common_times, diagnostics, frames, shown_name
from haepo_bench.results.opening import find_suites, is_suite, open_results
from haepo_bench.results.selection import SelectedCell, Selection
from haepo_bench.results.store import Store
from haepo_bench.statistics.intervals import mean_interval
from haepo_bench.text import plain, plain_lines
from haepo_bench.verdicts.declared import Range, ranges
from haepo_bench.verdicts.equal_search import as_reported
from haepo_bench.verdicts.measured import Columns, by_cell, extremes, family, measure, number, numbers

Array = NDArray[Any]

#: Provenance that differs from run to run or from job to job, and what the tables say of columns.
_NOT_PROVENANCE = frozenset(
    {"started", "seeds", "log", "file", "sha256", "resumed", "checkpoints_put_aside", PROVENANCE_KEY}
)


def build_report(results: Path, *others: Path, importance: bool = False) -> ReportDocument:
    """The report on everything in `results`: a suite's folder, or a folder of such.

    Args:
        others: more of the same, for a report on all of them side by side, in this order.
        importance: also which hyper-parameters matter, in searches; needs scikit-learn.

    Raises:
        UserError: no such folder, or nothing in it has a result.
    """
    found = [(folder, open_results(folder)) for folder in (results, *others)]
    # Returns near the largest float overflow in means and scores; such numbers are shown as undefined.
    with np.errstate(over="ignore", invalid="ignore"):
        suites = [
            _suite(selection, Store(suite), "" if is_suite(folder) else suite.name, label, importance=importance)
            for (folder, selections), label in zip(found, labels([results, *others]), strict=True)
            for suite, selection in zip(find_suites(folder), selections, strict=True)
        ]
        return ReportDocument(haepo_bench_version=__version__, suites=suites)


def labels(folders: Sequence[Path]) -> list[str]:
    """What each of several results folders is called: its name, or, where two have the same, its path from where they
    part, so that a page says no more of the machine than it needs."""
    if len(folders) == 1:
        return [""]
    paths = [folder.resolve() for folder in folders]
    names = [path.name for path in paths]
    alike = [path.parts for path in paths if names.count(path.name) > 1]
    common = 0
    while alike and all(common + 1 < len(parts) and parts[common] == alike[0][common] for parts in alike):
        common += 1
    return [plain(name if names.count(name) == 1 else "/".join(path.parts[common:]))
            for name, path in zip(names, paths, strict=True)]  # fmt: skip


def _suite(selection: Selection, store: Store, folder: str, label: str, *, importance: bool) -> SuiteResult:
    searched = searches(selection, importance=importance)
    selection = as_reported(selection)
    data = frames(selection.cells)
    rows = by_cell(selection.cells, data)
    claims = selection.claims
    threshold = claims.threshold if claims else DEFAULT_THRESHOLD
    table = measure(selection.cells, *rows, threshold, selection.uniform_success)
    seen = extremes(table)
    controls = {cell.algorithm for cell in selection.cells if cell.uses in CONTROLS}
    overall = across(table, seen, claims, controls)
    times = common_times(selection.cells)
    bounds = ranges(selection)
    runs_shown, of_runs = sum(len(cell.runs) for cell in selection.cells), RunFiles(store.root)
    tasks: dict[str, list[tuple[SelectedCell, Columns, Columns]]] = defaultdict(list)
    for cell, runs, curves in zip(selection.cells, *rows, strict=True):
        tasks[cell.task].append((cell, runs, curves))
    return SuiteResult(
        suite=plain(f"{selection.name} ({label})" if label else selection.name),
        results=label,
        folder=plain(folder),
        description=plain(selection.description),
        plan=selection.plan,
        source=plain_lines(selection.source),
        runs_planned=sum(len(cell.seeds) for cell in selection.cells),
        runs_shown=runs_shown,
        scorecard=scorecard(selection, table, seen),
        pairwise=pairwise(selection, table),
        basis=overall.basis,
        aggregates=overall.aggregates,
        profiles=overall.profiles,
        improvement=overall.improvement,
        search=searched,
        ladders=ladders(table, claims.threshold if claims else DEFAULT_THRESHOLD),
        history=history(selection, store, bounds),
        tasks=[
            _task(
                task,
                cells,
                times.get(task),
                improvements(table, seen, claims, [task]),
                bounds.get(task),
                runs_shown,
                of_runs,
            )
            for task, cells in tasks.items()
        ],
        not_shown=[
            NotShownRuns(folder=plain(left.folder), runs=left.runs, reason=plain(left.reason))
            for left in left_out(selection)
        ],
        damaged=damaged_files(selection),
        provenance=_provenance(selection.cells),
    )


def _task(
    task: str,
    cells: Sequence[tuple[SelectedCell, Columns, Columns]],
    common: CommonTime | None,
    improvement: list[Improvement],
    bounds: Range | None,
    runs_shown: int,
    of_runs: RunFiles,
) -> TaskResult:
    samples = [cell.sample for cell, _, _ in cells]
    seen = {}
    for name in MEASURES:
        values = np.concatenate([runs[name] for _, runs, _ in cells])
        values = values[np.isfinite(values)]
        if values.size:
            seen[name] = (float(values.min()), float(values.max()))
    results = [_algorithm(*cell, seen, bounds, runs_shown, of_runs) for cell in cells]
    return TaskResult(
        task=plain(task),
        family=plain(family(task)),
        score_bounds=None if bounds is None else (bounds.low, bounds.high),
        references=next((sample.references for sample in samples if sample and sample.references), None),
        budget=next((result.curve.env_steps[-1] for result in results if result.curve), None),
        common_seconds=common and common.seconds,
        common_clock=common and common.clock,
        algorithms=results,
        diagnostic_columns=_diagnostic_columns(results, [cell for cell, _, _ in cells]),
        improvement=improvement,
    )


def _diagnostic_columns(results: Sequence[AlgorithmResult], cells: Sequence[SelectedCell]) -> list[DiagnosticColumn]:
    """What the diagnostics of a task are; where runs declare one differently, the first declaration holds."""
    declarations: dict[str, Column] = {}
    for run in (run for cell in cells for run in cell.runs):
        for name, column in declared(run.record.provenance).items():
            declarations.setdefault(plain(shown_name(name)), column)
    columns = []
    for name in in_order(name for result in results for name in result.diagnostics):
        column = described(name, declarations)
        columns.append(
            DiagnosticColumn(
                name=name, title=plain(column.title) or name, unit=plain(column.unit), meaning=plain(column.meaning)
            )
        )
    return columns


def _beyond(runs: Columns, shown: Array, bounds: Range | None) -> list[str]:
    """A note where scores are outside of what the task's bounds allow, on which intervals and claims rest."""
    if bounds is None or bounds.clipped:
        return []
    slack = 1e-9 * max(1.0, abs(bounds.low), abs(bounds.high))
    for name in ("final_score", "final_score_greedy", "area"):
        values = runs[name][shown]
        if ((values < bounds.low - slack) | (values > bounds.high + slack)).any():
            return [
                f"scores outside of [{bounds.low:.4g}, {bounds.high:.4g}], which is all that the task's bounds allow: "
                "the bounds are wrong, and what rests on them with them"
            ]
    return []


def _algorithm(
    cell: SelectedCell,
    runs: Columns,
    curves: Columns,
    seen: Mapping[str, tuple[float, float]],
    bounds: Range | None,
    runs_shown: int,
    of_runs: RunFiles,
) -> AlgorithmResult:
    """An algorithm on a task.

    Args:
        seen: {measure: the lowest and the highest value that any run of the task has}.
        bounds: of the score.
        runs_shown: of the whole suite.
        of_runs: the suite's.
    """
    sample, known = cell.sample, cell.information
    shown = np.isin(runs["status"], ["done", "diverged"])
    done = runs["status"] == "done"
    scored = sample is not None and sample.references is not None

    intervals = intervals_of(cell, runs, shown, bounds)
    references = sample.references if sample else None
    bounds_then = None if bounds is None or references is None else bounds_of_returns(bounds, references)

    files = {run.record.seed: of_runs.of(run) for run in cell.runs}

    def estimate(name: str) -> MeanEstimate:
        return estimate_of(runs[name][shown], intervals.get(name))

    return AlgorithmResult(
        algorithm=plain(cell.algorithm),
        uses=plain(cell.uses),
        label=plain(known.label if known else cell.uses),
        footnote=plain(known.footnote) if known else "",
        notes=[*(plain(note) for note in (sample.notes if sample else ())), *_beyond(runs, shown, bounds)],
        information=AlgorithmInformation(
            told=known.told if known else None,
            critic=known.critic if known else None,
            discount=known.discount if known else None,
        ),
        settings_hash=plain(cell.settings_hash),
        code_hash=plain(cell.code_hash),
        parameters=parameters_of(sample),
        seeds=Seeds(
            planned=list(cell.seeds),
            shown=runs["seed"][shown].tolist(),
            diverged=[
                DivergedRun(seed=int(runs["seed"][i]), reason=plain(str(runs["reason"][i])))
                for i in np.flatnonzero(runs["status"] == "diverged")
            ],
            missing=[
                RunWithoutResult(seed=run.seed, status=run.status, reason=plain(run.reason)) for run in cell.absent
            ],
            exploratory=list(cell.preceding),
        ),
        final_score=estimate("final_score") if scored else None,
        final_score_greedy=estimate("final_score_greedy") if scored else None,
        area=estimate("area") if scored else None,
        final_return=estimate("final_return"),
        final_return_greedy=estimate("final_return_greedy"),
        area_return=estimate("area_return"),
        score_in_time=estimate("score_in_time") if scored else None,
        area_in_time=estimate("area_in_time") if scored else None,
        return_in_time=estimate("return_in_time"),
        if_missing=_if_missing(runs, seen),
        cost={name: estimate_of(runs[name][shown]).mean for name in COSTS},
        diagnostics={
            plain(name): estimate_of(runs[name][done])
            for name in diagnostics(runs)
            if not np.isnan(runs[name][done]).all()
        },
        curve=_curve(cell, curves, scored, bounds, bounds_then, runs_shown) if cell.runs else None,
        overoptimisation=overoptimisation(curves, len(cell.runs), bounds_then),
        runs=[
            RunRow(
                seed=int(runs["seed"][i]),
                status=runs["status"][i],
                measures={name: number(runs[name][i]) for name in MEASURES},
                cost={name: number(runs[name][i]) for name in COSTS},
                exploratory=int(runs["seed"][i]) in cell.preceding,
                **files[int(runs["seed"][i])],
            )
            for i in np.flatnonzero(shown)
        ],
    )


def _if_missing(runs: Columns, seen: Mapping[str, tuple[float, float]]) -> dict[str, MissingRange]:
    """Where each measure's mean would lie with the extremes of the task in place of what is undefined."""
    found = {}
    for name, ends in seen.items():
        undefined = ~np.isfinite(runs[name])
        if undefined.any():
            low, high = (float(np.where(undefined, end, runs[name]).mean()) for end in ends)
            found[name] = MissingRange(lowest=low, highest=high)
    return found


def _curve(
    cell: SelectedCell, curves: Columns, scored: bool, bounds: Range | None, of_return: Range | None, runs_shown: int
) -> Curve:
    """curves: {column: [run * point]}, runs major; bounds of the score and of the return."""
    block = {name: column.reshape(len(cell.runs), -1) for name, column in curves.items() if name != "task"}
    # A diverged run's clock stops. Averaging it in up to there would make the mean run backwards where it drops out.
    done = block["status"][:, 0] == "done"

    def clock(name: str) -> list[float | None]:
        times = block.get(name, np.full(block["env_steps"].shape, np.nan))
        return numbers(mean_interval(times[done] if done.any() else times).mean)

    return Curve(
        env_steps=block["env_steps"][0].tolist(),
        wall_seconds=clock("wall_seconds"),
        cpu_seconds=clock("cpu_seconds"),
        score=band(block["score"], bounds) if scored else None,
        eval_return=band(block["return_filled"], of_return),
        single=single_seeds([run.record.seed for run in cell.runs], block["return_filled"], runs_shown),
    )


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
