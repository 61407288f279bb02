"""Any gymnasium environment as a task: `gym/<gymnasium id>`, observations flattened or one-hot.

Environments of classic_control.py are stepped as arrays; all others one after the other through gymnasium itself.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.results.record import References
from haepo_bench.tasks import minigrid
from haepo_bench.tasks.base import MAX_HORIZON, Array, Step, Task, VectorEnvironment
from haepo_bench.tasks.classic_control import ARRAY_ENVIRONMENTS

_MEASURED = "random: mean of 10,000 episodes of the uniform policy; solved: the environment's reward threshold"

#: Fixed reference returns, by gymnasium id; `tests/test_tasks.py` compares the random ones with a fresh measurement.
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
        self.backend = "array" if gymnasium_id in ARRAY_ENVIRONMENTS else "gymnasium"
        self.deterministic = gymnasium_id in ARRAY_ENVIRONMENTS

    def vector(self, trajectories: int) -> VectorEnvironment:
        if self.backend == "array":
            return ARRAY_ENVIRONMENTS[self._gymnasium_id](trajectories, self.horizon)
        return _OneByOne(self, trajectories)

    def paired(self, trajectories: int) -> VectorEnvironment:
        if self.backend == "array":
            return ARRAY_ENVIRONMENTS[self._gymnasium_id](trajectories, self.horizon, alike=True)
        return _OneByOne(self, trajectories, alike=True)

    def environment(self) -> "gymnasium.Env[Any, Any]":
        return _Flat(self._make(self.horizon), self._observations, self.action_space)

    def _make(self, horizon: int | None) -> "gymnasium.Env[Any, Any]":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a newer version exists: the suite's author chose this one
                made = gymnasium.make(self._gymnasium_id, max_episode_steps=horizon, disable_env_checker=True)
            return minigrid.image(made) if self._minigrid else made
        except (gymnasium.error.Error, ImportError, AttributeError, TypeError, ValueError) as error:
            raise TaskError(
                f"gymnasium cannot make {self._gymnasium_id}: {' '.join(str(error).split())}",
                remedy="install what it names, or choose another environment",
            ) from error


class Observations:
    """Turns an environment's observations into flat float32 vectors, whole numbers into one-hot ones."""

    def __init__(self, space: spaces.Box | spaces.Discrete) -> None:
        self._original = space
        if isinstance(space, spaces.Discrete):
            self._start = int(space.start)
            self._one_hot = np.eye(int(space.n), dtype=np.float32)
            self.space = spaces.Box(0.0, 1.0, (int(space.n),), np.float32)
        else:
            low, high = (np.asarray(bound, np.float32).ravel() for bound in (space.low, space.high))
            self.space = spaces.Box(low, high, dtype=np.float32)

    def __call__(self, observation: Any) -> Array:
        if isinstance(self._original, spaces.Discrete):
            row: Array = self._one_hot[int(observation) - self._start]
            return row
        return np.asarray(observation, np.float32).ravel()

    def rows(self, observations: Array) -> Array:
        """[episode, ...] to [episode, feature]."""
        if isinstance(self._original, spaces.Discrete):
            rows: Array = self._one_hot[observations - self._start]
            return rows
        return observations.astype(np.float32).reshape(len(observations), -1)


class _Flat(gymnasium.Wrapper[Array, Any, Any, Any]):
    """Shows flat observations and takes flat actions."""

    def __init__(self, env: "gymnasium.Env[Any, Any]", observations: Observations, actions: spaces.Space[Any]) -> None:
        super().__init__(env)
        self._observations = observations
        self.observation_space = observations.space
        self.action_space = actions
        self._inner = env.action_space

    @property
    def spec(self) -> Any:  # type: ignore[override]  # as gymnasium.Wrapper itself does
        """That of the innermost environment: this wrapper and MiniGrid's cannot be made from a specification."""
        return self.env.unwrapped.spec

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        return self._observations(observation), info

    def step(self, action: Any) -> tuple[Array, Any, bool, bool, dict[str, Any]]:
        if isinstance(self._inner, spaces.Discrete):
            action = int(action) + int(self._inner.start)
        else:
            action = np.asarray(action, self._inner.dtype).reshape(self._inner.shape or ())
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._observations(observation), float(reward), terminated, truncated, info


