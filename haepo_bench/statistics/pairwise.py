"""Who is above whom: comparisons in one direction each that are a family of their own, such as all ordered pairs."""

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from haepo_bench.statistics.bounds import lower_ends
from haepo_bench.statistics.pairs import Pairs
from haepo_bench.statistics.rules import DecisionRule
from haepo_bench.statistics.verdicts import LEVEL, NO_BOUNDS, holm_over_time, question

_RULE = DecisionRule()


class PairDecision(NamedTuple):
    """Whether the candidate of one comparison is shown to be above the baseline.

    Args:
        decided: pairs after which it was; None where it is not.
        evidence: logarithm of the greatest evidence so far; NaN where it cannot be assessed.
        needed: evidence at which it is decided, so much to 1.
        low: the difference is at least so much, at the level that decides; NaN where it cannot be assessed.
        obstacle: why it cannot be assessed; empty where it can.
    """

    decided: int | None
    evidence: float
    needed: float
    low: float
    obstacle: str


def decide_pairs(compared: Sequence[Pairs], *, rule: DecisionRule = _RULE, level: float = LEVEL) -> list[PairDecision]:
    """Decisions in the order of the comparisons: the chance that any of them is wrong is at most `level`.

    Holm's method over all of them, those that cannot be assessed included; valid at whatever moment one stops where the
    rule is. See `verdicts.decide`.
    """
    asked = [question(each, 0.0, above=True) for each in compared]
    obstacles = [each.obstacle or (NO_BOUNDS if rule.needs_bounds and not each.bounded else "") for each in compared]
    paths = [
        np.zeros(0) if obstacle else np.maximum.accumulate(np.maximum(rule.evidence(*each), 0.0))
        for each, obstacle in zip(asked, obstacles, strict=True)
    ]
    found = holm_over_time(paths, level)
    usable = [place for place, obstacle in enumerate(obstacles) if not obstacle]
    ends = lower_ends(rule, [asked[place] for place in usable], [found[place][0] for place in usable])
    lows = dict(zip(usable, ends, strict=True))
    return [
        PairDecision(
            decided=decided,
            evidence=nan if obstacle else float(path.max(initial=0.0)),
            needed=needed,
            low=lows.get(place, nan),
            obstacle=obstacle,
        )
        for place, (obstacle, path, (needed, decided)) in enumerate(zip(obstacles, paths, found, strict=True))
    ]
