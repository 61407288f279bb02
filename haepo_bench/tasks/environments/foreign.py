"""Other people's gymnasium environments, flattened and held to gymnasium's contract.

What they return is looked at in one place, `FlatEnvironment`. Numbers are taken as gymnasium takes them: a reward may
be an integer, a boolean, or an array or tensor of one element. Whatever breaks the contract is an `EnvironmentFault`,
which fails the run of that seed and no other.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from haepo_bench.errors import EnvironmentFault, TaskError, in_words
from haepo_bench.tasks.base import Array, Step, VectorEnvironment
from haepo_bench.tasks.environments.flattening import Actions, Observations, one_number


class FlatEnvironment(gymnasium.Wrapper[Array, Any, Any, Any]):
    """Shows flat observations, takes flat actions, and raises EnvironmentFault for what breaks gymnasium's contract.

    Its info is empty: libraries take keys of it, such as `episode`, for their own.

    Args:
        name: of the environment, for messages.
    """

    def __init__(
        self,
        name: str,
        env: "gymnasium.Env[Any, Any]",
        observations: Observations,
        actions: Actions,
    ) -> None:
        super().__init__(env)
        self.name = name
        self._observations = observations
        self.observation_space = observations.space
        self._actions = actions
        self.action_space = actions.space
        self._seed: int | None = None
        self._steps = 0
        #: Whether an action of this episode was not finite: what follows from that is the algorithm's doing.
        self._disturbed = False

    @property
    def spec(self) -> Any:  # type: ignore[override]  # as gymnasium.Wrapper itself does
        """That of the innermost environment: this wrapper and MiniGrid's cannot be made from a specification."""
        return self.env.unwrapped.spec

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        self._seed, self._steps, self._disturbed = seed, 0, False
        answer: Any = self._call(lambda: self.env.reset(seed=seed, options=options))
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise self._fault(f"returned a {type(answer).__name__}, not (observation, info),")
        return self._observed(answer[0]), {}

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        native = self._actions(action)
        self._disturbed |= not np.isfinite(native).all()
        answer: Any = self._call(lambda: self.env.step(native))
        if not isinstance(answer, tuple) or len(answer) != 5:
            raise self._fault("does not return (observation, reward, terminated, truncated, info)")
        observation, reward, terminated, truncated, _ = answer
        paid = self._number("reward", reward)
        if not np.isfinite(paid) and not self._disturbed:
            raise self._fault(f"returned the reward {paid}")
        ends = self._flag("terminated", terminated), self._flag("truncated", truncated)
        return self._observed(observation), paid, *ends, {}

    def _call(self, method: Callable[[], Any]) -> Any:
        """What a method of the environment returns; what it raises is the environment's doing, unless disturbed."""
        try:
            return method()
        except EnvironmentFault:
            raise
        except (Exception, SystemExit) as error:
            if self._disturbed:
                raise
            raise self._fault(f"raised {said_by(error)},") from error

    def _observed(self, observation: Any) -> Array:
        try:
            row = self._observations(observation)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise self._fault(f"returned an observation that is not of its observation_space ({error})") from error
        if not self._disturbed and not np.isfinite(row).all():
            place = int(np.flatnonzero(~np.isfinite(row))[0])
            value = self._observations.value(observation, row, place)
            raise self._fault(f"returned the observation {value} (element {place}), which single precision cannot hold")
        return row

    def _number(self, what: str, value: Any) -> float:
        try:
            return one_number(value)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise self._fault(f"returned {value!r:.60} as {what}, not one number,") from error

    def _flag(self, what: str, value: Any) -> bool:
        number = self._number(what, value)
        if np.isnan(number) and not self._disturbed:
            raise self._fault(f"returned {value!r:.60} as {what}, neither true nor false,")
        return bool(number)

    def _fault(self, problem: str) -> EnvironmentFault:
        start = f"reset(seed={self._seed})"
        where = f"at step {self._steps} after {start}" if self._steps else f"from {start}"
        return EnvironmentFault(self.name, f"{problem} {where}")


