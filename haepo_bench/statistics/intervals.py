"""Means over seeds, their differences and weighted sums, with confidence intervals."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[Any]

#: Fewer samples say nothing usable about their skewness: the correction would only add noise
#: (docs/explanation/statistics.md).
ENOUGH_FOR_SKEWNESS = 5


class Interval(NamedTuple):
    """An estimate with its confidence interval; every field has the same shape. Ends are NaN where there is none."""

    estimate: Array
    low: Array
    high: Array


class MeanInterval(NamedTuple):
    """A mean with its confidence interval; every field has the same shape.

    Args:
        mean: NaN where there is no sample.
        low: lower end; NaN where there are fewer than two samples.
        high: upper end; NaN where there are fewer than two samples.
        n: number of samples that the mean rests on.
    """

    mean: Array
    low: Array
    high: Array
    n: Array


def mean_interval(values: Array, *, confidence: float = 0.95) -> MeanInterval:
    """values: [sample, ...] -> [...]: mean and Student t interval over the samples that are not NaN.

    The interval is mean +- t(n - 1) * s / sqrt(n), with the sample standard deviation s (ddof 1). One sample says
    nothing about the spread: its interval is undefined, not of width zero. Samples that are all equal do give an
    interval of width zero. The interval assumes samples that are independent and nearly normal; scores of seeds are
    rarely that, and `corrected_mean_interval` covers better (docs/explanation/statistics.md).

    Source: Student (1908), The probable error of a mean, Biometrika 6(1).
    """
    values = np.asarray(values, dtype=float)
    defined = ~np.isnan(values)
    n = defined.sum(axis=0)
    some, enough = np.maximum(n, 1), np.maximum(n, 2)
    mean = np.where(defined, values, 0.0).sum(axis=0) / some
    deviations = np.where(defined, values - mean, 0.0)
    standard_error = np.sqrt((deviations**2).sum(axis=0) / (enough - 1) / enough)
    half_width = special.stdtrit(enough - 1, 0.5 + confidence / 2) * standard_error
    return MeanInterval(
        mean=np.where(n >= 1, mean, np.nan),
        low=np.where(n >= 2, mean - half_width, np.nan),
        high=np.where(n >= 2, mean + half_width, np.nan),
        n=n,
    )


def corrected_mean_interval(values: Array, *, confidence: float = 0.95) -> MeanInterval:
    """values: [sample, ...] -> [...]: mean and skewness-corrected t interval over the samples that are not NaN.

    The default interval for means over seeds; see `combination_interval` for the method. With fewer than five samples
    it is `mean_interval`.
    """
    interval = combination_interval([values], [1.0], confidence=confidence)
    return MeanInterval(*interval, n=(~np.isnan(np.asarray(values, dtype=float))).sum(axis=0))


def difference_interval(x: Array, y: Array, *, confidence: float = 0.95) -> Interval:
    """x: [sample x, ...], y: [sample y, ...] -> [...]: mean of x less mean of y, independent samples of any variances.

    See `combination_interval` for the method.
    """
    return combination_interval([x, y], [1.0, -1.0], confidence=confidence)


def combination_interval(
    samples: Sequence[Array], coefficients: Sequence[float] | Array, *, confidence: float = 0.95
) -> Interval:
    """samples: [sample, ...] each, coefficients: [group] -> [...]: a weighted sum of means of independent samples.

    One mean (1), a difference (1, -1), a weighted mean over tasks, a difference of such means. Samples that are NaN are
    left out. The ends are undefined where any group has fewer than two samples.

    Welch's t, with the skewness of the estimate taken out first: T = (estimate - truth) / se has skewness, the third
    cumulant over se^3 = a, and g(T) = T + a T^2 / 3 + a^2 T^3 / 27 + a / 6 has none to the order 1 / n. The interval is
    where g(T) lies within Student's quantiles: g is a perfect cube plus a constant, so that its inverse is exact.
    Variances and third cumulants are estimated by k-statistics (unbiased); the degrees of freedom are Welch and
    Satterthwaite's. Where a is zero this is Student's or Welch's interval.

    Sources: Johnson (1978), Modified t tests and confidence intervals for asymmetrical populations, JASA 73, for t's
    quantiles; Hall (1992), On the removal of skewness by transformation, JRSS B 54(1), for g; Zhou and Dinh (2005),
    Nonparametric confidence intervals for the one- and two-sample problems, Biostatistics 6(2), for two samples (T3).
    Our choice: k-statistics, weighted sums, no correction from groups of fewer than five samples.
    """
    return combine(samples, coefficients).interval(confidence)


class Combination(NamedTuple):
    """A weighted sum of means of independent samples, for intervals and tests; every field has the same shape.

    Args:
        error: the estimate's standard error.
        degrees: of freedom.
        skewness: of the estimate.
        enough: whether every group has two samples.
        size: of the largest numbers summed: differences far smaller are rounding.
    """

    estimate: Array
    error: Array
    degrees: Array
    skewness: Array
    enough: Array
    size: Array

    def interval(self, confidence: float) -> Interval:
        """As `combination_interval`."""
        quantile = special.stdtrit(self.degrees, 0.5 + confidence / 2)
        low = self.estimate - self.error * _uncorrected(quantile, self.skewness)
        high = self.estimate - self.error * _uncorrected(-quantile, self.skewness)
        return Interval(self.estimate, np.where(self.enough, low, np.nan), np.where(self.enough, high, np.nan))

    def lower(self, level: ArrayLike) -> Array:
        """level: [...] -> lower end of a one-sided interval; the sum is below it with chance `level`."""
        quantile = special.stdtrit(self.degrees, 1 - np.asarray(level))
        low = self.estimate - self.error * _uncorrected(quantile, self.skewness)
        return np.where(self.enough, low, np.nan)

    def p_above(self, null: float | Array) -> Array:
        """p-value of the sum being above null; the null hypothesis is that it is at most `null`.

        The test that belongs to `interval`: p is below alpha exactly where the lower end at confidence 1 - 2 alpha lies
        above null. Without any spread it is 0 or 1. NaN where any group has fewer than two samples.
        """
        # Equal scores differ from their mean by rounding alone, and so may two equal means.
        still, a = self.error <= 1e-12 * self.size, self.skewness
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            t = (self.estimate - null) / self.error
            g = t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6
            certain = np.where(self.estimate - null > 1e-12 * self.size, 0.0, 1.0)
            p = np.where(still, certain, special.stdtr(self.degrees, -g))
        return np.where(self.enough, p, np.nan)

    def p_below(self, null: float | Array) -> Array:
        """p-value of the sum being below null."""
        return self._replace(estimate=-self.estimate, skewness=-self.skewness).p_above(-null)


def combine(samples: Sequence[Array], coefficients: Sequence[float] | Array) -> Combination:
    """samples: [sample, ...] each, coefficients: [group] -> [...]: see `combination_interval`."""
    estimate = variance = third = square_over_degrees = np.zeros(())
    enough = np.ones((), dtype=bool)
    size = 0.0
    for group, c in zip(samples, np.asarray(coefficients, dtype=float), strict=True):
        values = np.asarray(group, dtype=float)
        n, mean, k2, k3 = _k_statistics(values)
        part = c**2 * k2 / np.maximum(n, 1)
        estimate = estimate + c * mean
        variance = variance + part
        third = third + np.where(n >= ENOUGH_FOR_SKEWNESS, c**3 * k3 / np.maximum(n, 1) ** 2, 0.0)
        square_over_degrees = square_over_degrees + part**2 / np.maximum(n - 1, 1)
        enough = enough & (n >= 2)
        size += abs(c) * np.fmax.reduce(np.abs(values), axis=None, initial=0.0)
    error = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = np.where(variance > 0, variance**2 / square_over_degrees, 1.0)
        skewness = np.where(variance > 0, third / error**3, 0.0)
    return Combination(estimate, error, degrees, skewness, enough, np.asarray(size))


def _k_statistics(values: Array) -> tuple[Array, Array, Array, Array]:
    """values: [sample, ...] -> [...]: number of samples that are not NaN, mean, k2 (variance), k3 (third cumulant)."""
    defined = ~np.isnan(values)
    n = defined.sum(axis=0)
    mean = np.where(n >= 1, np.where(defined, values, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)
    deviations = np.where(defined, values - mean, 0.0)
    k2 = (deviations**2).sum(axis=0) / np.maximum(n - 1, 1)
    k3 = (deviations**3).sum(axis=0) * n / np.maximum((n - 1) * (n - 2), 1)
    return n, mean, k2, k3


def _uncorrected(x: Array, a: Array) -> Array:
    """x: [...], a: [...] -> the T with g(T) = x: (3 / a) ((1 + a (x - a / 6))^(1/3) - 1), x where a is zero."""
    u = a * (x - a / 6)
    # The difference of nearly equal numbers without loss of digits.
    root = np.where(np.abs(u) < 0.5, np.expm1(np.log1p(np.clip(u, -0.5, 0.5)) / 3), np.cbrt(1 + u) - 1)
    return np.where(a == 0, x, 3 * root / np.where(a == 0, 1.0, a))
