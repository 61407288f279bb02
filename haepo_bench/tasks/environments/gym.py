"""Any gymnasium environment as a task: `gym/<gymnasium id>`, observations flattened or one-hot.

Environments of classic_control.py are stepped as arrays; all others one after the other through gymnasium itself.
"""

import copy
import importlib.util
import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import gymnasium
from gymnasium import spaces

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.results.record import References
from haepo_bench.tasks.base import GYMNASIUM, MAX_HORIZON, Task, VectorEnvironment
from haepo_bench.tasks.environments import atari, minatar, minigrid, mujoco
from haepo_bench.tasks.environments.classic_control import ARRAY_ENVIRONMENTS
from haepo_bench.tasks.environments.flattening import Actions, Observations
from haepo_bench.tasks.environments.foreign import FlatEnvironment, OneByOne, first_step, said_by

#: What a suite puts around an environment: a class or function that takes one and returns one.
Wrapper = Callable[["gymnasium.Env[Any, Any]"], "gymnasium.Env[Any, Any]"]
NOTHING: Mapping[str, Any] = MappingProxyType({})

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
        **dict.fromkeys(minigrid.REFERENCES, (0.0, 1.0)),
        "CartPole-v1": (1.0, float(horizon)),
        "Acrobot-v1": (-float(horizon), 0.0),
        "MountainCar-v0": (-float(horizon), -1.0),
        "MountainCarContinuous-v0": (-0.1 * horizon, 100.0),
        "Pendulum-v1": (-pendulum * horizon, 0.0),
        "FrozenLake-v1": (0.0, 1.0),
    }.get(name)


class EnvironmentTask(Task):
    """A gymnasium environment, however it is made.

    Args:
        name: of the environment, for messages.
        make: a new environment that cuts episodes off after so many steps; None for its own limit.
        limit: the environment's own limit.
        time_limit: overrides it; needed where there is none.
        kwargs: what `make` gives the environment, for a run's identity.
        wrappers: classes or functions that take an environment and return one, with their names, the innermost first.
        pixels: whether observations that look like images are images.

    Raises:
        TaskError: it cannot be made, has no time limit, or has spaces that no policy here can drive.
    """

    version = 1
    backend = GYMNASIUM

    def __init__(
        self,
        name: str,
        make: Callable[[int | None], "gymnasium.Env[Any, Any]"],
        *,
        limit: int | None,
        time_limit: int | None,
        kwargs: Mapping[str, Any] = NOTHING,
        wrappers: Sequence[tuple[str, Wrapper]] = (),
        pixels: bool = True,
    ) -> None:
        self.id, self._name, self._made, self._wrappers = name, name, make, wrappers
        self.horizon = checked_horizon(name, limit, time_limit)
        given = {"kwargs": dict(kwargs), "wrappers": [name for name, _ in wrappers]}
        self.inputs = {key: json.dumps(value, sort_keys=True) for key, value in given.items() if value}
        probe = self._make(self.horizon)
        try:
            self._observations = Observations(name, probe.observation_space, pixels=pixels)
            self._actions = Actions(name, probe.action_space)
        finally:
            probe.close()
        self.observation_space, self.action_space = self._observations.space, self._actions.space
        self.image = self._observations.image
        self.summary = f"the environment {name}"
        self.tags = ("continuous",) if isinstance(self.action_space, spaces.Box) else ()

    def vector(self, trajectories: int) -> VectorEnvironment:
        return self._one_by_one(trajectories)

    def paired(self, trajectories: int) -> VectorEnvironment:
        return self._one_by_one(trajectories, alike=True)

    def check(self) -> None:
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
        return FlatEnvironment(self.id, made, self._observations, self._actions)

    def _make(self, horizon: int | None) -> "gymnasium.Env[Any, Any]":
        environment = self._made(horizon)
        for named, wrap in self._wrappers:
            try:
                environment = wrap(environment)
            except (Exception, SystemExit) as error:
                raise TaskError(
                    f"the wrapper {named} cannot go around {self._name}: {said_by(error)}",
                    remedy="a wrapper takes an environment and nothing else; correct it or leave it out",
                    key="wrappers",
                ) from error
        if not isinstance(environment, gymnasium.Env):
            raise TaskError(f"{self._name} is a {type(environment).__name__}, not a gymnasium.Env", key="wrappers")
        return environment


