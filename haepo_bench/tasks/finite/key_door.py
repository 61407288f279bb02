"""Key and door: two things that must be done in order before the only reward.

`key-door/<size>`: a room of size x size cells, cut in two by a wall in the middle column with a door in its top row.
Start at the top left; the key lies at the bottom left, the goal at the bottom right. Actions go right, down, left and
up; walls, and the door without the key, stop them. Walking over the key takes it; the goal gives 1 and ends the
episode, nothing else gives any. After MiniGrid's DoorKey, without its turning, picking and opening, which cost steps
but no thought.

Observed are the row and the column, one-hot each, and whether the key was taken. Episodes are cut off after
4 size^2 steps, of which the shortest way needs 4 (size - 1); a uniform policy is rewarded in one episode of thirteen at
size 5, of fifty at size 15.
"""

import numpy as np

from haepo_bench.tasks.base import Task
from haepo_bench.tasks.finite.tabular import Tabular, whole_number

#: Right, down, left, up as (row, column).
MOVES = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`key-door/<size>`, 5 to 15 cells per side."""
    size = whole_number(variant, 5, 15, what="the size of a key-door room", example="key-door/7")
    cells, wall = size * size, size // 2
    has_key, row, column = np.unravel_index(np.arange(2 * cells), (2, size, size))
    to_row, to_column = (np.clip(at[:, None] + MOVES[:, i], 0, size - 1) for i, at in enumerate((row, column)))
    open_door = (to_row == 0) & (has_key == 1)[:, None]
    stopped = (to_column == wall) & ~open_door
    to_row, to_column = np.where(stopped, row[:, None], to_row), np.where(stopped, column[:, None], to_column)
    takes_key = (to_row == size - 1) & (to_column == 0)
    next_state = np.ravel_multi_index((has_key[:, None] | takes_key, to_row, to_column), (2, size, size))
    goal = 2 * cells - 1
    return Tabular(
        f"key-door/{size}",
        f"fetch the key, open the door, reach the goal in a room of {size} x {size} cells",
        version=1,
        next_state=next_state,
        reward=(next_state == goal) * 1.0,
        terminal=np.arange(2 * cells) == goal,
        start=0,
        horizon=4 * cells if time_limit is None else time_limit,
        observations=np.concatenate([np.eye(size)[row], np.eye(size)[column], has_key[:, None]], 1),
        successes=[goal],
        success_return=1.0,
        tags=("exploration",),
    )
