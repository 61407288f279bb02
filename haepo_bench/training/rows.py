"""The rows of a batch: each is a seed of a configuration.

Configurations whose algorithms have the same `shape` train as rows of one batch, as the seeds of one do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Self, TypeVar

from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.hyperparameters import Hyperparameters
from haepo_bench.training.algorithm import BatchRow
from haepo_bench.training.mixed_objective import MixedObjective

S = TypeVar("S", bound=Hyperparameters)


class Configured(NamedTuple, Generic[S]):
    """What a row trains with.

    Args:
        settings: of the trainer.
    """

    objective: Objective
    settings: S


@dataclass(frozen=True)
class BatchRows(Generic[S]):
    """The rows of a batch.

    Args:
        keys: what the recorder calls each.
        seeds: of each.
        configured: what each trains with.
    """

    keys: list[int]
    seeds: list[int]
    configured: list[Configured[S]]

    @classmethod
    def alike(cls, seeds: Sequence[int], objective: Objective, settings: S) -> Self:
        """The seeds of one configuration."""
        return cls(list(seeds), list(seeds), [Configured(objective, settings)] * len(seeds))

    @classmethod
    def of(cls, rows: Sequence[BatchRow]) -> Self:
        """Those of algorithms that have an objective and settings."""
        configured: list[Configured[S]] = [Configured(own.algorithm.objective, own.algorithm.settings) for own in rows]
        return cls([own.key for own in rows], [own.seed for own in rows], configured)

    def objective(self, padding: int) -> Objective:
        """That of all rows; `padding` as `MixedObjective` has it."""
        return MixedObjective.of([own.objective for own in self.configured], padding)

    def each(self, name: str) -> list[Any]:
        """A setting of each row."""
        return [getattr(own.settings, name) for own in self.configured]

    def one_or_each(self, name: str) -> Any:
        """A setting, where all rows have the same; else that of each."""
        values = self.each(name)
        return values[0] if all(value == values[0] for value in values) else values

    def keep(self, rows: Sequence[int]) -> Self:
        """Some of them."""
        return type(self)(*([part[row] for row in rows] for part in (self.keys, self.seeds, self.configured)))  # type: ignore[arg-type]
