"""What training records of exploration, against counting by hand; for algorithms of all three kinds."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from gymnasium import spaces
from training_support import train

from haepo_bench.tasks.base import Array, Step, Task, Uniform, VectorEnvironment
from haepo_bench.training.episodes.rollout import Rollout
from haepo_bench.training.exploration import Exploration, uniform_coverage


class Doors(Task):
    """One choice of three doors an episode; behind the last two lie goals, and only the last pays enough."""

    id, version, summary, horizon = "doors/3", 1, "three doors", 1
    states, goals, success_return = 4, (2, 3), 1.0  # the hall and the three rooms
    uniform = Uniform(steps=1.0, visits=np.array([1.0, 1 / 3, 1 / 3, 1 / 3]), success=1 / 3)

    def __init__(self, opens: int | None = None) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
        self.action_space = spaces.Discrete(3)
        self.opens = opens  # the only door that opens in truth

    def vector(self, trajectories: int) -> VectorEnvironment:
        return _Hall(trajectories, self.opens)


class _Hall(VectorEnvironment):
    def __init__(self, trajectories: int, opens: int | None) -> None:
        self._trajectories, self._opens = trajectories, opens

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        self._room = np.zeros((len(streams), self._trajectories), np.int64)
        return np.ones((*self._room.shape, 1), np.float32)

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        self._room[where] = 0
        return np.ones((len(streams), 1), np.float32)

    def step(self, actions: Array, live: Array) -> Step:
        doors = actions if self._opens is None else np.full_like(actions, self._opens)
        self._room = np.where(live, 1 + doors, self._room)
        over = np.ones_like(live)
        return Step(np.ones((*live.shape, 1), np.float32), (doors == 2) * 1.0, over, ~over)

    def visited(self) -> Array:
        return self._room

    def measures(self) -> dict[str, Array]:
        return {"third_door": (self._room == 3) * 1.0}


SETTINGS = {
    "reinforce": {},
    "ppo-batched": {"n_envs": 4, "n_steps": 8},
    "ppo": {"n_envs": 4, "n_steps": 8, "batch_size": 32},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_fixed_outcome_finds(name):
    """Every door leads into the second room: hall and one room are seen, one goal of two, and never a success."""
    (result,) = train(name, Doors(opens=1), [0], 64, 32, **SETTINGS[name]).values()
    curve = result.curve
    assert curve["state_coverage"] == [0.5] * 3
    assert curve["goals_found"] == curve["goals_retained"] == [0.5] * 3
    assert curve["third_door"] == [0.0] * 3
    assert "first_success" not in curve
    assert all(0.5 <= value <= 1 for value in curve["relative_coverage"])


@pytest.mark.parametrize("name", SETTINGS)
def test_the_first_success_is_the_first_episode_that_pays(name):
    (result,) = train(name, Doors(opens=2), [0], 64, 32, **SETTINGS[name]).values()
    # Parallel environments of segments take their steps together, so the first episode ends with all others' steps.
    first = 1 if name == "reinforce" else 4
    assert result.curve["first_success"] == [first] * 3
    assert result.curve["relative_first_success"] == pytest.approx([first / 3] * 3)
    assert result.curve["third_door"] == [1.0] * 3


def test_counts_are_a_seeds_own_and_leave_with_it():
    exploration = Exploration(Doors(), 2)
    assert exploration.visited is not None
    exploration.visited[1, [0, 3]] = True
    assert "first_success" not in exploration.count(0, 10, np.array([0.0, 0.5]), np.array([5, 10]))
    columns = exploration.count(1, 10, np.array([0.0, 1.0, 1.0]), np.array([4, 7, 10]))
    assert (columns["first_success"], columns["goals_found"], columns["state_coverage"]) == (7, 0.5, 0.5)
    exploration.keep([1])
    assert exploration.count(0, 20, np.array([1.0]), np.array([20]))["first_success"] == 7


def test_uniform_coverage_is_what_uniform_policies_cover():
    """Against 4,000 simulated uniform policies of 5 pulls; four standard errors: fails once in 16,000 seeds."""
    rng = np.random.default_rng(0)
    doors = rng.integers(3, size=(4000, 5))
    covered = (1 + np.stack([(doors == door).any(1) for door in range(3)]).sum(0)) / 4
    expected = uniform_coverage(Doors(), 5)
    assert abs(covered.mean() - expected) < 4 * covered.std() / np.sqrt(len(covered))


def test_rollouts_of_some_seeds_keep_their_measures():
    values = np.arange(6.0).reshape(2, 3)
    batch = [np.zeros((2, 3))] * 2
    empty = torch.zeros(2, 1)
    rollout = Rollout(empty, empty, empty, empty, *batch, {"regret": values})
    assert rollout.select([1]).measures["regret"].tolist() == [[3.0, 4.0, 5.0]]
