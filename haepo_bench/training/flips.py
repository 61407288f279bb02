"""Which pairs of a batch are reported in the wrong order, on tasks that reverse some (`flip`)."""

import numpy as np

from haepo_bench.policies.shapes import Array


def flips(probability: float, stream: np.random.Generator, groups: int, trajectories: int) -> Array:
    """Pairs that are reported reversed, each independently: symmetric bool [group, trajectory, trajectory]."""
    below: Array = np.tril(stream.random((groups, trajectories, trajectories)) < probability, -1)
    return below | below.swapaxes(-1, -2)
