"""What a task is: a source of episodes for many seeds at once, with fixed reference returns.

A task file defines one `Task` whose `vector` steps all seeds and trajectories as arrays. `GymnasiumAdapter` below shows
the same task to libraries that expect a single environment.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from haepo_bench.errors import EnvironmentFault
from haepo_bench.results.columns import Column
from haepo_bench.results.record import References
from haepo_bench.tasks.images import Image

Array = NDArray[Any]
#: One choice, several choices at once, or numbers within bounds.
ActionSpace = spaces.Discrete | spaces.MultiDiscrete | spaces.Box

#: The measure by which a task whose training rewards are not its own tells what its own return was.
CLEAN_RETURN = "clean_return"

#: Backend of tasks that are prompts and responses, not steps: what trains language models trains on these alone.
LANGUAGE = "language"

#: Backend of tasks whose environments gymnasium steps, one after the other.
GYMNASIUM = "gymnasium"

#: Steps of the longest episodes that are taken on.
MAX_HORIZON = 100_000

#: Tag of tasks of which training is shown nothing (random_reward.py).
CONTROL = "control"


class Normalise(NamedTuple):
    """What training normalises by running statistics.

    Args:
        observations: by their mean and standard deviation.
        rewards: by the standard deviation of the discounted return.
    """

    observations: bool
    rewards: bool


class Step(NamedTuple):
    """One step of all episodes.

    Args:
        observations: [seed, trajectory, *observation] float32.
        rewards: [seed, trajectory] float64.
        terminated: [seed, trajectory] bool: the episode ended in the task's own sense.
        truncated: [seed, trajectory] bool: the episode was cut off by a time limit; not an end in the task's sense.
    """

    observations: Array
    rewards: Array
    terminated: Array
    truncated: Array


class Uniform(NamedTuple):
    """What the uniformly random policy does in an episode: the yardstick that exploration is measured with.

    Args:
        steps: mean length.
        visits: [state] probability that an episode visits a state; None where coverage is not counted.
        success: probability that an episode is a success; None where successes are not counted.
    """

    steps: float
    visits: Array | None = None
    success: float | None = None


class Moves(NamedTuple):
    """How the episodes of a task with finitely many states and certain moves go on, and what is seen in them.

    Args:
        next_state: [state, action] int; what it says of terminal states has no meaning.
        terminal: [state] bool, where episodes end.
        start: [state] probability that an episode starts there.
        features: [state, feature] that are shown of a state.
        horizon: steps after which an episode is cut off.
    """

    next_state: Array
    terminal: Array
    start: Array
    features: Array
    horizon: int


class VectorEnvironment(ABC):
    """Episodes of many seeds side by side, axes [seed, trajectory]; every seed draws from its own stream only.

    What happens in one episode depends on its seed's stream, its place among the seed's trajectories and its actions
    (once restarted: on its own stream and its actions): never on the other seeds, nor on which other episodes still
    live.
    """

    @abstractmethod
    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        """Starts all episodes anew, those of as many seeds as there are streams.

        Returns:
            Observations [seed, trajectory, *observation] float32.
        """

    @abstractmethod
    def step(self, actions: Array, live: Array) -> Step:
        """Steps the episodes where `live` [seed, trajectory] is true; what is returned elsewhere has no meaning.

        Args:
            actions: [seed, trajectory] int64 for discrete actions, [seed, trajectory, choice] int64 for several at
                once, [seed, trajectory, action] float32 within the bounds of the action space for continuous ones.
        """

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        """Starts single episodes anew after a `reset`; the others go on. Needed by algorithms that collect segments.

        Args:
            where: [seed, trajectory] bool, which episodes.
            streams: one per episode that starts, in the order of `np.argwhere(where)`.

        Returns:
            Observations [episode, *observation] float32 of those that start.
        """
        raise NotImplementedError

    @property
    def restarts(self) -> bool:
        """Whether `restart` is implemented."""
        return type(self).restart is not VectorEnvironment.restart

    def running(self) -> dict[str, Array]:
        """All that its episodes go on from, by name: its own arrays [seed, ...], with what is written into them.

        Needed by checkpoints of algorithms that collect segments, whose episodes go on from one iteration to the next.
        """
        raise NotImplementedError

    @property
    def resumes(self) -> bool:
        """Whether `running` is implemented."""
        return type(self).running is not VectorEnvironment.running

    def visited(self) -> Array | None:
        """State numbers [seed, trajectory] int64 of the current states, for tasks that number them."""
        return None

    def measures(self) -> dict[str, Array]:
        """What the task measures besides returns, of episodes that have ended: column to [seed, trajectory] float64."""
        return {}

    def faults(self) -> dict[int, EnvironmentFault]:
        """What environments of other people did wrong since this was last asked, by the row of the seed.

        The seed's run fails. Its observations and rewards from then on have no meaning.
        """
        return {}

    def close(self) -> None:
        """Lets go of what the environment holds."""


class Task(ABC):
    """One task: `family/variant`, made by the catalogue."""

    #: The module that defines it, of a wrapped task that of the innermost one; part of what a run executes.
    module: str

    #: Address, such as `random-walk/20`.
    id: str
    #: Raised when the task changes in any way that moves its returns; part of a run's identity.
    version: int
    summary: str
    #: Such as exploration, credit, noise, length, continuous, floor.
    tags: tuple[str, ...] = ()
    #: Most steps of an episode: every episode ends or is cut off here.
    horizon: int
    observation_space: spaces.Box
    #: The image that an observation is, laid end to end; None where it is a vector.
    image: Image | None = None
    action_space: ActionSpace
    #: None where no reference returns are known: then there are returns but no score.
    references: References | None = None
    #: The least and the greatest return that an episode can have; None where they are not known.
    return_bounds: tuple[float, float] | None = None
    #: [group, action] expected return of an episode that consists of one action, started in that group; None for all
    #: other tasks. Policies are then evaluated by their exact expected return instead of by episodes.
    expected_returns: Array | None = None
    #: Probability with which the order of two returns is reported reversed to algorithms that learn from pairs.
    flip: float = 0.0
    #: What training normalises by running statistics of each seed; None for nothing. Evaluated are raw returns.
    normalise: Normalise | None = None
    #: Number of states that coverage is counted over; None where it is not counted.
    states: int | None = None
    #: Numbers of the states that are goals, for tasks with several; they are found when visited.
    goals: tuple[int, ...] = ()
    #: Return from which on an episode is a success; None where successes are not counted.
    success_return: float | None = None
    #: What the uniformly random policy does; None where exploration is not measured.
    uniform: Uniform | None = None
    #: Start states in a batch; trajectories are compared with those from the same one.
    groups: int = 1
    #: What its `measures` are called in tables and mean; those that neither it nor the registry of columns
    #: (results/columns.py) names are shown under their own names.
    columns: tuple[Column, ...] = ()
    #: How the environment is stepped: `array` (all episodes at once), `gymnasium` (one after the other), another
    #: library; LANGUAGE where there is none to step.
    backend: str = "array"
    #: Whether a state and an action always lead to the same next state (rewards and start states may be random).
    deterministic: bool = False
    #: gymnasium's specification of the environment that it steps, where it steps one of its registry.
    registration: Any = None
    #: What else its episodes depend on, such as the contents of files: part of a run's identity.
    inputs: Mapping[str, str] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.module = cls.__module__

    @abstractmethod
    def vector(self, trajectories: int) -> VectorEnvironment:
        """An environment of `trajectories` episodes per seed, for as many seeds as each `reset` has streams for."""

    def grouped(self, trajectories: int) -> VectorEnvironment:
        """As `vector`, of `groups` x `trajectories` episodes, group by group; those of a group share a start state."""
        return self.vector(trajectories)

    def paired(self, trajectories: int) -> VectorEnvironment:
        """As `grouped`, and the episodes of a group start alike also where the task draws its start states.

        What is drawn later is each episode's own. Tasks that draw no start states need not say anything.
        """
        return self.grouped(trajectories)

    def check(self) -> None:
        """Tries what only a first step shows, before anything trains.

        Raises:
            TaskError: its environment does not do what an environment must.
        """
        return

    def expert(self) -> Array | None:
        """Actions [time, state] of a policy that is best, for tasks that number their states (`visited`); else None."""
        return None

    def moves(self) -> Moves | None:
        """How its states follow each other, for tasks that know it and number their states (`visited`); else None."""
        return None

    @property
    def observation_dtype(self) -> type[np.float32] | type[np.uint8]:
        """What holds the numbers of an observation where many are kept: bytes hold the pixels of most images."""
        normalised = self.normalise is not None and self.normalise.observations
        return np.uint8 if self.image is not None and self.image.whole and not normalised else np.float32

    @property
    def probe_name(self) -> str:
        """What the file of the task's probe set is called, without its ending (probes.py)."""
        return f"{quote(self.id, safe='')}@{self.version}"

    @property
    def forgets(self) -> bool:
        """Whether nothing that happened before a `reset` matters after it, which other people's environments may break.

        Checkpoints of algorithms that collect whole episodes rest on it.
        """
        return self.backend != GYMNASIUM

    def training(self) -> "Task":
        """The task as training sees it; evaluation sees the task itself. Only wrappers tell the two apart."""
        return self

    def environment(self) -> "gymnasium.Env[Any, Any]":
        """A single gymnasium environment of the same task, for libraries that expect one."""
        return GymnasiumAdapter(self)


