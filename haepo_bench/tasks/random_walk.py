"""Random walks on a line with a distractor: a small reward near the start, a large one at the far end.

`random-walk/<states>`: states 0 .. n-1, start in state 1. Moving left into state 0 ends the episode with reward 0.1,
moving right into state n-1 ends it with reward 1. Whoever takes the near reward early never sees the far one.
"""

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array, Step, Task, VectorEnvironment

NEAR_REWARD = 0.1
FAR_REWARD = 1.0
START = 1


class RandomWalk(Task):
    """A walk over `states` states, cut off after `horizon` steps (default 5 times the number of states)."""

    version = 1
    tags = ("random-walk", "exploration")

    def __init__(self, states: int, horizon: int) -> None:
        self.id = f"random-walk/{states}"
        self.summary = f"{states} states in a line, a small reward near the start, a large one at the far end"
        self.states = states
        self.horizon = horizon
        self.observation_space = spaces.Box(0.0, 1.0, (states,), np.float32)
        self.action_space = spaces.Discrete(2)
        if horizon >= states - 1 - START:  # else the far end is out of reach
            self.references = References(
                random=uniform_return(states, horizon),
                solved=FAR_REWARD,
                source="exact: the uniform policy's expected return, the far reward",
            )

    def vector(self, trajectories: int) -> VectorEnvironment:
        return _Walks(self.states or 0, self.horizon, trajectories)


class _Walks(VectorEnvironment):
    def __init__(self, states: int, horizon: int, trajectories: int) -> None:
        self._states, self._horizon, self._trajectories = states, horizon, trajectories
        self._one_hot = np.eye(states, dtype=np.float32)

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        self._position = np.full((len(streams), self._trajectories), START)
        self._time = np.zeros_like(self._position)
        start: Array = self._one_hot[self._position]
        return start

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        self._position[where] = START
        self._time[where] = 0
        start: Array = self._one_hot[self._position[where]]
        return start

    def step(self, actions: Array, live: Array) -> Step:
        self._time += 1
        self._position = np.clip(self._position + np.where(live, 2 * actions - 1, 0), 0, self._states - 1)
        near, far = self._position == 0, self._position == self._states - 1
        rewards = NEAR_REWARD * near + FAR_REWARD * far
        terminated = near | far
        truncated = ~terminated & (self._time >= self._horizon)
        return Step(self._one_hot[self._position], rewards, terminated, truncated)

    def visited(self) -> Array:
        return self._position


def uniform_return(states: int, horizon: int) -> float:
    """Expected return of the uniformly random policy, exact.

    Between absorbing ends the walk's transition matrix has eigenvalues cos(k pi / N) and eigenvectors
    sqrt(2 / N) sin(k pi i / N), N = states - 1 (Feller, An Introduction to Probability Theory, vol. 1, XIV.5); summing
    their powers over the horizon gives the expected visits of the states beside the ends, half of which end there.
    """
    N = states - 1
    k = np.arange(1, N)
    eigenvalues = np.cos(k * np.pi / N)
    powers = (1 - eigenvalues**horizon) / (1 - eigenvalues)
    near, far = (
        (2 / N * np.sin(k * np.pi * START / N) * np.sin(k * np.pi * beside / N) * powers).sum() / 2
        for beside in (1, N - 1)
    )
    return float(NEAR_REWARD * near + FAR_REWARD * far)


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`random-walk/<states>`, at least 4 states."""
    if not variant.isdecimal() or not 4 <= int(variant) <= 10_000:
        raise TaskError(
            f"a random walk has 4 to 10000 states, not '{variant}'", remedy="write for example random-walk/20"
        )
    states = int(variant)
    return RandomWalk(states, 5 * states if time_limit is None else time_limit)
