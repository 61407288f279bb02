"""What every task must do, tried with random actions."""

import random
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from gymnasium import spaces

from haepo_bench.conformance.files import OPENS_NOTHING_ELSE, refuse_undeclared
from haepo_bench.conformance.findings import Check, Fault, NotApplicable
from haepo_bench.conformance.playing import (
    TRAJECTORIES,
    BrokenStep,
    PlayedEpisodes,
    first_episode,
    gone_on,
    play,
    played,
    restarted,
    same,
)
from haepo_bench.errors import EnvironmentFault
from haepo_bench.tasks.base import LANGUAGE, Array, Task, VectorEnvironment
from haepo_bench.tasks.measuring import random_returns

#: Episodes that the random return is measured with; it may be off by so many standard errors, and by a hundredth of the
#: span from random to solved, which published numbers are rounded to.
_EPISODES, _ERRORS, _ROUNDING = 400, 5.0, 0.01
_RETURNS = "from haepo_bench.tasks.measuring import random_returns\n"
#: Steps of all episodes beyond which a task is tried with fewer.
_MOST_STEPS = 40_000


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
        found = self._play(task, [0, 1])
        if not all(np.isfinite(rows).all() for rows in found.observations) or not np.isfinite(found.rewards).all():
            what = "a reward" if not np.isfinite(found.rewards).all() else "an observation"
            raise Fault(f"{what} is not finite", self._again("print(play(task, [0, 1]))"))

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
                    self._again(f"print(play(task, [0, 1]).observations[{time}])"),
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
            both = []
            for number in (1, 2):
                random.seed(number)
                np.random.seed(number)  # noqa: NPY002 (as above)
                both.append(self._play(task if number == 1 else self._make(), [3]))
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)  # noqa: NPY002 (as above)
        if not same(*both):
            raise Fault(
                "twice the same streams and actions give different episodes: draw from the stream that reset gets "
                "(np_random of a gymnasium.Env), never from random, np.random or the clock",
                self._again(
                    "random.seed(1)\nnp.random.seed(1)\none = play(task, [3])\nrandom.seed(2)\nnp.random.seed(2)\n"
                    "two = play(another_task, [3])\nprint(same(one, two), one.rewards.sum(0), two.rewards.sum(0))\n"
                    "print(one.observations[0], two.observations[0])"
                ),
            )
        vector = task.vector(TRAJECTORIES)
        try:
            first, second = (played(task, vector, [3]) for _ in range(2))
        finally:
            vector.close()
        if not same(first, second):
            raise Fault(
                "episodes differ from those before in the same environment, with the same streams and actions: reset "
                "must set all that an episode goes on from, and draw from the stream that it gets (its seed)",
                self._again(
                    f"vector = task.vector({TRAJECTORIES})\none, two = played(task, vector, [3]), "
                    "played(task, vector, [3])\nprint(same(one, two), one.rewards.sum(0), two.rewards.sum(0))\n"
                    "print(one.observations[0], two.observations[0])"
                ),
            )

    def seeds(self) -> None:
        task = self._steppable()
        both, alone = self._play(task, [4, 5]), self._play(task, [5])
        steps = int(alone.lengths.max())
        alike = np.array_equal(both.lengths[1], alone.lengths[0]) and np.array_equal(
            both.rewards[:steps, 1], alone.rewards[:steps, 0]
        )
        if not alike or not np.array_equal(both.observations[0][1], alone.observations[0][0]):
            raise Fault(
                "what a seed's episodes do changes with the other seeds",
                self._again(
                    "both, alone = play(task, [4, 5]), play(task, [5])\n"
                    "print(both.observations[0][1], alone.observations[0][0])\n"
                    "print(both.rewards[:, 1].sum(0), alone.rewards[:, 0].sum(0))"
                ),
            )

    def live(self) -> None:
        """Episode 0 of a seed, with the others and without them from the second step on."""
        task = self._steppable()
        seen = [first_episode(task, alone=alone) for alone in (False, True)]
        if len(seen[0]) != len(seen[1]) or not all(map(np.array_equal, *seen)):
            raise Fault(
                "what an episode does changes with the other episodes that still live",
                self._again("print(first_episode(task, alone=False))\nprint(first_episode(task, alone=True))"),
            )

    def restarts(self) -> None:
        task = self._steppable()
        vector = task.vector(TRAJECTORIES)
        try:
            if not vector.restarts:
                raise NotApplicable("it has no restart, which only algorithms on segments need")
            self._restart(task, vector)
        finally:
            vector.close()

    def _restart(self, task: Task, vector: VectorEnvironment) -> None:
        again = self._again(f"print(restarted(task.vector({TRAJECTORIES}), task))")
        one, two, step = restarted(vector, task)
        if one.shape[1:] != task.observation_space.shape:
            raise Fault(
                f"restart of {len(one)} episodes returns the shape {one.shape}, where observations are "
                f"{task.observation_space.shape}",
                again,
            )
        if not np.array_equal(one, two):
            raise Fault("restart with the same streams starts otherwise: draw from them alone", again)
        if not np.isfinite(step.observations).all() or not np.isfinite(step.rewards).all():
            raise Fault("after a restart a reward or an observation is not finite", again)

    def resumes(self) -> None:
        """Episodes, and the same ones in another environment that was given their arrays on the way."""
        task = self._steppable()
        one, two = task.vector(TRAJECTORIES), task.vector(TRAJECTORIES)
        try:
            if not one.resumes:
                raise NotApplicable("it has no running, which only checkpoints of algorithms on segments need")
            self._resume(task, one, two)
        finally:
            one.close()
            two.close()

    def _resume(self, task: Task, one: VectorEnvironment, two: VectorEnvironment) -> None:
        for first, second, live in gone_on(one, two, task):
            if not all(np.array_equal(a[live], b[live]) for a, b in zip(first, second, strict=True)):
                raise Fault(
                    "episodes go on otherwise in an environment that was given what running() returned: it must hold "
                    "all that they go on from, as arrays of its own",
                    self._again(
                        f"for first, second, live in gone_on(task.vector({TRAJECTORIES}), "
                        f"task.vector({TRAJECTORIES}), task):\n    print(first, second, live)"
                    ),
                )

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

    def _play(self, task: Task, seeds: Sequence[int]) -> PlayedEpisodes:
        try:
            return play(task, seeds)
        except EnvironmentFault as fault:
            raise Fault(f"{fault.problem}; {fault.remedy}", self._again(f"play(task, {list(seeds)})")) from fault
        except BrokenStep as error:
            raise Fault(str(error), self._again(f"play(task, {list(seeds)})")) from error

    def _again(self, shows: str) -> str:
        """Python that shows something: `shows` may use task, another_task and what is imported."""
        return (
            "import random\nimport numpy as np\n"
            "from haepo_bench.conformance.playing import first_episode, gone_on, play, played, restarted, same\n"
            f"task, another_task = {self._name}, {self._name}\n{shows}"
        )
