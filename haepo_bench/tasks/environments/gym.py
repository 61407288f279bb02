"""Any gymnasium environment as a task: `gym/<gymnasium id>`, observations flattened or one-hot.

Environments of classic_control.py are stepped as arrays; all others one after the other through gymnasium itself.
"""

import math
import warnings
from typing import Any

import gymnasium
from gymnasium import spaces

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.results.record import References
from haepo_bench.tasks.base import GYMNASIUM, MAX_HORIZON, Task, VectorEnvironment
from haepo_bench.tasks.environments import minigrid
from haepo_bench.tasks.environments.classic_control import ARRAY_ENVIRONMENTS
from haepo_bench.tasks.environments.foreign import (
    FlatEnvironment,
    OneByOne,
    first_step,
    flat_actions,
    flat_observations,
    said_by,
)

_MEASURED = "random: mean of 10,000 episodes of the uniform policy; solved: the environment's reward threshold"

#: Fixed reference returns, by gymnasium id; `tests/tasks/test_tasks.py` compares the random ones with a fresh
#: measurement.
REFERENCES = {
    "CartPole-v1": References(random=22.2, solved=475.0, source=_MEASURED),
    "Acrobot-v1": References(random=-498.9, solved=-100.0, source=_MEASURED),
    "MountainCar-v0": References(random=-200.0, solved=-110.0, source=_MEASURED),
    "MountainCarContinuous-v0": References(random=-33.1, solved=90.0, source=_MEASURED),
    "Pendulum-v1": References(
        random=-1228.9,
        solved=-151.9,
        source="random: mean of 10,000 episodes of the uniform policy; solved: best known, TD3 in RL Baselines3 Zoo's "
        "benchmark.md (greedy policy, mean of 750 episodes)",
    ),
    # Above the environment's threshold of 0.7. The best policy that does not look at the clock comes within 0.005.
    "FrozenLake-v1": References(
        random=0.01394,
        solved=0.74419,
        source="exact: backward induction over the transition table and the 100 steps, uniform and best actions",
    ),
}


def return_bounds(name: str, horizon: int) -> tuple[float, float] | None:
    """The least and the greatest return of an episode of at most `horizon` steps; None where they are not known.

    From the reward functions in gymnasium's files, each step at its worst and at its best.

    Args:
        name: gymnasium's id, or EnvPool's for the same environment.
    """
    # One reward per step, the first at least; the costs of Pendulum are largest upside down at full speed and torque.
    pendulum = math.pi**2 + 0.1 * 8.0**2 + 0.001 * 2.0**2
    return {
        "CartPole-v1": (1.0, float(horizon)),
        "Acrobot-v1": (-float(horizon), 0.0),
        "MountainCar-v0": (-float(horizon), -1.0),
        "MountainCarContinuous-v0": (-0.1 * horizon, 100.0),
        "Pendulum-v1": (-pendulum * horizon, 0.0),
        "FrozenLake-v1": (0.0, 1.0),
    }.get(name)


