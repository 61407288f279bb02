"""Episodes that an expert plays for the most part, in the place of the worst of groups that fail.

The steps are judged as if the policy had taken them: nothing but a rollout's episodes changes, and the batch is made of
it as of any other.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from haepo_bench.objectives.plans import RephrasingPlan
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.episodes.rollout import Actor, Collector, Rollout
from haepo_bench.training.places import replacements
from haepo_bench.training.streams import stream


class Rephraser:
    """Plays one such episode for each group, from where its trajectories start.

    Args:
        task: that has an expert.
        environment: of one episode of each group, which all start as paired ones do.
        collector: of that environment; closed with this.
    """

    def __init__(self, task: Task, plan: RephrasingPlan, environment: VectorEnvironment, collector: Collector) -> None:
        actions = task.expert()
        if actions is None:
            raise ValueError(f"{task.id} has no expert")
        self._actions, self._task, self.plan = actions, task, plan
        self._environment, self._collector = environment, collector

    def play(self, actor: Actor, seeds: Sequence[int], iteration: int, *, device: str) -> Rollout:
        """[seed, group] episodes of an iteration."""
        shape = self._task.horizon, self._task.groups
        coins = np.stack([stream("rephrasing", seed, iteration).random(shape) for seed in seeds])
        own, times = coins < self.plan.slip, count()

        def mixed(observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
            time, taken = next(times), actor(observations, noise, greedy).clone()
            states = self._environment.visited()
            assert states is not None  # tasks with an expert number their states
            theirs = torch.from_numpy(self._actions[time, states]).to(taken)
            alone, groups = torch.from_numpy(own[:, time]).to(taken.device), self._task.groups
            taken[:, :groups] = torch.where(alone, taken[:, :groups], theirs)
            return taken

        return self._collector.collect(
            mixed,
            [stream("environment", seed, iteration) for seed in seeds],
            [stream("rephrasing", seed, iteration, "noise") for seed in seeds],
            device=device,
        )

    def close(self) -> None:
        """Lets go of the environment."""
        self._collector.close()


def rephrased(rollout: Rollout, versions: Rollout, plan: RephrasingPlan) -> tuple[Rollout, Array]:
    """A rollout in which an expert's version replaces the worst trajectory of each group that the plan names.

    Of several worst ones it is the first. A version that is itself a failure, or no better, replaces nothing.

    Args:
        rollout: of groups that stand one after the other, all of one size.
        versions: [seed, group], one episode for each group.

    Returns:
        The rollout, and bool [seed, group], where something was replaced.
    """
    replaced, places = replacements(rollout.returns, versions.returns, plan)
    seed, group = np.nonzero(replaced)
    worst = places[seed, group]
    steps = max(rollout.mask.shape[2], versions.mask.shape[2])

    def put(into: Tensor, one: Tensor, axis: int) -> Tensor:
        """[seed, trajectory, step, ...] once `axis`, that of steps, has room for both."""
        into, one = (_longer(x, axis, steps) for x in (into, one))
        into = into.clone()
        into[seed, worst] = one[seed, group]
        return into

    def exchanged(into: Array, one: Array) -> Array:
        into = into.copy()
        into[seed, worst] = one[seed, group]
        return into

    observations = put(rollout.observations.movedim(1, -1), versions.observations.movedim(1, -1), 2)
    changed = replace(
        rollout,
        observations=observations.movedim(-1, 1),
        actions=put(rollout.actions, versions.actions, 2),
        rewards=put(rollout.rewards, versions.rewards, 2),
        mask=put(rollout.mask, versions.mask, 2),
        lengths=exchanged(rollout.lengths, versions.lengths),
        returns=exchanged(rollout.returns, versions.returns),
        measures={name: exchanged(values, versions.measures[name]) for name, values in rollout.measures.items()},
    )
    return changed, replaced


def _longer(x: Tensor, axis: int, steps: int) -> Tensor:
    """Zeros at the end of an axis up to so many steps."""
    return pad(x, (0, 0) * (x.dim() - 1 - axis) + (0, steps - x.shape[axis]))
