"""What a learning curve is reduced to."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]


def random_once_diverged(
    returns: ArrayLike, diverged: ArrayLike, random: ArrayLike, *, sampled: ArrayLike | None = None
) -> Array:
    """The rule for runs that diverged: from there on they count as the random policy.

    Args:
        returns: [...] at evaluation points, or at the budget alone, or scores of such; NaN where undefined.
        diverged: [...] bool, whether the run did, at some evaluation point.
        random: [...] the random policy's, NaN where it is not known.
        sampled: [...] returns of the sampled policy where `returns` are another's. A run that diverged is evaluated no
            more: these are undefined from then on.

    Returns:
        [...] returns.
    """
    returns = np.asarray(returns, dtype=float)
    gone = np.asarray(diverged, dtype=bool) & np.isnan(returns if sampled is None else np.asarray(sampled, dtype=float))
    return np.where(gone, random, returns)


def area_under_curve(values: Array, marks: Array) -> Array:
    """values: [..., point], marks: [point], increasing -> [...]: the mean value over the budget.

    The curve is a step function: the value at an evaluation point holds until the next one, so point 0 counts and the
    value at the budget, where the function ends, does not. The integral is divided by the budget, which gives a mean
    value: 0 for a policy that stays random, 1 for one that solves the task from its first step. NaN anywhere makes the
    area NaN; with fewer than two points there is no area.
    """
    values = np.asarray(values, dtype=float)
    widths = np.diff(np.asarray(marks, dtype=float))
    if widths.size == 0:
        return np.full(values.shape[:-1], np.nan)
    return np.asarray(values[..., :-1] @ widths / widths.sum())


def value_at(values: Array, times: Array, at: float) -> Array:
    """values: [run, point], times: [run, point], not decreasing -> [run]: each run's value at a common time.

    That of the last point whose time has come; after its last point a run keeps its last value. A point without a time
    (NaN), such as those of a run that broke off, counts as reached right after the last one that has a time. NaN for a
    run without any time.
    """
    clock = _complete(times)
    reached = np.argmax(np.where(clock <= at, np.arange(1, clock.shape[-1] + 1), 0), axis=-1)
    found = np.take_along_axis(np.asarray(values, dtype=float), reached[:, None], axis=-1)[:, 0]
    return np.where(np.isnan(clock[:, 0]), np.nan, found)


def area_until(values: Array, times: Array, until: float) -> Array:
    """values: [run, point], times: [run, point], not decreasing -> [run]: the mean value over [0, until].

    `area_under_curve` against a clock that each run has of its own: the same step function, read as in `value_at`.
    """
    clock = np.minimum(_complete(times), until)
    edges = np.concatenate([np.zeros((len(clock), 1)), clock[:, 1:], np.full((len(clock), 1), until)], axis=1)
    area = (np.asarray(values, dtype=float) * np.diff(edges, axis=1)).sum(axis=1) / until
    return np.where(np.isnan(clock[:, 0]), np.nan, area)


def _complete(times: Array) -> Array:
    """times: [run, point] -> [run, point]: with the last known time where it has none; NaN before the first."""
    times = np.asarray(times, dtype=float)
    known = np.maximum.accumulate(np.where(np.isnan(times), 0, np.arange(times.shape[-1])), axis=-1)
    return np.take_along_axis(times, known, axis=-1)


def last_defined(values: Array) -> Array:
    """values: [..., point] -> [...]: the last value that is not NaN, NaN where there is none."""
    values = np.asarray(values, dtype=float)
    defined = ~np.isnan(values)
    last = values.shape[-1] - 1 - np.argmax(defined[..., ::-1], axis=-1)
    return np.asarray(np.take_along_axis(values, last[..., None], axis=-1)[..., 0])
