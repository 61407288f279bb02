"""What searches chose: the configuration with the best mean score, of a replicate or of all of them.

Scores are those of claims: a run that diverged has its result, one that the algorithm failed counts with the least
value that there can be. A replicate whose runs have not all ended has not chosen yet. Nothing here depends on clocks,
nor on what else is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.results.claims import DEFAULT_THRESHOLD
from haepo_bench.results.searches import FINALISTS, DeclaredSearch, Trial, deciding_seeds, tuning_seeds
from haepo_bench.results.selection import Selection
from haepo_bench.verdicts import declared
from haepo_bench.verdicts.claims import CLAIMS
from haepo_bench.verdicts.judging import measured_table
from haepo_bench.verdicts.measured import is_control, weights_of
from haepo_bench.verdicts.paths import Outcomes

Array = NDArray[Any]


class Choice(NamedTuple):
    """A configuration that was chosen.

    Args:
        score: its mean over tasks and the seeds that decided.
    """

    trial: Trial
    score: float


@dataclass(frozen=True)
class TrialScores:
    """All scores of an algorithm's trials.

    Args:
        tasks: on which the measure is defined, controls left out; the order of `weights`, which sum to 1.
        scores: [replicate, trial, task, seed] in declared order; NaN where a run has not ended; a run that the
            algorithm failed has the least value, -inf where that is not known.
        failed: [replicate, trial, task, seed]: runs that the algorithm failed.
    """

    algorithm: str
    tasks: tuple[str, ...]
    weights: Array
    scores: Array
    failed: Array


class Chooser:
    """What the searches of a selection chose.

    Args:
        selection: of a store that `tune` wrote.

    Raises:
        ValueError: it is not one of a search.
    """

    def __init__(self, selection: Selection) -> None:
        if selection.search is None:
            raise ValueError("not a selection of a search")
        self.search: DeclaredSearch = selection.search
        self._cells = {(cell.task, cell.algorithm): cell for cell in selection.cells}
        threshold = selection.claims.threshold if selection.claims else DEFAULT_THRESHOLD
        table = measured_table(selection, threshold)
        claim = next(each for each in CLAIMS if each.measure == self.search.measure)
        self._outcomes = Outcomes(claim, selection.cells, table, declared.ranges(selection))
        measured = {task for (task, _), own in table.items() if own.has(claim.measure)}
        # A score is a matter of references, whether any run of a task has ended with one or not.
        scored = {cell.task for cell in selection.cells if cell.sample and cell.sample.references}
        self._measured = scored if claim.bounds is None else measured

    @property
    def searched(self) -> list[str]:
        """The algorithms that have something to be searched."""
        return [name for name, spaces in self.search.spaces.items() if spaces]

    def all_tasks(self, algorithm: str) -> tuple[str, ...]:
        """The tasks that an algorithm was asked for."""
        return tuple(task for task, name in self._cells if name == algorithm)

    def tasks(self, algorithm: str) -> tuple[str, ...]:
        """Of these the ones that decide."""
        return tuple(task for task in self.all_tasks(algorithm) if task in self._measured and not is_control(task))

    def best(self, algorithm: str, replicate: int, tasks: Sequence[str]) -> Choice | None:
        """What a replicate chose, for some tasks together; None while any of its runs on them has not ended."""
        trials = [Trial(algorithm, replicate, number) for number in range(self.search.trials)]
        return _first_best(self._means(trials, tasks, tuning_seeds(replicate, self.search.seeds)))

    def finalists(self, algorithm: str, tasks: Sequence[str]) -> list[Trial]:
        """Of all replicates the best configurations, the best first; none while any run on the tasks has not ended."""
        means = [
            choice
            for replicate in self.search.replicates
            for choice in self._means(
                [Trial(algorithm, replicate, number) for number in range(self.search.trials)],
                tasks,
                tuning_seeds(replicate, self.search.seeds),
            )
        ]
        if not means or any(isnan(choice.score) for choice in means):
            return []
        # The sort is stable: of equal ones the first drawn.
        return [choice.trial for choice in sorted(means, key=lambda choice: -choice.score)[:FINALISTS]]

    def found(self, algorithm: str, tasks: Sequence[str]) -> Choice | None:
        """The settings found: of the finalists the best on fresh seeds, which did not make it a finalist."""
        return _first_best(self._means(self.finalists(algorithm, tasks), tasks, deciding_seeds()))

    def failed(self, algorithm: str) -> int:
        """Runs of all trials that the algorithm failed."""
        return int(self.scores(algorithm).failed.sum())

    def scores(self, algorithm: str) -> TrialScores:
        """Every score of an algorithm's trials."""
        tasks, search = self.tasks(algorithm), self.search
        shape = (len(search.replicates), search.trials, len(tasks), search.seeds)
        scores, failed = np.full(shape, np.nan), np.zeros(shape, dtype=bool)
        for place, replicate in enumerate(search.replicates):
            seeds = tuning_seeds(replicate, search.seeds)
            for number in range(search.trials):
                for position, task in enumerate(tasks):
                    found = self._values(Trial(algorithm, replicate, number), task, seeds)
                    scores[place, number, position], failed[place, number, position] = found
        return TrialScores(algorithm, tasks, weights_of(tasks), scores, failed)

    def _means(self, trials: Sequence[Trial], tasks: Sequence[str], seeds: Sequence[int]) -> list[Choice]:
        """The mean of each trial, NaN while a run has not ended."""
        if not tasks:
            return []
        weights = weights_of(tasks)
        means = []
        for trial in trials:
            # Exact sums, so that no trial's mean depends on which others are there.
            own = [fsum(self._values(trial, task, seeds)[0]) / len(seeds) for task in tasks]
            mean = -inf if -inf in own else fsum(float(w) * each for w, each in zip(weights, own, strict=True))
            means.append(Choice(trial, mean))
        return means

    def _values(self, trial: Trial, task: str, seeds: Sequence[int]) -> tuple[Array, Array]:
        """[seed] scores, and which of them the algorithm failed."""
        if (task, trial.name) not in self._cells:
            return np.full(len(seeds), np.nan), np.zeros(len(seeds), dtype=bool)
        runs, _ = self._outcomes.values(trial.name, task, seeds)
        known = self._outcomes.range(task)
        failed = np.asarray(runs.failed[0], dtype=bool)
        return np.where(failed, -inf if known is None else known.low, runs.scores[0]), failed


def _first_best(choices: Sequence[Choice]) -> Choice | None:
    if not choices or any(isnan(choice.score) for choice in choices):
        return None
    return max(choices, key=lambda choice: choice.score)
