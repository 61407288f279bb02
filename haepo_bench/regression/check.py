"""Stored runs against a baseline: a verdict on each cell, and what the program says with its exit code."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.errors import ExitCode
from haepo_bench.regression.baseline import Baseline, BaselineCell, NotComparable
from haepo_bench.regression.cells import (
    areas_of,
    compared,
    curves_of,
    job_seeds,
    relative_cost,
    why_not_comparable,
)
from haepo_bench.regression.recording import drop_since_first, engine_of
from haepo_bench.regression.verdict import DEFAULT_RULE, FEWEST, Judgement, Mark, Rule, compare, judge, seeds_needed
from haepo_bench.results.claims import DEFAULT_THRESHOLD
from haepo_bench.results.identity import CellKey
from haepo_bench.results.selection import SelectedCell, Selection
from haepo_bench.statistics.survival import restricted_mean, time_to_threshold
from haepo_bench.text import plain
from haepo_bench.wording import many, named_seeds

Array = NDArray[Any]

#: Score whose first time is explained; nothing is decided by it.
THRESHOLD = DEFAULT_THRESHOLD
#: A baseline that sank by less did not sink: first values are stored rounded.
_SHOWN_DROP = 0.001


@dataclass(frozen=True)
class Explanation:
    """What else moved, for the reader: nothing is decided by it. Means over seeds, returns in units of the span.

    Args:
        baseline_final: at the budget.
        current_final: at the budget.
        baseline_time: env steps until the threshold is held, a seed that never gets there counted with the budget.
        current_time: as `baseline_time`.
        baseline_reached: seeds that held the threshold, of `baseline_runs`.
        current_reached: as `baseline_reached`, of `current_runs`.
        budget: the last evaluation point, in env steps.
        worst_drop: of the mean curve below the baseline's, where it is largest; negative where it is above throughout.
        worst_drop_at: env steps at that evaluation point.
    """

    baseline_final: float
    current_final: float
    baseline_time: float
    current_time: float
    baseline_reached: int
    baseline_runs: int
    current_reached: int
    current_runs: int
    budget: int
    worst_drop: float
    worst_drop_at: int


@dataclass(frozen=True)
class CellVerdict:
    """The verdict on one cell.

    Args:
        remark: what a reader must know of it; empty where the numbers say it all.
        judgement: evidence for the verdict; None where nothing was tested.
        confirmation: of a drop that a second batch of seeds was asked about.
        drop_since_first: of the baseline below the first recording of the cell, in units of the span.
        slowdown: training cost over the baseline's; None where it was not asked for or cannot be compared.
        slow: why the cost is a regression or cannot be compared; empty where it is neither.
        cost_comparable: False where the cost was asked for and cannot be compared.
    """

    key: CellKey
    mark: Mark
    remark: str = ""
    judgement: Judgement | None = None
    confirmation: Judgement | None = None
    explanation: Explanation | None = None
    drop_since_first: float | None = None
    slowdown: float | None = None
    slow: str = ""
    cost_comparable: bool = True


@dataclass(frozen=True)
class Verdict:
    """The verdict on all cells of a baseline.

    Args:
        against: which recording of the baseline.
        new: cells that the baseline does not have.
        notes: what holds of the whole.
        unreadable: something among the results could not be read: who knows what it would have said.
        max_slowdown: the training cost over the baseline's that is still accepted; None where nobody asked.
        interrupted: a signal ended it before everything was measured.
    """

    suite: str
    rule: Rule
    against: str
    cells: tuple[CellVerdict, ...]
    new: tuple[CellKey, ...] = ()
    notes: tuple[str, ...] = ()
    unreadable: bool = False
    max_slowdown: float | None = None
    interrupted: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """130 interrupted, 4 unreadable, 1 worse or slower, 2 not measured or few seeds, 3 not comparable, else 0."""
        marks = {cell.mark for cell in self.cells}
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.unreadable:
            return ExitCode.USAGE
        if Mark.WORSE in marks or any(cell.slow and cell.cost_comparable for cell in self.cells):
            return ExitCode.REGRESSION
        if not marks or marks & {Mark.FAILED, Mark.TOO_FEW}:
            return ExitCode.RUN_FAILED
        if Mark.NOT_COMPARABLE in marks or not all(cell.cost_comparable for cell in self.cells):
            return ExitCode.NOT_COMPARABLE
        return ExitCode.OK

    def ratcheted(self) -> list[CellVerdict]:
        """Cells whose baseline has sunk at least `min_effect` below the first recording."""
        least = max(self.rule.min_effect, _SHOWN_DROP)
        return [cell for cell in self.cells if cell.drop_since_first is not None and cell.drop_since_first >= least]


def check(
    selection: Selection, baseline: Baseline, *, rule: Rule = DEFAULT_RULE, max_slowdown: float | None = None
) -> Verdict:
    """Judges stored runs.

    Args:
        max_slowdown: accept so many times the baseline's training cost, each relative to the reference job of its own
            session; None for no verdict on cost.

    Raises:
        NotComparable: the runs are of another suite.
    """
    check_suite(selection.name, baseline)
    found = {cell.key: cell for cell in selection.cells}
    new = {key: cell.settings_hash for key, cell in found.items() if baseline.cell(key) is None}
    settled: dict[CellKey, CellVerdict] = {}
    open_cells: list[tuple[BaselineCell, SelectedCell]] = []
    for old in baseline.cells:
        cell = found.get(old.key)
        verdict = missing(old, "there is no such cell among the results", new) if cell is None else settle(old, cell)
        if verdict is not None:
            settled[old.key] = verdict
        elif cell is not None:
            open_cells.append((old, cell))
    settled |= {verdict.key: verdict for verdict in judge_together(open_cells, rule)}
    verdicts = [settled[old.key] for old in baseline.cells]
    if max_slowdown is not None:
        pairs = [(old, found.get(old.key)) for old in baseline.cells]
        verdicts = [
            with_cost(verdict, old, cell, max_slowdown) for verdict, (old, cell) in zip(verdicts, pairs, strict=True)
        ]
    return Verdict(
        suite=selection.name,
        rule=rule,
        against=recorded(baseline),
        cells=tuple(with_history(verdicts, baseline)),
        new=tuple(new),
        notes=(*_damaged(selection), *_other_engine(selection, baseline)),
        unreadable=bool(selection.unreadable),
        max_slowdown=max_slowdown,
    )


def recorded(baseline: Baseline) -> str:
    """Which recording a baseline is: date, commit, reason."""
    last = baseline.history[-1]
    commit = f" at {last.commits[-1][:10]}" if last.commits else ""
    return plain(f"{last.date}{commit}: {last.reason}")


def check_suite(name: str, baseline: Baseline) -> None:
    """Raises NotComparable where a suite is not the baseline's."""
    if name != baseline.suite:
        raise NotComparable(
            f"the baseline is of the suite '{plain(baseline.suite)}', this is '{plain(name)}'",
            remedy="name the baseline of this suite; a suite that was renamed needs a new one",
        )


