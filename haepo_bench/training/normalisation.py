"""Running normalisation of observations and rewards, seed by seed: what Stable-Baselines3's VecNormalize does.

Statistics change in training alone, and policies are evaluated with those that they had when they were last trained:
their observations are normalised, and the returns are the task's own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Normalise, Step, VectorEnvironment
from haepo_bench.tasks.wrappers.base import VectorWrapper
from haepo_bench.training.alignment import Policy
from haepo_bench.training.episodes.rollout import Actor
from haepo_bench.training.exploration import RECEIVED
from haepo_bench.training.seed_record import MAX_RETURN
from haepo_bench.training.waiting import Frozen

#: VecNormalize's defaults: normalised numbers are cut off here, and this is added to variances.
_CLIP, _EPSILON = 10.0, 1e-8
#: Of the return whose deviation rewards are divided by, where an algorithm has no discount of its own: VecNormalize's.
DISCOUNT = 0.99
#: Of observations, in the order of `Normalisation.frozen`.
STATISTICS = ("observation_mean", "observation_variance")


class Normalisation:
    """Statistics of S seeds (stable_baselines3/common/vec_env/vec_normalize.py).

    Observations become (x - mean) / std; rewards are divided by the standard deviation of the running discounted
    return, their mean is left alone. Both are cut off at +-10.

    Args:
        gamma: of the discounted return.
        what: of the two is normalised; the other is left as it is and not counted.
    """

    def __init__(self, seeds: int, features: int, gamma: float, what: Normalise) -> None:
        self._gamma, self.what = gamma, what
        self._observations = _Moments((seeds, features))
        self._returns = _Moments((seeds,))

    def observe(self, observations: Array, live: Array | None = None) -> None:
        """Counts what environments show [seed, environment, feature], after a reset or a step; where `live`, if said.

        Not counted is what an episode shows at its end, since no action follows from it.
        """
        if self.what.observations:
            self._observations.update(observations, live)

    def observations(self, observations: Array) -> Array:
        """[seed, environment, feature] to normalised float32."""
        if not self.what.observations:
            return observations
        moments = self._observations
        centred = observations - moments.mean[:, None]
        scaled: Array = np.clip(centred / np.sqrt(moments.variance + _EPSILON)[:, None], -_CLIP, _CLIP)
        return scaled.astype(np.float32)

    def rewards(self, rewards: Array, discounted: Array, over: Array, live: Array | None = None) -> tuple[Array, Array]:
        """Counts the rewards [seed, environment] of a step and normalises them.

        Args:
            discounted: [seed, environment] discounted returns up to the step before, zero where episodes begin.
            over: where episodes end with this step.
            live: where a step was taken; everywhere if left out.

        Returns:
            Normalised rewards, float32, and the discounted returns for the next step.
        """
        if not self.what.rewards:
            return rewards, discounted
        discounted = discounted * self._gamma + rewards
        self._returns.update(discounted, live)
        scaled: Array = np.clip(rewards / np.sqrt(self._returns.variance + _EPSILON)[:, None], -_CLIP, _CLIP)
        return scaled.astype(np.float32), np.where(over, 0.0, discounted)

    def frozen(self, row: int) -> Array | None:
        """A copy of the statistics of one seed's observations as they stand, [2, feature]: see `STATISTICS`.

        None where observations are not normalised.
        """
        if not self.what.observations:
            return None
        return np.stack([self._observations.mean[row], self._observations.variance[row]])

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds."""
        self._observations.keep(rows)
        self._returns.keep(rows)

    def arrays(self) -> dict[str, Array]:
        """All that is known, [seed, ...] float64 each; `restore` takes it back."""
        parts = {"observations": self._observations, "returns": self._returns}
        return {
            f"{name}_{key}": array.copy() for name, moments in parts.items() for key, array in vars(moments).items()
        }

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Goes on from what `arrays` gave, of the same seeds."""
        for name, moments in (("observations", self._observations), ("returns", self._returns)):
            for key in vars(moments):
                setattr(moments, key, arrays[f"{name}_{key}"].copy())


class NormalisedEnvironment(VectorWrapper):
    """Shows and rewards whole episodes as VecNormalize would, and counts them.

    Its measure `RECEIVED` is the return before that. Rewards that no algorithm can learn from are left as they are, so
    that who collects them sees what was returned.
    """

    def __init__(self, inner: VectorEnvironment, normalisation: Normalisation) -> None:
        super().__init__(inner)
        self._normalisation = normalisation

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        observations = super().reset(streams)
        self._discounted, self._received = np.zeros((2, *observations.shape[:2]))
        self._normalisation.observe(observations)
        return self._normalisation.observations(observations)

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        raise NotImplementedError  # who collects segments normalises them itself

    @property
    def restarts(self) -> bool:
        return False

    def step(self, actions: Array, live: Array) -> Step:
        step = super().step(actions, live)
        over = step.terminated | step.truncated
        self._normalisation.observe(step.observations, live & ~over)
        with np.errstate(over="ignore", invalid="ignore"):
            self._received += np.where(live, step.rewards, 0.0)
            paid, self._discounted = self._normalisation.rewards(step.rewards, self._discounted, over, live)
        learnable = np.abs(step.rewards) <= MAX_RETURN  # NaN is not, either
        return step._replace(
            observations=self._normalisation.observations(step.observations),
            rewards=np.where(learnable, paid, step.rewards),
        )

    def measures(self) -> dict[str, Array]:
        return {**super().measures(), RECEIVED: self._received.copy()}


def normalise(statistics: Array, observations: Tensor) -> Tensor:
    """Observations [seed, feature, step] of policies, each by its frozen statistics [seed, 2, feature]."""
    mean = torch.from_numpy(statistics[:, 0])[:, :, None].to(observations.device)
    std = torch.from_numpy(np.sqrt(statistics[:, 1] + _EPSILON))[:, :, None].to(mean)
    return ((observations.double() - mean) / std).clamp(-_CLIP, _CLIP).float()


def statistics_of(policies: Sequence[Frozen]) -> Array | None:
    """The statistics [policy, 2, feature] that frozen policies are shown observations by; None where by none."""
    found = [policy.normalisation for policy in policies if policy.normalisation is not None]
    return np.stack(found) if found else None


def named_statistics(policy: Frozen) -> dict[str, Array]:
    """The same of one policy as named arrays."""
    return {} if policy.normalisation is None else dict(zip(STATISTICS, policy.normalisation, strict=True))


def normalised_policy(policy: Policy, statistics: Array | None) -> Policy:
    """Policies, each shown observations as by its frozen statistics [seed, 2, feature], if there are any."""
    return policy if statistics is None else lambda observations: policy(normalise(statistics, observations))


def normalised_actor(actor: Actor, statistics: Array | None) -> Actor:
    """The same of policies as rollouts call them."""
    if statistics is None:
        return actor

    def act(observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return actor(normalise(statistics, observations), noise, greedy)

    return act


class _Moments:
    """Running mean, variance and count [seed, ...], as stable_baselines3/common/running_mean_std.py."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean, self.variance = np.zeros(shape), np.ones(shape)
        self.count = np.full((shape[0], *(1 for _ in shape[1:])), 1e-4)

    def update(self, x: Array, live: Array | None) -> None:
        """`x`: [seed, environment, *shape], of which counts what is `live` [seed, environment]."""
        if live is None:
            n = np.full(self.count.shape, x.shape[1])
            mean, variance = x.mean(1), x.var(1)
        else:
            taken = live.reshape(*live.shape, *self.count.shape[1:])
            n = taken.sum(1)
            some = np.maximum(n, 1).astype(x.dtype)
            mean = np.where(taken, x, 0).sum(1) / some
            variance = np.square(np.where(taken, x - mean[:, None], 0)).sum(1) / some
        delta = mean - self.mean
        total = self.count + n
        # In the precision of what is counted, as there.
        squares = self.variance * self.count + variance * n.astype(x.dtype)
        squares = squares + np.square(delta) * self.count * n / total
        # A seed of which nothing lives keeps its very bits: others may go on for longer.
        self.mean = np.where(n, self.mean + delta * n / total, self.mean)
        self.variance = np.where(n, squares / total, self.variance)
        self.count = total

    def keep(self, rows: Sequence[int]) -> None:
        self.mean, self.variance, self.count = self.mean[rows], self.variance[rows], self.count[rows]
