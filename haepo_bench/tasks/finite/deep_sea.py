"""The deep sea: one treasure behind a long row of right moves, each of which costs a little.

`deep-sea/<size>` (bsuite's `deep_sea`, deterministic; Osband et al., Behaviour Suite for Reinforcement Learning,
arXiv 1908.03568): a grid of size x size cells, start at the top left. Every step goes one row down and one column left
or right, as far as the walls let it; which of the two actions means right is drawn for every cell. Going right costs
0.01 / size; going right in the bottom right cell finds the treasure, worth 1. Only one of the 2^size action sequences
leads there, and every reward on the way discourages it: a uniform policy needs 2^size episodes.
"""

import numpy as np

from haepo_bench.tasks.base import Task
from haepo_bench.tasks.finite.tabular import Tabular, fixed_bits, refuse_time_limit, whole_number

MOVE_COST = 0.01
#: From here on no method that must see a reward before it learns can be expected to find it.
FLOOR_SIZE = 20


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`deep-sea/<size>`, 4 to 50."""
    size = whole_number(variant, 4, 50, what="the size of a deep sea", example="deep-sea/10")
    refuse_time_limit("a deep sea", time_limit)
    cells = size * size
    bottom, treasure, states = cells, cells + 1, cells + 2
    row, column = np.divmod(np.arange(cells), size)
    right = fixed_bits((cells,), 42, size).astype(int)
    next_state, reward = np.full((states, 2), bottom), np.zeros((states, 2))
    last = row == size - 1
    for action, moved in ((right, np.minimum(column + 1, size - 1)), (1 - right, np.maximum(column - 1, 0))):
        next_state[np.arange(cells), action] = np.where(last, bottom, (row + 1) * size + moved)
    reward[np.arange(cells), right] = -MOVE_COST / size
    next_state[cells - 1, right[-1]] = treasure
    reward[cells - 1, right[-1]] += 1.0
    return Tabular(
        f"deep-sea/{size}",
        f"a treasure behind {size} right moves in a row, each at a small cost",
        version=1,
        next_state=next_state,
        reward=reward,
        terminal=np.arange(states) >= cells,
        start=0,
        horizon=size,
        observations=np.eye(states, cells, dtype=np.float32),
        successes=[treasure],
        success_return=0.5,  # all the costs together are 0.01
        tags=("exploration", "floor") if size >= FLOOR_SIZE else ("exploration",),
    )
