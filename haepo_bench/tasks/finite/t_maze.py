"""The T-maze: a hint at the start says which way to turn at the end.

`t-maze/<length>` (after Bakker, Reinforcement Learning with Long Short-Term Memory, NeurIPS 2001): the hint, up or down
with probability one half each, is observed at the start and nowhere else. `length` steps later comes the junction,
where the action up or down ends the episode; turning as the hint said gives 1. Before it, both actions go on, so that
nothing but memory is asked for: without the hint the mean reward is 1/2.

No algorithm here has a memory of its own. All are given the same: the last length + 1 observations side by side, just
enough for the hint to be still there, in the oldest place, at the junction.
"""

import numpy as np

from haepo_bench.tasks.base import Task
from haepo_bench.tasks.finite.tabular import Tabular, refuse_time_limit, whole_number


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`t-maze/<length>`, 1 to 100 steps from the hint to the junction."""
    length = whole_number(variant, 1, 100, what="the length of a T-maze", example="t-maze/10")
    refuse_time_limit("a T-maze", time_limit)
    # A state for each position and hint, then the ends: wrong, right.
    cells = 2 * (length + 1)
    position, hint = np.divmod(np.arange(cells), 2)
    states = cells + 2
    junction = position[:, None] == length
    right = hint[:, None] == np.arange(2)
    next_state, reward = np.zeros((states, 2), int), np.zeros((states, 2))
    next_state[:cells] = np.where(junction, cells + right, np.arange(cells)[:, None] + 2)
    reward[:cells] = junction & right
    seen = [(position == 0) & (hint == 0), (position == 0) & (hint == 1), (position > 0) & (position < length)]
    observations = np.zeros((states, 4))
    observations[:cells] = np.stack([*seen, position == length], 1)
    start = np.zeros(states)
    start[:2] = 0.5
    return Tabular(
        f"t-maze/{length}",
        f"turn as a hint said {length} steps ago",
        version=1,
        next_state=next_state,
        reward=reward,
        terminal=np.arange(states) >= cells,
        start=start,
        horizon=length + 1,
        observations=observations,
        window=length + 1,
        successes=[cells + 1],
        success_return=1.0,
        tags=("memory",),
    )
