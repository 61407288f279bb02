"""What every task must do, tried with random actions."""

import random
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from haepo_bench.conformance.files import OPENS_NOTHING_ELSE, refuse_undeclared
from haepo_bench.conformance.findings import Check, Fault, NotApplicable
from haepo_bench.tasks.base import LANGUAGE, Array, Step, Task, VectorEnvironment
from haepo_bench.tasks.measuring import random_returns, uniform_actions

_TRAJECTORIES = 4
#: Episodes that the random return is measured with; it may be off by so many standard errors, and by a hundredth of the
#: span from random to solved, which published numbers are rounded to.
_EPISODES, _ERRORS, _ROUNDING = 400, 5.0, 0.01
_RETURNS = "from haepo_bench.tasks.measuring import random_returns\n"
#: Steps of all episodes beyond which a task is tried with fewer.
_MOST_STEPS = 40_000


class _Played(NamedTuple):
    """Episodes of some seeds, played to their ends.

    Args:
        observations: of each step [seed, trajectory, feature], the first before any action.
        rewards: [time, seed, trajectory], zero once an episode is over.
        lengths: [seed, trajectory].
    """

    observations: list[Array]
    rewards: Array
    lengths: Array


def task_checks(
    make: Callable[[], Task],
    name: str,
    allowed: Collection[Path] = (),
    forget: Callable[[], None] = lambda: None,
) -> Sequence[Check]:
    """The checks of a task.

    Args:
        make: the task, anew.
        name: a Python expression for it, for reproductions.
        allowed: files that it may open.
        forget: after it `make` imports the task's file anew.
    """
    return _Checks(make, name, allowed, forget).all()