class _OneByOne(VectorEnvironment):
    """One gymnasium environment an episode, made when first needed; only live episodes are stepped.

    Args:
        alike: whether all episodes of a seed start in one state, drawn anew at each reset.
    """

    def __init__(self, task: GymTask, trajectories: int, *, alike: bool = False) -> None:
        self._task, self._trajectories, self._alike = task, trajectories, alike
        self._environments: list[gymnasium.Env[Any, Any]] = []
        (self._features,) = task.observation_space.shape

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        observations = np.empty((len(streams), self._trajectories, self._features), np.float32)
        while len(self._environments) < observations.shape[0] * self._trajectories:
            self._environments.append(self._task.environment())
        for row, stream in enumerate(streams):
            seeds = stream.integers(2**31, size=self._trajectories)
            for column, seed in enumerate(seeds):
                environment = self._environments[row * self._trajectories + column]
                observations[row, column], _ = environment.reset(seed=int(seeds[0] if self._alike else seed))
                if self._alike:  # what happens after the start is each episode's own
                    environment.unwrapped.np_random = np.random.default_rng(int(seed))
        return observations

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        observations = np.empty((len(streams), self._features), np.float32)
        for number, ((row, column), stream) in enumerate(zip(np.argwhere(where), streams, strict=True)):
            environment = self._environments[row * self._trajectories + column]
            observations[number], _ = environment.reset(seed=int(stream.integers(2**31)))
        return observations

    def step(self, actions: Array, live: Array) -> Step:
        observations = np.zeros((*live.shape, self._features), np.float32)
        rewards = np.zeros(live.shape)
        terminated, truncated = np.zeros(live.shape, bool), np.zeros(live.shape, bool)
        for row, column in np.argwhere(live):
            environment = self._environments[row * self._trajectories + column]
            observation, reward, end, cut, _ = environment.step(actions[row, column])
            observations[row, column], rewards[row, column] = observation, reward
            terminated[row, column], truncated[row, column] = end, cut
        return Step(observations, rewards, terminated, truncated)

    def close(self) -> None:
        for environment in self._environments:
            environment.close()
        self._environments.clear()


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`gym/<gymnasium id>`."""
    return GymTask(variant, time_limit)


def _spec(gymnasium_id: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return gymnasium.spec(gymnasium_id)
    except (gymnasium.error.Error, ImportError, ValueError) as error:
        raise TaskError(
            f"gymnasium has no environment '{gymnasium_id}': {' '.join(str(error).split())}",
            remedy=did_you_mean(gymnasium_id, gymnasium.registry.keys(), kind="environment", family="gym/"),
        ) from error


def checked_horizon(name: str, limit: int | None, time_limit: int | None) -> int:
    """Most steps of an episode: the time limit asked for, else the environment's own.

    Raises:
        TaskError: neither is there, or episodes would be too long to keep.
    """
    horizon = limit if time_limit is None else time_limit
    if horizon is None:
        raise TaskError(f"{name} has no time limit of its own", remedy="give the task a time_limit (steps an episode)")
    if horizon > MAX_HORIZON:
        raise TaskError(
            f"{name} has episodes of up to {horizon:,} steps; whole batches of episodes are kept in memory",
            remedy=f"give the task a time_limit of at most {MAX_HORIZON:,}",
        )
    return horizon


def flat_observations(gymnasium_id: str, space: spaces.Space[Any]) -> Observations:
    """What flattens the observations of a space; raises TaskError where nothing can."""
    if isinstance(space, spaces.Box | spaces.Discrete):
        return Observations(space)
    raise TaskError(
        f"{gymnasium_id} has observations of kind {type(space).__name__}; only Box and Discrete can be flattened",
        remedy="wrap it in an environment of your own that returns a Box",
    )


def flat_actions(gymnasium_id: str, space: spaces.Space[Any]) -> spaces.Discrete | spaces.Box:
    """A space of actions as policies drive it; raises TaskError where none can."""
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        low, high = (np.asarray(bound, np.float32).ravel() for bound in (space.low, space.high))
        return spaces.Box(low, high, dtype=np.float32)
    raise TaskError(
        f"{gymnasium_id} has actions of kind {type(space).__name__}; only Discrete and Box of floats can be driven",
        remedy="wrap it in an environment of your own that takes a Discrete or a Box",
    )
