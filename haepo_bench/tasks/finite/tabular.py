"""Finite tasks given as tables: everything else, from stepping to exact references, follows from them.

A family builds its tables and hands them to `Tabular`; deep_sea.py is a short example.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.results.record import References
from haepo_bench.tasks.base import MAX_HORIZON, Array, Moves, Task, Uniform, VectorEnvironment
from haepo_bench.tasks.finite.table import StateTable, TableEpisodes
from haepo_bench.tasks.wrappers.observations import Window


class Forward(NamedTuple):
    """The uniform policy's episodes, carried forward exactly.

    Args:
        value: expected return.
        steps: mean length.
        arrivals: [state] expected number of times that an episode arrives in a state, its start included.
        once: whether no state can be occupied at two different times.
    """

    value: float
    steps: float
    arrivals: Array
    once: bool


class Tabular(Task):
    """A task with finitely many states and known, deterministic moves.

    States that cannot be reached from a start are dropped, the others renumbered in their order; `states`, `goals` and
    the environment's `visited` speak of those that are left.

    Args:
        address: such as `deep-sea/10`.
        next_state: [state, action] int.
        reward: [state, action], its expectation.
        terminal: [state] bool, where episodes end; what the other tables say of these states has no meaning.
        start: where every episode starts, or [state] the probability that one starts there.
        horizon: steps after which an episode is cut off.
        observations: [state, feature]; one-hot where not given.
        reward_noise: [state, action]; each step gives the reward plus or minus this, with probability one half each, so
            it is the reward's standard deviation.
        window: number of latest observations that are shown side by side, oldest first, zeros before the start.
        goals: states, for tasks with several goals.
        successes: terminal states whose episodes are the successes.
        success_return: return from which on an episode is a success; must agree with `successes`.
        measures: column name to [state], a property of episodes that is read off the state they end in.

    Raises:
        ValueError: the tables do not fit together.
        TaskError: the horizon is out of bounds.
    """

    deterministic = True

    def __init__(
        self,
        address: str,
        summary: str,
        *,
        version: int,
        next_state: Array,
        reward: Array,
        terminal: Array,
        start: int | Array,
        horizon: int,
        observations: Array | None = None,
        reward_noise: Array | None = None,
        window: int = 1,
        goals: Sequence[int] = (),
        successes: Sequence[int] = (),
        success_return: float | None = None,
        measures: Mapping[str, Array] | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        if not 1 <= horizon <= MAX_HORIZON:
            raise TaskError(
                f"{address} cannot have episodes of {horizon:,} steps", remedy=f"1 to {MAX_HORIZON:,} are possible"
            )
        states, actions = next_state.shape
        start = np.asarray(start)
        if start.ndim == 0:
            start = np.bincount([int(start)], minlength=states).astype(np.float64)
        if reward.shape != (states, actions) or terminal.shape != (states,) or start.shape != (states,):
            raise ValueError(f"{address}: the tables disagree about the number of states or actions")
        if not np.isclose(start.sum(), 1.0) or start.min() < 0 or start[terminal].any():
            raise ValueError(f"{address}: the start must be a distribution over states that are not terminal")
        kept = _reachable(next_state, terminal, start)
        number = np.full(states, -1)
        number[kept] = np.arange(len(kept))
        self.id, self.summary, self.version, self.tags, self.horizon = address, summary, version, tags, horizon
        self.next_state = number[np.where(terminal[:, None], np.arange(states)[:, None], next_state)[kept]]
        self.reward = np.where(terminal[:, None], 0.0, reward)[kept]
        self.terminal, self.start = terminal[kept], start[kept]
        self.reward_noise = None if reward_noise is None else reward_noise[kept]
        self._features = None if observations is None else observations[kept].astype(np.float32)
        self._one_hot = kept, states
        self.window = window
        self.end_measures = {name: np.asarray(values, np.float64)[kept] for name, values in (measures or {}).items()}
        self.states = len(kept)
        self.goals, self.successes = (tuple(int(number[s]) for s in named) for named in (goals, successes))
        if -1 in self.goals + self.successes or not all(self.terminal[s] for s in self.successes):
            raise ValueError(f"{address}: goals and successes must be within reach, and successes terminal")
        self.success_return = success_return
        low, high, features = 0.0, 1.0, states
        if self._features is not None:
            low, high, features = float(self._features.min()), float(self._features.max()), self._features.shape[1]
        self.observation_space = spaces.Box(min(low, 0.0), max(high, 0.0), (window * features,), np.float32)
        self.action_space = spaces.Discrete(actions)

    def vector(self, trajectories: int) -> VectorEnvironment:
        return self._shown(_Starts(self, trajectories))

    def paired(self, trajectories: int) -> VectorEnvironment:
        return self._shown(_Starts(self, trajectories, alike=True))

    def _shown(self, episodes: VectorEnvironment) -> VectorEnvironment:
        return episodes if self.window == 1 else Window(episodes, self.window)

    @cached_property
    def observations(self) -> Array:
        """[state, feature] float32; made when first needed, since one-hot ones grow with the square of the states."""
        if self._features is not None:
            return self._features
        kept, states = self._one_hot
        observations = np.zeros((len(kept), states), np.float32)
        observations[np.arange(len(kept)), kept] = 1.0
        return observations

    @cached_property
    def table(self) -> StateTable:
        """What its steps follow."""
        return StateTable(
            next_state=np.ascontiguousarray(self.next_state, np.int64),
            reward=np.ascontiguousarray(self.reward, np.float64),
            terminal=np.ascontiguousarray(self.terminal, np.bool_),
            observations=np.ascontiguousarray(self.observations, np.float32),
            horizon=self.horizon,
            noise=self.reward_noise,
            measures=self.end_measures,
        )

    @cached_property
    def references(self) -> References | None:  # type: ignore[override]  # computed once, when asked for
        """Exact; None where no policy does better than the uniform one within the horizon."""
        random, solved = self.forward.value, self.optimal_return()
        if solved - random < 1e-9:
            return None
        return References(
            random=random, solved=solved, source="exact: the uniform and the optimal policy's expected returns"
        )

    @cached_property
    def return_bounds(self) -> tuple[float, float] | None:  # type: ignore[override]  # computed once, when asked for
        """Exact: what the luckiest best and the unluckiest worst of all episodes return."""
        noise = np.zeros_like(self.reward) if self.reward_noise is None else np.abs(self.reward_noise)
        least, greatest = np.zeros(len(self.terminal)), np.zeros(len(self.terminal))
        for _ in range(self.horizon):
            least = (self.reward - noise + least[self.next_state]).min(1)
            greatest = (self.reward + noise + greatest[self.next_state]).max(1)
        starts = self.start > 0
        return float(least[starts].min()), float(greatest[starts].max())

    @cached_property
    def uniform(self) -> Uniform | None:  # type: ignore[override]  # computed once, when asked for
        """Exact; visits within rounding."""
        visits = np.clip(self.visit_probabilities(), 0.0, 1.0)
        # Successes end the episode: arriving there and having visited them is the same.
        success = None if self.success_return is None else float(self.forward.arrivals[list(self.successes)].sum())
        return Uniform(self.forward.steps, visits, success)

    @cached_property
    def forward(self) -> Forward:
        """What the uniform policy does, by carrying the distribution over states through the horizon."""
        states, actions = self.next_state.shape
        targets, expected = self.next_state.ravel(), self.reward.mean(1)
        at = self.start.copy()
        arrivals, times = at.copy(), (at > 0).astype(int)
        value = steps = 0.0
        for _ in range(self.horizon):
            value += float(at @ expected)
            steps += float(at.sum())
            at = np.bincount(targets, np.repeat(at / actions, actions), minlength=states)
            arrivals += at
            times += at > 0
            at[self.terminal] = 0.0
            if not at.any():
                break
        # A terminal state may be arrived in at many times, but only once per episode.
        return Forward(value, steps, arrivals, bool((times[~self.terminal] <= 1).all()))

    def visit_probabilities(self) -> Array:
        """[state] probability that an episode of the uniform policy visits a state, exact.

        Where no state can be occupied at two times this is the expected number of arrivals. Otherwise every state
        becomes a target, and the probabilities [state, target] of hitting it within t steps are carried on to t + 1:
        memory and time per step grow with the square of the states (0.3 s for key-door/15).
        """
        if self.forward.once:
            return self.forward.arrivals
        hit = np.eye(len(self.terminal))
        for _ in range(self.horizon):
            moved = hit[self.next_state[:, 0]]
            for action in range(1, self.next_state.shape[1]):
                moved += hit[self.next_state[:, action]]
            moved /= self.next_state.shape[1]
            moved[self.terminal] = 0.0
            np.fill_diagonal(moved, 1.0)
            hit = moved
        visits: Array = self.start @ hit
        return visits

    def optimal_return(self) -> float:
        """The best expected return within the horizon, by dynamic programming."""
        value = np.zeros(len(self.terminal))
        for _ in range(self.horizon):
            value = self._backup(value).max(1)
        return float(self.start @ value)

    def optimal_policy(self) -> Array:
        """[time, state] an action that is best with `horizon` - time steps left."""
        value, best = np.zeros(len(self.terminal)), []
        for _ in range(self.horizon):
            backup = self._backup(value)
            best.append(backup.argmax(1))
            value = backup.max(1)
        return np.stack(best[::-1])

    def expert(self) -> Array:
        """The quickest of the best policies: one that may still dawdle would be no example."""
        value, steps, chosen = np.zeros(len(self.terminal)), np.zeros(len(self.terminal)), []
        for _ in range(self.horizon):
            backup = self._backup(value)
            longer = np.where(self.terminal[:, None], 0.0, 1.0 + steps[self.next_state])
            value = backup.max(1)
            action = np.where(backup >= value[:, None] - 1e-12, longer, np.inf).argmin(1)
            steps = np.take_along_axis(longer, action[:, None], 1)[:, 0]
            chosen.append(action)
        return np.stack(chosen[::-1])

    def moves(self) -> Moves:
        return Moves(self.next_state, self.terminal, self.start, self.observations, self.horizon)

    def _backup(self, value: Array) -> Array:
        """[state, action] value of acting and then collecting `value`; terminal states give 0 and stay."""
        backup: Array = self.reward + value[self.next_state]
        return backup


class _Starts(TableEpisodes):
    """Episodes that start as the task says.

    Args:
        alike: whether all episodes of a seed start in one state, drawn anew at each reset.
    """

    def __init__(self, task: Tabular, trajectories: int, *, alike: bool = False) -> None:
        super().__init__(task.table, trajectories)
        self._alike = alike
        self._cumulative = np.cumsum(task.start)[:-1]
        self._only_start = int(task.start.argmax()) if np.count_nonzero(task.start) == 1 else None

    def visited(self) -> Array:
        return self._state

    def _begin(self, streams: Sequence[np.random.Generator], shape: tuple[int, ...]) -> Array:
        if self._only_start is not None:
            return np.full((len(streams), *shape), self._only_start)
        drawn = np.array([stream.random(shape) for stream in streams])
        if self._alike and shape:
            drawn = np.broadcast_to(drawn[:, :1], drawn.shape)
        return np.searchsorted(self._cumulative, drawn, side="right")


def fixed_bits(shape: tuple[int, ...], *key: int) -> Array:
    """Random bits (bool) of the fixed instances that versions stand for.

    Read off the bit generator itself: numpy promises its output for all time, but not that of `Generator`'s methods.
    """
    bits: Array = (np.random.PCG64(np.random.SeedSequence(key)).random_raw(int(np.prod(shape))) >> 63).astype(bool)
    return bits.reshape(shape)


def whole_number(variant: str, low: int, high: int, *, what: str, example: str) -> int:
    """The number that a variant is.

    Args:
        what: completes the message, such as "the size of a deep sea".

    Raises:
        TaskError: it is none, or out of bounds.
    """
    if not re.fullmatch("[1-9][0-9]{0,5}", variant) or not low <= int(variant) <= high:
        raise TaskError(f"{what} is a whole number from {low} to {high}, not '{variant}'", remedy=f"write {example}")
    return int(variant)


def refuse_time_limit(family: str, time_limit: int | None) -> None:
    """For families whose episodes have a length of their own.

    Raises:
        TaskError: a time limit was given.
    """
    if time_limit is not None:
        problem = f"the length of {family}'s episodes is part of the task"
        raise TaskError(problem, remedy="remove time_limit", key="time_limit")


def _reachable(next_state: Array, terminal: Array, start: Array) -> Array:
    """Numbers of the states that some actions lead to from a start, in ascending order."""
    seen = start > 0
    frontier = np.flatnonzero(seen)
    while len(frontier):
        moved = np.unique(next_state[frontier[~terminal[frontier]]])
        frontier = moved[~seen[moved]]
        seen[frontier] = True
    return np.flatnonzero(seen)
