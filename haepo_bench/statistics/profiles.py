"""Performance profiles: how large a share of all runs scores above each threshold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.intervals import Interval
from haepo_bench.statistics.rates import weighted_sum_interval, wilson_interval

Array = NDArray[Any]


def performance_profile(scores: Array, weights: Array, thresholds: Array, *, confidence: float = 0.95) -> Interval:
    """scores: [seed, task], weights: [task], thresholds: [threshold] -> [threshold]: share of runs above each.

    A score distribution: the weighted fraction of runs with score > threshold, every task's weight shared by its runs
    (NaN: no run). Its area above 0, up to 1, is one less the optimality gap where no score is negative. Source: Agarwal
    et al. (2021), Deep reinforcement learning at the edge of the statistical precipice, section 4.2 (equal weights).

    The interval is pointwise: a task's share above a threshold is a rate, with Wilson's interval, and the weighted sum
    over tasks has that of `rates.rate_combination_interval`. It stands in place of the paper's stratified bootstrap,
    whose band has no width where all runs are on one side of a threshold, be they two. NaN where a task has no run.
    """
    scores = np.asarray(scores, dtype=float)
    n = (~np.isnan(scores)).sum(axis=0)
    if not n.all():
        return Interval(*np.full((3, len(thresholds)), np.nan))
    # One threshold at a time: all at once would need their number times the memory of the scores.
    above = np.stack([(scores > threshold).sum(axis=0) for threshold in thresholds])
    shares = wilson_interval(above / n, n, confidence=confidence)
    return weighted_sum_interval(shares, np.asarray(weights) / np.sum(weights))
