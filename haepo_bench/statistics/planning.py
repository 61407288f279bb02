"""What seeds can decide: the fewest with which a rule can at all, and the outlook of a verdict that is still open."""

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil, inf, log, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from haepo_bench.statistics.pairs import Pairs
from haepo_bench.statistics.rules import FIXED_SEEDS
from haepo_bench.statistics.verdicts import Claimed, Decision, Direction, question

Array = NDArray[Any]

#: True advantage at which "better" is planned; at par is planned at none.
ADVANTAGE = 0.2
#: Nobody plans more seeds.
MOST_SEEDS = 5_000
#: A pair's bets are counted as at most so much, as logarithm: one lost bet of all the capital says little of the next.
_CLIPPED = 6.0
#: Places within the bounds at which scores are tried.
_PLACES = 5


class Outlook(NamedTuple):
    """What more seeds are expected to bring for a verdict that is open.

    Args:
        supported: chance of "supported" with all seeds that may be run, if they are like those there are.
        not_supported: as `supported`.
        more: seeds until either verdict is more likely than not; None where none can be foretold.
    """

    supported: float
    not_supported: float
    more: int | None


def fewest_seeds(
    claimed: Claimed,
    variants: int,
    low: float,
    high: float,
    *,
    advantage: float = ADVANTAGE,
    at: float | None = None,
    most: int = MOST_SEEDS,
) -> int | None:
    """The fewest seeds per side with which "supported" can be decided at all; None beyond `most`, or without bounds.

    Scores without any spread, wherever within the bounds that takes fewest; a true difference of `advantage` (as far as
    the bounds allow), or of none for "at par"; with `wins` every seed wins. Scores that vary take more.

    Args:
        variants: claims that are tested together.
        low: least possible score.
        high: greatest possible score.
        at: the baseline's score; None for wherever takes fewest, which is in the middle.
    """
    rule, needed = claimed.rule, log(variants / claimed.level)
    if rule.name == "wins":
        path = rule.evidence(np.ones(64), np.zeros(64), 0.0, 0.0, 1.0)
        return None if claimed.at_par else _first(path, needed)
    if not (np.isfinite(high - low) and 0 <= -claimed.claimed < high - low):
        return None
    difference = 0.0 if claimed.at_par else min(advantage, high - low)
    places = np.linspace(low, high - difference, _PLACES) if at is None else np.array([min(at, high - difference)])
    places = places[:, None]

    def reached(n: int) -> int | None:
        x, y = (np.broadcast_to(each, (len(places), n)) for each in (places + difference, places))
        look = rule._replace(look=n)
        return _first(look.evidence(x, y, claimed.claimed, low, high).max(axis=0), needed)

    n = FIXED_SEEDS
    while reached(n) is None:
        if n >= most:
            return None
        n = min(2 * n, most)
    if rule.name != "fixed":
        return reached(n)
    # More seeds without spread never show less.
    fewer = range(max(n // 2, FIXED_SEEDS), n + 1)
    return fewer[bisect_left(fewer, True, key=lambda each: reached(each) is not None)]


def outlook(comparisons: Sequence[Pairs], claimed: Claimed, decision: Decision, *, most: int) -> Outlook:
    """The outlook of one variant's verdict, with at most so many seeds per side.

    Chance: if a bet's logarithms have mean g and standard deviation s over n seeds, after r more it has gained g r with
    a spread of s sqrt(r + r^2 / n), of which the second part is what n seeds leave open of g. The best bet counts; for
    "supported" the baseline with the worst chance. `fixed` decides at its look, or never.

    Args:
        comparisons: of the variant, as `decide` got them.
        most: seeds per side that may be run, those that were run included.
    """
    if decision.verdict != "undecided":
        return Outlook(nan, nan, None)
    rule, n = claimed.rule, min(len(each.candidate) for each in comparisons)
    if rule.name == "fixed":
        waits = n < rule.look <= most
        return Outlook(float(waits), float(waits), rule.look - n if waits else None)
    above = [
        _chance([each], claimed, claimed.claimed, decision.supported, most, above=True)
        for each, against in zip(comparisons, decision.against, strict=True)
        if against.supporting < log(decision.supported.needed)
    ]
    below = _chance(comparisons, claimed, claimed.ruled_out, decision.not_supported, most, above=False)
    more = min(max((seeds for _, seeds in above), default=inf), below[1])
    return Outlook(
        supported=min((chance for chance, _ in above), default=0.0),
        not_supported=below[0],
        more=int(more) if more < MOST_SEEDS else None,
    )


def _chance(
    comparisons: Sequence[Pairs], claimed: Claimed, theta: float, direction: Direction, most: int, *, above: bool
) -> tuple[float, float]:
    """Chance of passing the threshold, and seeds until it is more than half, of the mean of the comparisons' bets."""
    rule = claimed.rule
    n = min(len(each.candidate) for each in comparisons)
    asked = [question(each, theta, above=above) for each in comparisons]
    if n < 2:  # one seed says nothing about the spread
        return (0.5 if most > n else 0.0), inf
    factors = np.concatenate([rule.log_factors(*each)[:, :n] for each in asked])
    now = rule.any_of(np.stack([rule.evidence(*each)[:n] for each in asked]))[-1]
    missing, left = log(direction.needed) - float(now), most - n
    clipped = np.clip(factors, -_CLIPPED, _CLIPPED)
    gains, spreads = clipped.mean(axis=1), clipped.std(axis=1, ddof=1)
    if left <= 0:
        return 0.0, inf
    ahead = gains * left - missing
    error = spreads * sqrt(left + left**2 / n)
    chances = np.where(error > 0, special.ndtr(ahead / np.where(error > 0, error, 1.0)), ahead >= 0)
    best = float(gains.max())
    return float(chances.max()), float(ceil(missing / best)) if best > 0 else inf


def _first(path: Array, needed: float) -> int | None:
    """path: [pair] -> the number of pairs after which it first reaches what is needed."""
    reached = path >= needed
    return int(reached.argmax()) + 1 if reached.any() else None