class OneByOne(VectorEnvironment):
    """One gymnasium environment per episode, made when first needed; only live episodes are stepped.

    Args:
        make: a new environment.
        features: of its observations.
        alike: whether all episodes of a seed start in one state, drawn anew at each reset.
    """

    def __init__(
        self, make: "Callable[[], gymnasium.Env[Any, Any]]", features: int, trajectories: int, *, alike: bool = False
    ) -> None:
        self._make, self._features, self._trajectories, self._alike = make, features, trajectories, alike
        self._environments: list[gymnasium.Env[Any, Any]] = []
        self._faults: dict[int, EnvironmentFault] = {}

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        observations = np.zeros((len(streams), self._trajectories, self._features), np.float32)
        while len(self._environments) < observations.shape[0] * self._trajectories:
            self._environments.append(self._make())
        for row, stream in enumerate(streams):
            seeds = stream.integers(2**31, size=self._trajectories)
            for column, seed in enumerate(seeds):
                environment = self._environments[row * self._trajectories + column]
                observations[row, column] = self._reset(environment, row, int(seeds[0] if self._alike else seed))
                if self._alike:
                    _go_on_with(environment, int(seed))
        return observations

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        observations = np.empty((len(streams), self._features), np.float32)
        for number, ((row, column), stream) in enumerate(zip(np.argwhere(where), streams, strict=True)):
            environment = self._environments[row * self._trajectories + column]
            observations[number] = self._reset(environment, int(row), int(stream.integers(2**31)))
        return observations

    def step(self, actions: Array, live: Array) -> Step:
        observations = np.zeros((*live.shape, self._features), np.float32)
        rewards = np.zeros(live.shape)
        terminated, truncated = np.zeros(live.shape, bool), np.zeros(live.shape, bool)
        for row, column in np.argwhere(live):
            environment = self._environments[row * self._trajectories + column]
            try:
                observation, reward, end, cut, _ = environment.step(actions[row, column])
            except EnvironmentFault as fault:
                self._faults.setdefault(int(row), fault)
                terminated[row, column] = True
                continue
            observations[row, column], rewards[row, column] = observation, reward
            terminated[row, column], truncated[row, column] = end, cut
        return Step(observations, rewards, terminated, truncated)

    def faults(self) -> dict[int, EnvironmentFault]:
        found, self._faults = self._faults, {}
        return found

    def close(self) -> None:
        for environment in self._environments:
            environment.close()
        self._environments.clear()

    def _reset(self, environment: "gymnasium.Env[Any, Any]", row: int, seed: int) -> Array:
        try:
            observation: Array
            observation, _ = environment.reset(seed=seed)
        except EnvironmentFault as fault:
            self._faults.setdefault(row, fault)
            return np.zeros(self._features, np.float32)
        return observation


def _go_on_with(environment: "gymnasium.Env[Any, Any]", seed: int) -> None:
    """What happens from here on is drawn anew: by gymnasium's generator, or by an environment's own."""
    if isinstance(environment, gymnasium.Wrapper) and environment.has_wrapper_attr("go_on_with"):
        environment.get_wrapper_attr("go_on_with")(seed)
    else:
        environment.unwrapped.np_random = np.random.default_rng(seed)


def first_step(environment: FlatEnvironment) -> None:
    """Takes one step, so that an environment that breaks gymnasium's contract is refused before anything trains.

    Raises:
        TaskError: says how.
    """
    space = environment.action_space
    action: Any = (
        np.clip(0.0, space.low, space.high) if isinstance(space, spaces.Box) else np.zeros(space.shape or (), int)
    )
    try:
        environment.reset(seed=0)
        environment.step(action)
    except EnvironmentFault as fault:
        raise TaskError(fault.problem, remedy="correct the environment: see gymnasium.Env") from fault
    except (Exception, SystemExit) as error:
        raise TaskError(
            f"{environment.name} fails in its first step: {said_by(error)}",
            remedy="correct the environment: reset returns (observation, info), step returns (observation, reward, "
            "terminated, truncated, info)",
        ) from error


def said_by(error: BaseException) -> str:
    """What an exception says, in one line, with what it was raised from: libraries hide causes behind guesses."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 3:
        said = str(seen) if isinstance(seen, gymnasium.error.Error) else in_words(seen)
        text = " ".join(said.split())[:500]
        if text not in parts:
            parts.append(text)
        seen = seen.__cause__
    return "; because of ".join(parts)
