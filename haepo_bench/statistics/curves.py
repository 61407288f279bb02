"""What a learning curve is reduced to."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def area_under_curve(values: Array, marks: Array) -> Array:
    """values: [..., mark], marks: [mark], increasing -> [...]: the mean value over the budget.

    The curve is a step function: the value at a mark holds until the next one, so mark 0 counts and the value at the
    budget, where the function ends, does not. The integral is divided by the budget, which gives a mean value: 0 for a
    policy that stays random, 1 for one that solves the task from its first step. NaN anywhere makes the area NaN; with
    fewer than two marks there is no area.
    """
    values = np.asarray(values, dtype=float)
    widths = np.diff(np.asarray(marks, dtype=float))
    if widths.size == 0:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values[..., :-1] @ widths / widths.sum())


def last_defined(values: Array) -> Array:
    """values: [..., mark] -> [...]: the last value that is not NaN, NaN where there is none."""
    values = np.asarray(values, dtype=float)
    defined = ~np.isnan(values)
    last = values.shape[-1] - 1 - np.argmax(defined[..., ::-1], axis=-1)
    return np.asarray(np.take_along_axis(values, last[..., None], axis=-1)[..., 0])
