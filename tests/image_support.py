"""A small environment of images whose best policy is known."""

import gymnasium
import numpy as np
from gymnasium import spaces

from haepo_bench.tasks.environments.gym import EnvironmentTask

#: A suite's file: in each of 4 steps one of the 4 corners is lit in one of 4 channels, and going there is worth 1. A
#: random policy gets 1, the best 4.
CORNERS = """
import gymnasium
import numpy as np
from gymnasium import spaces

class Corners(gymnasium.Env):
    max_episode_steps = 4

    def __init__(self, size=10):
        self.observation_space = spaces.Box(0.0, 1.0, (size, size, 4), bool)
        self.action_space = spaces.Discrete(4)

    def observe(self):
        image = np.zeros(self.observation_space.shape, bool)
        self.corner = int(self.np_random.integers(4))
        half = len(image) // 2
        row, column = self.np_random.integers(half, size=2) + half * np.array(divmod(self.corner, 2))
        image[row, column, self.np_random.integers(4)] = True
        return image

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.observe(), {}

    def step(self, action):
        reward = float(action == self.corner)
        return self.observe(), reward, False, False, {}
"""


def corners(size: int = 10) -> EnvironmentTask:
    """The same environment as a task, without a suite."""
    names: dict[str, type[gymnasium.Env]] = {}
    exec(CORNERS, names)

    def make(horizon: int | None) -> gymnasium.Env:
        return gymnasium.wrappers.TimeLimit(names["Corners"](size=size), horizon or 4)

    return EnvironmentTask("test/corners", make, limit=4, time_limit=None)


class Plain(gymnasium.Env):
    """Shows noise of any space; ends after 3 steps."""

    def __init__(self, space: spaces.Box) -> None:
        self.observation_space, self.action_space = space, spaces.Discrete(2)
        self.t = 0

    def _observed(self) -> np.ndarray:
        space = self.observation_space
        if space.dtype == np.uint8:
            return self.np_random.integers(256, size=space.shape).astype(np.uint8)
        return self.np_random.uniform(space.low, space.high).astype(space.dtype)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._observed(), {}

    def step(self, action):
        self.t += 1
        return self._observed(), float(action), self.t == 3, False, {}


def noise(space: spaces.Box) -> EnvironmentTask:
    """A task that shows noise."""
    return EnvironmentTask(
        "test/noise", lambda horizon: gymnasium.wrappers.TimeLimit(Plain(space), horizon or 3), limit=3, time_limit=None
    )
