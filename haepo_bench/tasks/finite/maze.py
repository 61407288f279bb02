"""Mazes: is a way found at all, and does what was learnt in some mazes hold in others?

`maze/<size>`: 1,200 generated mazes of size x size cells, every two cells of which are joined by exactly one way.
Training sees 200 of them, evaluation the other 1,000, so the return of training's own episodes (`train_return`) beside
that of evaluation is the gap of generalisation. Each episode starts in the top left cell of a maze drawn at random; the
goal is at the bottom right. Actions go right, down, left and up; walls stop them. Reaching the goal after t of at most
T = 4 size^2 steps gives 1 - 0.9 t / T, nothing else gives anything (the rule of MiniGrid).

Observed are the walls and passages around the cell (7 x 7 places of the drawing in which cells and walls alternate, so
its eight neighbours, too), how far away the goal is in rows and columns, and the action before. One rule, to keep a
hand on the wall, leads out of every such maze and needs no more than this; a way learnt by heart helps in its own maze
only.

Trajectories are compared within a maze: a batch has `GROUPS` of them. References are exact: the uniform policy's
expected return by carrying its distribution through the horizon, the optimum by breadth-first search, both the means
of the 1,000 mazes that evaluation draws from. What a uniform policy does in training is that of the 200.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array, Task, Uniform, VectorEnvironment
from haepo_bench.tasks.draws import Draws
from haepo_bench.tasks.finite.table import StateTable, TableEpisodes
from haepo_bench.tasks.finite.tabular import refuse_time_limit, whole_number

#: Key of this task's fixed draws.
KEY = 91
SEEN, UNSEEN = 200, 1_000
GROUPS = 4
#: Right, down, left, up as (row, column).
MOVES = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
#: Places of the drawing in view on each side.
VIEW = 3
#: What the slowest way to the goal costs of its reward of 1.
DELAY = 0.9


class Mazes(NamedTuple):
    """Some mazes of one size; the goal is the last cell.

    Args:
        moves: [maze, cell, action] the cell that an action leads to.
        shown: [maze, cell, feature] float32, what is observed of a cell.
    """

    moves: Array
    shown: Array


class Maze(Task):
    """Mazes drawn at random, one per episode.

    Args:
        mazes: that episodes are drawn from.
        seen: the same task with the mazes of training; None where these are its own.
    """

    version = 1
    groups = GROUPS
    tags = ("exploration", "generalisation")
    action_space = spaces.Discrete(len(MOVES))
    deterministic = True
    success_return = 1 - DELAY
    return_bounds = 0.0, 1.0

    def __init__(self, size: int, mazes: Mazes, seen: "Maze | None") -> None:
        self.id = f"maze/{size}"
        self.summary = f"find the way out of mazes of {size} x {size} cells, evaluated in others than trained in"
        self.mazes, self._seen = mazes, seen
        self.horizon = 4 * size * size
        features = mazes.shown.shape[2] + len(MOVES)
        self.observation_space = spaces.Box(-1.0, 1.0, (features,), np.float32)

    def vector(self, trajectories: int) -> VectorEnvironment:
        return _Episodes(self, trajectories, 1)

    def grouped(self, trajectories: int) -> VectorEnvironment:
        return _Episodes(self, GROUPS, trajectories)

    def training(self) -> Task:
        return self if self._seen is None else self._seen

    @cached_property
    def table(self) -> StateTable:
        """Of all mazes below each other: a state is a maze's number times its cells, plus the cell."""
        mazes, cells, actions = self.mazes.moves.shape
        moves = self.mazes.moves + np.arange(mazes)[:, None, None] * cells
        terminal = np.tile(np.arange(cells) == cells - 1, mazes)
        next_state = np.ascontiguousarray(moves.reshape(-1, actions), np.int64)
        return StateTable(
            next_state=next_state,
            reward=terminal[next_state].astype(np.float64),
            terminal=terminal,
            observations=np.ascontiguousarray(self.mazes.shown.reshape(mazes * cells, -1)),
            horizon=self.horizon,
            late=DELAY,
            shows_action=True,
        )

    @cached_property
    def references(self) -> References:  # type: ignore[override]  # computed once, when asked for
        """Exact, of the mazes that episodes are drawn from."""
        arrivals, _ = self._uniform_arrivals
        random = float(arrivals @ self._rewards)
        solved = float(self._rewards[self.distances - 1].mean())
        source = "exact: the uniform policy's expected return, and that of the shortest ways, over the held-out mazes"
        return References(random=random, solved=solved, source=source)

    @cached_property
    def uniform(self) -> Uniform:  # type: ignore[override]  # computed once, when asked for
        """Exact, of the mazes of training."""
        if self._seen is not None:
            return self._seen.uniform
        arrivals, steps = self._uniform_arrivals
        return Uniform(steps, None, float(arrivals.sum()))

    @cached_property
    def distances(self) -> Array:
        """[maze] steps of the shortest way from the start to the goal, by breadth-first search in all at once."""
        mazes, cells, _ = self.mazes.moves.shape
        reached = np.zeros((mazes, cells), bool)
        reached[:, 0] = True
        steps = np.zeros(mazes, int)
        every = np.arange(mazes)[:, None, None]
        while not reached[:, -1].all():
            steps += ~reached[:, -1]
            grown = reached.copy()
            maze, cell = np.nonzero(reached)
            grown[every[maze, 0], self.mazes.moves[maze, cell]] = True
            reached = grown
        return steps

    @property
    def _rewards(self) -> Array:
        """[step] what reaching the goal gives at each step, from the first."""
        return 1 - DELAY * np.arange(1, self.horizon + 1) / self.horizon

    @cached_property
    def _uniform_arrivals(self) -> tuple[Array, float]:
        """([step] probability that a uniform policy reaches the goal with it, mean length of its episodes)."""
        mazes, cells, actions = self.mazes.moves.shape
        targets = (self.mazes.moves + np.arange(mazes)[:, None, None] * cells).ravel()
        at: Array = np.zeros((mazes, cells))
        at[:, 0] = 1.0
        arrivals, steps = np.zeros(self.horizon), 0.0
        for step in range(self.horizon):
            steps += float(at.sum())
            moved: Array = np.bincount(targets, np.repeat(at.ravel() / actions, actions), minlength=mazes * cells)
            at = moved.reshape(mazes, cells)
            arrivals[step] = at[:, -1].sum()
            at[:, -1] = 0.0
        return arrivals / mazes, steps / mazes


