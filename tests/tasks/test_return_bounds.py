"""Bounds of returns: against every action sequence of small tasks, against played episodes, and through wrappers."""

import itertools
import math

import numpy as np
import pytest
from gymnasium import spaces

from haepo_bench import catalogue

#: Tasks whose every action sequence can be played.
SMALL = ("random-walk/5", "deep-sea/4", "multi-goal/2", "umbrella/3", "t-maze/2", "corridor/8")
#: Every other one whose bounds are known; those of MuJoCo, of EnvPool and of reward models are not.
PLAYED = (
    "random-walk/20", "corridor/equal", "corridor/64", "deep-sea/8", "multi-goal/4", "key-door/5", "umbrella/20",
    "t-maze/5", "gym/CartPole-v1", "gym/Acrobot-v1", "gym/MountainCar-v0", "gym/MountainCarContinuous-v0",
    "gym/Pendulum-v1", "gym/FrozenLake-v1",
)  # fmt: skip


def play(task, actions, key=0):
    """Returns [trajectory] of episodes that take `actions(time, trajectories)`."""
    count = 64
    vector = task.vector(count)
    vector.reset([np.random.default_rng(key)])
    live, returns = np.ones((1, count), bool), np.zeros((1, count))
    for time in range(task.horizon):
        step = vector.step(np.asarray(actions(time, count))[None], live)
        returns += np.where(live, step.rewards, 0.0)
        live &= ~(step.terminated | step.truncated)
        if not live.any():
            break
    vector.close()
    return returns[0]


@pytest.mark.parametrize("address", SMALL)
def test_every_action_sequence_of_a_small_task_is_within_and_two_are_at_the_bounds(address):
    task = catalogue.task(address, time_limit=7 if address == "random-walk/5" else None)
    low, high = task.return_bounds
    n = int(task.action_space.n)
    seen = np.array(
        [
            play(task, lambda time, count, chosen=chosen: np.full(count, chosen[time]))
            for chosen in itertools.product(range(n), repeat=task.horizon)
        ]
    )
    # 64 episodes of each sequence: each chance start and each sign of a noise that matters occurs in some.
    assert (seen.min(), seen.max()) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("address", PLAYED)
def test_played_episodes_and_the_references_are_within(address):
    task = catalogue.task(address)
    low, high = task.return_bounds
    assert low <= task.references.random <= task.references.solved <= high
    space, rng = task.action_space, np.random.default_rng(1)

    def random(time, count):
        if isinstance(space, spaces.Discrete):
            return rng.integers(space.n, size=count)
        return rng.uniform(space.low, space.high, (count, *space.shape)).astype(np.float32)

    def constant(value):
        if isinstance(space, spaces.Discrete):
            return lambda time, count: np.full(count, value)
        return lambda time, count: np.full((count, *space.shape), (space.low, space.high)[value > 0], np.float32)

    played = np.concatenate([play(task, policy) for policy in (random, constant(0), constant(1))])
    assert low - 1e-9 <= played.min() <= played.max() <= high + 1e-9


def test_bounds_that_formulas_give():
    bounds = {address: catalogue.task(address).return_bounds for address in ("gym/CartPole-v1", "gym/Pendulum-v1")}
    assert bounds["gym/CartPole-v1"] == (1.0, 500.0)
    assert bounds["gym/Pendulum-v1"] == (pytest.approx(-200 * (math.pi**2 + 6.4 + 0.004)), 0.0)
    assert catalogue.task("gym/CartPole-v1", time_limit=30).return_bounds == (1.0, 30.0)
    assert catalogue.task("gym/Taxi-v4").return_bounds is None
    assert catalogue.task("lm/arithmetic").return_bounds == (0.0, 1.0)
    # Out of reach of the far end: the near reward is the most there is.
    assert catalogue.task("random-walk/20", time_limit=5).return_bounds == (0.0, 0.1)


def test_a_large_random_walk_takes_no_time_and_agrees_with_the_tables():
    assert catalogue.task("random-walk/10000").return_bounds == (0.0, 1.0)
    small = catalogue.task("random-walk/30")
    assert super(type(small), type(small)).return_bounds.func(small) == small.return_bounds


@pytest.mark.parametrize(
    "address",
    ["noise(random-walk/20,0.5)", "scale(random-walk/20,100)", "delayed(noise(random-walk/20,1))",
     "proxy(random-walk/20,9)", "random-reward(random-walk/20)", "window(normalised(random-walk/20),2)"],
)  # fmt: skip
def test_wrappers_evaluate_the_task_itself_so_its_bounds_are_theirs(address):
    assert catalogue.task(address).return_bounds == (0.0, 1.0)