def missing(old: BaselineCell, problem: str, new: Mapping[CellKey, str]) -> CellVerdict:
    """The verdict on a cell that there is not.

    Args:
        new: settings hashes of the cells that the baseline does not have: one of them may be this one, renamed.
    """
    twin = next((key for key, settings_hash in new.items() if settings_hash == old.settings_hash), None)
    hint = f"; {twin} has its settings: if it was renamed, record the baseline under the new name" if twin else ""
    return CellVerdict(old.key, Mark.FAILED, plain(f"missing: {problem}{hint}"))


def settle(old: BaselineCell, cell: SelectedCell) -> CellVerdict | None:
    """The verdict on a cell that needs no statistics; None where a test must decide."""
    sample = cell.sample
    difference = why_not_comparable(
        old, cell.settings_hash, sample.settings if sample else None, sample.references if sample else None
    )
    if not difference and cell.runs and cell.runs[0].curve["env_steps"].tolist() != old.marks:
        difference = "the evaluation points of the curves differ"
    if difference:
        return CellVerdict(old.key, Mark.NOT_COMPARABLE, plain(difference))
    if not cell.runs:
        return CellVerdict(old.key, Mark.FAILED, absences(cell) or "missing: no run was asked for")
    found = compared(old, cell.runs)
    if not found.same:
        return None
    if cell.absent:
        return CellVerdict(old.key, Mark.FAILED, f"{absences(cell)}; the others are identical")
    sides = {"new": found.added, "no longer there": found.gone}
    others = [f"{side}: {', '.join(names)}" for side, names in sides.items() if names]
    remark = "; ".join([many(len(cell.runs), "seed"), *others])
    return CellVerdict(old.key, Mark.IDENTICAL, plain(remark))


@np.errstate(over="ignore", invalid="ignore")
def judge_together(cells: Sequence[tuple[BaselineCell, SelectedCell]], rule: Rule) -> list[CellVerdict]:
    """Verdicts on comparable cells that have runs, corrected for their number, in their order."""
    areas = [old.scale.units(areas_of(cell.runs, old.scale)) for old, cell in cells]
    judgements = judge(compare([old.areas() for old, _ in cells], areas, rule=rule), rule)
    tests = max(1, sum(not isnan(judgement.p_worse) for judgement in judgements))
    verdicts = []
    for (old, cell), judgement in zip(cells, judgements, strict=True):
        mark, remark = judgement.mark, _remark(judgement, tests, rule)
        if cell.absent:
            mark = mark if mark is Mark.WORSE else Mark.FAILED
            remark = "; ".join(part for part in (absences(cell), remark) if part)
        verdicts.append(CellVerdict(old.key, mark, remark, judgement=judgement, explanation=_explanation(old, cell)))
    return verdicts


def with_history(verdicts: Iterable[CellVerdict], baseline: Baseline) -> list[CellVerdict]:
    """Verdicts with how far the baseline itself has sunk since the first recording."""
    changed = []
    for verdict in verdicts:
        old = baseline.cell(verdict.key)
        changed.append(replace(verdict, drop_since_first=drop_since_first(old, baseline)) if old else verdict)
    return changed


