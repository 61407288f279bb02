"""Bounds of the mean of bounded scores from few of them, whatever their distribution: Gaffke's.

The least possible score joins the sample, and the sample's points get the random weights of a uniform Dirichlet
distribution; a lower bound at a level is that quantile of the weighted mean. Always inside the bounds, never of zero
width, and the Clopper-Pearson bound where scores are 0 or 1. No counterexample to its coverage is known, nor a proof
but for two samples: it describes, and decides nothing alone.

Source: Gaffke (2005), Three test statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative
variable, Mathematical Methods of Statistics 14(4); Learned-Miller and Thomas (2019), A new confidence interval for the
mean of a bounded random variable, arXiv:1905.06208. The weighted mean's density is the B-spline with the points as
knots (Curry and Schoenberg 1966), whose integral de Boor's recurrence evaluates without loss of digits.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haepo_bench.statistics.intervals import MeanInterval, corrected_mean_interval

Array = NDArray[Any]

#: Of the range of the values: so close a bound is found.
_TOLERANCE = 1e-10
#: Fewer samples are shown one by one.
LEAST_SAMPLES = 5


def gaffke_lower(values: ArrayLike, level: ArrayLike, low: ArrayLike) -> Array:
    """values: [sample, ...], level: [...] -> [...]: lower bound of the mean, which it exceeds with chance `level`.

    Args:
        low: least possible value, [...]; no value is below.
    """
    from scipy.optimize import elementwise

    values = np.moveaxis(np.asarray(values, dtype=float), 0, -1)
    shape = np.broadcast_shapes(values.shape[:-1], np.shape(level), np.shape(low))
    n = values.shape[-1]
    points = np.concatenate(
        [np.broadcast_to(np.asarray(low, dtype=float), shape)[..., None], np.broadcast_to(values, (*shape, n))], axis=-1
    )
    points = np.sort(points, axis=-1).reshape(-1, n + 1)
    target = np.broadcast_to(np.asarray(level, dtype=float), shape).reshape(-1)
    below, above = points[:, 0], points[:, -1]
    found = below.copy()
    varies = np.flatnonzero(above > below)
    if len(varies):

        def beyond(at: Array, case: Array) -> Array:
            return np.asarray(weighted_mean_cdf(points[case], at) - target[case])

        solved = elementwise.find_root(
            beyond, (below[varies], above[varies]), args=(varies,), tolerances={"xatol": _TOLERANCE * np.ptp(points)}
        )
        # Of the last two places around the quantile the one below.
        found[varies] = solved.bracket[0]
    return np.asarray(found.reshape(shape))


def gaffke_upper(values: ArrayLike, level: ArrayLike, high: ArrayLike) -> Array:
    """As `gaffke_lower`, from above."""
    return -gaffke_lower(-np.asarray(values, dtype=float), level, -np.asarray(high, dtype=float))


def mean_within_bounds(values: ArrayLike, low: ArrayLike, high: ArrayLike, *, confidence: float = 0.95) -> MeanInterval:
    """values: [sample, ...] -> [...]: mean over the samples that are not NaN, and an interval of what is possible.

    Gaffke's bounds where both bounds of the values are known, the skewness-corrected t interval inside those that are
    elsewhere. It describes one mean and decides nothing. Never of width zero; undefined below five samples, which are
    better shown one by one, and where nothing varies and a bound is not known.

    Args:
        low: least possible value, [...]; -inf or NaN where not known.
        high: greatest possible value, as `low`.
    """
    values = np.asarray(values, dtype=float)
    found = corrected_mean_interval(values, confidence=confidence)
    shape = found.mean.shape
    least = np.broadcast_to(np.where(np.isnan(low), -np.inf, low), shape)
    most = np.broadcast_to(np.where(np.isnan(high), np.inf, high), shape)
    # A bound that a value is beyond, if by rounding alone, is drawn out to it.
    least = np.fmin(least, np.fmin.reduce(values, axis=0, initial=np.inf))
    most = np.fmax(most, np.fmax.reduce(values, axis=0, initial=-np.inf))
    varies = found.low < found.high
    lower, upper = (np.where(varies, np.clip(end, least, most), np.nan) for end in (found.low, found.high))
    bounded, tail = np.isfinite(most - least) & (most > least), (1 - confidence) / 2
    first = np.sort(values, axis=0)  # NaN last
    for n in np.unique(found.n):
        here = bounded & (found.n == n)
        if n >= LEAST_SAMPLES and here.any():
            samples = first[:n, here]
            lower[here], upper[here] = gaffke_lower(samples, tail, least[here]), gaffke_upper(samples, tail, most[here])
    enough = found.n >= LEAST_SAMPLES
    return MeanInterval(found.mean, np.where(enough, lower, np.nan), np.where(enough, upper, np.nan), found.n)


def weighted_mean_cdf(points: Array, at: Array) -> Array:
    """points: [case, point] in increasing order, at: [case] -> [case]: chance that their weighted mean is at most `at`.

    Weights are uniform on the simplex. de Boor (1978), A Practical Guide to Splines, chapter X: the distribution
    function is the spline of degree n on the n + 1 points with coefficients 0 before the first of them and 1 after.
    """
    cases, count = points.shape
    degree = count - 1
    if not degree or not cases:
        return (points[:, 0] <= at).astype(float)
    span = np.clip((points <= at[:, None]).sum(axis=1) - 1, 0, count - 2)
    # Place of knot span - degree + j, [j, case]: one case beside the other, so that each step is a few long operations.
    # Knots before the first and beyond the last point are repeated.
    around = span - degree + np.arange(2 * degree + 2)[:, None]
    knots = np.take_along_axis(np.ascontiguousarray(points.T), np.clip(around, 0, degree), axis=0)
    distance = at - knots
    ones = degree - span
    coefficients = (np.arange(degree + 1)[:, None] >= ones).astype(float)
    fewest, most = int(ones.min()), int(ones.max())
    share, rest = np.empty_like(coefficients), np.empty_like(coefficients)
    with np.errstate(divide="ignore", invalid="ignore"):  # of cases whose points `at` is not between
        for step in range(1, degree + 1):
            # Between zeros alone a coefficient stays 0, and between ones alone 1, exactly.
            low, high = max(0, fewest - step), min(most, degree + 1 - step)
            own, kept, one = share[: high - low], rest[: high - low], coefficients[low:high]
            np.subtract(knots[degree + 1 + low : degree + 1 + high], knots[low + step : high + step], out=own)
            np.divide(distance[low + step : high + step], own, out=own)
            np.subtract(1, own, out=kept)
            kept *= one
            own *= coefficients[low + 1 : high + 1]
            np.add(kept, own, out=one)
    inside = np.clip(coefficients[0], 0.0, 1.0)
    return np.where(at < points[:, 0], 0.0, np.where(at >= points[:, -1], 1.0, inside))
