"""Time to a threshold, where some runs never get there."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.intervals import Interval

Array = NDArray[Any]


class Times(NamedTuple):
    """Right-censored times.

    Args:
        time: of the event; where there was none, until when the run was seen without it. NaN for a run never seen.
        reached: whether the event happened.
    """

    time: Array
    reached: Array


class SurvivalCurve(NamedTuple):
    """Share of runs that have not reached the threshold after each time, with a pointwise band.

    Args:
        time: increasing; the share holds from this time until before the next.
        share: before the first time it is 1.
        low: lower end; NaN where it is undefined (no event yet, or nobody left).
        high: upper end, as `low`.
    """

    time: Array
    share: Array
    low: Array
    high: Array


def time_to_threshold(values: Array, marks: Array, threshold: float) -> Times:
    """values: [..., point], marks: [point], increasing -> [...]: first of two successive points at or above it.

    Two, so that one lucky evaluation is not an arrival. A run that never holds it is censored at its last point that is
    not NaN, which is the budget for a run that ended regularly; a single value above at the last point is not yet an
    arrival. The true time lies up to one distance of points before the point named.
    """
    values, marks = np.asarray(values, dtype=float), np.asarray(marks, dtype=float)
    above = values >= threshold
    held = above[..., :-1] & above[..., 1:]
    reached = held.any(axis=-1)
    defined = ~np.isnan(values)
    last = len(marks) - 1 - np.argmax(defined[..., ::-1], axis=-1)
    first = np.argmax(held, axis=-1) if held.shape[-1] else np.zeros_like(last)
    return Times(np.where(defined.any(axis=-1), marks[np.where(reached, first, last)], np.nan), np.asarray(reached))


def kaplan_meier(times: Times, *, confidence: float = 0.95) -> SurvivalCurve:
    """times: [run] each -> [distinct time]: share of runs that have not arrived yet, with a log-log band.

    Runs censored at a time count as present at it. Sources: Kaplan and Meier (1958), Nonparametric estimation from
    incomplete observations, JASA 53; variance by Greenwood (1926), transformed as in Kalbfleisch and Prentice (1980),
    The Statistical Analysis of Failure Time Data, section 1.3. Calculated by scipy.stats.ecdf.

    Raises:
        ValueError: there is no run.
    """
    import warnings

    from scipy import stats

    seen = ~np.isnan(times.time)
    if not seen.any():
        raise ValueError("A survival curve needs at least one run.")
    time, reached = times.time[seen], times.reached[seen]
    survival = stats.ecdf(stats.CensoredData(uncensored=time[reached], right=time[~reached])).sf
    with warnings.catch_warnings():
        # Where nobody has arrived, or all have, the band is NaN, which says it too.
        warnings.simplefilter("ignore", RuntimeWarning)
        band: Any = survival.confidence_interval(confidence, method="log-log")
    return SurvivalCurve(survival.quantiles, survival.probabilities, band.low.probabilities, band.high.probabilities)


def restricted_mean(times: Times, horizon: float, *, confidence: float = 0.95) -> Interval:
    """times: [run] each -> scalar: mean time until arrival, where later than the horizon counts as the horizon.

    The area under the Kaplan-Meier curve up to the horizon, which is the budget as a rule: unlike a median it exists
    however few runs arrive, and unlike a mean over those that did it counts the others. Standard error as in Klein and
    Moeschberger (2003), Survival Analysis, 2nd edition, section 4.5, times sqrt(n / (n - 1)) and with Student's
    quantile of n - 1 degrees of freedom (our choice, after Kaplan and Meier 1958, section 2.3): where no run is
    censored before the horizon, this is the mean of min(time, horizon) with `mean_interval`.

    NaN where there is no run, and where the last one was lost before the horizon, because then nobody saw the rest.
    """
    from scipy import special

    seen = ~np.isnan(times.time)
    time, reached = np.minimum(times.time[seen], horizon), times.reached[seen] & (times.time[seen] <= horizon)
    n = len(time)
    if n == 0 or (time.max() < horizon and not reached[time == time.max()].all()):
        return Interval(*np.full(3, np.nan))
    curve = kaplan_meier(Times(time, reached))
    edges = np.concatenate([[0.0], curve.time, [horizon]])
    areas = np.diff(edges) * np.concatenate([[1.0], curve.share])
    at_risk = (time[:, None] >= curve.time).sum(axis=0)
    events = ((time[:, None] == curve.time) & reached[:, None]).sum(axis=0)
    # Area right of each time; where all who are left arrive it is zero, and so is the term.
    right = np.cumsum(areas[::-1])[::-1][1:]
    variance = np.sum(right**2 * events / (at_risk * np.maximum(at_risk - events, 1)))
    half_width = special.stdtrit(max(n - 1, 1), 0.5 + confidence / 2) * np.sqrt(variance * n / max(n - 1, 1))
    half_width = half_width if n > 1 else np.nan
    mean = areas.sum()
    return Interval(np.asarray(mean), np.asarray(mean - half_width), np.asarray(mean + half_width))
