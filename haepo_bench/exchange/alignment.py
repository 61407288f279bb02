"""Curves brought to shared evaluation points. Pure functions on arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def regular_marks(every: int, budget: int) -> Array:
    """-> [point]: 0, every, 2 every, ..., budget."""
    marks = np.arange(0, budget, every, dtype=float)
    return np.append(marks, float(budget))


def shared_marks(steps: Sequence[Array], budget: int) -> Array | None:
    """steps: one [value] per run -> [point]: the steps at which all runs have a value, and 0 and the budget; None where
    they differ.
    """
    first = steps[0]
    if any(len(other) != len(first) or not np.array_equal(other, first) for other in steps[1:]):
        return None
    inner = first[(first > 0) & (first < budget)]
    return np.concatenate([[0.0], inner, [float(budget)]])


def at_marks(steps: Array, values: Array, marks: Array) -> Array:
    """steps: [value] increasing, values: [value], marks: [point] -> [point]: the last value at or before each.

    A curve is a step function: a value holds until the next one. NaN before the first value.
    """
    place = np.searchsorted(steps, marks, side="right") - 1
    if not len(values):
        return np.full(len(marks), np.nan)
    return np.where(place >= 0, np.asarray(values, dtype=float)[np.maximum(place, 0)], np.nan)
