"""Stratified bootstrap intervals: percentile, bias-corrected and accelerated (BCa), studentised."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.intervals import Interval

Array = NDArray[Any]
#: Takes one array [replicate, seed, ...] a stratum and gives [replicate, ...].
Statistic = Callable[[list[Array]], Array]
Method = Literal["percentile", "bca", "studentised"]

#: Numbers that a statistic is given at once: keeps the memory of a bootstrap over long curves at some 30 MB.
CHUNK = 4_000_000


def bootstrap_interval(
    strata: Sequence[Array],
    statistic: Statistic,
    *,
    rng: np.random.Generator,
    method: Method = "bca",
    standard_error: Statistic | None = None,
    confidence: float = 0.95,
    replicates: int = 2000,
) -> Interval:
    """strata: one [seed, ...] each -> [...]: interval of a statistic of all strata, resampling seeds within each.

    A stratum is what is sampled on its own: one task, or one algorithm on one task; strata may have unequal numbers of
    seeds, and missing runs are simply not in them. Seeds are resampled as wholes: all that stands behind the seed axis,
    such as the points of a curve, stays together, so that an interval of something computed from curves knows how
    points go together. The statistic is called with many replicates at once and must reduce axis 1 of every stratum.

    `percentile` (Efron and Tibshirani 1993, An Introduction to the Bootstrap, 13.3) is here for comparison: it is too
    narrow for few seeds. `bca` (14.3; for several strata Davison and Hinkley 1997, Bootstrap Methods and their
    Application, 5.3.2) serves any smooth statistic. `studentised` (Efron and Tibshirani 12.5) needs `standard_error`,
    the statistic's standard error from the same strata; replicates in which that is zero have no t and are left out.
    Coverage of each: docs/explanation/statistics.md.

    The ends are NaN where any stratum has fewer than two seeds, where the statistic is undefined in a replicate, and
    where all replicates lie on one side of the estimate (`bca`). Where neither replicates nor estimate vary at all, the
    interval has width zero.

    Raises:
        ValueError: `studentised` without a standard error.
    """
    if method == "studentised" and standard_error is None:
        raise ValueError("A studentised interval needs the statistic's standard error.")
    samples = [np.asarray(stratum, dtype=float) for stratum in strata]
    estimate = _once(statistic, samples)
    if min((len(sample) for sample in samples), default=0) < 2:
        return Interval(estimate, np.full_like(estimate, np.nan), np.full_like(estimate, np.nan))
    indices = [rng.integers(0, len(sample), size=(replicates, len(sample))) for sample in samples]
    replicated = _replicate(statistic, samples, indices)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "percentile":
        low, high = _quantiles(replicated, tails.reshape(-1, *(1,) * estimate.ndim))
    elif method == "bca":
        low, high = _quantiles(replicated, _bca_levels(samples, statistic, estimate, replicated, tails))
    elif standard_error is not None:
        errors = _replicate(standard_error, samples, indices)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(errors > 0, (replicated - estimate) / errors, np.nan)
        error = _once(standard_error, samples)
        t_low, t_high = _quantiles(t, tails.reshape(-1, *(1,) * estimate.ndim))
        low, high = estimate - t_high * error, estimate - t_low * error
    undefined = np.isnan(replicated).any(axis=0)
    low, high = np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)
    constant = (replicated == estimate).all(axis=0)
    return Interval(estimate, np.where(constant, estimate, low), np.where(constant, estimate, high))


def _once(statistic: Statistic, samples: list[Array]) -> Array:
    """[seed, ...] -> [...]: the statistic of one data set."""
    value: Array = np.asarray(statistic([sample[None] for sample in samples]), dtype=float)[0]
    return np.asarray(value)


def _replicate(statistic: Statistic, samples: list[Array], indices: list[Array]) -> Array:
    """samples: [seed, ...] each, indices: [replicate, seed] each -> [replicate, ...]: in chunks, to bound memory."""
    step = max(1, CHUNK // max(1, sum(sample.size for sample in samples)))
    return np.concatenate(
        [
            np.asarray(statistic([s[i[start : start + step]] for s, i in zip(samples, indices, strict=True)]), float)
            for start in range(0, len(indices[0]), step)
        ]
    )


def _bca_levels(samples: list[Array], statistic: Statistic, estimate: Array, replicated: Array, tails: Array) -> Array:
    """[2, ...]: the quantile levels that BCa reads off in place of the tails; NaN where the correction is undefined."""
    from scipy import special

    # Half of what equals the estimate counts as below, so that ties do not bias.
    below = ((replicated < estimate).mean(axis=0) + (replicated <= estimate).mean(axis=0)) / 2
    bias = special.ndtri(below)
    cubes, squares = np.zeros_like(estimate), np.zeros_like(estimate)
    for place, sample in enumerate(samples):
        n = len(sample)
        left_out = np.array([np.delete(np.arange(n), seed) for seed in range(n)])
        kept = [np.broadcast_to(np.arange(len(other)), (n, len(other))) for other in samples]
        jackknife = _replicate(statistic, samples, [*kept[:place], left_out, *kept[place + 1 :]])
        influence = (n - 1) * (jackknife.mean(axis=0) - jackknife)
        cubes += (influence**3).sum(axis=0) / n**3
        squares += (influence**2).sum(axis=0) / n**2
    with np.errstate(divide="ignore", invalid="ignore"):
        acceleration = cubes / squares**1.5 / 6
        z = bias + special.ndtri(tails).reshape(-1, *(1,) * estimate.ndim)
        levels = special.ndtr(bias + z / (1 - acceleration * z))
    return np.where(np.isfinite(bias), levels, np.nan)


def _quantiles(replicated: Array, levels: Array) -> tuple[Array, Array]:
    """replicated: [replicate, ...], levels: [2, ...] -> two [...]: each column at levels of its own, by linear
    interpolation (Hyndman and Fan's definition 7), over what is not NaN; NaN where nothing is."""
    ordered = np.sort(replicated, axis=0)
    last = np.maximum((~np.isnan(ordered)).sum(axis=0) - 1, 0)
    place = np.nan_to_num(levels) * last
    floor = place.astype(int)
    start = np.take_along_axis(ordered, floor, axis=0)
    end = np.take_along_axis(ordered, np.minimum(floor + 1, last), axis=0)
    with np.errstate(invalid="ignore"):  # between infinities
        low, high = np.where(np.isnan(levels), np.nan, start + (place - floor) * (end - start))
    return low, high


def rectangle(strata: list[Array]) -> Array:
    """strata: [replicate, seed] each -> [replicate, seed, stratum]: one array, NaN below strata with fewer seeds."""
    filled = np.full((len(strata[0]), max(stratum.shape[1] for stratum in strata), len(strata)), np.nan)
    for place, stratum in enumerate(strata):
        filled[:, : stratum.shape[1], place] = stratum
    return filled