class GymnasiumAdapter(gymnasium.Env[Array, Any]):
    """One episode of a task's vector environment as a gymnasium environment.

    Its info holds `state`, where the task numbers its states, and after each step `measures`, which count at an
    episode's end.
    """

    def __init__(self, task: Task) -> None:
        self._vector = task.vector(1)
        self._name = task.id
        self.observation_space = task.observation_space
        self.action_space = task.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """As gymnasium's; the stream is the environment's own `np_random`."""
        super().reset(seed=seed)
        return self._vector.reset([self.np_random])[0, 0], self._state()

    def step(self, action: Any) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        step = self._vector.step(np.asarray(action)[None, None], np.ones((1, 1), dtype=bool))
        reward = float(step.rewards[0, 0])
        for fault in self._vector.faults().values():
            raise fault
        if np.isfinite(action).all():
            if not isfinite(reward):
                raise EnvironmentFault(self._name, f"returned the reward {reward}")
            if not np.isfinite(step.observations).all():
                raise EnvironmentFault(self._name, "returned observations that are not finite")
        return (
            step.observations[0, 0],
            reward,
            bool(step.terminated[0, 0]),
            bool(step.truncated[0, 0]),
            {"measures": {name: float(values[0, 0]) for name, values in self._vector.measures().items()}}
            | self._state(),
        )

    def _state(self) -> dict[str, int]:
        states = self._vector.visited()
        return {} if states is None else {"state": int(states[0, 0])}

    def close(self) -> None:
        self._vector.close()
