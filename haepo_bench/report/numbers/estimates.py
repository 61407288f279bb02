"""Means over seeds with their intervals, as documents hold them."""

from typing import Any

from numpy.typing import NDArray

from haepo_bench.report.document_numbers import CONFIDENCE, Band, MeanEstimate
from haepo_bench.statistics.intervals import corrected_mean_interval
from haepo_bench.verdicts.measured import number, numbers

Array = NDArray[Any]


def estimate_of(values: Array) -> MeanEstimate:
    """values: [seed]."""
    mean, low, high, n = corrected_mean_interval(values, confidence=CONFIDENCE)
    return MeanEstimate(mean=number(mean), low=number(low), high=number(high), n=int(n))


def band(values: Array) -> Band:
    """values: [seed, point]."""
    mean, low, high, n = corrected_mean_interval(values, confidence=CONFIDENCE)
    return Band(mean=numbers(mean), low=numbers(low), high=numbers(high), n=n.tolist())
