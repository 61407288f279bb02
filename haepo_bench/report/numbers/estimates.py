"""Means over seeds with their intervals, as documents hold them: descriptions, which decide nothing."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.report.document_numbers import CONFIDENCE, FEWEST_SEEDS, Band, MeanEstimate
from haepo_bench.results.frames import MEASURES
from haepo_bench.results.record import References
from haepo_bench.results.selection import SelectedCell
from haepo_bench.statistics.gaffke import mean_within_bounds
from haepo_bench.statistics.intervals import MeanInterval, mean_interval
from haepo_bench.verdicts.declared import Range
from haepo_bench.verdicts.measured import Columns, number, numbers

Array = NDArray[Any]

#: What is the same in scores and in returns.
_RETURNS = {
    "final_score": "final_return",
    "final_score_greedy": "final_return_greedy",
    "area": "area_return",
    "score_in_time": "return_in_time",
}


def estimate_of(values: Array, interval: MeanInterval | None = None) -> MeanEstimate:
    """values: [seed]; `interval` where a better one is known than the corrected t interval."""
    mean, low, high, n = interval or _unbounded(values)
    return MeanEstimate(mean=number(mean), low=number(low), high=number(high), n=int(n))


def band(values: Array, bounds: Range | None = None) -> Band:
    """values: [seed, point]; Student's t interval, drawn in to `bounds` where they are known.

    For the eye: Gaffke's interval, which allows for a collapse that no seed has shown yet, would fill the picture, and
    a correction for skewness leaps from point to point.
    """
    mean, low, high, n = mean_interval(values, confidence=CONFIDENCE)
    told = (n >= FEWEST_SEEDS) & (high - low > 1e-12 * np.maximum(np.abs(low), np.abs(high)))
    low, high = np.where(told, low, np.nan), np.where(told, high, np.nan)
    if bounds is not None:
        # As far as a value itself is not beyond, by rounding.
        low = np.maximum(low, np.fmin(bounds.low, np.fmin.reduce(values, axis=0, initial=np.inf)))
        high = np.minimum(high, np.fmax(bounds.high, np.fmax.reduce(values, axis=0, initial=-np.inf)))
    few = 1 < len(values) < FEWEST_SEEDS
    return Band(
        mean=numbers(mean),
        low=numbers(low),
        high=numbers(high),
        n=n.tolist(),
        seeds=[numbers(row) for row in values] if few else [],
    )


def bounded_intervals(scores: Mapping[str, Array], bounds: Range | None) -> dict[str, MeanInterval]:
    """scores: {name: [seed, ...]} of one algorithm -> {name: interval within the bounds}; nothing without bounds.

    All of them at once, because most of the work is the same for one number as for a hundred.
    """
    if bounds is None:
        return {}
    columns = [values.reshape(len(values), -1) for values in scores.values()]
    found = mean_within_bounds(np.concatenate(columns, axis=1), bounds.low, bounds.high, confidence=CONFIDENCE)
    stops = np.cumsum([column.shape[1] for column in columns])[:-1]
    parts = [np.split(end, stops) for end in found]
    return {
        name: MeanInterval(*(part[place].reshape(values.shape[1:]) for part in parts))
        for place, (name, values) in enumerate(scores.items())
    }


def bounds_of_returns(bounds: Range, references: References) -> Range:
    """Bounds of the score as those of the return."""
    ends = [references.random + (references.solved - references.random) * end for end in bounds[:2]]
    return Range(min(ends), max(ends))


def of_returns(interval: MeanInterval, references: References) -> MeanInterval:
    """The interval of a mean score as that of the mean return."""
    span = references.solved - references.random
    mean, low, high = (references.random + span * end for end in interval[:3])
    return MeanInterval(mean, np.minimum(low, high), np.maximum(low, high), interval.n)


def intervals_of(cell: SelectedCell, runs: Columns, shown: Array, bounds: Range | None) -> dict[str, MeanInterval]:
    """Intervals of means of scores and returns, where the least and the greatest possible score are known.

    Args:
        runs: [seed asked for] per column.
        shown: [seed asked for], whether it has a result.
    """
    sample = cell.sample
    if bounds is None or sample is None or sample.references is None or not cell.runs:
        return {}
    scores = {name: runs[name][shown] for name in MEASURES if name in _RETURNS or name == "area_in_time"}
    found = bounded_intervals(scores, bounds)
    return found | {
        _RETURNS[name]: of_returns(each, sample.references) for name, each in found.items() if name in _RETURNS
    }


def _unbounded(values: Array) -> MeanInterval:
    """values: [seed, ...] -> [...]: where no bounds are known."""
    return mean_within_bounds(values, -np.inf, np.inf, confidence=CONFIDENCE)
