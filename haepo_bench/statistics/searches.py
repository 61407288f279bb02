"""What a search is worth: the best of m configurations, and how much it matters that each task has its own.

All is cross-fitted: one tuning seed chooses, the others score what it chose, and every seed chooses once. A score that
chooses and is reported as well is too high by the luck that made it the best.
"""

from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: Between which percentiles of all trials on a task performance is normalised, as in Adkins et al. (2024).
PERCENTILES = (5.0, 95.0)


def best_of(choosing: Array, scoring: Array) -> Array:
    """choosing, scoring: [trial] -> [m]: expected score of the best of m = 1, 2, ... configurations.

    The best by `choosing` of m that are drawn from the k trials without replacement, scored by `scoring`; the unbiased
    form sum_(i >= m) s_(i) C(i - 1, m - 1) / C(k, m), over the trials in ascending order of `choosing`. Where some
    choose alike, any of them may be the one. The first number is the mean of all. -inf where one that has -inf may be
    the best.

    Source: Dodge et al. (2019, arXiv 1909.03004), Show your work; without replacement as in Tang et al. (2020).
    """
    k = len(choosing)
    order = np.argsort(choosing, kind="stable")
    ranked = np.asarray(scoring, dtype=float)[order]
    _, groups = np.unique(choosing[order], return_inverse=True)
    sums = np.bincount(groups, weights=ranked)
    ranked = (sums / np.bincount(groups))[groups]
    weights = np.array([[comb(i, m - 1) / comb(k, m) for i in range(k)] for m in range(1, k + 1)])
    lost = np.isneginf(ranked)
    found = weights @ np.where(lost, 0.0, ranked)
    found[(weights[:, lost] > 0).any(axis=1)] = -np.inf
    return np.asarray(found)


def best_of_cross_fitted(scores: Array) -> Array:
    """scores: [trial, seed] -> [m]: `best_of`, where each seed chooses once and the others score.

    NaN with a single seed, which cannot do both.
    """
    k, seeds = scores.shape
    if seeds < 2:
        return np.full(k, np.nan)
    return np.asarray(np.mean([best_of(scores[:, j], _others(scores, j)) for j in range(seeds)], axis=0))


def normalised(scores: Array, low: Array, high: Array) -> Array:
    """scores: [..., task, seed], low, high: [task] -> the same shape: 0 at `low` and 1 at `high`.

    NaN on tasks where the two are the same: all trials are alike there.
    """
    span = np.where(high > low, high - low, np.nan)[:, None]
    return np.asarray((scores - low[:, None]) / span)


def sensitivity(scores: Array, weights: Array) -> float:
    """scores: [trial, task, seed] (normalised), weights: [task] -> how much a setting per task is above one for all.

    mean_e max_j score(j, e) - max_j mean_e score(j, e), cross-fitted. 0: one setting does for all tasks. Can be below 0
    by chance, as any unbiased estimate of something near 0. NaN with a single seed or without a task, or where a
    trial that has -inf on one seed is chosen on another.

    Source: Adkins, Bowling, White (2024), A method for evaluating hyperparameter sensitivity in reinforcement learning.
    """
    defined = ~np.isnan(scores).any(axis=(0, 2))
    if scores.shape[2] < 2 or not defined.any():
        return float("nan")
    scores, weights = scores[:, defined], weights[defined] / weights[defined].sum()
    found = []
    for j in range(scores.shape[2]):
        chooses, judges = scores[:, :, j], _others(scores, j)
        own = sum(w * _value(chooses[:, e], judges[:, e]) for e, w in enumerate(weights))
        found.append(float(own) - _value(chooses @ weights, judges @ weights))
    return float(np.mean(found)) if np.isfinite(found).all() else float("nan")


def _value(chooses: Array, judges: Array) -> float:
    """What the best is worth; the mean where several are the best."""
    return float(judges[chooses == chooses.max()].mean())


def _others(scores: Array, seed: int) -> Array:
    """[..., seed] -> [...]: means over the other seeds."""
    return np.asarray(np.delete(scores, seed, axis=-1).mean(axis=-1))
