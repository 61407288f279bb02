"""The trainer that native algorithms share: collect, evaluate at shared points, update.

All seeds of a job train as one batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from haepo_bench.errors import EnvironmentFault
from haepo_bench.policies.heads import Head
from haepo_bench.policies.network import PolicyNetwork, Prepared
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.probes import ProbeSet
from haepo_bench.training.adam import Adam
from haepo_bench.training.alignment import Policy, RewardAlignment, network_log_probs
from haepo_bench.training.episodes.rollout import Actor
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.exploration import Episodes, Exploration
from haepo_bench.training.normalisation import normalised_policy
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.resuming import Checkpoint, State, joined, row_of
from haepo_bench.training.waiting import Frozen, Policies, WaitingEvaluations


class Collected(Protocol):
    """What one iteration collects, of several seeds."""

    def select(self, rows: Sequence[int], /) -> Self:
        """That of some seeds."""
        ...


C = TypeVar("C", bound=Collected)


class Trainer(ABC, Generic[C]):
    """Trains several seeds on one task until each is done, diverged or failed.

    Row i of every [seed, ...] tensor belongs to `self.seeds[i]`, of whichever configuration; those that are over leave
    by slicing.
    """

    task: Task
    seeds: list[int]
    #: What the recorder calls each row.
    keys: list[int]
    recorder: Recorder
    evaluator: Evaluator
    exploration: Exploration
    #: [seed, parameter]; changed in place by the optimiser.
    parameters: torch.Tensor
    optimiser: Adam
    device: str
    #: Whether seeds can go on from checkpoints, byte for byte: whether no environment keeps what is out of reach.
    resumes: bool
    #: The next one.
    iteration: int = 0

    def train(self) -> None:
        """Runs until every seed is over."""
        waiting = WaitingEvaluations(
            self.evaluator, self.recorder, self.alignment, self.policies, self.named, device=self.device
        )
        self.recorder.begin(self.keys)
        try:
            while self.seeds:
                collected = self.collect(self.iteration)
                for key, number in self.recorder.crossed():
                    row = self.keys.index(key)
                    waiting.add(key, self.seeds[row], number, self.frozen(row))
                waiting.serve()
                rows = self._stay()
                if self.seeds:
                    self.update(collected.select(rows), self.iteration)
                    self._stay()
                self.recorder.progress()
                self.iteration += 1
                if self.resumes and self.recorder.checkpoint_due():
                    waiting.serve(everything=True)
                    self._stay()
                    self.recorder.checkpoint(self.keys, self._packed)
            waiting.serve(everything=True)
        except Exception:
            waiting.serve(everything=True)  # what others had reached before is theirs
            raise
        finally:
            self.close()

    @cached_property
    def alignment(self) -> RewardAlignment:
        """Compares with the initial policies: to be asked for before any other takes their place."""
        return RewardAlignment(self.task, self.seeds, self.policies(self.all()).log_probs)

    def resume(self, states: Sequence[State]) -> None:
        """Goes on from states of all seeds, in their order; raises anything where they are not such."""
        self.alignment  # noqa: B018 (it is made of the initial policies)
        self.restore(joined(states))

    def _packed(self, key: int) -> bytes:
        """What a row goes on from, with what has been recorded of it."""
        state = row_of(self.state(), self.keys.index(key))
        return Checkpoint(self.iteration, state, self.recorder.state(key)).packed()

    def state(self) -> dict[str, Any]:
        """All that the next iteration follows from, [seed, ...] (resuming.py); a class that has more extends it."""
        return {
            "parameters": self.parameters,
            "optimiser": self.optimiser.state(),
            "exploration": self.exploration.state(),
        }

    def restore(self, state: State) -> None:
        """Goes on from a `state`, in which arrays are tensors."""
        self.parameters.copy_(state["parameters"])
        self.optimiser.restore(state["optimiser"])
        self.exploration.restore(state["exploration"])

    @abstractmethod
    def collect(self, iteration: int) -> C:
        """Lets the current policies act, and tells the recorder with `report_collected`."""

    @abstractmethod
    def update(self, collected: C, iteration: int) -> None:
        """Improves the policies, and tells the recorder with `report_updated`."""

    @abstractmethod
    def frozen(self, row: int) -> Frozen:
        """A copy of one seed's current policy."""

    @abstractmethod
    def policies(self, policies: Sequence[Frozen]) -> Policies:
        """Several policies as evaluations ask them."""

    @abstractmethod
    def named(self, policy: Frozen) -> Mapping[str, Array]:
        """A policy as named arrays."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of environments."""

    def all(self) -> list[Frozen]:
        """Copies of the current policies of all seeds."""
        return [self.frozen(row) for row in range(len(self.seeds))]

    def through(self, row: int) -> bool:
        """Whether a seed leaves although the recorder has not finished it: another trainer goes on with it."""
        return False

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds; a class that holds more by the seed extends it."""
        self.parameters = self.parameters[rows]
        self.optimiser.keep(rows, self.parameters)
        self.exploration.keep(rows)
        self.seeds, self.keys = [self.seeds[row] for row in rows], [self.keys[row] for row in rows]

    def report_collected(
        self, row: int, episodes: Episodes, *, steps: int, total: int, fault: EnvironmentFault | None, diverged: str
    ) -> None:
        """Tells the recorder what one seed collected.

        Args:
            steps: env steps of this iteration.
            total: env steps of the seed so far, these included.
            fault: of the environment.
            diverged: why the returns are not numbers to learn from; empty where they are.
        """
        key, columns = self.keys[row], episodes.columns(self.exploration, row, total)
        self.recorder.collected(key, steps, len(episodes.returns), columns)
        if not self.recorder.lives(key):
            return
        if fault is not None:
            self.recorder.failed(key, fault)
        elif diverged:
            self.recorder.diverged(key, diverged)

    def report_updated(
        self,
        row: int,
        gradient_steps: int,
        diagnostics: Mapping[str, float],
        *,
        finite: bool,
        observed: Callable[[], Tensor],
    ) -> None:
        """Tells the recorder how one seed's update went.

        Args:
            finite: whether its losses and parameters are.
            observed: all that its policy was shown.
        """
        key = self.keys[row]
        if finite:
            self.recorder.updated(key, gradient_steps, diagnostics)
        elif not bool(torch.isfinite(observed()).all()):
            self.recorder.failed(key, EnvironmentFault(self.task.id, "returned observations that are not finite"))
        else:
            self.recorder.diverged(key, "the loss or a parameter is not finite")

    def _stay(self) -> list[int]:
        """Lets the seeds leave that are finished or through; returns the rows that stay."""
        live = set(self.recorder.live)
        rows = [row for row, key in enumerate(self.keys) if key in live and not self.through(row)]
        if len(rows) < len(self.seeds):
            self.keep(rows)
        return rows


def torch_policies(
    network: PolicyNetwork, folded: Prepared, statistics: Array | None, seeds: int, device: torch.device
) -> Policies:
    """Policies of so many seeds as evaluations ask them, in torch.

    Args:
        statistics: [seed, 2, feature] that observations are shown by, if they are normalised.
    """
    policy = normalised_policy(network.repeated(folded), statistics)

    def log_probs(probes: ProbeSet) -> Array:
        return network_log_probs(probes, network.head, policy, seeds, network.padded_rows, device)

    return Policies(acting(policy, network.head), log_probs)


def acting(policy: Policy, head: Head) -> Actor:
    """Policies as rollouts call them."""

    def act(observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return head.sample(policy(observations), noise, greedy)

    return act