class GymTask(EnvironmentTask):
    """An environment of gymnasium's registry.

    Args:
        gymnasium_id: as `gymnasium.make` takes it.
        time_limit: overrides the environment's own limit; needed where it has none.
        kwargs: keyword arguments of the environment.
        wrappers: what goes around it, with names, the innermost first.
        spec: its registration, where that is not under its id.

    Raises:
        TaskError: it cannot be made, has no time limit, or has spaces that no policy here can drive.
    """

    def __init__(
        self,
        gymnasium_id: str,
        time_limit: int | None,
        *,
        kwargs: Mapping[str, Any] = NOTHING,
        wrappers: Sequence[tuple[str, Wrapper]] = (),
        spec: Any = None,
    ) -> None:
        self._gymnasium_id = gymnasium_id
        mini = gymnasium_id.startswith(minigrid.PREFIX)
        package = next((each for each in (minigrid, minatar, atari) if gymnasium_id.startswith(each.PREFIX)), None)
        if package is not None:
            package.load()
        self.registration = spec or _spec(gymnasium_id)
        mujoco.load(self.registration)
        limit = self.registration.max_episode_steps
        preprocessed = package is atari and atari.preprocesses(kwargs, wrappers)
        given = {**kwargs, "frameskip": 1} if preprocessed else kwargs

        def make(horizon: int | None) -> "gymnasium.Env[Any, Any]":
            if preprocessed:  # a step is one of these frames, not one of the game's
                return _limited(atari.preprocessed(_make(spec or gymnasium_id, gymnasium_id, None, given)), horizon)
            made = _make(spec or gymnasium_id, gymnasium_id, horizon, given)
            if mini:
                return minigrid.image(made)
            return minatar.Apart(made) if package is minatar else made

        if mini:
            probe = make(None)
            limit = minigrid.own_limit(probe)
            probe.close()
            time_limit = None if time_limit is None else min(time_limit, limit)
        elif package is minatar:
            limit = limit or minatar.LIMIT
        elif preprocessed:
            limit = limit or atari.LIMIT
        as_registered = not kwargs and not wrappers and spec is None
        super().__init__(
            gymnasium_id,
            make,
            limit=limit,
            time_limit=time_limit,
            kwargs=kwargs,
            wrappers=wrappers,
            # MiniGrid's are tables of cells: kind, colour and state are numbers of things, not of light.
            pixels=not mini,
        )
        self.id = f"gym/{gymnasium_id}"
        self.summary = f"gymnasium's {gymnasium_id}" + (f": {atari.PREPROCESSED}" if preprocessed else "")
        # References hold for the environment as it is registered, not for another time limit.
        known = minigrid.REFERENCES if mini else REFERENCES
        self.references = known.get(gymnasium_id) if as_registered and self.horizon == limit else None
        self.return_bounds = return_bounds(gymnasium_id, self.horizon) if as_registered else None
        if as_registered and gymnasium_id in ARRAY_ENVIRONMENTS:
            self.backend, self.deterministic = "array", True

    def vector(self, trajectories: int) -> VectorEnvironment:
        if self.backend == "array":
            return ARRAY_ENVIRONMENTS[self._gymnasium_id](trajectories, self.horizon)
        return super().vector(trajectories)

    def paired(self, trajectories: int) -> VectorEnvironment:
        if self.backend == "array":
            return ARRAY_ENVIRONMENTS[self._gymnasium_id](trajectories, self.horizon, alike=True)
        return super().paired(trajectories)

    def check(self) -> None:
        if self.backend == GYMNASIUM:
            super().check()


def _make(source: Any, gymnasium_id: str, horizon: int | None, kwargs: Mapping[str, Any]) -> "gymnasium.Env[Any, Any]":
    try:
        with warnings.catch_warnings():
            # That a newer version exists: the suite's author chose this one.
            warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
            # Arguments of its own for each environment, which may change them.
            own = copy.deepcopy(dict(kwargs))
            return gymnasium.make(source, max_episode_steps=horizon, disable_env_checker=True, **own)
    except (Exception, SystemExit) as error:  # other people's code can fail in any way
        raise TaskError(
            f"gymnasium cannot make {gymnasium_id}: {said_by(error)}",
            remedy="correct the kwargs" if kwargs else "install what it names, or choose another environment",
            key="kwargs" if kwargs else "",
        ) from error


def _limited(environment: "gymnasium.Env[Any, Any]", horizon: int | None) -> "gymnasium.Env[Any, Any]":
    return environment if horizon is None else gymnasium.wrappers.TimeLimit(environment, horizon)


def make(
    variant: str,
    *,
    time_limit: int | None = None,
    kwargs: Mapping[str, Any] = NOTHING,
    wrappers: Sequence[tuple[str, Wrapper]] = (),
) -> Task:
    """`gym/<gymnasium id>`."""
    return GymTask(variant, time_limit, kwargs=kwargs, wrappers=wrappers)


def _spec(gymnasium_id: str) -> Any:
    _check_module(gymnasium_id)
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


def _check_module(gymnasium_id: str) -> None:
    """Checks that the module that registers an environment can be imported: `maze` in `maze:Maze-v0`.

    Raises:
        TaskError: it cannot; gymnasium would report a missing environment instead.
    """
    module, colon, _ = gymnasium_id.partition(":")
    if not colon:
        return
    if not all(part.isidentifier() for part in module.split(".")):
        raise TaskError(
            f"'{module}' cannot be the name of a module that registers an environment",
            remedy="give the file a name of letters, digits and underscores, and write it without .py, as in "
            "gym/my_maze:Maze-v0",
        )
    top = module.partition(".")[0]
    if importlib.util.find_spec(top) is None:
        raise TaskError(
            f"the module '{top}', which should register the environment '{gymnasium_id}', was not found",
            remedy=f"put {top}.py into the suite's folder, or install it",
        )


def checked_horizon(name: str, limit: int | None, time_limit: int | None) -> int:
    """Most steps of an episode: the time limit asked for, else the environment's own.

    Raises:
        TaskError: neither is there, or episodes would be too long to keep.
    """
    horizon = limit if time_limit is None else time_limit
    if horizon is None:
        raise TaskError(f"{name} has no time limit of its own", remedy="give the task a time_limit (steps per episode)")
    if horizon < 1:
        raise TaskError(
            f"{name} says that its episodes take at most {horizon} steps",
            remedy="correct that, or give the task a time_limit",
        )
    if horizon > MAX_HORIZON:
        raise TaskError(
            f"{name} has episodes of up to {horizon:,} steps; whole batches of episodes are kept in memory",
            remedy=f"give the task a time_limit of at most {MAX_HORIZON:,}",
            key="time_limit",
        )
    return horizon