class _Checks:
    def __init__(
        self, make: Callable[[], Task], name: str, allowed: Collection[Path], forget: Callable[[], None]
    ) -> None:
        self._make, self._name, self._allowed, self._forget = make, name, allowed, forget
        self._task = make()

    def all(self) -> list[Check]:
        return [
            Check("episodes end, and are finite numbers of the right shapes", self.plays),
            Check("observations are within their space", self.observations),
            Check("returns are within their bounds", self.bounds),
            Check("the random policy gets what the references say", self.references),
            Check("depends on its streams alone", self.streams),
            Check("seeds apart", self.seeds),
            Check("episodes apart, whichever of them still live", self.live),
            Check("single episodes start anew while the others go on", self.restarts),
            Check("running episodes go on from their arrays", self.resumes),
            Check(OPENS_NOTHING_ELSE, self.files),
        ]

    def plays(self) -> None:
        task = self._steppable()
        played = self._play(task, [0, 1])
        if not all(np.isfinite(rows).all() for rows in played.observations) or not np.isfinite(played.rewards).all():
            what = "a reward" if not np.isfinite(played.rewards).all() else "an observation"
            raise Fault(f"{what} is not finite", self._again([0, 1]))

    def observations(self) -> None:
        task = self._steppable()
        low, high = task.observation_space.low, task.observation_space.high
        for time, rows in enumerate(self._play(task, [0, 1]).observations):
            outside = (rows < low - 1e-5) | (rows > high + 1e-5)
            if outside.any():
                place = tuple(int(index) for index in np.argwhere(outside)[0])
                raise Fault(
                    f"at step {time} element {place[-1]} is {rows[place]:g}, outside of its observation_space "
                    f"[{low[place[-1]]:g}, {high[place[-1]]:g}]",
                    self._again([0, 1]),
                )

    def bounds(self) -> None:
        task = self._steppable()
        if task.return_bounds is None:
            raise NotApplicable("it says none (return_bounds, or bounds: in a suite)")
        if task.expected_returns is not None:
            raise NotApplicable("its bounds are those of expected returns, which it is evaluated by")
        low, high = task.return_bounds
        returns = self._returns()
        slack = 1e-9 * max(1.0, abs(low), abs(high))
        outside = returns[(returns < low - slack) | (returns > high + slack)]
        if outside.size:
            raise Fault(
                f"{outside.size} of {returns.size} random episodes return something outside of [{low:g}, {high:g}], "
                f"such as {outside[0]:g}",
                f"{_RETURNS}print(random_returns({self._name}, {returns.size}))",
            )

    def references(self) -> None:
        task = self._steppable()
        if task.references is None:
            raise NotApplicable("it has none (references, or references: in a suite)")
        if isinstance(task.action_space, spaces.Box) and not task.action_space.is_bounded():
            raise NotApplicable("no policy is uniform over actions without bounds")
        returns, said = self._returns(), task.references
        error = returns.std(ddof=1) / len(returns) ** 0.5
        slack = _ERRORS * error + _ROUNDING * abs(said.solved - said.random)
        if abs(returns.mean() - said.random) > slack:
            raise Fault(
                f"random is {said.random:g}, and {returns.size} episodes of the random policy return "
                f"{returns.mean():.5g} on average (standard error {error:.2g})",
                f"{_RETURNS}print(random_returns({self._name}, {returns.size}).mean())",
            )

    def streams(self) -> None:
        """Twice the same streams, in two environments and in one; global generators stand elsewhere meanwhile."""
        task = self._steppable()
        state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (other people's code may use it)
        try:
            played = []
            for number in (1, 2):
                random.seed(number)
                np.random.seed(number)  # noqa: NPY002 (as above)
                played.append(self._play(task if number == 1 else self._make(), [3]))
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)  # noqa: NPY002 (as above)
        if not _same(*played):
            raise Fault(
                "twice the same streams and actions give different episodes: draw from the stream that reset gets "
                "(np_random of a gymnasium.Env), never from random, np.random or the clock",
                self._again([3]),
            )
        vector = task.vector(_TRAJECTORIES)
        try:
            first, second = (self._played(task, vector, [3]) for _ in range(2))
        finally:
            vector.close()
        if not _same(first, second):
            raise Fault(
                "episodes differ from those before in the same environment, with the same streams and actions: reset "
                "must set all that an episode goes on from, and draw from the stream that it gets (its seed)",
                f"{self._again([3])}\n# and once more, from vector.reset on",
            )

    def seeds(self) -> None:
        task = self._steppable()
        both, alone = self._play(task, [4, 5]), self._play(task, [5])
        steps = int(alone.lengths.max())
        same = np.array_equal(both.lengths[1], alone.lengths[0]) and np.array_equal(
            both.rewards[:steps, 1], alone.rewards[:steps, 0]
        )
        if not same or not np.array_equal(both.observations[0][1], alone.observations[0][0]):
            raise Fault("what a seed's episodes do changes with the other seeds", self._again([4, 5]))

    def live(self) -> None:
        """Episode 0 of a seed, with the others and without them from the second step on."""
        task = self._steppable()
        seen = []
        for alone in (False, True):
            vector = task.vector(_TRAJECTORIES)
            noise = np.random.default_rng(11)
            rows = [vector.reset([np.random.default_rng(6)])[0, 0]]
            live = np.ones((1, _TRAJECTORIES), bool)
            for _ in range(min(task.horizon, 50)):
                step = vector.step(uniform_actions(task.action_space, live.shape, noise), live)
                rows.append(np.append(step.observations[0, 0], step.rewards[0, 0]))
                live = live & ~step.terminated & ~step.truncated
                if alone:
                    live[0, 1:] = False
                if not live[0, 0]:
                    break
            vector.close()
            seen.append(rows)
        if len(seen[0]) != len(seen[1]) or not all(map(np.array_equal, *seen)):
            raise Fault("what an episode does changes with the other episodes that still live", self._again([6]))

    def restarts(self) -> None:
        task = self._steppable()
        vector = task.vector(_TRAJECTORIES)
        try:
            if not vector.restarts:
                raise NotApplicable("it has no restart, which only algorithms on segments need")
            self._restart(task, vector)
        finally:
            vector.close()

    def _restart(self, task: Task, vector: VectorEnvironment) -> None:
        noise = np.random.default_rng(11)
        vector.reset([np.random.default_rng(7)])
        live = np.ones((1, _TRAJECTORIES), bool)
        first = vector.step(uniform_actions(task.action_space, live.shape, noise), live)
        where = np.zeros((1, _TRAJECTORIES), bool)
        where[0, 1] = True
        over = first.terminated | first.truncated
        where |= over
        streams = [np.random.default_rng(20 + n) for n in range(int(where.sum()))]
        rows = vector.restart(where, streams)
        if rows.shape != (len(streams), *task.observation_space.shape):
            raise Fault(
                f"restart of {len(streams)} episodes returns the shape {rows.shape}, where observations are "
                f"{task.observation_space.shape}",
                self._again([7]),
            )
        again = vector.restart(where, [np.random.default_rng(20 + n) for n in range(len(streams))])
        if not np.array_equal(rows, again):
            raise Fault("restart with the same streams starts otherwise: draw from them alone", self._again([7]))
        step = vector.step(uniform_actions(task.action_space, live.shape, noise), live)
        if not np.isfinite(step.observations).all() or not np.isfinite(step.rewards).all():
            raise Fault("after a restart a reward or an observation is not finite", self._again([7]))

    def resumes(self) -> None:
        """Episodes, and the same ones in another environment that was given their arrays on the way."""
        task = self._steppable()
        one, two = task.vector(_TRAJECTORIES), task.vector(_TRAJECTORIES)
        try:
            if not one.resumes:
                raise NotApplicable("it has no running, which only checkpoints of algorithms on segments need")
            self._resume(task, one, two)
        finally:
            one.close()
            two.close()

    def _resume(self, task: Task, one: VectorEnvironment, two: VectorEnvironment) -> None:
        noise = np.random.default_rng(11)
        one.reset([np.random.default_rng(8)])
        two.reset([np.random.default_rng(9)])
        live = np.ones((1, _TRAJECTORIES), bool)
        for time in range(min(task.horizon, 12)):
            if time in (0, 3):
                kept = {name: part.copy() for name, part in one.running().items()}
                for name, part in two.running().items():
                    part[:] = kept[name]
            actions = uniform_actions(task.action_space, live.shape, noise)
            first, second = one.step(actions, live), two.step(actions, live)
            if not all(np.array_equal(a[live], b[live]) for a, b in zip(first, second, strict=True)):
                raise Fault(
                    "episodes go on otherwise in an environment that was given what running() returned: it must hold "
                    "all that they go on from, as arrays of its own",
                    self._again([8]),
                )
            live = live & ~first.terminated & ~first.truncated
            if not live.any():
                break

    def files(self) -> None:
        """From the import of its file on."""

        def used() -> None:
            self._forget()
            task = self._make()
            if task.backend != LANGUAGE:
                self._play(task, [8])

        refuse_undeclared(used, self._allowed, self._name)

    def _steppable(self) -> Task:
        if self._task.backend == LANGUAGE:
            raise NotApplicable("it is a language task: there is nothing to step")
        return self._task

    def _returns(self) -> Array:
        episodes = max(20, min(_EPISODES, _MOST_STEPS // self._task.horizon))
        return random_returns(self._task, episodes)

    def _play(self, task: Task, seeds: Sequence[int]) -> _Played:
        vector = task.vector(_TRAJECTORIES)
        try:
            return self._played(task, vector, seeds)
        finally:
            vector.close()

    def _played(self, task: Task, vector: VectorEnvironment, seeds: Sequence[int]) -> _Played:
        shape = (len(seeds), _TRAJECTORIES)
        rows = vector.reset([np.random.default_rng(seed) for seed in seeds])
        observations, rewards = [rows], []
        live, lengths = np.ones(shape, bool), np.zeros(shape, np.int64)
        noise = [np.random.default_rng(1000 + seed) for seed in seeds]
        while live.any():
            actions = np.stack([uniform_actions(task.action_space, (_TRAJECTORIES,), own) for own in noise])
            step = vector.step(actions, live)
            for fault in vector.faults().values():
                raise Fault(f"{fault.problem}; {fault.remedy}", self._again(seeds))
            self._check_shapes(task, step, shape, seeds)
            lengths += live
            rewards.append(np.where(live, step.rewards, 0.0))
            observations.append(np.where(live[..., None], step.observations, 0.0))
            live = live & ~step.terminated & ~step.truncated
            if live.any() and int(lengths.max()) >= task.horizon:
                raise Fault(
                    f"an episode is not over after its horizon of {task.horizon} steps: set truncated",
                    self._again(seeds),
                )
        return _Played(observations, np.stack(rewards), lengths)

    def _check_shapes(self, task: Task, step: Step, shape: tuple[int, ...], seeds: Sequence[int]) -> None:
        wanted: dict[str, tuple[Any, tuple[int, ...], str]] = {
            "observations": (step.observations, (*shape, *task.observation_space.shape), "f"),
            "rewards": (step.rewards, shape, "f"),
            "terminated": (step.terminated, shape, "b"),
            "truncated": (step.truncated, shape, "b"),
        }
        for name, (value, expected, kind) in wanted.items():
            if not isinstance(value, np.ndarray) or value.shape != expected or value.dtype.kind != kind:
                found = f"{value.dtype} of {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
                words = {"f": "floats", "b": "bool"}[kind]
                raise Fault(f"{name} of a step are {found}, not {words} of {expected}", self._again(seeds))

    def _again(self, seeds: Sequence[int]) -> str:
        return (
            "import numpy as np\nfrom haepo_bench.tasks.measuring import uniform_actions\n"
            f"task = {self._name}\nvector = task.vector({_TRAJECTORIES})\n"
            f"vector.reset([np.random.default_rng(seed) for seed in {list(seeds)}])\n"
            f"noise = [np.random.default_rng(1000 + seed) for seed in {list(seeds)}]\n"
            f"live = np.ones(({len(seeds)}, {_TRAJECTORIES}), bool)\nwhile live.any():\n"
            f"    step = vector.step(np.stack([uniform_actions(task.action_space, ({_TRAJECTORIES},), own) for own in "
            "noise]), live)\n    print(step)\n    live &= ~step.terminated & ~step.truncated"
        )


def _same(one: _Played, two: _Played) -> bool:
    return (
        np.array_equal(one.lengths, two.lengths)
        and np.array_equal(one.rewards, two.rewards)
        and all(map(np.array_equal, one.observations, two.observations))
    )
