"""Performance profiles: how large a share of all runs scores above each threshold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.aggregates import aggregate_interval, weighted_mean
from haepo_bench.statistics.bootstrap import Method
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
    method: Method = "percentile",
    confidence: float = 0.95,
    replicates: int = 2000,
) -> Interval:
    """scores: [seed, task], weights: [task], thresholds: [threshold] -> [threshold]: the profile with a pointwise band.

    Seeds are resampled within each task, and a replicate's profile is one whole curve. Percentile intervals as in
    Agarwal et al. (2021): shares of few runs take few values, and corrections for bias and skewness read noise there.
    """
    return aggregate_interval(
        lambda resampled, shares: performance_profile(resampled, shares, thresholds),
        scores,
        weights,
        rng=rng,
        method=method,
        confidence=confidence,
        replicates=replicates,
    )
