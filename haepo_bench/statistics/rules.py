"""By what rule a comparison is decided: what the evidence is after each seed, and how comparisons are put together.

    betting   means of bounded scores, valid at whatever moment one stops (betting.py); the default
    wins      "wins more often than it loses": signs of the differences alone, so no bounds, any stop, any dependence
    fixed     corrected Welch at one number of seeds fixed beforehand, at least 10, that Gaffke's bounds agree with

Evidence is 1 over a p-value, or better. With `fixed` it is 1 until the look, and stays as it was at the look.
"""

from math import inf, log
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haepo_bench.statistics.betting import FRACTIONS, Dependence, log_evidence, log_factors, log_mean, lower_end
from haepo_bench.statistics.gaffke import gaffke_lower, gaffke_upper
from haepo_bench.statistics.intervals import combine

Array = NDArray[Any]
Name = Literal["betting", "wins", "fixed"]

#: Fewer seeds say too little about spread and skewness for `fixed`.
FIXED_SEEDS = 10
#: The search for the guard's level: from 2^-40 to 1/2, so many levels at once, so often.
_LEAST_LEVEL, _LEVELS, _ROUNDS = -40.0, 24, 4


class DecisionRule(NamedTuple):
    """By what a claim's comparisons are decided; fixed before the first look.

    Args:
        name: see the module.
        dependence: of the runs of one seed; for `betting`.
        look: number of pairs at which `fixed` looks, once.
    """

    name: Name = "betting"
    dependence: Dependence = "nonnegative"
    look: int = 0

    @property
    def needs_bounds(self) -> bool:
        return self.name != "wins"

    def evidence(self, x: ArrayLike, y: ArrayLike, theta: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
        """x, y: [..., pair] -> [..., pair]: log evidence against "mean of x - mean of y <= theta" after each pair.

        With `wins` theta is that of the chance of a win minus the chance of a loss, and the bounds are not used.
        """
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if self.name == "betting":
            return log_evidence(x, y, theta, low, high, dependence=self.dependence)
        if self.name == "wins":
            return wins_evidence(x, y, theta)
        path: Array = np.zeros(np.broadcast_shapes(x.shape, y.shape))
        if FIXED_SEEDS <= self.look <= min(x.shape[-1], y.shape[-1]):
            x, y = x[..., : self.look], y[..., : self.look]
            path[..., self.look - 1 :] = -np.log(fixed_p_value(x, y, theta, low, high))[..., None]
        return path

    def log_factors(self, x: Array, y: Array, theta: float, low: float, high: float) -> Array:
        """x, y: [pair] -> [component, pair]: what each pair multiplies each bet's capital by, as logarithm.

        `fixed` bets nothing: no components.
        """
        if self.name == "betting":
            return log_factors(x, y, theta, low, high, dependence=self.dependence)
        return _wins_factors(x, y, theta) if self.name == "wins" else np.zeros((0, len(x)))

    def lower_end(
        self, x: ArrayLike, y: ArrayLike, log_threshold: ArrayLike, low: ArrayLike, high: ArrayLike, pivot: float
    ) -> Array:
        """x, y: [..., pair] -> [...]: the greatest theta that the evidence has ruled out; see `betting.lower_end`."""
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        low, high = self.extent(low, high)
        if self.name == "fixed":
            return self._lower_end_at_look(x, y, log_threshold, low, high, pivot)
        return lower_end(self.evidence, x, y, log_threshold, low, high, pivot=pivot)

    def lower_end_of_greatest(
        self, x: ArrayLike, y: ArrayLike, log_threshold: ArrayLike, low: ArrayLike, high: ArrayLike, pivot: float
    ) -> Array:
        """x, y: [..., comparison, pair] -> [...]: the same for the greatest difference of several comparisons."""

        def together(*arguments: Any) -> Array:
            return self.any_of(self.evidence(*arguments))

        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        low, high = self.extent(low, high)
        if self.name == "fixed":
            return np.asarray(
                self._lower_end_at_look(
                    x, y, np.asarray(log_threshold)[..., None] + log(x.shape[-2]), low, high, pivot
                ).max(axis=-1)
            )
        return lower_end(together, x, y, log_threshold, low, high, pivot=pivot, comparisons=True)

    def _lower_end_at_look(
        self, x: Array, y: Array, log_threshold: ArrayLike, low: Array, high: Array, pivot: float
    ) -> Array:
        """As `lower_end`, for `fixed`: the lower of the two bounds that belong to the p-values of `fixed_p_value`."""
        shape = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        if not FIXED_SEEDS <= self.look <= min(x.shape[-1], y.shape[-1]):
            return np.broadcast_to(low - high, shape)
        reached = self.evidence(x, y, np.full(shape, pivot), low, high).max(axis=-1) >= log_threshold
        x, y = (np.moveaxis(each[..., : self.look], -1, 0) for each in (x, y))
        level = np.exp(-np.asarray(log_threshold))
        welch = combine([x, y], [1.0, -1.0]).lower(level)
        bound = np.clip(np.fmin(welch, _mover(x, y, level, low, high)), low - high, high - low)
        # What p-value and bound differ in by rounding is decided by the p-value.
        return np.asarray(np.where(reached, np.maximum(bound, pivot), np.minimum(bound, np.nextafter(pivot, -inf))))

    def extent(self, low: ArrayLike, high: ArrayLike) -> tuple[Array, Array]:
        """Between what theta can be: minus to plus the difference of these."""
        low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        if self.name == "wins":
            return np.zeros(low.shape), np.ones(high.shape)
        return low, high

    def any_of(self, logs: Array) -> Array:
        """logs: [..., comparison, pair] of as many pairs -> [..., pair]: evidence that any of the nulls is false.

        The mean of evidence from bets is evidence from bets; one over the smallest of several p-values needs the factor
        of their number.
        """
        if self.name == "fixed":
            return np.asarray(logs.max(axis=-2) - log(logs.shape[-2]))
        return log_mean(logs)


def wins_evidence(x: ArrayLike, y: ArrayLike, theta: ArrayLike = 0.0) -> Array:
    """x, y: [..., pair] -> [..., pair]: log evidence against "chance of x > y minus chance of x < y <= theta".

    The mean over f of the products of 1 + f (sign - theta) / (1 + theta); a tie is a bet that nothing comes of.
    Infinite scores are allowed: both infinite alike is a tie. Source: as `betting`; at theta 0 a sequential sign test.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return log_mean(np.cumsum(_wins_factors(x, y, theta), axis=-1))


def _wins_factors(x: Array, y: Array, theta: ArrayLike) -> Array:
    """x, y: [..., pair], theta: [...] -> [..., component, pair]: as `betting.log_factors`, of signs."""
    theta = np.asarray(theta, dtype=float)[..., None]
    signs = (x > y).astype(float) - (x < y)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.maximum(1 + FRACTIONS[:, None] * ((signs - theta) / (1 + theta))[..., None, :], 0)))


def fixed_p_value(x: ArrayLike, y: ArrayLike, theta: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    """x, y: [..., pair], theta: [...] -> [...]: p-value of "mean of x - mean of y > theta", for one look.

    The larger of two: that of corrected Welch (`intervals.combine`), and the least level at which the bound of the
    difference that is made of Gaffke's bounds (MOVER) lies above theta. The second is the guard: without it equal
    scores give 0. Source: Zou and Donner (2008), Construction of confidence limits about effect measures, Statistics in
    Medicine 27(10), for MOVER; taking the larger is our choice.
    """
    x, y = (np.moveaxis(np.asarray(each, dtype=float), -1, 0) for each in (x, y))
    theta, low, high = (np.asarray(each, dtype=float) for each in (theta, low, high))
    shape = np.broadcast_shapes(x.shape[1:], y.shape[1:], theta.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        welch = combine([x, y], [1.0, -1.0]).p_above(theta)
    # The least level at which the bound is above theta, between ever closer ones on a logarithmic scale.
    small, large = np.full(shape, _LEAST_LEVEL), np.full(shape, -1.0)
    never = np.zeros(shape, dtype=bool)
    for _ in range(_ROUNDS):
        levels = np.linspace(small, large, _LEVELS)
        short = (_mover(x[:, None], y[:, None], 2.0**levels, low, high) <= theta).sum(axis=0)
        never |= short == _LEVELS
        small, large = (
            np.take_along_axis(levels, np.clip(short + step, 0, _LEVELS - 1)[None], axis=0)[0] for step in (-1, 0)
        )
    agreed = np.where(never, 1.0, 2.0**large)
    return np.asarray(np.maximum(np.where(np.isnan(welch), 1.0, welch), agreed))


def _mover(x: Array, y: Array, level: ArrayLike, low: ArrayLike, high: ArrayLike) -> Array:
    """x, y: [pair, ...], level: [...] -> [...]: lower bound of the difference of means from Gaffke's bounds of each."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    below, above = mean_x - gaffke_lower(x, level, low), gaffke_upper(y, level, high) - mean_y
    return np.asarray(mean_x - mean_y - np.hypot(below, above))
