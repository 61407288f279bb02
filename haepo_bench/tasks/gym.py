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
from haepo_bench.tasks.base import Array, Step, Task, VectorEnvironment
from haepo_bench.tasks.classic_control import ARRAY_ENVIRONMENTS

_MEASURED = "random: mean of 10,000 episodes of the uniform policy; solved: the environment's reward threshold"

#: Steps of the longest episodes that are taken on.
MAX_HORIZON = 100_000

#: Fixed reference returns, by gymnasium id; `tests/test_tasks.py` compares the random ones with a fresh measurement.
REFERENCES = {
    "CartPole-v1": References(random=22.2, solved=475.0, source=_MEASURED),
    "Acrobot-v1": References(random=-498.9, solved=-100.0, source=_MEASURED),
    "MountainCar-v0": References(random=-200.0, solved=-110.0, source=_MEASURED),
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
        spec = _spec(gymnasium_id)
        limit = time_limit if time_limit is not None else spec.max_episode_steps
        if limit is None:
            raise TaskError(
                f"{gymnasium_id} has no time limit of its own", remedy="give the task a time_limit (steps an episode)"
            )
        if limit > MAX_HORIZON:
            raise TaskError(
                f"{gymnasium_id} has episodes of up to {limit:,} steps; whole batches of episodes are kept in memory",
                remedy=f"give the task a time_limit of at most {MAX_HORIZON:,}",
            )
        self.horizon = limit
        probe = self._make()
        try:
            self._observations = _flat_observations(gymnasium_id, probe.observation_space)
            self.action_space = _flat_actions(gymnasium_id, probe.action_space)
        finally:
            probe.close()
        self.observation_space = self._observations.space
        self.summary = f"gymnasium's {gymnasium_id}"
        self.tags = ("continuous",) if isinstance(self.action_space, spaces.Box) else ()
        # References hold for the environment as it is registered, not for another time limit.
        self.references = REFERENCES.get(gymnasium_id) if limit == spec.max_episode_steps else None
        self.backend = "array" if gymnasium_id in ARRAY_ENVIRONMENTS else "gymnasium"

    def vector(self, trajectories: int) -> VectorEnvironment:
        if self.backend == "array":
            return ARRAY_ENVIRONMENTS[self._gymnasium_id](trajectories, self.horizon)
        return _OneByOne(self, trajectories)

    def environment(self) -> "gymnasium.Env[Any, Any]":
        return _Flat(self._make(), self._observations, self.action_space)

    def _make(self) -> "gymnasium.Env[Any, Any]":
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a newer version exists: the suite's author chose this one
                return gymnasium.make(self._gymnasium_id, max_episode_steps=self.horizon, disable_env_checker=True)
        except (gymnasium.error.Error, ImportError, AttributeError, TypeError, ValueError) as error:
            raise TaskError(
                f"gymnasium cannot make {self._gymnasium_id}: {' '.join(str(error).split())}",
                remedy="install what it names, or choose another environment",
            ) from error


class _Observations:
    """Turns an environment's observations into flat float32 vectors."""

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


class _Flat(gymnasium.Wrapper[Array, Any, Any, Any]):
    """Shows flat observations and takes flat actions."""

    def __init__(self, env: "gymnasium.Env[Any, Any]", observations: _Observations, actions: spaces.Space[Any]) -> None:
        super().__init__(env)
        self._observations = observations
        self.observation_space = observations.space
        self.action_space = actions
        self._inner = env.action_space

    @property
    def spec(self) -> Any:  # type: ignore[override]  # as gymnasium.Wrapper itself does
        """That of the environment inside: this wrapper cannot be made from a specification."""
        return self.env.spec

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
    """One gymnasium environment an episode, made when first needed; only live episodes are stepped."""

    def __init__(self, task: GymTask, trajectories: int) -> None:
        self._task, self._trajectories = task, trajectories
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
                observations[row, column], _ = environment.reset(seed=int(seed))
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
            remedy=did_you_mean(gymnasium_id, gymnasium.registry.keys(), kind="environment"),
        ) from error


def _flat_observations(gymnasium_id: str, space: spaces.Space[Any]) -> _Observations:
    if isinstance(space, spaces.Box | spaces.Discrete):
        return _Observations(space)
    raise TaskError(
        f"{gymnasium_id} has observations of kind {type(space).__name__}; only Box and Discrete can be flattened",
        remedy="wrap it in an environment of your own that returns a Box",
    )


def _flat_actions(gymnasium_id: str, space: spaces.Space[Any]) -> spaces.Discrete | spaces.Box:
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        low, high = (np.asarray(bound, np.float32).ravel() for bound in (space.low, space.high))
        return spaces.Box(low, high, dtype=np.float32)
    raise TaskError(
        f"{gymnasium_id} has actions of kind {type(space).__name__}; only Discrete and Box of floats can be driven",
        remedy="wrap it in an environment of your own that takes a Discrete or a Box",
    )