def with_cost(verdict: CellVerdict, old: BaselineCell, cell: SelectedCell | None, most: float) -> CellVerdict:
    """A verdict with that on the training cost, where the results of the cell can be compared.

    The cost of a run is its CPU seconds of training over those of a reference job in the same session, so that a
    faster machine changes little. Medians over runs; only runs whose jobs had as many seeds, which share the cost.
    """
    if cell is None or not cell.runs or verdict.mark is Mark.NOT_COMPARABLE:
        return verdict
    now = [(job_seeds(run), relative_cost(run)) for run in cell.runs if run.record.status == "done"]
    then = [(run.job_seeds, run.relative_cost) for run in old.runs if run.status == "done"]
    if not now or not then or any(cost is None for _, cost in (*now, *then)):
        lacking = "time of the reference job is stored with the runs" if now and then else "run came to its end"
        why = f"cost not comparable: no {lacking}"
        return replace(verdict, slow=why, cost_comparable=False)
    sizes = {size for size, _ in now} & {size for size, _ in then}
    current, before = ([cost for size, cost in side if size in sizes and cost is not None] for side in (now, then))
    if not sizes or not np.median(before):
        jobs = [", ".join(str(size) for size in sorted({size or 0 for size, _ in side})) for side in (now, then)]
        why = f"cost not comparable: jobs of {jobs[0]} seeds here, of {jobs[1]} in the baseline"
        return replace(verdict, slow=why, cost_comparable=False)
    ratio = float(np.median(current) / np.median(before))
    slow = f"{ratio:.2f} times the baseline's training cost, {most:g} are accepted" if ratio > most else ""
    return replace(verdict, slowdown=ratio, slow=slow)


def _explanation(old: BaselineCell, cell: SelectedCell) -> Explanation:
    before, now = old.curves(), old.scale.units(curves_of(cell.runs, old.scale))
    marks = np.array(old.marks, dtype=float)
    arrivals = [time_to_threshold(curves, marks, THRESHOLD) for curves in (before, now)]
    baseline_time, current_time = (float(restricted_mean(times, float(marks[-1])).estimate) for times in arrivals)
    baseline_reached, current_reached = (int(times.reached.sum()) for times in arrivals)
    drops = before.mean(axis=0) - now.mean(axis=0)
    worst = int(np.argmax(drops))
    return Explanation(
        baseline_final=float(before[:, -1].mean()),
        current_final=float(now[:, -1].mean()),
        baseline_time=baseline_time,
        current_time=current_time,
        baseline_reached=baseline_reached,
        baseline_runs=len(before),
        current_reached=current_reached,
        current_runs=len(now),
        budget=old.marks[-1],
        worst_drop=float(drops[worst]),
        worst_drop_at=old.marks[worst],
    )


def _remark(judgement: Judgement, tests: int, rule: Rule) -> str:
    """Why seeds were too few; empty for all other marks."""
    evidence = judgement.evidence
    if judgement.mark is not Mark.TOO_FEW:
        return ""
    if isnan(judgement.p_worse) and min(evidence.current_seeds, evidence.baseline_seeds) >= FEWEST:
        return "returns are too large to be tested"
    seeds = f"{many(evidence.current_seeds, 'seed')} against {evidence.baseline_seeds}"
    if judgement.smallest_drop < np.inf:
        drop = "no drop" if isnan(evidence.low) else f"a drop of up to {-evidence.low:.2f}"
        return f"{drop} is {'' if isnan(evidence.low) else 'not '}ruled out by {seeds}"
    needed = seeds_needed(evidence.baseline_seeds, tests, rule)
    among = f" among {tests} cells" if tests > 1 else ""
    if needed is None:
        return f"no number of seeds can show anything{among} at alpha {rule.alpha:g}: choose a larger one"
    return f"{seeds} cannot show anything{among} at alpha {rule.alpha:g}: run at least {needed}"


def absences(cell: SelectedCell) -> str:
    """What runs have no result and why: `seeds 1, 4 failed: ValueError: unwell`, one part for each reason."""
    groups: dict[tuple[str, str], list[int]] = {}
    for run in cell.absent:
        groups.setdefault((run.status.replace("_", " "), run.reason.partition("\n")[0]), []).append(run.seed)
    parts = [
        f"{named_seeds(seeds)} {status}: {reason}".removesuffix(": ") for (status, reason), seeds in groups.items()
    ]
    return plain("; ".join(parts))


def _other_engine(selection: Selection, baseline: Baseline) -> tuple[str, ...]:
    """Runs of another engine differ from the baseline's in rounding, and so are never identical to them."""
    engine = engine_of(run for cell in selection.cells for run in cell.runs)
    if engine == baseline.engine:
        return ()
    return (
        f"the runs were made by the {engine} engine and the baseline by the {baseline.engine} one: "
        f"run the suite with --engine {baseline.engine} to see whether the code itself changed anything",
    )


def _damaged(selection: Selection) -> tuple[str, ...]:
    return tuple(f"{file.state}: {plain(str(file.path))}: {plain(file.reason)}" for file in selection.damaged)
