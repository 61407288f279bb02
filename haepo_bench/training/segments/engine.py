"""What computes actions and updates, for objectives that collect segments: here, torch, on any device."""

from collections.abc import Sequence

from torch import Tensor

from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.adam import Adam, Largest, clip_gradient
from haepo_bench.training.episodes.rollout import Collector
from haepo_bench.training.exploration import Exploration
from haepo_bench.training.ppo_settings import SegmentSettings
from haepo_bench.training.segments.collector import SegmentCollector, Segments
from haepo_bench.training.segments.minibatches import Minibatches
from haepo_bench.training.trainer import torch_policies
from haepo_bench.training.waiting import Policies


class TorchSegments:
    """Torch.

    Args:
        network: of policies and value networks.
    """

    def __init__(self, network: ActorCritic) -> None:
        self._network = network

    def policies(self, parameters: Tensor, statistics: Array | None) -> Policies:
        """Policies [seed, parameter] as evaluations ask them.

        Args:
            statistics: [seed, 2, feature] that each is shown observations by; None where by none.
        """
        folded, _ = self._network.fold(parameters)
        return torch_policies(self._network.policy, folded, statistics, len(parameters), parameters.device)

    def evaluated_by(self, task: Task, environment: VectorEnvironment, episodes: int) -> Collector:
        """What plays `episodes` evaluation episodes per seed."""
        head = self._network.policy.head
        return Collector(task, environment, head, episodes, self._network.policy.padded_rows(episodes))

    def collector(
        self, task: Task, settings: SegmentSettings, seeds: Sequence[int], exploration: Exploration
    ) -> SegmentCollector:
        """The running environments of several seeds."""
        return SegmentCollector(task, self._network, settings, seeds, exploration)

    def minibatches(self, segments: Segments, size: int, horizon: int) -> Minibatches:
        """The minibatches of one update."""
        return Minibatches(self._network, segments, size, horizon)

    def optimiser(self, parameters: Tensor, learning_rate: float | Sequence[float], epsilon: float) -> Adam:
        """Adam over parameters [seed, parameter]."""
        return Adam(parameters, learning_rate, epsilon)

    def clip(self, gradient: Tensor, largest: Largest) -> Tensor:
        """Scales each seed's gradient [seed, parameter] down to the largest norm; returns the norms before."""
        return clip_gradient(gradient, largest)
