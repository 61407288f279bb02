"""Which distribution a task's actions are drawn from."""

import numpy as np
from gymnasium import spaces

from haepo_bench.policies.heads import Categorical, DiagonalGaussian, Head, MultiCategorical
from haepo_bench.tasks.base import Task


def make_head(task: Task) -> Head:
    """The action distribution for a task's actions."""
    if isinstance(task.action_space, spaces.Discrete):
        return Categorical(int(task.action_space.n))
    if isinstance(task.action_space, spaces.MultiDiscrete):
        return MultiCategorical([int(size) for size in task.action_space.nvec])
    return DiagonalGaussian(int(np.prod(task.action_space.shape)))
