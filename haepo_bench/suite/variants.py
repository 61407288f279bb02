"""What a suite's algorithms are run as: as they stand, as trials of searches, or with the settings that these found.

Every variant of an algorithm on a task becomes a cell of its own.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from haepo_bench.objectives.spaces import Space
from haepo_bench.results.searches import DeclaredSearch, Trial, final_seed, per_task_name, published_name, tuning_seeds
from haepo_bench.suite.draws import draw
from haepo_bench.suite.tuned import TunedFile


class Variant(NamedTuple):
    """An algorithm as it is run on a task.

    Args:
        name: in the results.
        params: hyper-parameters, in place of what the suite sets.
        seeds: None: the suite's.
        plain: with its own defaults where other people's settings for the task would take their place.
    """

    name: str
    params: Mapping[str, Any] = {}
    seeds: tuple[int, ...] | None = None
    plain: bool = False


class Variants(Protocol):
    """Says which variants there are."""

    def of(self, algorithm: str, task: str, *, published: bool) -> Iterable[Variant]:
        """Those of an algorithm on a task, both as the results call them.

        Args:
            published: whether other people's settings for the task take the place of the algorithm's defaults.
        """


class AsTheyStand:
    """Each algorithm as the suite has it."""

    def of(self, algorithm: str, task: str, *, published: bool) -> Iterable[Variant]:
        return [Variant(algorithm)]


class Trials:
    """The trials of all replicates; the defaults, and what was published, on the seeds of re-training.

    Args:
        suite: its name.
        spaces: {algorithm: {hyper-parameter: space}}.
    """

    def __init__(self, suite: str, search: DeclaredSearch, spaces: Mapping[str, Mapping[str, Space]]) -> None:
        self._suite, self._search, self._spaces = suite, search, spaces
        self._draws: dict[Trial, dict[str, Any]] = {}

    def of(self, algorithm: str, task: str, *, published: bool) -> Iterable[Variant]:
        finals = tuple(final_seed(replicate) for replicate in self._search.replicates)
        spaces = self._spaces[algorithm]
        # What is not searched is run as the suite has it.
        yield Variant(algorithm, seeds=finals, plain=bool(spaces))
        if published and spaces:
            yield Variant(published_name(algorithm), seeds=finals)
        for replicate in self._search.replicates if spaces else ():
            for number in range(self._search.trials):
                trial = Trial(algorithm, replicate, number)
                if trial not in self._draws:
                    self._draws[trial] = draw(self._suite, trial, spaces)
                seeds = tuning_seeds(replicate, self._search.seeds)
                yield Variant(trial.name, self._draws[trial], seeds, plain=True)


class FoundVariants:
    """The settings that searches found: those for all tasks, and on request those for each as a second row."""

    def __init__(self, tuned: TunedFile, *, per_task: bool) -> None:
        self._tuned, self._per_task = tuned, per_task

    def of(self, algorithm: str, task: str, *, published: bool) -> Iterable[Variant]:
        found = self._tuned.algorithms.get(algorithm)
        if found is None:
            yield Variant(algorithm)
            return
        yield Variant(algorithm, found.settings, plain=True)
        own = found.per_task.get(task)
        if self._per_task and own is not None:
            yield Variant(per_task_name(algorithm), own.settings, plain=True)
