"""Running normalisation of observations and rewards, seed by seed: what Stable-Baselines3's VecNormalize does."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.shapes import Array

#: VecNormalize's defaults: normalised numbers are cut off here, and this is added to variances.
_CLIP, _EPSILON = 10.0, 1e-8
#: Of observations, in the order of `Normalisation.frozen`.
STATISTICS = ("observation_mean", "observation_variance")


class Normalisation:
    """Statistics of S seeds with K environments each (stable_baselines3/common/vec_env/vec_normalize.py).

    Observations become (x - mean) / std; rewards are divided by the standard deviation of the running discounted
    return, their mean is left alone. Both are cut off at +-10.
    """

    def __init__(self, seeds: int, environments: int, features: int, gamma: float) -> None:
        self._gamma = gamma
        self._observations = _Moments((seeds, features))
        self._returns = _Moments((seeds,))
        self._discounted = np.zeros((seeds, environments))

    def observe(self, observations: Array) -> None:
        """Counts what the environments show [seed, environment, feature], after a reset or a step."""
        self._observations.update(observations)

    def observations(self, observations: Array) -> Array:
        """[seed, environment, feature] to normalised float32."""
        moments = self._observations
        centred = observations - moments.mean[:, None]
        scaled: Array = np.clip(centred / np.sqrt(moments.variance + _EPSILON)[:, None], -_CLIP, _CLIP)
        return scaled.astype(np.float32)

    def rewards(self, rewards: Array, over: Array) -> Array:
        """Counts the rewards [seed, environment] of a step and normalises them, float32; `over`: where episodes end."""
        self._discounted = self._discounted * self._gamma + rewards
        self._returns.update(self._discounted)
        self._discounted[over] = 0.0
        scaled: Array = np.clip(rewards / np.sqrt(self._returns.variance + _EPSILON)[:, None], -_CLIP, _CLIP)
        return scaled.astype(np.float32)

    def frozen(self, row: int) -> Array:
        """A copy of the statistics of one seed's observations as they stand, [2, feature]: see `STATISTICS`."""
        return np.stack([self._observations.mean[row], self._observations.variance[row]])

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds."""
        self._observations.keep(rows)
        self._returns.keep(rows)
        self._discounted = self._discounted[rows]


def normalise(statistics: Array, observations: Tensor) -> Tensor:
    """Observations [seed, feature, step] of policies, each by its frozen statistics [seed, 2, feature]."""
    mean = torch.from_numpy(statistics[:, 0])[:, :, None].to(observations.device)
    std = torch.from_numpy(np.sqrt(statistics[:, 1] + _EPSILON))[:, :, None].to(mean)
    return ((observations.double() - mean) / std).clamp(-_CLIP, _CLIP).float()


class _Moments:
    """Running mean and variance [seed, *shape], as stable_baselines3/common/running_mean_std.py."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.mean, self.variance, self._count = np.zeros(shape), np.ones(shape), 1e-4

    def update(self, x: Array) -> None:
        """`x`: [seed, environment, *shape]."""
        n, count = x.shape[1], self._count
        delta = x.mean(1) - self.mean
        total = count + n
        squares = self.variance * count + x.var(1) * n + np.square(delta) * count * n / total
        self.mean = self.mean + delta * n / total
        self.variance = squares / total
        self._count = total

    def keep(self, rows: Sequence[int]) -> None:
        self.mean, self.variance = self.mean[rows], self.variance[rows]
