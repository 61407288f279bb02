"""Means over seeds with confidence intervals."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[Any]


class MeanInterval(NamedTuple):
    """A mean with its confidence interval; every field has the same shape.

    Args:
        mean: NaN where there is no sample.
        low: lower end; NaN where there are fewer than two samples.
        high: upper end; NaN where there are fewer than two samples.
        n: number of samples that the mean rests on.
    """

    mean: Array
    low: Array
    high: Array
    n: Array


def mean_interval(values: Array, *, confidence: float = 0.95) -> MeanInterval:
    """values: [sample, ...] -> [...]: mean and Student t interval over the samples that are not NaN.

    The interval is mean +- t(n - 1) * s / sqrt(n), with the sample standard deviation s (ddof 1). One sample says
    nothing about the spread: its interval is undefined, not of width zero. Samples that are all equal do give an
    interval of width zero. The interval assumes samples that are independent and nearly normal; for a few seeds of
    which one collapsed it is only a rough guide.

    Source: Student (1908), The probable error of a mean, Biometrika 6(1).
    """
    values = np.asarray(values, dtype=float)
    defined = ~np.isnan(values)
    n = defined.sum(axis=0)
    some, enough = np.maximum(n, 1), np.maximum(n, 2)
    mean = np.where(defined, values, 0.0).sum(axis=0) / some
    deviations = np.where(defined, values - mean, 0.0)
    standard_error = np.sqrt((deviations**2).sum(axis=0) / (enough - 1) / enough)
    half_width = special.stdtrit(enough - 1, 0.5 + confidence / 2) * standard_error
    return MeanInterval(
        mean=np.where(n >= 1, mean, np.nan),
        low=np.where(n >= 2, mean - half_width, np.nan),
        high=np.where(n >= 2, mean + half_width, np.nan),
        n=n,
    )
