"""What the uniformly random policy gets on a task: one end of its scores."""

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.tasks.base import ActionSpace, Array, Task

#: Episodes side by side.
_AT_ONCE = 100


def random_returns(task: Task, episodes: int, *, seed: int = 0) -> Array:
    """Returns [episode] of the uniform policy, as evaluation sees them.

    Raises:
        TaskError: its actions have no bounds, so that none is uniform.
        EnvironmentFault: the environment breaks gymnasium's contract.
    """
    space = task.action_space
    if isinstance(space, spaces.Box) and not space.is_bounded():
        raise TaskError(f"no policy is uniform over the actions of {task.id}, which have no bounds")
    stream = np.random.default_rng(seed)
    vector = task.vector(min(_AT_ONCE, episodes))
    found: list[Array] = []
    try:
        for _ in range(-(-episodes // _AT_ONCE)):
            vector.reset([stream])
            live = np.ones((1, min(_AT_ONCE, episodes)), bool)
            returns = np.zeros(live.shape)
            while live.any():
                step = vector.step(uniform_actions(space, live.shape, stream), live)
                for fault in vector.faults().values():
                    raise fault
                returns += np.where(live, step.rewards, 0.0)
                live = live & ~step.terminated & ~step.truncated
            found.append(returns[0])
    finally:
        vector.close()
    return np.concatenate(found)[:episodes]


def uniform_actions(space: ActionSpace, shape: tuple[int, ...], stream: np.random.Generator) -> Array:
    """Actions of the uniform policy: [*shape, *action]."""
    if isinstance(space, spaces.Discrete):
        return stream.integers(int(space.n), size=shape)
    if isinstance(space, spaces.MultiDiscrete):
        return stream.integers(space.nvec, size=(*shape, len(space.nvec)))
    return stream.uniform(space.low, space.high, (*shape, *space.shape)).astype(np.float32)
