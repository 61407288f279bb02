"""What the scores of many runs are reduced to: within a task, and across tasks with a weight for each.

Across tasks there is no single overall number: the mean, the interquartile mean and the optimality gap stand side by
side, each with what it would be without each of the tasks.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from haepo_bench.statistics.intervals import Interval, combination_interval

Array = NDArray[Any]
#: Takes scores [..., seed, task] (NaN: no run) and weights [task], gives [...].
Aggregate = Callable[[Array, Array], Array]

#: Seeds in the tail below which a CVaR has no interval.
TAIL_SEEDS = 6


def quantile_mean(values: Array, weights: Array, *, low: float, high: float) -> Array:
    """values: [..., run], weights: [..., run] -> [...]: mean of the values between two quantile levels.

    The mean of the weighted empirical quantile function over [low, high]: a run whose share straddles a level counts
    with the fraction of its weight that lies inside. All between 0 and 1 is the mean, 0.25 to 0.75 the interquartile
    mean, 0 to alpha the conditional value at risk. Weights need not sum to 1; NaN values carry none. NaN where no
    weight is left.

    Source: Rockafellar and Uryasev (2002), Conditional value-at-risk for general loss distributions, Journal of Banking
    & Finance 26(7), proposition 8, for splitting the run at the level.
    """
    ordered, ends = _quantile_function(values, weights)
    inside = np.diff(np.clip(ends, low, high), axis=-1, prepend=low)
    return np.asarray((inside * np.where(inside > 0, ordered, 0.0)).sum(axis=-1) / inside.sum(axis=-1))


def cvar(scores: Array, *, fraction: float = 0.2) -> Array:
    """scores: [seed, ...] -> [...]: conditional value at risk, the mean over the worst `fraction` of the seeds.

    With 0.2, our choice, it is the worst of five seeds, the mean of the two worst of ten. Seeds that are NaN are left
    out. An interquartile mean hides one seed in five that collapses; this shows it. Source: Chan et al. (2020),
    Measuring the reliability of reinforcement learning algorithms, section 3 (risk across runs).
    """
    runs = np.moveaxis(np.asarray(scores, dtype=float), 0, -1)
    return quantile_mean(runs, np.ones(runs.shape), low=0.0, high=fraction)


def cvar_interval(scores: Array, *, fraction: float = 0.2, confidence: float = 0.95) -> Interval:
    """scores: [seed, ...] -> [...]: `cvar` with its interval; see `cvar_mean_interval`."""
    return cvar_mean_interval([np.asarray(scores, dtype=float)], [1.0], fraction=fraction, confidence=confidence)


def cvar_mean_interval(
    samples: Sequence[Array],
    weights: Sequence[float] | Array,
    *,
    fraction: float = 0.2,
    confidence: float = 0.95,
) -> Interval:
    """samples: [seed, ...] a task, weights: [task] -> [...]: weighted mean of the tasks' CVaRs, with a t interval.

    An estimate, on which nothing is decided. Of n seeds only the k in the tail say how much it varies, so that the
    variance of the influences is taken times k / (k - 1), Welch and Satterthwaite's degrees of freedom are k - 1 a
    task, and skewness is not corrected for, which a tail this small says nothing of (our choice). The ends are
    undefined where a tail holds fewer than six seeds (with 0.2: below 30 seeds), or nothing varies: no interval that
    looks at the seeds alone covers there (docs/explanation/statistics.md).
    """
    estimate = variance = square_over_degrees = np.zeros(())
    enough = np.ones((), dtype=bool)
    for scores, weight in zip(samples, np.asarray(weights, dtype=float), strict=True):
        influences = _cvar_influences(np.asarray(scores, dtype=float), fraction)
        n = (~np.isnan(influences)).sum(axis=0)
        tail = np.maximum(n * fraction, 2.0)
        deviations = np.nan_to_num(influences - np.nansum(influences, axis=0) / np.maximum(n, 1))
        part = weight**2 * (deviations**2).sum(axis=0) / np.maximum(n - 1, 1) / np.maximum(n, 1) * tail / (tail - 1)
        estimate = estimate + weight * cvar(scores, fraction=fraction)
        variance = variance + part
        square_over_degrees = square_over_degrees + part**2 / (tail - 1)
        enough = enough & (n * fraction >= TAIL_SEEDS - 1e-9)
    with np.errstate(divide="ignore", invalid="ignore"):
        degrees = variance**2 / square_over_degrees
        half_width = special.stdtrit(degrees, 0.5 + confidence / 2) * np.sqrt(variance)
    half_width = np.where(enough & (variance > 0), half_width, np.nan)
    return Interval(np.asarray(estimate), np.asarray(estimate - half_width), np.asarray(estimate + half_width))


def _cvar_influences(scores: Array, fraction: float) -> Array:
    """scores: [seed, ...] -> [seed, ...]: what each seed adds to the CVaR, up to a constant; NaN stays NaN."""
    runs = np.moveaxis(scores, 0, -1)
    ordered, ends = _quantile_function(runs, np.ones(runs.shape))
    cut = np.take_along_axis(ordered, np.argmax(ends >= fraction - 1e-12, axis=-1)[..., None], -1)
    return np.moveaxis(np.minimum(runs, cut) / fraction, -1, 0)


def family_weights(families: Sequence[str]) -> Array:
    """families: [task] -> [task]: weights that sum to 1; families count alike, and the tasks of a family alike.

    So ten variants of one bandit do not outvote the one control task. Our choice.
    """
    sizes = Counter(families)
    return np.array([1 / len(sizes) / sizes[family] for family in families])


def weighted_mean(scores: Array, weights: Array) -> Array:
    """scores: [..., seed, task], weights: [task] -> [...]: weighted mean of the tasks' means over seeds.

    NaN scores are runs that do not exist; a task that weighs something and has none makes this NaN, here and in all
    aggregates, because an aggregate over fewer tasks is another number. Source: Agarwal et al. (2021), Deep
    reinforcement learning at the edge of the statistical precipice, section 4 (there with equal weights).
    """
    return np.asarray(np.nansum(scores * _run_weights(scores, weights), axis=(-2, -1))) + _complete(scores, weights)


def interquartile_mean(scores: Array, weights: Array) -> Array:
    """scores: [..., seed, task], weights: [task] -> [...]: mean of the middle half of all runs of all tasks.

    Every task's weight is shared by its runs, and the runs at the quartiles count with the exact fraction that lies
    inside. Source: Agarwal et al. (2021), section 4.3. rliable drops whole runs, int(0.25 n) at each end: the same
    number where equal weights and a multiple of four runs leave no fraction.
    """
    shares = _run_weights(scores, weights)
    flat = (*scores.shape[:-2], -1)
    return quantile_mean(scores.reshape(flat), shares.reshape(flat), low=0.25, high=0.75) + _complete(scores, weights)


def optimality_gap(scores: Array, weights: Array) -> Array:
    """scores: [..., seed, task], weights: [task] -> [...]: how far runs stay below a score of 1 (solved), on average.

    1 - mean of min(score, 1): better than solved earns nothing. Source: Agarwal et al. (2021), section 4.3.
    """
    return 1.0 - weighted_mean(np.minimum(scores, 1.0), weights)


def weighted_mean_interval(scores: Array, weights: Array, *, confidence: float = 0.95) -> Interval:
    """scores: [..., seed, task], weights: [task] -> [...]: `weighted_mean` with a skewness-corrected t interval.

    Like all intervals here it says how the number would vary with other seeds on these tasks, not with other tasks. See
    `combination_interval`; undefined where a task has fewer than two runs.
    """
    return combination_interval(
        list(np.moveaxis(np.asarray(scores, float), (-1, -2), (0, 1))), weights, confidence=confidence
    )


def interquartile_mean_interval(scores: Array, weights: Array, *, confidence: float = 0.95) -> Interval:
    """scores: [..., seed, task], weights: [task] -> [...]: `interquartile_mean` with a skewness-corrected t interval.

    A run's influence on a mean between two quantiles is its value, drawn in to them, over the share between them: the
    interval is that of the tasks' means of these values, moved to the estimate. With 5 to 30 seeds it covers better
    than the bootstrap (docs/explanation/statistics.md). Source: Tukey and McLaughlin (1963), Less vulnerable confidence
    and significance procedures for location based on a single sample, Sankhya A 25, for the variance from winsorised
    values; strata, weights and the correction are our choice.
    """
    return _influence_interval(np.asarray(scores, dtype=float), weights, 0.25, 0.75, confidence)


def optimality_gap_interval(scores: Array, weights: Array, *, confidence: float = 0.95) -> Interval:
    """scores: [..., seed, task], weights: [task] -> [...]: `optimality_gap` with a skewness-corrected t interval."""
    mean, low, high = weighted_mean_interval(np.minimum(scores, 1.0), weights, confidence=confidence)
    return Interval(1 - mean, 1 - high, 1 - low)


def leave_one_task_out(aggregate: Aggregate, scores: Array, families: Sequence[str]) -> Array:
    """scores: [seed, task], families: [task] -> [task]: the aggregate without each task, the rest weighted anew.

    If one of these tells another story than the aggregate, that story is one task's. NaN where no task is left.
    """
    scores = np.asarray(scores, dtype=float)
    left = [[task for task in range(len(families)) if task != out] for out in range(len(families))]
    return np.array(
        [
            float(aggregate(scores[:, kept], family_weights([families[task] for task in kept]))) if kept else np.nan
            for kept in left
        ]
    )


def _quantile_function(values: Array, weights: Array) -> tuple[Array, Array]:
    """[..., run] each -> [..., run] each: values in order, and the level in [0, 1] up to which each one reaches."""
    values = np.asarray(values, dtype=float)
    weights = np.where(np.isnan(values), 0.0, weights)
    order = np.argsort(values, axis=-1)
    ordered = np.take_along_axis(values, order, axis=-1)
    ends = np.cumsum(np.take_along_axis(weights, order, axis=-1), axis=-1)
    with np.errstate(invalid="ignore"):
        return ordered, ends / ends[..., -1:]


def _influence_interval(scores: Array, weights: Array, low: float, high: float, confidence: float) -> Interval:
    """scores: [..., seed, task] -> [...]: interval of the mean of all runs between two quantile levels."""
    flat = (*scores.shape[:-2], -1)
    shares = _run_weights(scores, weights).reshape(flat)
    estimate = quantile_mean(scores.reshape(flat), shares, low=low, high=high) + _complete(scores, weights)
    ordered, ends = _quantile_function(scores.reshape(flat), shares)
    # The first run that reaches a level, whatever rounding did to the sum of the weights.
    cuts = [
        np.take_along_axis(ordered, np.argmax(ends >= level - 1e-12, axis=-1)[..., None], -1) for level in (low, high)
    ]
    influences = np.clip(scores, cuts[0][..., None] if low > 0 else -np.inf, cuts[1][..., None]) / (high - low)
    around = weighted_mean_interval(influences, np.asarray(weights) / np.sum(weights), confidence=confidence)
    return Interval(estimate, estimate + around.low - around.estimate, estimate + around.high - around.estimate)


def _run_weights(scores: Array, weights: Array) -> Array:
    """[..., seed, task]: each run's share of its task's weight, zero where there is no run."""
    defined = ~np.isnan(scores)
    return np.where(defined, weights / np.maximum(defined.sum(axis=-2, keepdims=True), 1), 0.0)


def _complete(scores: Array, weights: Array) -> Array:
    """[...]: 0 where every task that weighs something has a run, NaN elsewhere; to be added."""
    without = np.isnan(scores).all(axis=-2) & (np.asarray(weights) > 0)
    return np.where(without.any(axis=-1), np.nan, 0.0)
