"""The bounds of many comparisons at once: those of equal length are searched for together."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.rules import DecisionRule

Array = NDArray[Any]


class Question(NamedTuple):
    """What a rule is given: whether the mean of x is above that of y by more than theta.

    Args:
        x: [pair].
        y: [pair].
        theta: in the unit of the scores.
        low: least possible score.
        high: greatest possible score.
    """

    x: Array
    y: Array
    theta: float
    low: float
    high: float


def lower_ends(rule: DecisionRule, asked: Sequence[Question], needed: Sequence[float]) -> list[float]:
    """By how much each x is at least above its y, at the level 1 / needed; theta is the same in all questions."""
    return [float(end[0]) for end in _ends(rule, [[each] for each in asked], needed, together=False)]


def lower_ends_of_greatest(
    rule: DecisionRule, asked: Sequence[Sequence[Question]], needed: Sequence[float]
) -> list[float]:
    """By how much any x is at least above its y, of each row of questions with equally many pairs; see `lower_ends`."""
    return [float(end) for end in _ends(rule, asked, needed, together=True)]


def _ends(
    rule: DecisionRule, asked: Sequence[Sequence[Question]], needed: Sequence[float], *, together: bool
) -> list[Array]:
    alike = defaultdict(list)
    for place, row in enumerate(asked):
        alike[len(row), len(row[0].x)].append(place)
    found: list[Array] = [np.zeros(0)] * len(asked)
    for places in alike.values():
        x, y, low, high = (
            np.array([[getattr(each, name) for each in asked[place]] for place in places])
            for name in ("x", "y", "low", "high")
        )
        thresholds = np.log([needed[place] for place in places])
        theta = asked[places[0]][0].theta
        if together:
            ends = rule.lower_end_of_greatest(x, y, thresholds, low, high, theta)
        else:
            ends = rule.lower_end(x, y, thresholds[:, None], low, high, theta)
        for place, end in zip(places, ends, strict=True):
            found[place] = end
    return found
