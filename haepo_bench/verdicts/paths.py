"""From stored runs to the pairs that a comparison is decided by: two algorithms' values, seed by seed.

What was declared stays in: a seed enters when all its runs, on both sides and on every task, have ended. A run that
became non-finite has its result, and one in which the algorithm failed counts at a bound (`statistics.pairs`). One that
is missing, or that the machine failed, ends the path until it is made.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.results.record import FAILED, RunRecord
from haepo_bench.results.selection import SelectedCell
from haepo_bench.statistics.pairs import Pairs, Runs, pair
from haepo_bench.text import plain
from haepo_bench.verdicts.claims import NO_SCORE, Claim
from haepo_bench.verdicts.declared import Range
from haepo_bench.verdicts.measured import CONTROL_REASON, Table, is_control, weights_of

Array = NDArray[Any]

#: What becomes of a run by no fault of the algorithm: it is made again.
_OF_THE_MACHINE = frozenset({"WorkerDied", "MemoryError", "OutOfMemoryError", "OSError"})


class Path(NamedTuple):
    """A comparison of two algorithms, in the declared order of seeds.

    Args:
        tasks: over which each value is a weighted mean.
        seeds: declared on both sides on all tasks, and made after the declaration.
        pairs: of the first of these, up to the first that is incomplete.
        ended_by: why the path ends before the last of the seeds; empty where it does not.
        clipped: share of the values that were clipped to declared bounds.
    """

    candidate: str
    baseline: str
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    pairs: Pairs
    ended_by: str = ""
    clipped: float = 0.0


def failed_by_machine(record: RunRecord) -> bool:
    """Whether a run without a result is to be made again rather than counted."""
    if record.status not in FAILED or record.error is None:
        return True
    return bool(getattr(record.error, "of_machine", record.error.type in _OF_THE_MACHINE))


def failed_by_algorithm(cell: SelectedCell) -> set[int]:
    """The seeds whose run has ended without a result, which counts against the algorithm."""
    return {run.record.seed for run in cell.unfinished if not failed_by_machine(run.record)}


class Outcomes:
    """What became of every run of a selection, for one claim.

    Args:
        ranges: of the score, by task; tasks whose bounds are not known are absent.
    """

    def __init__(self, claim: Claim, cells: Sequence[SelectedCell], table: Table, ranges: Mapping[str, Range]) -> None:
        self.claim = claim
        self.tasks = tuple(dict.fromkeys(cell.task for cell in cells))
        self._cells = {(cell.task, cell.algorithm): cell for cell in cells}
        self._table = table
        self._ranges = ranges

    def of(self, claim: Claim) -> "Outcomes":
        """The same runs, judged for another claim."""
        return Outcomes(claim, list(self._cells.values()), self._table, self._ranges)

    def uniform(self, tasks: Sequence[str]) -> float | None:
        """What a uniform policy is expected to have of the measure, over tasks; None where that is not known."""
        found = []
        for task in tasks:
            own = [self._table[key] for key in self._cells if key[0] == task]
            values = [each.uniform[self.claim.measure] for each in own if self.claim.measure in each.uniform]
            if not values:
                return None
            found.append(values[0])
        return float(weights_of(tasks) @ np.array(found))

    def left_out(self, names: Sequence[str]) -> dict[str, str]:
        """The tasks that say nothing about the claim, and why: nothing there measures it, or a control."""
        reasons = {}
        for task in self.tasks:
            if is_control(task):
                reasons[task] = CONTROL_REASON
            elif not any((task, name) in self._cells for name in names):
                reasons[task] = "none of the algorithms compared was asked for there"
            elif self._lacks(task):
                reasons[task] = self.claim.absent
        return reasons

    def without(self, name: str, tasks: Sequence[str]) -> str:
        """Why an algorithm takes no part in the claim, whatever its scores; empty where it does."""
        planned = [task for task in tasks if (task, name) in self._cells]
        if not planned:
            return "it was not asked for on these tasks"
        return "" if any(self._measures(task, name) for task in planned) else "its runs do not measure it"

    def path(self, candidate: str, baseline: str, tasks: Sequence[str]) -> Path:
        """The comparison over those of the tasks that both sides were declared on and measure."""
        sides = (candidate, baseline)
        own = tuple(
            task for task in tasks if all((task, name) in self._cells and self._measures(task, name) for name in sides)
        )
        if not own:
            return _nothing(candidate, baseline, own, "no task measures both")
        seeds = self._shared(sides, own)
        if not seeds:
            known = self._shared(sides, own, all_=True)
            why = "all runs that both have were made before the declaration" if known else "no seed is in both"
            return _nothing(candidate, baseline, own, why)
        runs, clipped = [], []
        for name in sides:
            found = [self.values(name, task, seeds) for task in own]
            scores, failed = (np.stack([getattr(each, part)[0] for each, _ in found]) for part in ("scores", "failed"))
            runs.append(Runs(scores, failed))
            clipped.append(np.stack([each for _, each in found]))
        ranges = [self.range(task) or Range(-inf, inf) for task in own]
        pairs = pair(
            runs[0],
            runs[1],
            weights_of(own),
            np.array([each.low for each in ranges]),
            np.array([each.high for each in ranges]),
            tasks=[plain(task) for task in own],
        )
        n = len(pairs.candidate)
        ended_by = self._missing(sides, own, seeds[n]) if n < len(seeds) else ""
        share = float(np.mean([each[:, :n] for each in clipped])) if n else 0.0
        return Path(candidate, baseline, own, seeds, pairs, ended_by, share)

    def values(self, name: str, task: str, seeds: Sequence[int]) -> tuple[Runs, Array]:
        """An algorithm's values on a task, by seed, and bool [seed] which were clipped."""
        cell, measured = self._cells[task, name], self._table[task, name]
        own = measured.values.get(self.claim.measure, np.full(len(measured.seeds), np.nan))
        by_seed = dict(zip(measured.seeds, own.tolist(), strict=True))
        broken = failed_by_algorithm(cell)
        values = np.array([by_seed.get(seed, np.nan) for seed in seeds])
        found = self.range(task)
        drawn_in = np.clip(values, found.low, found.high) if found and found.clipped else values
        moved = ~np.isnan(values) & (drawn_in != values)
        return Runs.of(drawn_in, [seed in broken for seed in seeds]), moved

    def range(self, task: str) -> Range | None:
        """Of the measure; None where it is not known."""
        if self.claim.bounds is not None:
            return Range(*self.claim.bounds, clipped=self.claim.clipped)
        return self._ranges.get(task)

    def seeds(self, name: str, task: str) -> tuple[int, ...]:
        """An algorithm's declared seeds there that were made after the declaration."""
        if (task, name) not in self._cells:
            return ()
        cell = self._cells[task, name]
        preceding = set(cell.preceding)
        return tuple(seed for seed in cell.seeds if seed not in preceding)

    def _shared(self, names: Sequence[str], tasks: Sequence[str], *, all_: bool = False) -> tuple[int, ...]:
        """Seeds of all cells, in the order in which the first has them."""
        every = [self._cells[task, name].seeds if all_ else self.seeds(name, task) for task in tasks for name in names]
        shared = set(every[0]).intersection(*every[1:])
        return tuple(seed for seed in every[0] if seed in shared)

    def _missing(self, names: Sequence[str], tasks: Sequence[str], seed: int) -> str:
        """What a seed lacks."""
        for task in tasks:
            for name in names:
                cell, measured = self._cells[task, name], self._table[task, name]
                if seed in measured.seeds:
                    value = measured.values.get(self.claim.measure, np.full(len(measured.seeds), np.nan))
                    if np.isfinite(value[measured.seeds.index(seed)]):
                        continue
                    status = "no finite value"
                else:
                    absent = next((run for run in cell.absent if run.seed == seed), None)
                    if absent is None:
                        continue
                    record = next((run.record for run in cell.unfinished if run.record.seed == seed), None)
                    if record is not None and not failed_by_machine(record):
                        continue
                    status = absent.status.replace("_", " ")
                return f"{plain(name)} on {plain(task)}, seed {seed}: {status}"
        return f"seed {seed} is incomplete"

    def _measures(self, task: str, name: str) -> bool:
        """Whether a cell has the measure; a cell without any result counts as planned."""
        measured = self._table[task, name]
        return measured.has(self.claim.measure) or not measured.shown

    def _lacks(self, task: str) -> bool:
        """Whether nothing on a task has the measure; where no run has a result, what is scored everywhere stays in."""
        own = [self._table[key] for key in self._cells if key[0] == task]
        if any(measured.has(self.claim.measure) for measured in own):
            return False
        return self.claim.absent != NO_SCORE or any(measured.shown for measured in own)


def _nothing(candidate: str, baseline: str, tasks: tuple[str, ...], reason: str) -> Path:
    none = np.empty(0)
    return Path(candidate, baseline, tasks, (), Pairs(none, none, none, -inf, inf, 0, reason))