class GymTask(Task):
    """A gymnasium environment.

    Args:
        gymnasium_id: as `gymnasium.make` takes it.
        time_limit: overrides the environment's own limit; needed where it has none.

    Raises:
        TaskError: it cannot be made, has no time limit, or has spaces that no policy here can drive.
    """

    version = 1

    def __init__(self, gymnasium_id: str, time_limit: int | None) -> None:
        self.id = f"gym/{gymnasium_id}"
        self._gymnasium_id = gymnasium_id
        self._minigrid = gymnasium_id.startswith(minigrid.PREFIX)
        if self._minigrid:
            minigrid.load()
        limit = _spec(gymnasium_id).max_episode_steps
        probe = self._make(None)
        try:
            if self._minigrid:
                limit = minigrid.own_limit(probe)
                time_limit = None if time_limit is None else min(time_limit, limit)
            self.horizon = checked_horizon(gymnasium_id, limit, time_limit)
            self._observations = flat_observations(gymnasium_id, probe.observation_space)
            self.action_space = flat_actions(gymnasium_id, probe.action_space)
        finally:
            probe.close()
        self.observation_space = self._observations.space
        self.summary = f"gymnasium's {gymnasium_id}"
        self.tags = ("continuous",) if isinstance(self.action_space, spaces.Box) else ()
        # References hold for the environment as it is registered, not for another time limit.
        self.references = REFERENCES.get(gymnasium_id) if self.horizon == limit else None
        self.return_bounds = return_bounds(gymnasium_id, self.horizon)
        self.backend = "array" if gymnasium_id in ARRAY_ENVIRONMENTS else GYMNASIUM
        self.deterministic = gymnasium_id in ARRAY_ENVIRONMENTS

    def vector(self, trajectories: int) -> VectorEnvironment:
        if self.backend == "array":
            return ARRAY_ENVIRONMENTS[self._gymnasium_id](trajectories, self.horizon)
        return self._one_by_one(trajectories)

    def paired(self, trajectories: int) -> VectorEnvironment:
        if self.backend == "array":
            return ARRAY_ENVIRONMENTS[self._gymnasium_id](trajectories, self.horizon, alike=True)
        return self._one_by_one(trajectories, alike=True)

    def check(self) -> None:
        if self.backend == GYMNASIUM:
            environment = self._flat(self._make(self.horizon))
            try:
                first_step(environment)
            finally:
                environment.close()

    def environment(self) -> "gymnasium.Env[Any, Any]":
        return self._flat(self._make(self.horizon))

    def _one_by_one(self, trajectories: int, *, alike: bool = False) -> VectorEnvironment:
        return OneByOne(self.environment, self.observation_space.shape[0], trajectories, alike=alike)

    def _flat(self, made: "gymnasium.Env[Any, Any]") -> FlatEnvironment:
        return FlatEnvironment(self.id, made, self._observations, self.action_space)

    def _make(self, horizon: int | None) -> "gymnasium.Env[Any, Any]":
        try:
            with warnings.catch_warnings():
                # That a newer version exists: the suite's author chose this one.
                warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
                made = gymnasium.make(self._gymnasium_id, max_episode_steps=horizon, disable_env_checker=True)
            return minigrid.image(made) if self._minigrid else made
        except (Exception, SystemExit) as error:  # other people's code can fail in any way
            raise TaskError(
                f"gymnasium cannot make {self._gymnasium_id}: {said_by(error)}",
                remedy="install what it names, or choose another environment",
            ) from error


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`gym/<gymnasium id>`."""
    return GymTask(variant, time_limit)


def _spec(gymnasium_id: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.spec(gymnasium_id)
    except (Exception, SystemExit) as error:  # an id of a module imports it
        # Of a name that does not exist, the remedy says more than gymnasium does.
        said = "" if isinstance(error, gymnasium.error.NameNotFound) else f": {said_by(error)}"
        raise TaskError(
            f"gymnasium has no environment '{gymnasium_id}'{said}",
            remedy=did_you_mean(
                gymnasium_id,
                gymnasium.registry.keys(),
                kind="environment",
                family="gym/",
                more='`python -c "import gymnasium; gymnasium.pprint_registry()"`',
            ),
        ) from error


def checked_horizon(name: str, limit: int | None, time_limit: int | None) -> int:
    """Most steps of an episode: the time limit asked for, else the environment's own.

    Raises:
        TaskError: neither is there, or episodes would be too long to keep.
    """
    horizon = limit if time_limit is None else time_limit
    if horizon is None:
        raise TaskError(f"{name} has no time limit of its own", remedy="give the task a time_limit (steps per episode)")
    if horizon > MAX_HORIZON:
        raise TaskError(
            f"{name} has episodes of up to {horizon:,} steps; whole batches of episodes are kept in memory",
            remedy=f"give the task a time_limit of at most {MAX_HORIZON:,}",
            key="time_limit",
        )
    return horizon
