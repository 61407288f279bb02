"""What computes actions and updates, for objectives that collect whole episodes: here, torch, on any device."""

from collections.abc import Collection, Sequence
from typing import Protocol, TypedDict, Unpack

from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.policies.network import PolicyNetwork
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.adam import Adam, Largest, clip_gradient
from haepo_bench.training.episodes.expert import ExpertEpisode
from haepo_bench.training.episodes.packed_batch import PackedBatch
from haepo_bench.training.episodes.prefixes import Prefixes
from haepo_bench.training.episodes.rollout import Actor, Collector, Rollout
from haepo_bench.training.trainer import acting, torch_policies
from haepo_bench.training.waiting import Policies


class Brought(TypedDict, total=False):
    """What an objective's batch brings along beside its episodes, as `PackedBatch` has it."""

    reference_returns: Array | None
    expert: ExpertEpisode | None
    prefixes: Prefixes | None
    greedy_returns: Array | None
    flipped: Array | None


class Differentiable(Protocol):
    """The batch of one iteration."""

    def gradient(self, objective: Objective, wanted: Collection[str] = ...) -> tuple[Tensor, dict[str, Tensor]]:
        """The gradient of each seed's loss [seed, parameter], and diagnostics [seed] (`update_diagnostics`)."""
        ...


class TorchEngine:
    """Torch.

    Args:
        network: of the policies.
    """

    def __init__(self, network: PolicyNetwork, device: str) -> None:
        self._network, self._device = network, device

    def actor(self, parameters: Tensor) -> Actor:
        """Policies [seed, parameter], as rollouts call them."""
        return acting(self._network.repeated(self._network.fold(parameters)), self._network.head)

    def policies(self, parameters: Tensor, statistics: Array | None) -> Policies:
        """Policies [seed, parameter] as evaluations ask them.

        Args:
            statistics: [seed, 2, feature] that each is shown observations by; None where by none.
        """
        folded = self._network.fold(parameters)
        return torch_policies(self._network, folded, statistics, len(parameters), parameters.device)

    def collector(self, task: Task, environment: VectorEnvironment, episodes: int) -> Collector:
        """What plays `episodes` episodes per seed of an environment."""
        return Collector(task, environment, self._network.head, episodes, self._network.padded_rows(episodes))

    def batch(
        self,
        rollout: Rollout,
        parameters: Tensor,
        reference: Tensor | None,
        task: Task,
        objective: Objective,
        **brought: Unpack[Brought],
    ) -> Differentiable:
        """The batch of one iteration; arguments as `PackedBatch` has them."""
        return PackedBatch(self._network, rollout, parameters, reference, task, self._device, objective, **brought)

    def optimiser(self, parameters: Tensor, learning_rate: float | Sequence[float]) -> Adam:
        """Adam over parameters [seed, parameter]."""
        return Adam(parameters, learning_rate)

    def clip(self, gradient: Tensor, largest: Largest) -> Tensor:
        """Scales each seed's gradient [seed, parameter] down to the largest norm; returns the norms before."""
        return clip_gradient(gradient, largest)
