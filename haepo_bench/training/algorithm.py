"""What a suite names: an algorithm, its hyper-parameters, and its one entry point `train`.

A *definition* is an algorithm before its hyper-parameters are known; `configure` turns it into an *algorithm* for one
task. `NativeDefinition` (native.py) makes one from an objective, `ppo_sb3.py` wraps Stable-Baselines3.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from haepo_bench.objectives.spaces import Space
from haepo_bench.results.columns import Column
from haepo_bench.results.record import Engine, Information
from haepo_bench.tasks.base import Task
from haepo_bench.training.recorder import Recorder


@dataclass(frozen=True)
class ParameterDescription:
    """One hyper-parameter as `describe` prints it.

    Args:
        type: readable, such as `float > 0` or `sum | mean | ratio`.
        default: its default value.
        unit: empty for pure numbers.
        source: who chose the default: a paper, a program, or us.
        search: where `tune` searches it; None where it does not.
    """

    name: str
    type: str
    default: Any
    unit: str
    meaning: str
    source: str
    search: Space | None = None


#: Hidden layers of the largest networks that the kernels are for, and units of the widest.
_COMPILED_LAYERS, _COMPILED_WIDTH = 8, 256


def compiled_where(device: str, hidden: Sequence[int]) -> tuple[Engine, ...]:
    """The engines of small networks: on CPUs the kernels too, up to the width at which torch is as fast."""
    small = len(hidden) <= _COMPILED_LAYERS and max(hidden, default=0) <= _COMPILED_WIDTH
    return ("torch", "compiled") if device == "cpu" and small else ("torch",)


class BatchRow(NamedTuple):
    """A row of a batch: a seed of a configuration.

    Args:
        key: what the recorder calls it.
        algorithm: all rows of a batch have the class of algorithm that trains them.
    """

    key: int
    seed: int
    algorithm: Any


class Algorithm(ABC):
    """An algorithm with all its hyper-parameters, ready to train on the task it was configured for."""

    #: Every hyper-parameter, resolved; JSON types only. Part of a run's identity.
    parameters: dict[str, Any]
    #: Names of those that the settings document leaves out: at these values they change nothing (`hyper`'s `omit_at`).
    omitted: frozenset[str] = frozenset()
    information: Information
    #: Whether all seeds of a job train as one batch (else one seed after the other).
    batches_seeds: bool
    #: What a reader of the runs should know, such as whose settings were used.
    notes: tuple[str, ...]
    #: What it records of its own, for tables: columns that it does not declare are shown under their names.
    columns: tuple[Column, ...] = ()
    #: Modules of ours that its settings have its runs execute, beside those that follow from its own imports.
    executes: tuple[str, ...] = ()
    #: What computes its runs; set before training, to one of its `engines`.
    engine: Engine = "torch"
    #: The module that has its compiled engine; empty where it has none.
    compiled_by: str = ""

    def engines(self, task: Task, device: str) -> tuple[Engine, ...]:
        """What can compute its runs on a task: follows from what a run's identity names, on any machine the same."""
        return ("torch",)

    def resumes(self, task: Task) -> bool:
        """Whether its runs on a task keep checkpoints, from which they go on to the same bytes."""
        return False

    @property
    def shape(self) -> dict[str, Any] | None:
        """What runs of an algorithm must share to train as rows of one batch, as JSON; None: only those of one do."""
        return None

    def train_rows(self, task: Task, rows: Sequence[BatchRow], recorder: Recorder, *, device: str) -> None:
        """As `train`, rows of configurations that have this one's `shape`: each has the bytes that it has alone."""
        raise NotImplementedError(f"{type(self).__name__} trains one configuration at a time")

    @abstractmethod
    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        """Trains every seed until the recorder's budget and reports everything to the recorder.

        A seed that becomes non-finite is reported with `recorder.diverged` and costs no other seed. Any exception
        fails the seeds that are not finished yet.
        """


class AlgorithmDefinition(ABC):
    """An algorithm before its hyper-parameters are known."""

    name: str
    #: One line for `list`.
    summary: str
    #: Goes into a run's identity: raise it when the algorithm's meaning changes.
    version: int
    #: Several paragraphs for `describe`: formula, source, what is our choice.
    description: str
    #: The part of `description` that algorithms of its family share; empty where there is none.
    common: str = ""
    #: How sure it is that this is the algorithm of its source: high, medium or low, then why; empty where not stated.
    confidence: str = ""

    #: Whether it is to get better; controls are not.
    learns: bool = True

    #: The feedback it receives with its default hyper-parameters, where that is the same on every task.
    information: Information | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """What it needs beyond episodes and their rewards, in words."""
        return ()

    @abstractmethod
    def describe_parameters(self) -> list[ParameterDescription]:
        """Every hyper-parameter."""

    @property
    def spaces(self) -> dict[str, Space]:
        """Where its hyper-parameters are searched, by name."""
        return {each.name: each.search for each in self.describe_parameters() if each.search is not None}

    def published(self, task: Task) -> dict[str, Any]:
        """Settings that other people tuned for a task, which `configure` takes there in place of the defaults."""
        return {}

    @abstractmethod
    def refuses(self, task: Task) -> str | None:
        """Why this algorithm cannot drive `task` (one sentence), or None where it can."""

    @abstractmethod
    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        """The algorithm with `overrides` in place of its defaults.

        Raises:
            ParameterError: an unknown hyper-parameter (with near names) or a value that it does not take.
        """
