"""How often runs collapse."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haepo_bench.statistics.intervals import Interval

Array = NDArray[Any]


def collapsed(scores: Array, *, learned: float = 0.2, kept: float = 0.5) -> Array:
    """scores: [..., point] -> [...] bool: runs that had learned something and ended with less than half of it.

    A run had learned if it held a score of at least `learned` at two consecutive points; what it held is the best such
    score, so that one lucky evaluation is not a peak. It collapsed if its last score is below `kept` times that. Points
    that are NaN are passed over: diverged runs have the random policy's score, 0, from that point on, and count. A run
    that never learned did not collapse. The definition, with its two numbers, is our choice; it is the drawdown of Chan
    et al. (2020), Measuring the reliability of reinforcement learning algorithms, section 3, with a threshold.
    """
    scores = np.asarray(scores, dtype=float)
    runs = scores.reshape(-1, scores.shape[-1])
    found = np.zeros(len(runs), dtype=bool)
    for place, run in enumerate(runs):
        defined = run[~np.isnan(run)]
        if len(defined) > 1:
            held = np.minimum(defined[1:], defined[:-1]).max()
            found[place] = held >= learned and defined[-1] < kept * held
    return found.reshape(scores.shape[:-1])


def rate_interval(happened: Array, *, confidence: float = 0.95) -> Interval:
    """happened: [run] bool -> scalar: the share of runs in which it happened, with Wilson's score interval.

    Of 0 in 10 the interval is [0, 0.28], not of width zero. Source: Wilson (1927), Probable inference, the law of
    succession, and statistical inference, JASA 22; for the choice Brown, Cai and DasGupta (2001), Interval estimation
    for a binomial proportion, Statistical Science 16(2): coverage near the nominal on average, where Clopper and
    Pearson's is above it throughout (docs/explanation/statistics.md). NaN where there is no run.
    """
    happened = np.asarray(happened, dtype=bool)
    if not happened.size:
        return Interval(*np.full(3, np.nan))
    return wilson_interval(happened.mean(), happened.size, confidence=confidence)


def wilson_interval(rate: ArrayLike, n: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """rate, n: [...] shares and the runs that they are of, at least one -> [...]: `rate_interval` of each."""
    from scipy import special

    rate, n, z = np.asarray(rate, dtype=float), np.asarray(n), special.ndtri(0.5 + confidence / 2)
    centre = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half_width = z / (1 + z**2 / n) * np.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    # At 0 and 1 the interval reaches the rate itself, which rounding must not undo.
    low, high = np.clip(centre - half_width, 0, rate), np.clip(centre + half_width, rate, 1)
    return Interval(rate, np.where(rate > 0, low, 0.0), np.where(rate < 1, high, 1.0))


def rate_combination_interval(
    happened: Sequence[Array], coefficients: Sequence[float] | Array, *, confidence: float = 0.95
) -> Interval:
    """happened: [run] bool each, coefficients: [group] -> scalar: a weighted sum of rates of independent groups.

    A difference of rates (1, -1), a weighted mean over tasks, a difference of such means. Each group's distances from
    its rate to the ends of its Wilson interval are added as squares, taking the end that moves the sum the same way.
    So rates of 0 in 10 against 0 in 10 leave room for a difference, where a t interval has width zero. Sources:
    Newcombe (1998), Interval estimation for the difference between independent proportions, Statistics in Medicine
    17(8), method 10; Zou and Donner (2008), Construction of confidence limits about effect measures, Statistics in
    Medicine 27(10), for sums. NaN where a group has no run.
    """
    single = [rate_interval(group, confidence=confidence) for group in happened]
    ends = (np.array([float(each[end]) for each in single]) for end in range(3))
    return weighted_sum_interval(Interval(*ends), coefficients)


def weighted_sum_interval(rates: Interval, coefficients: Sequence[float] | Array) -> Interval:
    """rates: [..., group], coefficients: [group] -> [...]: `rate_combination_interval` of intervals that are known."""
    rate, low, high = rates
    c = np.asarray(coefficients, dtype=float)
    down, up = c * np.where(c > 0, rate - low, rate - high), c * np.where(c > 0, high - rate, low - rate)
    estimate = np.asarray(rate @ c)
    return Interval(estimate, estimate - np.sqrt((down**2).sum(axis=-1)), estimate + np.sqrt((up**2).sum(axis=-1)))
