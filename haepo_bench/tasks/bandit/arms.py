"""Multi-armed bandits: one pull per episode, so nothing but the choice of an arm matters.

| address | arms | what it asks |
|---|---|---|
| `bandit/10-arm` | ten Gaussian ones | to find the best of few arms under noise |
| `bandit/1000-arm` | a thousand Gaussian ones | to find one of the best while most are never tried twice |
| `bandit/deceptive` | a safe good one, a rare excellent one, eight poor ones | to believe the mean, not most pulls |
| `bandit/contextual` | five Gaussian ones, their means depend on one of four contexts | to tell contexts apart |
| `bandit/pi-squared` | four without noise | what theory predicts of HAEPO's weighted variant (pi_squared.py) |

Instances are fixed: seeds vary the run and nothing else. Policies are evaluated by their exact expected return, not by
noisy pulls (since version 2; arms and references are those of version 1). Beside returns every bandit measures, of each
pull,

- `regret`: the best mean of its context minus the mean of the arm pulled (expected, so free of the reward's noise);
- `good_arm_excess`: 1 if the arm pulled is good, else 0, minus the share of the arms that are good: so the share of
  pulls on good arms beyond what a uniform policy has. An arm is good if its mean lies within `GOOD` of the span between
  its context's worst and best mean from the best.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.results.record import References
from haepo_bench.tasks.bandit import pi_squared
from haepo_bench.tasks.base import Array, Moves, Step, Task, VectorEnvironment

#: Arms whose means are at most this fraction of the span below the best are good.
GOOD = 0.1

#: Arm means of `bandit/10-arm`, version 1, on the scale of Sutton and Barto's ten-armed testbed (section 2.3: means
#: from N(0, 1)).
TEN_ARMS = (0.3, -1.0, 0.8, -0.4, 1.6, 0.1, -0.9, 0.5, -1.7, 1.1)

#: `bandit/deceptive`: which arms are safe and rare, what they pay, and how often the rare one does.
SAFE, SAFE_REWARD, POOR_REWARD = 3, 0.5, 0.2
RARE, RARE_REWARD, RARE_CHANCE = 7, 10.0, 0.1

#: Means of `bandit/contextual`, [context, arm]: each context has a best arm of its own, 2 above its level; the last arm
#: is a compromise, 1 above it everywhere, and so the best choice for whoever does not look. Levels differ by as much as
#: arms do: a bad arm in a rich context pays more than the best one in a poor context.
CONTEXTS = np.array([-3.0, -1.0, 1.0, 3.0])[:, None] + np.hstack([2 * np.eye(4), np.ones((4, 1))])


class Bandit(Task):
    """One pull per episode; the context, if there are several, is observed one-hot.

    Args:
        means: [context, arm], or [arm] where there is one context.
    """

    version = 2
    horizon = 1
    deterministic = True

    def __init__(self, name: str, summary: str, means: ArrayLike, tags: Sequence[str] = ()) -> None:
        self.id = f"bandit/{name}"
        self.summary = summary
        self.tags = ("bandit", *tags)
        self.means = np.atleast_2d(np.asarray(means, dtype=float))
        self.groups, arms = self.means.shape
        best, worst = self.means.max(1, keepdims=True), self.means.min(1, keepdims=True)
        self.regrets = best - self.means
        self.good = self.regrets <= GOOD * (best - worst)
        self.observation_space = spaces.Box(0.0, 1.0, (self.groups,), np.float32)
        self.action_space = spaces.Discrete(arms)
        self.expected_returns = self.means
        # Of a policy's expected return, which it is evaluated by; contexts are equally likely.
        self.return_bounds = float(worst.mean()), float(best.mean())
        each = "the mean of all arms, the best arm"
        self.references = References(
            random=float(self.means.mean()),
            solved=float(best.mean()),
            source=f"exact: {each}" if self.groups == 1 else f"exact: {each} of each context, contexts equally often",
        )

    @abstractmethod
    def luck(self, stream: np.random.Generator, pulls: int) -> Array:
        """The chance in `pulls` pulls, whichever arms are chosen: [pull]."""

    @abstractmethod
    def pay(self, contexts: Array, arms: Array, luck: Array) -> Array:
        """Rewards float64 of pulling `arms`; all [seed, trajectory]."""

    def vector(self, trajectories: int) -> VectorEnvironment:
        """Each episode's context is drawn from its stream, all equally likely."""
        return _Pulls(self, trajectories)

    def grouped(self, trajectories: int) -> VectorEnvironment:
        """Group g has context g."""
        return _Pulls(self, self.groups * trajectories, np.repeat(np.arange(self.groups), trajectories))

    def moves(self) -> Moves:
        """A state for each context, and one behind them all; contexts are equally likely."""
        behind = np.arange(self.groups + 1) == self.groups
        return Moves(
            np.full((self.groups + 1, self.means.shape[1]), self.groups),
            behind,
            np.where(behind, 0.0, 1 / self.groups),
            np.eye(self.groups + 1, self.groups, dtype=np.float32),
            1,
        )


