"""Tables of states with certain moves, and episodes that follow them: as arrays here, by the compiled engine there."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from haepo_bench.tasks.base import Array, Step, VectorEnvironment


@dataclass(frozen=True, eq=False)
class StateTable:
    """All that the steps of a finite task follow.

    Args:
        next_state: [state, action] int64.
        reward: [state, action] float64, its expectation.
        terminal: [state] bool, where episodes end.
        observations: [state, feature] float32.
        horizon: steps after which an episode is cut off.
        noise: [state, action]; each step gives the reward plus or minus this, with probability one half each. None: 0.
        late: what arriving in a terminal state costs of the reward after all steps of the horizon, and after t of
            them in proportion.
        shows_action: whether the action before is shown after the features, one-hot; zeros at the start.
        measures: column name to [state], a property of episodes that is read off the state they end in.
    """

    next_state: Array
    reward: Array
    terminal: Array
    observations: Array
    horizon: int
    noise: Array | None = None
    late: float = 0.0
    shows_action: bool = False
    measures: Mapping[str, Array] = field(default_factory=dict)


class TableEpisodes(VectorEnvironment):
    """Episodes of a table; all that is random about one is drawn when it starts."""

    def __init__(self, table: StateTable, trajectories: int) -> None:
        self.table, self._trajectories = table, trajectories
        actions = table.next_state.shape[1]
        self._no_action = actions
        # By action: how it is shown; the last one is none.
        self._actions = np.vstack([np.eye(actions, dtype=np.float32), np.zeros((1, actions), np.float32)])

    @abstractmethod
    def _begin(self, streams: Sequence[np.random.Generator], shape: tuple[int, ...]) -> Array:
        """Start states int64 [stream, *shape] of all trajectories of each stream, or (`shape` is ()) of one."""

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        shape = (self._trajectories,)
        self._state, self._signs = self._begin(streams, shape), self._draw_signs(streams, shape)
        self._time, self._last = np.zeros_like(self._state), np.full_like(self._state, self._no_action)
        return self._observed()

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        self._state[where] = self._begin(streams, ())
        signs = self._draw_signs(streams, ())
        if self._signs is not None:
            self._signs[where] = signs
        self._time[where], self._last[where] = 0, self._no_action
        shown: Array = self._observed()[where]
        return shown

    def step(self, actions: Array, live: Array) -> Step:
        table = self.table
        rewards = table.reward[self._state, actions]
        if self._signs is not None and table.noise is not None:
            now = np.minimum(self._time, table.horizon - 1)[..., None]
            sign = np.take_along_axis(self._signs, now, -1)[..., 0]
            rewards = rewards + table.noise[self._state, actions] * sign
        self._state = np.where(live, table.next_state[self._state, actions], self._state)
        self._last = np.where(live, actions, self._last)
        self._time += live
        terminated = table.terminal[self._state]
        if table.late:
            rewards = np.where(terminated, rewards - table.late * self._time / table.horizon, rewards)
        return Step(self._observed(), rewards, terminated, ~terminated & (self._time >= table.horizon))

    def running(self) -> dict[str, Array]:
        signs = {} if self._signs is None else {"signs": self._signs}
        return {"state": self._state, "time": self._time, "last": self._last, **signs}

    def measures(self) -> dict[str, Array]:
        return self.measures_of(self.state)

    # What follows is how the compiled engine steps it: `state` as classic control has it.

    @property
    def state(self) -> Array:
        """[variable, seed, trajectory] float64: the state's number, steps taken, the action before."""
        return np.stack([self._state, self._time, self._last]).astype(np.float64)

    @state.setter
    def state(self, state: Array) -> None:
        self._state, self._time, self._last = state.astype(np.int64)

    def starts(self, streams: Sequence[np.random.Generator]) -> Array:
        """Where single episodes start that are started anew: [episode, variable]."""
        states = self._begin(streams, ())
        return np.stack([states, np.zeros_like(states), np.full_like(states, self._no_action)], 1).astype(np.float64)

    def observe(self, state: Array) -> Array:
        """Observations [feature, ...] float32 of states [variable, ...]."""
        number, _, last = state.astype(np.int64)
        return np.moveaxis(self._show(number, last), -1, 0)

    def measures_of(self, state: Array) -> dict[str, Array]:
        """What episodes that end in states [variable, ...] measure; where there is no state it has no meaning."""
        ended = np.clip(np.nan_to_num(state[0]), 0, len(self.table.terminal) - 1).astype(np.int64)
        return {name: values[ended] for name, values in self.table.measures.items()}

    def _observed(self) -> Array:
        return self._show(self._state, self._last)

    def _show(self, number: Array, last: Array) -> Array:
        shown: Array = self.table.observations[number]
        return np.concatenate([shown, self._actions[last]], -1) if self.table.shows_action else shown

    def _draw_signs(self, streams: Sequence[np.random.Generator], shape: tuple[int, ...]) -> Array | None:
        """Signs of the reward noise, int8 [stream, *shape, step]; None without noise.

        A stream is read alike whichever episodes end early, because nothing is drawn later.
        """
        if self.table.noise is None:
            return None
        size = (*shape, self.table.horizon)
        heads = np.array([stream.integers(2, size=size, dtype=np.int8) for stream in streams], np.int8)
        signs: Array = 2 * heads.reshape(len(streams), *size) - 1
        return signs