class _Episodes(TableEpisodes):
    """Episodes in mazes drawn when they start; a state is a cell of one of them.

    Args:
        draws: mazes drawn for each seed.
        each: episodes in each of them.
    """

    def __init__(self, task: Maze, draws: int, each: int) -> None:
        super().__init__(task.table, draws * each)
        self._draws, self._each = draws, each
        self._mazes, self._cells, _ = task.mazes.moves.shape

    def _begin(self, streams: Sequence[np.random.Generator], shape: tuple[int, ...]) -> Array:
        if not shape:
            return np.array([stream.integers(self._mazes) * self._cells for stream in streams])
        drawn = np.stack([stream.integers(self._mazes, size=self._draws) for stream in streams])
        starts: Array = np.repeat(drawn * self._cells, self._each, 1)
        return starts


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`maze/<size>`, 4 to 10 cells per side."""
    size = whole_number(variant, 4, 10, what="the size of a maze", example="maze/5")
    refuse_time_limit("a maze", time_limit)
    drawings = generated(size, SEEN + UNSEEN)
    seen = Maze(size, _mazes(drawings[:SEEN]), None)
    return Maze(size, _mazes(drawings[SEEN:]), seen)


def generated(size: int, number: int) -> Array:
    """Mazes that all differ, [maze, 2 size + 1, 2 size + 1] bool drawings, true where a wall is.

    Each is a spanning tree of the grid, by Kruskal's algorithm with the walls in random order.
    """
    draws = Draws(KEY, size)
    cells = [(row, column) for row in range(size) for column in range(size)]
    inner = [
        (cell, move) for cell in cells for move in ((0, 1), (1, 0)) if max(cell[0] + move[0], cell[1] + move[1]) < size
    ]
    found: dict[bytes, Array] = {}
    while len(found) < number:
        walls = np.ones((2 * size + 1, 2 * size + 1), bool)
        walls[1::2, 1::2] = False
        group = {cell: cell for cell in cells}
        for (row, column), (down, right) in draws.shuffled(inner):
            a, b = _root(group, (row, column)), _root(group, (row + down, column + right))
            if a != b:
                group[a] = b
                walls[2 * row + 1 + down, 2 * column + 1 + right] = False
        found.setdefault(walls.tobytes(), walls)
    return np.stack(list(found.values()))


def _root(group: dict[tuple[int, int], tuple[int, int]], cell: tuple[int, int]) -> tuple[int, int]:
    while group[cell] != cell:
        group[cell] = cell = group[group[cell]]
    return cell


def _mazes(drawings: Array) -> Mazes:
    """Tables of mazes as drawn."""
    size = drawings.shape[1] // 2
    row, column = np.divmod(np.arange(size * size), size)
    ahead = ~drawings[:, 2 * row[:, None] + 1 + MOVES[:, 0], 2 * column[:, None] + 1 + MOVES[:, 1]]
    moves = np.arange(size * size)[:, None] + np.where(ahead, MOVES @ (size, 1), 0)
    around = np.pad(drawings, ((0, 0), (VIEW, VIEW), (VIEW, VIEW)), constant_values=True)
    views = np.lib.stride_tricks.sliding_window_view(around, (2 * VIEW + 1, 2 * VIEW + 1), (1, 2))[:, 1::2, 1::2]
    walls = views.reshape(len(drawings), size * size, -1).astype(np.float32)
    goal = np.stack([size - 1 - row, size - 1 - column], 1).astype(np.float32) / (size - 1)
    return Mazes(moves, np.concatenate([walls, np.broadcast_to(goal, (len(drawings), *goal.shape))], 2))
