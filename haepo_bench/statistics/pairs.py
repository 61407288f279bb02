"""One comparison as pairs of scores in the order of the seeds: what a rule is applied to."""

from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]

#: Of the range of the scores: beyond a bound by less is rounding.
_ROUNDING = 1e-9


class Runs(NamedTuple):
    """The scores of one algorithm over the tasks of a claim.

    Args:
        scores: [task, seed] in the order in which the seeds were declared; NaN: there is no run yet, or the machine
            failed it and it waits to be repeated.
        failed: [task, seed]: the algorithm failed, and no repetition would help; its score is ignored.
    """

    scores: Array
    failed: Array

    @classmethod
    def of(cls, scores: ArrayLike, failed: ArrayLike | None = None) -> "Runs":
        """scores: [task, seed], or [seed] for one task."""
        values = np.atleast_2d(np.asarray(scores, dtype=float))
        return cls(values, np.zeros(values.shape, dtype=bool) if failed is None else np.atleast_2d(failed))


class Pairs(NamedTuple):
    """A candidate and a baseline on the same seeds: weighted means over tasks, up to the first seed that is incomplete.

    Args:
        candidate: [pair]; a run that the candidate failed has the least score.
        baseline: [pair]; a run that the baseline failed has the least score, for "not supported".
        baseline_at_most: [pair]; the same with the greatest, for "supported": its crashes never help the candidate.
        low: least possible mean score; -inf where not known.
        high: greatest possible mean score; inf where not known.
        failed: runs of either side among these that the algorithm failed.
        obstacle: why the comparison cannot be assessed; empty where it can.
    """

    candidate: Array
    baseline: Array
    baseline_at_most: Array
    low: float
    high: float
    failed: int
    obstacle: str

    @property
    def bounded(self) -> bool:
        return bool(np.isfinite(self.high - self.low))


def pair(
    candidate: Runs,
    baseline: Runs,
    weights: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    tasks: Sequence[str] = (),
) -> Pairs:
    """One comparison over all tasks that were planned for it.

    A seed enters when all its runs are there on both sides; the seeds after one that is incomplete wait, so that which
    seeds count never depends on their scores.

    Args:
        weights: [task], summing to 1.
        low: least possible scores, [task] or one for all; -inf or NaN where not known.
        high: greatest possible scores, as `low`.
        tasks: names, for the obstacle.
    """
    weights = np.asarray(weights, dtype=float)
    low, high = (
        np.where(np.isnan(bound), beyond, bound)
        for bound, beyond in (
            (np.broadcast_to(np.asarray(low, float), weights.shape), -inf),
            (np.broadcast_to(np.asarray(high, float), weights.shape), inf),
        )
    )
    length = min(candidate.scores.shape[1], baseline.scores.shape[1])
    there = np.all(
        [~np.isnan(side.scores[:, :length]) | side.failed[:, :length] for side in (candidate, baseline)], axis=(0, 1)
    )
    n = length if there.all() else int(np.argmin(there))
    names = tasks or [f"task {place + 1}" for place in range(len(weights))]
    obstacle = next(filter(None, (_outside(side, low, high, names) for side in (candidate, baseline))), "")

    def mean(side: Runs, instead: Array) -> Array:
        drawn_in = np.clip(side.scores[:, :n], low[:, None], high[:, None])  # rounding alone: see `_outside`
        return np.asarray(weights @ np.where(side.failed[:, :n], instead[:, None], drawn_in))

    return Pairs(
        candidate=mean(candidate, low),
        baseline=mean(baseline, low),
        baseline_at_most=mean(baseline, high),
        low=float(weights @ low),
        high=float(weights @ high),
        failed=int(candidate.failed[:, :n].sum() + baseline.failed[:, :n].sum()),
        obstacle=obstacle,
    )


def _outside(side: Runs, low: Array, high: Array, tasks: Sequence[str]) -> str:
    """What says that a score is outside its bounds; empty where none is."""
    with np.errstate(invalid="ignore"):
        slack = np.where(np.isfinite(high - low), _ROUNDING * (high - low), 0.0)
    for task, scores, failed, least, most, by in zip(tasks, side.scores, side.failed, low, high, slack, strict=True):
        beyond = scores[~failed & ((scores < least - by) | (scores > most + by))]
        if len(beyond):
            return (
                f"a score of {beyond[0]:.6g} on {tasks and task} is outside the declared bounds [{least:g}, {most:g}]"
            )
    return ""
