"""Environments of EnvPool (Weng et al. 2022, arXiv 2206.10558) as tasks: `envpool/<EnvPool's id>`, stepped in C++.

A family of its own, not a faster way to step `gym/`: its dynamics are EnvPool's own, in other precision and with other
start states from the same stream, so what a run was stepped by must not depend on what happens to be installed.

EnvPool cannot seed an environment that it has made. So every `reset` makes a new pool with one seed an episode, drawn
from the streams of the rollout. An episode that is restarted goes on with its environment's generator instead: it
depends on its seed's stream, its place and all that was done there before, and still on no other seed.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.tasks.base import Array, Step, Task, VectorEnvironment
from haepo_bench.tasks.environments.flattening import Actions, Observations
from haepo_bench.tasks.environments.gym import REFERENCES, checked_horizon, return_bounds

#: EnvPool's way to say that an environment has no time limit.
_UNLIMITED = np.iinfo(np.int32).max


class EnvPoolTask(Task):
    """An environment of EnvPool.

    Args:
        name: as EnvPool lists it.
        time_limit: overrides the environment's own limit; needed where it has none.

    Raises:
        TaskError: EnvPool is not installed or has no such environment, it has no time limit, or it has spaces that no
            policy here can drive.
    """

    version = 1
    backend = "envpool"

    def __init__(self, name: str, time_limit: int | None) -> None:
        self.id = f"envpool/{name}"
        self._name = name
        self._envpool = _library()
        known = self._envpool.list_all_envs()
        if name not in known:
            raise TaskError(
                f"EnvPool has no environment '{name}'",
                remedy=did_you_mean(
                    name,
                    known,
                    kind="environment",
                    family="envpool/",
                    more='`python -c "import envpool; print(envpool.list_all_envs())"`',
                ),
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the precision of bounds
            spec = self._envpool.make_spec(name)
            observation_space, action_space = spec.observation_space, spec.action_space
        if isinstance(observation_space, spaces.Dict | spaces.Tuple):
            raise TaskError(
                f"EnvPool's {name} has observations of kind {type(observation_space).__name__}, of which EnvPool makes "
                "one array per entry",
                remedy=f"use gym/{name}, where they are flattened, or an environment that observes one array",
            )
        own = int(spec.config.max_episode_steps)
        limit = None if own == _UNLIMITED else own
        self.horizon = checked_horizon(name, limit, time_limit)
        self.observations = Observations(name, _honest(observation_space))
        self.observation_space, self.image = self.observations.space, self.observations.image
        self.actions = Actions(name, action_space)
        self.action_space = self.actions.space
        self.summary = f"EnvPool's {name}"
        self.tags = ("continuous",) if isinstance(self.action_space, spaces.Box) else ()
        self.references = REFERENCES.get(name) if self.horizon == limit else None
        self.return_bounds = return_bounds(name, self.horizon)

    def vector(self, trajectories: int) -> VectorEnvironment:
        return _Pool(self, trajectories)

    def paired(self, trajectories: int) -> VectorEnvironment:
        return _Pool(self, trajectories, alike=True)

    def pool(self, seeds: list[int]) -> Any:
        """A pool of environments, one per seed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # One thread, as all workers have; results do not depend on it. The time limit is kept by `_Pool`, because
            # EnvPool does not say of an episode that ends at its very limit that it ended by itself.
            made = self._envpool.make_gymnasium(
                self._name, num_envs=len(seeds), seed=seeds, num_threads=1, max_episode_steps=self.horizon + 1
            )
            made.observation_space  # noqa: B018 (made when first asked for, and complains then)
            return made


class _Pool(VectorEnvironment):
    """Episode [seed, trajectory] is environment seed * trajectories + trajectory of the pool; only live ones step.

    Args:
        alike: whether all episodes of a seed start in one state, drawn anew at each reset; since EnvPool cannot seed
            twice, whatever an environment draws later they share, too.
    """

    def __init__(self, task: EnvPoolTask, trajectories: int, *, alike: bool = False) -> None:
        self._task, self._trajectories, self._alike = task, trajectories, alike
        self._pool: Any = None
        (self._features,) = task.observation_space.shape

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        self.close()
        drawn = [stream.integers(2**31 - 1, size=self._trajectories) for stream in streams]
        seeds = [int(own[0] if self._alike else seed) for own in drawn for seed in own]
        self._pool = self._task.pool(seeds)
        self._time = np.zeros((len(streams), self._trajectories), np.int64)
        return self._start(np.arange(len(seeds))).reshape(*self._time.shape, self._features)

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        self._time[where] = 0
        return self._start(np.flatnonzero(where))

    def step(self, actions: Array, live: Array) -> Step:
        places = np.flatnonzero(live)
        observations = np.zeros((live.size, self._features), np.float32)
        rewards, ends = np.zeros(live.size), np.zeros(live.size, bool)
        if places.size:
            taken = self._task.actions.rows(actions.reshape(live.size, *actions.shape[2:])[places])
            shown, paid, ended, _, information = self._pool.step(taken, places)
            came = information["env_id"]  # in whichever order they came
            observations[came] = self._task.observations.rows(shown)
            rewards[came], ends[came] = paid, ended
        self._time += live
        terminated: Array = ends.reshape(live.shape)
        truncated = ~terminated & (self._time >= self._task.horizon)
        return Step(
            observations.reshape(*live.shape, self._features), rewards.reshape(live.shape), terminated, truncated
        )

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _start(self, places: Array) -> Array:
        """Starts the environments at these places; their observations [place, feature]."""
        shown, information = self._pool.reset(places)
        rows = np.empty((len(places), self._features), np.float32)
        rows[np.searchsorted(places, information["env_id"])] = self._task.observations.rows(shown)
        return rows


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`envpool/<EnvPool's id>`."""
    return EnvPoolTask(variant, time_limit)


def _library() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import envpool
    except (ImportError, OSError) as error:  # OSError: a shared library or a data file of it that is missing
        raise TaskError(
            f"EnvPool cannot be imported: {' '.join(str(error).split())}",
            remedy="pip install 'haepo-bench[envpool]', or use gym/ instead of envpool/",
        ) from error
    return envpool


def _honest(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """The space with infinite bounds where EnvPool has the limits of its number type for them."""
    if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        return space
    limits = np.finfo(space.dtype)
    # Some low bounds are C++'s numeric_limits::min, the least positive number.
    low = np.where((space.low == limits.tiny) | (space.low == limits.min), -np.inf, space.low)
    high = np.where(space.high == limits.max, np.inf, space.high)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return spaces.Box(low, high, dtype=np.float32)
