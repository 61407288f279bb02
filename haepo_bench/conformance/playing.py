"""Episodes of a task with random actions, as checks of tasks and the Python that shows what they find play them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from haepo_bench.tasks.base import Array, Step, Task, VectorEnvironment
from haepo_bench.tasks.measuring import uniform_actions

TRAJECTORIES = 4
#: Steps after which episodes that are only compared are left.
_ENOUGH = 50


class BrokenStep(Exception):
    """What a step returned is not what the task says; the message says how."""


class PlayedEpisodes(NamedTuple):
    """Episodes of some seeds, played to their ends.

    Args:
        observations: of each step [seed, trajectory, feature], the first before any action.
        rewards: [time, seed, trajectory], zero once an episode is over.
        lengths: [seed, trajectory].
    """

    observations: list[Array]
    rewards: Array
    lengths: Array


def play(task: Task, seeds: Sequence[int]) -> PlayedEpisodes:
    """Episodes of each seed in an environment of their own.

    Raises:
        EnvironmentFault: the environment broke.
        BrokenStep: a step has other shapes than the task says, or an episode does not end.
    """
    vector = task.vector(TRAJECTORIES)
    try:
        return played(task, vector, seeds)
    finally:
        vector.close()


def played(task: Task, vector: VectorEnvironment, seeds: Sequence[int]) -> PlayedEpisodes:
    """The same in an environment that is there, from its reset on."""
    shape = (len(seeds), TRAJECTORIES)
    rows = vector.reset([np.random.default_rng(seed) for seed in seeds])
    observations, rewards = [rows], []
    live, lengths = np.ones(shape, bool), np.zeros(shape, np.int64)
    noise = [np.random.default_rng(1000 + seed) for seed in seeds]
    while live.any():
        actions = np.stack([uniform_actions(task.action_space, (TRAJECTORIES,), own) for own in noise])
        step = vector.step(actions, live)
        for fault in vector.faults().values():
            raise fault
        _check_shapes(task, step, shape)
        lengths += live
        rewards.append(np.where(live, step.rewards, 0.0))
        observations.append(np.where(live[..., None], step.observations, 0.0))
        live = live & ~step.terminated & ~step.truncated
        if live.any() and int(lengths.max()) >= task.horizon:
            raise BrokenStep(f"an episode is not over after its horizon of {task.horizon} steps: set truncated")
    return PlayedEpisodes(observations, np.stack(rewards), lengths)


def same(one: PlayedEpisodes, two: PlayedEpisodes) -> bool:
    """Whether every number is the same."""
    return (
        np.array_equal(one.lengths, two.lengths)
        and np.array_equal(one.rewards, two.rewards)
        and all(map(np.array_equal, one.observations, two.observations))
    )


def first_episode(task: Task, *, alone: bool) -> list[Array]:
    """[step]: observation and reward of an episode, with the others and without them from the second step on."""
    vector = task.vector(TRAJECTORIES)
    try:
        noise = np.random.default_rng(11)
        rows = [vector.reset([np.random.default_rng(6)])[0, 0]]
        live = np.ones((1, TRAJECTORIES), bool)
        for _ in range(min(task.horizon, _ENOUGH)):
            step = vector.step(uniform_actions(task.action_space, live.shape, noise), live)
            rows.append(np.append(step.observations[0, 0], step.rewards[0, 0]))
            live = live & ~step.terminated & ~step.truncated
            if alone:
                live[0, 1:] = False
            if not live[0, 0]:
                break
        return rows
    finally:
        vector.close()


def restarted(vector: VectorEnvironment, task: Task) -> tuple[Array, Array, Step]:
    """Some episodes started anew while others go on, twice with the same streams, and the step after.

    Returns:
        [episode, ...]: their first observations, each time.
    """
    noise = np.random.default_rng(11)
    vector.reset([np.random.default_rng(7)])
    live = np.ones((1, TRAJECTORIES), bool)
    first = vector.step(uniform_actions(task.action_space, live.shape, noise), live)
    where = first.terminated | first.truncated
    where[0, 1] = True
    one, two = (
        vector.restart(where, [np.random.default_rng(20 + n) for n in range(int(where.sum()))]) for _ in range(2)
    )
    return one, two, vector.step(uniform_actions(task.action_space, live.shape, noise), live)


def gone_on(one: VectorEnvironment, two: VectorEnvironment, task: Task) -> list[tuple[Step, Step, Array]]:
    """[step]: of an environment, and of another that was given its arrays on the way; and which episodes live."""
    noise = np.random.default_rng(11)
    one.reset([np.random.default_rng(8)])
    two.reset([np.random.default_rng(9)])
    live = np.ones((1, TRAJECTORIES), bool)
    steps = []
    for time in range(min(task.horizon, 12)):
        if time in (0, 3):
            kept = {name: part.copy() for name, part in one.running().items()}
            for name, part in two.running().items():
                part[:] = kept[name]
        actions = uniform_actions(task.action_space, live.shape, noise)
        steps.append((one.step(actions, live), two.step(actions, live), live))
        live = live & ~steps[-1][0].terminated & ~steps[-1][0].truncated
        if not live.any():
            break
    return steps


def _check_shapes(task: Task, step: Step, shape: tuple[int, ...]) -> None:
    features = task.observation_space.shape
    for name, expected, kind in (
        ("observations", (*shape, *features), "f"),
        ("rewards", shape, "f"),
        ("terminated", shape, "b"),
        ("truncated", shape, "b"),
    ):
        value = getattr(step, name)
        if not isinstance(value, np.ndarray) or value.shape != expected or value.dtype.kind != kind:
            found = f"{value.dtype} of {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            words = {"f": "floats", "b": "bool"}[kind]
            raise BrokenStep(f"{name} of a step are {found}, not {words} of {expected}")
