"""Batches in which a G-optimal design plays a part of each group's trajectories."""

from collections.abc import Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.plans import DesignPlan
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.episodes.design import Design, g_optimal
from haepo_bench.training.episodes.joining import joined
from haepo_bench.training.episodes.rollout import Collector, Rollout
from haepo_bench.training.returns import comparable
from haepo_bench.training.streams import stream


class Designer:
    """Plays the design's trajectories, from where the policy's start.

    Args:
        task: that knows its moves.
        environment: of `plan.among` episodes of each group, which start as paired ones do.
        collector: of that environment; closed with this.
    """

    def __init__(self, task: Task, plan: DesignPlan, environment: VectorEnvironment, collector: Collector) -> None:
        moves = task.moves()
        if moves is None:
            raise ValueError(f"{task.id} does not know its moves")
        self.plan = plan
        self.design: Design = g_optimal(moves)
        self._cumulative = np.cumsum(self.design.policy, 2)[..., :-1]
        self._groups, self._environment, self._collector = task.groups, environment, collector

    def play(
        self, seeds: Sequence[int], trajectories: int, iteration: int, *, visited: Array | None, device: str
    ) -> Rollout:
        """[seed, group * trajectory] episodes of an iteration.

        Args:
            trajectories: of each group's batch.
            visited: bool [seed, state], set where an episode comes; None where states are not counted.
        """
        shape = len(self._cumulative), self._groups * self.plan.among(trajectories)
        chances, times = np.stack([stream("design", seed, iteration).random(shape) for seed in seeds]), count()

        def drawn(observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
            time, states = next(times), self._environment.visited()
            assert states is not None  # tasks that know their moves number their states
            actions = (chances[:, time, :, None] >= self._cumulative[time, states]).sum(-1)
            return torch.from_numpy(actions).to(observations.device)

        return self._collector.collect(
            drawn,
            [stream("environment", seed, iteration) for seed in seeds],
            [stream("design", seed, iteration, "noise") for seed in seeds],
            visited=visited,
            device=device,
        )

    def close(self) -> None:
        """Lets go of the environment."""
        self._collector.close()


def hybrid(rollout: Rollout, designed: Rollout, groups: int) -> tuple[Rollout, Array]:
    """The groups of both together, the policy's trajectories before the design's.

    Returns:
        The rollout, and [seed, group] of pairs of a design's and the policy's trajectory the share in which the
        design's returns more; ties count half.
    """
    S, K = rollout.returns.shape
    own, theirs = (np.arange(one.returns.shape[1]).reshape(groups, -1) for one in (rollout, designed))
    places = np.concatenate([own, K + theirs], 1).ravel()
    returns, others = (comparable(one.returns).reshape(S, groups, -1) for one in (rollout, designed))
    signs = np.sign(others[..., :, None] - returns[..., None, :])
    return joined(rollout, designed, np.tile(places, (S, 1))), (1 + signs.mean((-1, -2))) / 2
