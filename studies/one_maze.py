"""One maze of 8 x 8 cells, always the same, of which episodes of 100 steps begin in a corner and never end before.

The tasks of studies/aps.yaml, `./one_maze.py:make/<rewards>`:

- `free`: nothing is ever given.
- `goal`: every step that ends in the cell farthest from the start, 24 steps away, gives 1/77: going there on the
  shortest way and staying gives 1 in all.
- `distance`: every step gives how far its cell is from the start, as a share of the farthest, over 100.
"""

import numpy as np

from haepo_bench.tasks.finite.maze import MOVES, generated
from haepo_bench.tasks.finite.tabular import Tabular

SIZE, HORIZON = 8, 100


def make(rewards: str) -> Tabular:
    (drawing,) = generated(SIZE, 1)
    row, column = np.divmod(np.arange(SIZE * SIZE), SIZE)
    ahead = ~drawing[2 * row[:, None] + 1 + MOVES[:, 0], 2 * column[:, None] + 1 + MOVES[:, 1]]
    moves = np.arange(SIZE * SIZE)[:, None] + np.where(ahead, MOVES @ (SIZE, 1), 0)
    steps = np.full(SIZE * SIZE, -1)
    steps[0], reached = 0, [0]
    for cell in reached:
        new = [other for other in dict.fromkeys(moves[cell].tolist()) if steps[other] < 0]
        steps[new] = steps[cell] + 1
        reached += new
    worth = {
        "free": np.zeros(SIZE * SIZE),
        "goal": (steps == steps.max()) / (HORIZON - steps.max() + 1),
        "distance": steps / steps.max() / HORIZON,
    }[rewards]
    return Tabular(
        f"one-maze/{rewards}",
        f"a maze of {SIZE} x {SIZE} cells, rewards: {rewards}",
        version=1,
        next_state=moves,
        reward=worth[moves],
        terminal=np.zeros(SIZE * SIZE, bool),
        start=0,
        horizon=HORIZON,
        tags=("exploration",),
    )
