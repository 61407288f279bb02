"""Which distribution a task's actions are drawn from."""

import numpy as np
from gymnasium import spaces

from haepo_bench.policies.heads import Categorical, DiagonalGaussian, Head
from haepo_bench.tasks.base import Task


def make_head(task: Task) -> Head:
    """The action distribution for a task's actions."""
    if isinstance(task.action_space, spaces.Discrete):
        return Categorical(int(task.action_space.n))
    return DiagonalGaussian(int(np.prod(task.action_space.shape)))
