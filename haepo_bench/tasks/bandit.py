"""Multi-armed bandits: one pull an episode, so nothing but the choice of an arm matters."""

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array, Step, Task, VectorEnvironment

#: Arm means of `bandit/10-arm`, version 1, on the scale of Sutton and Barto's ten-armed testbed (section 2.3: means
#: from N(0, 1)). One instance, fixed: seeds vary the run and nothing else.
TEN_ARMS = (0.3, -1.0, 0.8, -0.4, 1.6, 0.1, -0.9, 0.5, -1.7, 1.1)


class GaussianBandit(Task):
    """Arms with Gaussian rewards of standard deviation 1; one pull an episode.

    Args:
        means: of the arms.
    """

    version = 1
    tags = ("bandit", "noise")
    horizon = 1

    def __init__(self, name: str, means: Sequence[float]) -> None:
        self.id = f"bandit/{name}"
        self.means = np.array(means)
        self.summary = f"{len(means)} Gaussian arms, one pull an episode"
        self.observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Discrete(len(means))
        self.references = References(
            random=float(self.means.mean()),
            solved=float(self.means.max()),
            source="exact: the mean of all arms, the best arm",
        )

    def vector(self, trajectories: int) -> VectorEnvironment:
        return _Pulls(self.means, trajectories)


class _Pulls(VectorEnvironment):
    def __init__(self, means: Array, trajectories: int) -> None:
        self._means, self._trajectories = means, trajectories

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        self._noise = np.stack([stream.standard_normal(self._trajectories) for stream in streams])
        return np.ones((*self._noise.shape, 1), np.float32)

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        self._noise[where] = [stream.standard_normal() for stream in streams]
        return np.ones((len(streams), 1), np.float32)

    def step(self, actions: Array, live: Array) -> Step:
        rewards = self._means[actions] + self._noise
        over = np.ones_like(live)
        return Step(np.ones((*live.shape, 1), np.float32), rewards, over, np.zeros_like(live))


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`bandit/<variant>`."""
    variants = {"10-arm": TEN_ARMS}
    if variant not in variants:
        raise TaskError(f"unknown bandit '{variant}'", remedy=did_you_mean(variant, variants))
    if time_limit is not None:
        raise TaskError("a bandit's episode is one pull", remedy="remove time_limit")
    return GaussianBandit(variant, variants[variant])