class GaussianBandit(Bandit):
    """Arms that give their mean plus Gaussian noise.

    Args:
        deviation: standard deviation of the noise.
    """

    def __init__(
        self, name: str, summary: str, means: ArrayLike, tags: Sequence[str] = ("noise",), deviation: float = 1.0
    ) -> None:
        super().__init__(name, summary, means, tags)
        self.deviation = deviation

    def luck(self, stream: np.random.Generator, pulls: int) -> Array:
        return stream.standard_normal(pulls)

    def pay(self, contexts: Array, arms: Array, luck: Array) -> Array:
        rewards: Array = self.means[contexts, arms] + self.deviation * luck
        return rewards


class DeceptiveBandit(Bandit):
    """Ten arms: a safe one always gives 0.5, a rare one gives 10 in one of ten pulls and else 0, others give 0.2.

    The rare arm's mean of 1 is the best, the safe arm's half of it; but nine of ten pulls of the rare arm give less
    than any other arm. Normalising returns within small batches deceives too: a batch's one large reward is divided by
    the deviation that it causes itself. With a uniform policy and standardised returns REINFORCE's expected update
    makes the rare arm less likely in batches of 8, 16 or 64 pulls, and more likely only in much larger ones.
    """

    def __init__(self) -> None:
        means = np.full(10, POOR_REWARD)
        means[SAFE], means[RARE] = SAFE_REWARD, RARE_REWARD * RARE_CHANCE
        super().__init__(
            "deceptive",
            "a safe good arm beside a rare excellent one, one pull per episode",
            means,
            ("exploration", "noise"),
        )

    def luck(self, stream: np.random.Generator, pulls: int) -> Array:
        return stream.random(pulls)

    def pay(self, contexts: Array, arms: Array, luck: Array) -> Array:
        rare = np.where(luck < RARE_CHANCE, RARE_REWARD, 0.0)
        return np.where(arms == RARE, rare, self.means[contexts, arms])


class _Pulls(VectorEnvironment):
    """Pulls of a bandit.

    Args:
        contexts: [trajectory] of the episodes; None to draw them.
    """

    def __init__(self, task: Bandit, trajectories: int, contexts: Array | None = None) -> None:
        self._task, self._trajectories, self._assigned = task, trajectories, contexts
        self._one_hot = np.eye(task.groups, dtype=np.float32)

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        self._luck = np.stack([self._task.luck(stream, self._trajectories) for stream in streams])
        if self._assigned is None:
            drawn = [stream.integers(self._task.groups, size=self._trajectories) for stream in streams]
            self._contexts = np.stack(drawn)
        else:
            self._contexts = np.tile(self._assigned, (len(streams), 1))
        self._measures: dict[str, Array] = {}
        return self._observe()

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        self._luck[where] = [self._task.luck(stream, 1)[0] for stream in streams]
        if self._assigned is None:
            self._contexts[where] = [stream.integers(self._task.groups) for stream in streams]
        started: Array = self._observe()[where]
        return started

    def step(self, actions: Array, live: Array) -> Step:
        rewards = self._task.pay(self._contexts, actions, self._luck)
        regrets, good = self._task.regrets[self._contexts, actions], self._task.good
        excess = good[self._contexts, actions] - good.mean(1)[self._contexts]
        self._measures = {"regret": regrets, "good_arm_excess": excess}
        return Step(self._observe(), rewards, np.ones_like(live), np.zeros_like(live))

    def running(self) -> dict[str, Array]:
        return {"luck": self._luck, "contexts": self._contexts}

    def visited(self) -> Array:
        return self._contexts

    def measures(self) -> dict[str, Array]:
        return self._measures

    def _observe(self) -> Array:
        observations: Array = self._one_hot[self._contexts]
        return observations


def _thousand_arms() -> Task:
    # RandomState, because numpy promises its numbers for good (NEP 19), which it does not for newer generators.
    means = np.random.RandomState(1).standard_normal(1000)
    return GaussianBandit("1000-arm", "1000 Gaussian arms, one pull per episode", means, ("noise", "exploration"))


VARIANTS: dict[str, Callable[[], Task]] = {
    "10-arm": lambda: GaussianBandit("10-arm", "10 Gaussian arms, one pull per episode", TEN_ARMS),
    "1000-arm": _thousand_arms,
    "deceptive": DeceptiveBandit,
    "contextual": lambda: GaussianBandit(
        "contextual", "5 Gaussian arms whose means depend on one of 4 contexts, one pull per episode", CONTEXTS
    ),
    "pi-squared": lambda: GaussianBandit(
        "pi-squared", "4 arms without noise, where theory predicts HAEPO's weighted variant", pi_squared.ARMS, (), 0.0
    ),
}


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`bandit/<variant>`."""
    if variant not in VARIANTS:
        raise TaskError(f"unknown bandit '{variant}'", remedy=did_you_mean(variant, VARIANTS, family="bandit/"))
    if time_limit is not None:
        raise TaskError("a bandit's episode is one pull", remedy="remove time_limit", key="time_limit")
    return VARIANTS[variant]()
