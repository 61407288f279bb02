"""What searches chose: the configuration with the best mean score, of a replicate or of all of them.

Scores are those of claims: a run that diverged has its result, one that the algorithm failed counts with the least
value that there can be. A replicate whose runs have not all ended has not chosen yet. A task on which a search's trials
are at one end of the scale has no say in what is chosen for all tasks. Nothing here depends on clocks, nor on what else
is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, isnan, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.results.claims import DEFAULT_THRESHOLD
from haepo_bench.results.searches import FINALISTS, DeclaredSearch, Trial, deciding_seeds, tuning_seeds
from haepo_bench.results.selection import Selection
from haepo_bench.verdicts import declared
from haepo_bench.verdicts.assays import end_of
from haepo_bench.verdicts.claims import CLAIMS
from haepo_bench.verdicts.judging import measured_table
from haepo_bench.verdicts.measured import is_control, weights_of
from haepo_bench.verdicts.paths import Outcomes, failed_by_algorithm

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
        self._of_scores = claim.bounds is None
        self._measured = scored if self._of_scores else measured

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
        """What a replicate chose, for some tasks together; None while any of its runs has not ended."""
        trials, means = self._replicate(algorithm, replicate, tasks)
        return _first_best(_choices(trials, means, tasks, self._assays(means, tasks)))

    def no_assay(self, algorithm: str, replicate: int) -> list[str]:
        """The tasks that had no say in what a replicate chose for all tasks."""
        tasks = self.tasks(algorithm)
        deciding = self._assays(self._replicate(algorithm, replicate, tasks)[1], tasks)
        return [task for task, decides in zip(tasks, deciding, strict=True) if not decides]

    def finalists(self, algorithm: str, tasks: Sequence[str]) -> list[Trial]:
        """Of all replicates the best configurations, the best first; none while any run of theirs has not ended."""
        return self._finalists(algorithm, tasks)[0]

    def found(self, algorithm: str, tasks: Sequence[str]) -> Choice | None:
        """The settings found: of the finalists the best on fresh seeds, which did not make it a finalist."""
        trials, deciding = self._finalists(algorithm, tasks)
        # Of equal ones the first drawn: which was the better one on tuning seeds is not asked again.
        trials.sort(key=lambda trial: (self.search.replicates.index(trial.replicate), trial.number))
        means = [self._means(trial, tasks, deciding_seeds()) for trial in trials]
        return _first_best(_choices(trials, means, tasks, deciding))

    def without_say(self, algorithm: str) -> list[str]:
        """The tasks that had no say in the settings found for all tasks."""
        tasks = self.tasks(algorithm)
        return [task for task, decides in zip(tasks, self._finalists(algorithm, tasks)[1], strict=True) if not decides]

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

    def _finalists(self, algorithm: str, tasks: Sequence[str]) -> tuple[list[Trial], list[bool]]:
        """The finalists, and [task] whether it had a say."""
        trials: list[Trial] = []
        means: list[list[float]] = []
        for replicate in self.search.replicates:
            own = self._replicate(algorithm, replicate, tasks)
            trials += own[0]
            means += own[1]
        deciding = self._assays(means, tasks)
        choices = _choices(trials, means, tasks, deciding)
        if not choices or any(isnan(choice.score) for choice in choices):
            return [], deciding
        # The sort is stable: of equal ones the first drawn.
        best = sorted(choices, key=lambda choice: -choice.score)[:FINALISTS]
        return [choice.trial for choice in best], deciding

    def _replicate(self, algorithm: str, replicate: int, tasks: Sequence[str]) -> tuple[list[Trial], list[list[float]]]:
        """A replicate's trials, and [trial][task] their means over its tuning seeds; NaN until all its runs have ended.

        On whichever task: which ones decide is known of those alone that have been run.
        """
        trials = [Trial(algorithm, replicate, number) for number in range(self.search.trials)]
        seeds = tuning_seeds(replicate, self.search.seeds)
        every = self.all_tasks(algorithm)
        if not all(self._ended(trial, task) >= set(seeds) for trial in trials for task in every):
            return trials, [[nan] * len(tasks)] * len(trials)
        return trials, [self._means(trial, tasks, seeds) for trial in trials]

    def _ended(self, trial: Trial, task: str) -> set[int]:
        """The seeds whose run has ended, be it that the algorithm failed it."""
        cell = self._cells.get((task, trial.name))
        return set() if cell is None else {run.record.seed for run in cell.runs} | failed_by_algorithm(cell)

    def _means(self, trial: Trial, tasks: Sequence[str], seeds: Sequence[int]) -> list[float]:
        """[task] mean over seeds, NaN while a run has not ended. Exact sums: the order of runs does not matter."""
        return [fsum(self._values(trial, task, seeds)[0]) / len(seeds) for task in tasks]

    def _assays(self, means: Sequence[Sequence[float]], tasks: Sequence[str]) -> list[bool]:
        """[task] whether it has a say: trials are not nearly all at one end of the scale; all have where none would."""
        if not self._of_scores:
            return [True] * len(tasks)
        deciding = [end_of([own[place] for own in means]) is None for place in range(len(tasks))]
        return deciding if any(deciding) else [True] * len(tasks)

    def _values(self, trial: Trial, task: str, seeds: Sequence[int]) -> tuple[Array, Array]:
        """[seed] scores, and which of them the algorithm failed."""
        if (task, trial.name) not in self._cells:
            return np.full(len(seeds), np.nan), np.zeros(len(seeds), dtype=bool)
        runs, _ = self._outcomes.values(trial.name, task, seeds)
        known = self._outcomes.range(task)
        failed = np.asarray(runs.failed[0], dtype=bool)
        return np.where(failed, -inf if known is None else known.low, runs.scores[0]), failed


def _choices(
    trials: Sequence[Trial], means: Sequence[Sequence[float]], tasks: Sequence[str], deciding: Sequence[bool]
) -> list[Choice]:
    """The weighted mean of each trial over the tasks that decide, NaN while a run has not ended on any."""
    if not tasks:
        return []
    kept = [place for place, decides in enumerate(deciding) if decides]
    weights = weights_of([tasks[place] for place in kept])
    choices = []
    for trial, own in zip(trials, means, strict=True):
        # Exact sums, so that no trial's mean depends on which others are there.
        lost = any(own[place] == -inf for place in kept)
        mean = -inf if lost else fsum(float(w) * own[place] for w, place in zip(weights, kept, strict=True))
        choices.append(Choice(trial, nan if any(map(isnan, own)) else mean))
    return choices


def _first_best(choices: Sequence[Choice]) -> Choice | None:
    if not choices or any(isnan(choice.score) for choice in choices):
        return None
    return max(choices, key=lambda choice: choice.score)
