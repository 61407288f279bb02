"""`maze/<size>`: mazes, references and episodes against independent calculations."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, shortest_path

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.tasks.base import Array, VectorEnvironment
from haepo_bench.tasks.finite.maze import GROUPS, SEEN, UNSEEN, Maze, generated
from haepo_bench.training.streams import stream

#: Right, down, left, up in the drawing, and where the places one step that way are in the 7 x 7 view.
AHEAD = ((3, 4), (4, 3), (3, 2), (2, 3))


def maze(size: int) -> Maze:
    made = catalogue.task(f"maze/{size}")
    assert isinstance(made, Maze)
    return made


def graph(drawing: Array) -> csr_matrix:
    """Cells and passages of a maze as a graph, read off its drawing cell by cell."""
    size = len(drawing) // 2
    edges = []
    for cell in range(size * size):
        row, column = divmod(cell, size)
        for down, right in ((0, 1), (1, 0)):
            if row + down < size and column + right < size and not drawing[2 * row + 1 + down, 2 * column + 1 + right]:
                edges.append((cell, (row + down) * size + column + right))
    a, b = np.array(edges).T
    return csr_matrix((np.ones(len(a)), (a, b)), shape=(size * size, size * size))


def test_mazes_are_trees_all_different_and_split() -> None:
    task = maze(5)
    drawings = generated(5, SEEN + UNSEEN)
    assert len({drawing.tobytes() for drawing in drawings}) == SEEN + UNSEEN
    assert all(drawing[[0, -1]].all() and drawing[:, [0, -1]].all() for drawing in drawings)
    for drawing in drawings[::40]:
        edges = graph(drawing)
        assert edges.nnz == 24
        assert connected_components(edges, directed=False)[0] == 1
    training = task.training()
    assert isinstance(training, Maze)
    assert len(task.mazes.moves) == UNSEEN
    assert len(training.mazes.moves) == SEEN
    assert not {m.tobytes() for m in task.mazes.moves} & {m.tobytes() for m in training.mazes.moves}
    assert training.training() is training


def test_the_optimum_is_the_shortest_way() -> None:
    task = maze(6)
    drawings = generated(6, SEEN + UNSEEN)[SEEN:]
    found = [shortest_path(graph(drawing), directed=False, unweighted=True, indices=0)[-1] for drawing in drawings]
    assert task.distances.tolist() == found
    assert task.references.solved == pytest.approx(1 - 0.9 * np.mean(found) / 144, rel=1e-12)
    low, high = task.return_bounds
    assert (low, high) == (0.0, 1.0)
    assert task.references.solved < high


def played(environment: VectorEnvironment, streams: list[np.random.Generator], act: object, horizon: int) -> Array:
    """Returns [seed, trajectory] of one episode each."""
    observations = environment.reset(streams)
    live = np.ones(observations.shape[:2], bool)
    returns = np.zeros(live.shape)
    for _ in range(horizon):
        step = environment.step(act(observations), live)  # type: ignore[operator]
        returns += np.where(live, step.rewards, 0.0)
        live &= ~(step.terminated | step.truncated)
        observations = step.observations
    assert not live.any()
    return returns


@pytest.mark.parametrize("held_out", [True, False])
def test_the_random_reference_against_20_000_episodes(held_out: bool) -> None:
    """Within 4 standard errors, three comparisons: a false alarm in 1 of 5,000."""
    task = maze(4)
    shown = task if held_out else task.training()
    draws = np.random.default_rng(5)
    returns = played(
        shown.vector(1_000), [stream("test", seed) for seed in range(20)],
        lambda observations: draws.integers(4, size=observations.shape[:2]), task.horizon,
    )  # fmt: skip
    error = returns.std() / np.sqrt(returns.size)
    assert shown.references is not None
    assert abs(returns.mean() - shown.references.random) < 4 * error
    if not held_out:
        success = (returns >= task.success_return - 1e-9).mean()
        assert abs(success - task.uniform.success) < 4 * np.sqrt(success * (1 - success) / returns.size)  # type: ignore[operator]


def wall_follower(observations: Array) -> Array:
    """Right of the last move if there is a passage, else straight on, else left, else back; from what is observed."""
    view, last = observations[..., :49].reshape(*observations.shape[:2], 7, 7), observations[..., 51:]
    heading = np.where(last.any(-1), last.argmax(-1), 0)
    chosen = np.full(heading.shape, -1)
    for turn in (1, 0, 3, 2):
        way = (heading + turn) % 4
        rows, columns = np.array(AHEAD)[way].transpose(2, 0, 1)
        free = np.take_along_axis(view.reshape(*heading.shape, 49), (7 * rows + columns)[..., None], -1)[..., 0] == 0
        chosen = np.where((chosen < 0) & free, way, chosen)
    return chosen


@pytest.mark.parametrize("size", [4, 8])
def test_one_rule_leads_out_of_every_maze_with_what_is_observed(size: int) -> None:
    task = maze(size)
    returns = played(task.vector(500), [stream("test", seed) for seed in range(4)], wall_follower, task.horizon)
    # It walks each passage twice at most: 2 (size^2 - 1) steps.
    assert returns.min() >= 1 - 0.9 * 2 * (size * size - 1) / task.horizon - 1e-9
    assert 0.3 < task.references.score(float(returns.mean())) < 1


def test_a_group_shares_its_maze_and_groups_do_not() -> None:
    task = maze(5)
    environment = task.training().grouped(3)
    observations = environment.reset([stream("test", seed) for seed in range(8)])
    assert observations.shape == (8, GROUPS * 3, task.observation_space.shape[0])  # type: ignore[index]
    mazes = environment.state[0].astype(int).reshape(8, GROUPS, 3) // 25  # type: ignore[attr-defined]
    assert (mazes == mazes[..., :1]).all()
    assert len(np.unique(mazes)) > 8
    assert mazes.max() < SEEN


@pytest.mark.parametrize("address", ["maze/3", "maze/11", "maze/5x5", "maze/05"])
def test_bad_sizes(address: str) -> None:
    with pytest.raises(TaskError, match="whole number from 4 to 10"):
        catalogue.task(address)
    with pytest.raises(TaskError, match="the length of a maze's episodes is part of the task"):
        catalogue.task("maze/5", time_limit=10)
