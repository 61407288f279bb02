"""Performance profiles: how large a share of all runs scores above each threshold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.aggregates import weighted_mean
from haepo_bench.statistics.intervals import Interval

Array = NDArray[Any]


def performance_profile(scores: Array, weights: Array, thresholds: Array) -> Array:
    """scores: [..., seed, task], weights: [task], thresholds: [threshold] -> [..., threshold]: share of runs above.

    A score distribution: the weighted fraction of runs with score > threshold, every task's weight shared by its runs
    (NaN: no run). Its area above 0, up to 1, is one less the optimality gap where no score is negative. Source: Agarwal
    et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.2 (equal weights).
    """
    scores = np.asarray(scores, dtype=float)
    missing = np.isnan(scores)
    # One threshold at a time: all at once would need their number times the memory of the scores.
    return np.stack(
        [weighted_mean(np.where(missing, np.nan, scores > threshold), weights) for threshold in np.asarray(thresholds)],
        axis=-1,
    )


def profile_band(
    scores: Array,
    weights: Array,
    thresholds: Array,
    *,
    rng: np.random.Generator,
    confidence: float = 0.95,
    replicates: int = 2000,
) -> Interval:
    """scores: [seed, task], weights: [task], thresholds: [threshold] -> [threshold]: the profile with a pointwise band.

    Seeds are resampled within each task, and a replicate's profile is one whole curve. Percentile intervals as in
    Agarwal et al. (2021): shares of few runs take few values, and corrections for bias and skewness read noise there. A
    task with one run gives no band.

    How often each run is drawn is multinomial, and a profile is linear in that: it is drawn at once, which gives the
    distribution that `bootstrap_interval` has and takes a hundredth of the time.
    """
    scores, thresholds = np.asarray(scores, dtype=float), np.asarray(thresholds, dtype=float)
    estimate = performance_profile(scores, weights, thresholds)
    replicated = np.zeros((replicates, len(thresholds)))
    for column, weight in zip(scores.T, np.asarray(weights) / np.sum(weights), strict=True):
        runs = column[~np.isnan(column)]
        if len(runs) < 2:
            return Interval(estimate, np.full_like(estimate, np.nan), np.full_like(estimate, np.nan))
        drawn = rng.multinomial(len(runs), np.full(len(runs), 1 / len(runs)), size=replicates) / len(runs)
        replicated += weight * (drawn @ (runs[:, None] > thresholds))
    low, high = np.quantile(replicated, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    # Rounding aside, a share that no resampling can change has a band of width zero, and none leaves [0, 1].
    return Interval(estimate, np.minimum(np.clip(low, 0, 1), estimate), np.maximum(np.clip(high, 0, 1), estimate))
