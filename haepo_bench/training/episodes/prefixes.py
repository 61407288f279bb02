"""Prefixes: the steps of earlier policies that some objectives have trajectories begin with.

Nothing but the objective's `PrefixPlan`, a seed and the iteration says when a policy is kept and which one begins a
batch, so that a seed's run is its own, whatever trains beside it.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.plans import PrefixPlan
from haepo_bench.policies.shapes import Array
from haepo_bench.training.streams import stream


class Prefixes(NamedTuple):
    """Which steps of a batch earlier policies take.

    Args:
        parameters: [seed, parameter] of the earlier policy of each seed.
        lengths: [seed, trajectory] int64, how many steps it takes, the first ones; an episode may end before.
    """

    parameters: Tensor
    lengths: Array

    def select(self, seeds: Sequence[int]) -> "Prefixes":
        """Those of some seed rows."""
        rows = list(seeds)
        return Prefixes(self.parameters[rows], self.lengths[rows])


class _Earlier(NamedTuple):
    """Policies [seed, parameter], and the mean length of a trajectory of the batch each collected [seed] float64."""

    parameters: Tensor
    mean_lengths: Array


class PrefixPolicies:
    """Copies of earlier policies, which take the prefixes; row i belongs to the i-th seed that is still kept."""

    def __init__(self, plan: PrefixPlan) -> None:
        self._plan = plan
        self._kept: deque[_Earlier] = deque(maxlen=plan.kept)

    def draw(self, seeds: Sequence[int], iteration: int, *, groups: int, trajectories: int) -> Prefixes | None:
        """The prefixes of an iteration's batch; None while there is no earlier policy.

        Args:
            trajectories: of each group.
        """
        if not self._kept:
            return None
        chosen, lengths = [], np.zeros((len(seeds), groups, trajectories), np.int64)
        begun = round(self._plan.share * trajectories)
        for row, seed in enumerate(seeds):
            generator = stream("prefix", seed, iteration)
            one = self._kept[generator.integers(len(self._kept))]
            longest = self._plan.longest * one.mean_lengths[row]
            chosen.append(one.parameters[row])
            lengths[row, :, :begun] = generator.random((groups, begun)) * longest
        return Prefixes(torch.stack(chosen), lengths.reshape(len(seeds), -1))

    def add(self, iteration: int, parameters: Tensor, lengths: Array) -> None:
        """Keeps a copy of the policies, if it is time to.

        Args:
            parameters: [seed, parameter] that collected the iteration's batch.
            lengths: [seed, trajectory] of the batch.
        """
        if iteration % self._plan.every == 0:
            self._kept.append(_Earlier(parameters.clone(), lengths.mean(1)))

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds."""
        rows = list(rows)
        kept = [_Earlier(parameters[rows], mean_lengths[rows]) for parameters, mean_lengths in self._kept]
        self._kept = deque(kept, self._plan.kept)

    def state(self) -> dict[str, Any]:
        """The policies by their place, the oldest first, each row by row."""
        return {
            str(place): {"parameters": one.parameters, "mean_lengths": torch.from_numpy(one.mean_lengths)}
            for place, one in enumerate(self._kept)
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state`."""
        self._kept.clear()
        for place in range(len(state)):
            one = state[str(place)]
            self._kept.append(_Earlier(one["parameters"], one["mean_lengths"].cpu().numpy()))
