"""Branches: episodes that share another's first steps, up to the one of highest entropy, and go on by themselves.

Where moves are certain the first steps are played again; they count once. Branches and the episodes that they leave
compete for the places of a batch.
"""

from collections.abc import Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from haepo_bench.objectives.plans import BranchingPlan
from haepo_bench.policies.network import PolicyNetwork
from haepo_bench.policies.shapes import Array
from haepo_bench.training.episodes.joining import joined
from haepo_bench.training.episodes.rollout import Actor, Collector, Rollout
from haepo_bench.training.places import best_places
from haepo_bench.training.streams import stream


class Brancher:
    """Plays the branches of all trajectories of a batch.

    Args:
        collector: of `plan.branches` episodes for each trajectory, which start as the trajectories did.
    """

    def __init__(self, plan: BranchingPlan, network: PolicyNetwork, collector: Collector, horizon: int) -> None:
        self.plan = plan
        self._network, self._collector, self._horizon = network, collector, horizon

    def play(
        self,
        rollout: Rollout,
        parameters: Tensor,
        actor: Actor,
        seeds: Sequence[int],
        iteration: int,
        *,
        visited: Array | None,
        device: str,
    ) -> tuple[Rollout, Array]:
        """Branches [seed, trajectory * branch] of a rollout, and the steps [same shape] that each shares with it.

        Args:
            visited: bool [seed, state], set where a branch comes; None where states are not counted.
        """
        copies = self.plan.branches
        shared = np.repeat(highest_entropy(self._network, parameters, rollout, self._horizon), copies, 1)
        first = rollout.actions.repeat_interleave(copies, 1).to(device)
        until = torch.from_numpy(shared).view(*shared.shape, *(1 for _ in self._network.head.action_shape)).to(device)
        times, last = count(), first.shape[2] - 1

        def forked(observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
            time, taken = next(times), actor(observations, noise, greedy).clone()
            again = first[:, :, min(time, last)]
            taken[:, : again.shape[1]] = torch.where(time < until, again, taken[:, : again.shape[1]])
            return taken

        played = self._collector.collect(
            forked,
            [stream("environment", seed, iteration) for seed in seeds],
            [stream("branching", seed, iteration) for seed in seeds],
            visited=visited,
            device=device,
        )
        return played, shared

    def close(self) -> None:
        """Lets go of the environment."""
        self._collector.close()


def highest_entropy(network: PolicyNetwork, parameters: Tensor, rollout: Rollout, horizon: int) -> Array:
    """The step [seed, trajectory] at which the policy [seed, parameter] had the highest entropy; the first of several.

    Args:
        horizon: of the task, so that one seed's numbers do not depend on how long the others' episodes are.
    """
    S, features, K, T = rollout.observations.shape
    rows = network.padded_rows(K * horizon)
    shown = pad(rollout.observations.float(), (0, horizon - T)).reshape(S, features, K * horizon)
    outputs = network.outputs(network.fold(parameters), pad(shown, (0, rows - K * horizon)).to(parameters.device))
    unused = torch.zeros(S, rows, *network.head.action_shape, dtype=network.head.action_dtype, device=outputs.device)
    entropy = network.head.evaluate(outputs, unused, outputs)[1][:, : K * horizon].reshape(S, K, horizon)[..., :T]
    found: Array = torch.where(rollout.mask, entropy.cpu(), -1.0).argmax(-1).numpy()
    return found


def best(rollout: Rollout, branches: Rollout, groups: int) -> tuple[Rollout, Array]:
    """As many of the trajectories and their branches as there were trajectories: those of each group that return most.

    Of equal ones the trajectories come first, then branches in their order.

    Returns:
        The rollout, and bool [seed, trajectory], where a branch has the place.
    """
    places = best_places(rollout.returns, branches.returns, groups)
    return joined(rollout, branches, places), places >= rollout.returns.shape[1]
