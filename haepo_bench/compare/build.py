"""From two results folders to the document of their comparison."""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench import __version__
from haepo_bench.compare.differences import adjusted, compare_measure
from haepo_bench.compare.document import (
    CellComparison,
    CellSide,
    Change,
    ComparedCurve,
    CompareDocument,
    CostRatios,
    OneSided,
    SideInformation,
    SuiteComparison,
)
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.report.document import DamagedFile, DivergedRun, NotShownRuns, RunWithoutResult
from haepo_bench.report.numbers.damaged import damaged_files
from haepo_bench.report.numbers.estimates import band, estimate_of
from haepo_bench.results.frames import COSTS, frames
from haepo_bench.results.identity import CellKey
from haepo_bench.results.opening import open_results
from haepo_bench.results.sameness import shared_seeds
from haepo_bench.results.searches import per_task_name
from haepo_bench.results.selection import SelectedCell, Selection
from haepo_bench.results.settings_changes import settings_changes
from haepo_bench.statistics.intervals import mean_interval
from haepo_bench.text import plain
from haepo_bench.verdicts.equal_search import REPLICATES, as_reported
from haepo_bench.verdicts.measured import Columns, by_cell, number, numbers

Array = NDArray[Any]

_CHANGES_SHOWN = 200


class _Side(NamedTuple):
    """A cell with its rows of both frames.

    Args:
        search: how its algorithm was searched, where the runs are those of what was chosen; else empty.
    """

    cell: SelectedCell
    runs: Columns
    curves: Columns
    search: Mapping[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """Of its runs, with the search in the place of the hyper-parameters that each replicate chose."""
        settings = dict(self.cell.sample.settings) if self.cell.sample else {}
        if not self.search:
            return settings
        # Records are foreign text as far as this is concerned.
        algorithm = settings.get("algorithm")
        if isinstance(algorithm, dict) and isinstance(parameters := algorithm.get("parameters"), dict):
            fixed = {key: value for key, value in parameters.items() if key not in self.search["spaces"]}
            settings["algorithm"] = {**algorithm, "parameters": fixed}
        return {**settings, "search": self.search}


def compare_results(a: Path, b: Path) -> CompareDocument:
    """Compares what is in two folders, each a suite's or a folder of such.

    Suites go together by name; where each side has just one, these two, whatever they are called.

    Raises:
        UserError: a folder is not there, or no algorithm on a task has results on both sides (exit code 2).
    """
    left, right = ([as_reported(each) for each in open_results(folder, to="compare")] for folder in (a, b))
    if len(left) == len(right) == 1:
        pairs = [(left[0], right[0])]
    else:
        named = {selection.name: selection for selection in right}
        pairs = [(selection, named[selection.name]) for selection in left if selection.name in named]
    with np.errstate(over="ignore", invalid="ignore"):
        suites = [_suite(*pair) for pair in pairs]
    if not any(cell.a.shown and cell.b.shown for suite in suites for cell in suite.cells):
        raise _nothing_in_common(a, b, left, right, suites)
    suites, tests = adjusted(suites)
    paired = {id(selection) for pair in pairs for selection in pair}
    sides = [_information(folder, selections) for folder, selections in ((a, left), (b, right))]
    return CompareDocument(
        haepo_bench_version=__version__,
        tests=tests,
        a=sides[0],
        b=sides[1],
        same_machine=sides[0].machines == sides[1].machines and len(sides[0].machines) == 1,
        suites=suites,
        suites_only_a=[plain(selection.name) for selection in left if id(selection) not in paired],
        suites_only_b=[plain(selection.name) for selection in right if id(selection) not in paired],
        damaged_only_a=_unpaired_files(left, paired),
        damaged_only_b=_unpaired_files(right, paired),
    )


def _nothing_in_common(
    a: Path, b: Path, left: Sequence[Selection], right: Sequence[Selection], suites: Sequence[SuiteComparison]
) -> UserError:
    if suites:
        remedy = "algorithms go together by task and name in the suite: `haepo-bench report` shows what a folder has"
    else:
        names = [", ".join(plain(selection.name) for selection in side) for side in (left, right)]
        remedy = f"suites go together by name: {a} has {names[0]}; {b} has {names[1]}"
    lines = [
        plain(f"unreadable: {selection.name}/{file.path}: {file.reason}")
        for selection in (*left, *right)
        for file in selection.unreadable
    ]
    remedy = "\n  ".join([remedy, *lines])
    error = UserError("nothing to compare: no algorithm has results on one task on both sides", remedy=remedy)
    error.exit_code = ExitCode.USAGE if lines else ExitCode.RUN_FAILED
    return error


def _suite(a: Selection, b: Selection) -> SuiteComparison:
    left, right = _sides(a), _sides(b)
    return SuiteComparison(
        suite_a=plain(a.name),
        suite_b=plain(b.name),
        cells=[_cell(side, right[key]) for key, side in left.items() if key in right],
        only_a=[_one_sided(side.cell) for key, side in left.items() if key not in right],
        only_b=[_one_sided(side.cell) for key, side in right.items() if key not in left],
        damaged_a=damaged_files(a),
        damaged_b=damaged_files(b),
        not_shown_a=_not_shown(a),
        not_shown_b=_not_shown(b),
    )


def _sides(selection: Selection) -> dict[CellKey, _Side]:
    data = frames(selection.cells)
    rows = zip(selection.cells, *by_cell(selection.cells, data), strict=True)
    return {cell.key: _Side(cell, runs, curves, _search(selection, cell)) for cell, runs, curves in rows}


def _search(selection: Selection, cell: SelectedCell) -> dict[str, Any]:
    """How a row's algorithm was searched; empty for default settings, and without a search."""
    search = selection.search
    if search is None:
        return {}
    searched = (name for name, spaces in search.spaces.items() if spaces)
    name = next((name for name in searched if cell.algorithm in (name, per_task_name(name))), None)
    return {} if name is None else {**search.document, "spaces": search.spaces[name]}


def _one_sided(cell: SelectedCell) -> OneSided:
    return OneSided(
        task=plain(cell.task), algorithm=plain(cell.algorithm), shown=len(cell.runs), planned=len(cell.seeds)
    )


def _unpaired_files(selections: Sequence[Selection], paired: Container[int]) -> list[DamagedFile]:
    """What cannot be used of the suites that only one side has."""
    return [
        file.model_copy(update={"file": f"{plain(selection.name)}/{file.file}"})
        for selection in selections
        if id(selection) not in paired
        for file in damaged_files(selection)
    ]


def _not_shown(selection: Selection) -> list[NotShownRuns]:
    return [
        NotShownRuns(folder=plain(left.folder), runs=left.runs, reason=plain(left.reason))
        for left in selection.not_shown
    ]


def _cell(a: _Side, b: _Side) -> CellComparison:
    samples = a.cell.sample, b.cell.sample
    references = [sample.references for sample in samples if sample]
    scored = bool(references) and references[0] is not None and references[0] == references[-1]
    measures = ("final_score", "area") if scored else ("final_return", "area_return")
    shared, identical = shared_seeds(a.cell.runs, b.cell.runs)
    same = identical == shared > 0
    final, area = (
        compare_measure(name, *(_by_seed(side, name) for side in (a, b)), identical=same) for name in measures
    )
    cost = [_cost(side) for side in (a, b)]
    return CellComparison(
        task=plain(a.cell.task),
        algorithm=plain(a.cell.algorithm),
        settings_same=a.cell.settings_hash == b.cell.settings_hash and a.search == b.search,
        settings_changes=_changes(a.settings, b.settings),
        code_same=a.cell.code_hash == b.cell.code_hash,
        a=_cell_side(a, cost[0], scored),
        b=_cell_side(b, cost[1], scored),
        shared_seeds=shared,
        identical_runs=identical,
        warnings=_warnings(a, b, scored),
        final=final,
        area=area,
        cost_ratios=CostRatios(
            **{name: _ratio(cost[0][name], cost[1][name]) for name in CostRatios.model_fields},
        ),
    )


def _by_seed(side: _Side, measure: str) -> dict[int, float]:
    """A measure of each run that has it."""
    values = zip(side.runs["seed"].tolist(), side.runs[measure].tolist(), strict=True)
    return {seed: value for seed, value in values if np.isfinite(value)}


def _cost(side: _Side) -> dict[str, float | None]:
    shown = np.isin(side.runs["status"], ["done", "diverged"])
    return {name: estimate_of(side.runs[name][shown]).mean for name in COSTS}


def _ratio(a: float | None, b: float | None) -> float | None:
    return number(b / a) if a and b is not None else None


def _cell_side(side: _Side, cost: Mapping[str, float | None], scored: bool) -> CellSide:
    cell, runs = side.cell, side.runs
    return CellSide(
        settings_hash=plain(cell.settings_hash),
        code_hash=plain(cell.code_hash),
        planned=len(cell.seeds),
        shown=len(cell.runs),
        diverged=[
            DivergedRun(seed=int(runs["seed"][i]), reason=plain(str(runs["reason"][i])))
            for i in np.flatnonzero(runs["status"] == "diverged")
        ],
        missing=[RunWithoutResult(seed=run.seed, status=run.status, reason=plain(run.reason)) for run in cell.absent],
        cost=dict(cost),
        curve=_curve(side, scored) if cell.runs else None,
    )


def _curve(side: _Side, scored: bool) -> ComparedCurve:
    n = len(side.cell.runs)
    values = side.curves["score" if scored else "return_filled"].reshape(n, -1)
    clock = side.curves.get("wall_seconds", np.full(values.size, np.nan)).reshape(n, -1)
    done = side.curves["status"].reshape(n, -1)[:, 0] == "done"
    seconds = clock[done] if done.any() else clock
    return ComparedCurve(
        env_steps=side.curves["env_steps"].reshape(n, -1)[0].tolist(),
        wall_seconds=numbers(mean_interval(seconds).mean),
        values=band(values),
    )


def _warnings(a: _Side, b: _Side, scored: bool) -> list[str]:
    warnings = []
    samples = a.cell.sample, b.cell.sample
    if a.search and b.search:
        warnings.append(f"at equal search on either side: {REPLICATES}")
    elif a.search or b.search:
        side = "A" if a.search else "B"
        warnings.append(f"{side} is what a search chose ({REPLICATES}), and the other side was not searched")
    if not scored and all(samples) and any(sample and sample.references for sample in samples):
        warnings.append("the references differ, so that scores cannot be compared: returns are")
    marks = [side.cell.runs[0].curve["env_steps"] if side.cell.runs else None for side in (a, b)]
    if marks[0] is not None and marks[1] is not None:
        if marks[0][-1] != marks[1][-1]:
            warnings.append(f"the budgets differ: {marks[0][-1]:,.0f} and {marks[1][-1]:,.0f} env steps")
        elif not np.array_equal(marks[0], marks[1]):
            warnings.append("the evaluation points differ, and so do the intervals that an area averages")
    versions = [sample.settings.get("task", {}) if sample else {} for sample in samples]
    known = [version.get("version") if isinstance(version, dict) else None for version in versions]
    if None not in known and known[0] != known[1]:
        warnings.append(f"the task's versions differ: {plain(str(known[0]))} and {plain(str(known[1]))}")
    return warnings


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """Settings that differ, key by key."""
    return [Change(key=key, a=before, b=now) for key, before, now in settings_changes(a, b)[:_CHANGES_SHOWN]]


def _information(folder: Path, selections: Sequence[Selection]) -> SideInformation:
    found = [run.record.provenance for selection in selections for cell in selection.cells for run in cell.runs]

    def distinct(values: Sequence[object]) -> list[str]:
        return sorted({plain(str(value)) for value in values if value})

    gits = [provenance.get("git") for provenance in found]
    commits = [
        f"{git.get('commit')}{' with changes' if git.get('dirty') else ''}" for git in gits if isinstance(git, dict)
    ]
    machines = [
        ", ".join(str(provenance[key]) for key in ("cpu", "device") if provenance.get(key)) for provenance in found
    ]
    return SideInformation(
        label=plain(str(folder)),
        suites=[plain(selection.name) for selection in selections],
        git_commits=distinct(commits),
        versions=distinct([provenance.get("package_version") for provenance in found]),
        machines=distinct(machines),
        imported=sum("imported" in provenance for provenance in found),
    )
