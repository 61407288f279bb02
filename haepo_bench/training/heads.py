"""Which distribution a task's actions are drawn from."""

from typing import Any, Literal

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.hyperparameters import hyper
from haepo_bench.policies.flow import Flow
from haepo_bench.policies.heads import Categorical, DiagonalGaussian, Head, MultiCategorical
from haepo_bench.tasks.base import Task

PolicyName = Literal["plain", "flow"]


def policy_parameter() -> Any:
    """The hyper-parameter, for the settings of what trains small policies."""
    return hyper(
        "plain",
        "what actions are drawn from; plain: logits or a Gaussian; flow: an invertible flow on doubled actions, as in "
        "GenPO, which may have several modes, continuous actions only",
        omit_at="plain",
    )


def make_head(task: Task, policy: PolicyName = "plain") -> Head:
    """The action distribution for a task's actions."""
    if isinstance(task.action_space, spaces.Discrete):
        return Categorical(int(task.action_space.n))
    if isinstance(task.action_space, spaces.MultiDiscrete):
        return MultiCategorical([int(size) for size in task.action_space.nvec])
    dimensions = int(np.prod(task.action_space.shape))
    return Flow(dimensions) if policy == "flow" else DiagonalGaussian(dimensions)


def check_policy(task: Task, policy: PolicyName) -> None:
    """Refuses a flow where actions are discrete.

    Raises:
        ParameterError: says so.
    """
    if policy == "flow" and not isinstance(task.action_space, spaces.Box):
        raise ParameterError(
            "policy", f"a flow draws continuous actions, and those of {task.id} are discrete", remedy="leave policy out"
        )
