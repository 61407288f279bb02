"""Verdicts on one claim about several variants, each against several baselines: supported, not supported, or open.

With d the mean advantage of a variant over a baseline, and delta the margin:

    better    supported: d > 0 against every baseline        not supported: d < delta against one
    at par    supported: d > -delta against every baseline   not supported: d < -delta against one

"Not supported" is *worse* where d < 0 (at par: d < -delta) is shown too, else *no better by the margin*.

For one direction, the chance that any variant is ever called what it is not is at most the level, at whatever moment
one stops: over baselines "supported" takes the largest p-value and needs no correction (Berger 1982, Multiparameter
hypothesis testing and acceptance sampling, Technometrics 24(4)); "not supported" takes the mean of their evidence at
one common number of seeds; over variants Holm's method corrects each direction by itself. *Worse*, and *better* beside
"at par", are families of their own.
"""

from collections.abc import Sequence
from math import exp, inf, log, nan
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.bounds import Question, lower_ends, lower_ends_of_greatest
from haepo_bench.statistics.pairs import Pairs
from haepo_bench.statistics.rules import FIXED_SEEDS, DecisionRule

Array = NDArray[Any]
Verdict = Literal["supported", "not supported", "undecided", "not assessable"]

#: Of the first declaration about a candidate in a folder, in each direction.
LEVEL = 0.05

#: Why a comparison cannot be assessed by a rule that needs bounds.
NO_BOUNDS = "the least and the greatest possible score are not known"

_PROMISE = (
    "For one claim and one direction, under the default rule, if declaration, bounds, margin and order of seeds were "
    "fixed before the first look and the two runs of a seed are not negatively correlated (`dependence: any` needs no "
    'such condition), the chance that any variant is ever called "supported" whose true mean advantage over some '
    "declared baseline is not above the threshold is at most 5 %, at whatever moment one stops; likewise "
    '"not supported". '
)
#: What a verdict promises, in the words of documentation and report.
PROMISE = (
    f"{_PROMISE}It speaks of new seeds of these settings, tasks, budgets and code; not of other tasks, searches, "
    "implementations or machines."
)
#: The same where every seed is a replicate of a search.
PROMISE_AT_EQUAL_SEARCH = (
    f"{_PROMISE}It speaks of new searches of this size in these spaces, with these tasks, budgets and code; not of "
    "other tasks, spaces, implementations or machines."
)


def declaration_level(number: int) -> float:
    """Level of the `number`-th declaration about a candidate in a folder, from 1; all together at most 10 %."""
    return LEVEL * 2.0 ** -(number - 1)


class Claimed(NamedTuple):
    """What is claimed of every variant, and by what it is decided.

    Args:
        margin: a smaller difference does not matter; in the unit of the scores.
        at_par: claimed is "not worse by the margin", not "better".
        rule: of every comparison.
        level: chance of a wrong verdict, in each direction.
    """

    margin: float
    at_par: bool = False
    rule: DecisionRule = DecisionRule()
    level: float = LEVEL

    @property
    def claimed(self) -> float:
        """What the advantage is above if the claim is right."""
        return -self.margin if self.at_par else 0.0

    @property
    def ruled_out(self) -> float:
        """Below this advantage the claim is wrong."""
        if self.rule.name == "wins":
            return 0.0
        return -self.margin if self.at_par else self.margin


class Direction(NamedTuple):
    """How far one direction of a verdict is; "advantage" is the smallest over the baselines.

    Args:
        path: [pair] logarithm of the greatest evidence up to each pair: what is compared with the threshold.
        needed: evidence at which it is decided, so much to 1; 1 over it is the level that decides.
        pairs: after which it was decided; None where it is not.
        bound: the advantage is at least ("not supported": at most) so much, at the level that decides.
    """

    path: Array
    needed: float
    pairs: int | None
    bound: float

    @property
    def evidence(self) -> float:
        """So much to 1; infinite beyond all floats."""
        reached = float(self.path[-1]) if len(self.path) else 0.0
        return exp(reached) if reached < 700 else inf


class Against(NamedTuple):
    """One comparison within a verdict; none of this is a verdict of its own.

    Args:
        pairs: seeds that are complete on both sides.
        difference: mean of candidate minus baseline over these, failed runs at the least score; NaN without a pair.
        low: the difference is at least so much, at the level of "supported".
        high: at most so much, at the level of "not supported".
        supporting: logarithm of the greatest evidence for the claim so far.
        opposing: against it.
        named: whether the candidate is shown to lack the claimed advantage over this very baseline.
        worse: whether it is shown to be worse than this very baseline.
    """

    pairs: int
    difference: float
    low: float
    high: float
    supporting: float
    opposing: float
    named: bool
    worse: bool


class Decision(NamedTuple):
    """The verdict on one variant.

    Args:
        verdict: see the module.
        worse: "not supported" because it is worse, not only no better by the margin.
        better: "supported" at par, and shown to be better too.
        reason: why it is not assessable, or what an undecided one waits for besides more seeds; else empty.
        supported: how far that direction is.
        not_supported: as `supported`.
        against: each baseline, in order.
    """

    verdict: Verdict
    worse: bool
    better: bool
    reason: str
    supported: Direction
    not_supported: Direction
    against: tuple[Against, ...]


def decide(
    comparisons: Sequence[Sequence[Pairs]],
    claimed: Claimed,
    *,
    insensitive: Sequence[Sequence[str]] = (),
    unearned: Sequence[str] = (),
) -> list[Decision]:
    """Verdicts on what is tested together, in order.

    Args:
        comparisons: for each variant (or each variant on each task) its comparisons with the baselines; all that were
            declared, also those without a run.
        insensitive: of each variant's tasks, in order, those on which no baseline is shown to be above random by the
            margin (`assay_sensitive`): "at par" is not assessable there, because two that learn nothing are at par.
        unearned: of each variant, why a policy that learns nothing could have the claim as well; empty where it could
            not. What is unearned is not assessable instead of supported.
    """
    obstacles = [_obstacle(each, claimed) for each in comparisons]
    testable = [place for place, obstacle in enumerate(obstacles) if not obstacle]

    def family(theta: float, *, above: bool) -> tuple[list[Array], list[tuple[float, int | None]]]:
        paths = [np.zeros(0)] * len(comparisons)
        for place in testable:
            paths[place] = _path(comparisons[place], claimed.rule, theta, above=above)
        return paths, holm_over_time(paths, claimed.level)

    supported = family(claimed.claimed, above=True)
    not_supported = family(claimed.ruled_out, above=False)
    worse = not_supported if claimed.at_par or not claimed.ruled_out else family(0.0, above=False)
    better = family(0.0, above=True) if claimed.at_par and claimed.rule.name != "wins" else None
    against = _against(comparisons, claimed, testable, supported[1], not_supported[1], worse[1])
    highest = _highest(comparisons, claimed, testable, not_supported[1])
    decisions = []
    for place, obstacle in enumerate(obstacles):
        lowest = min((each.low for each in against[place]), default=nan)
        up = _direction(supported[0][place], *supported[1][place], bound=lowest)
        down = _direction(not_supported[0][place], *not_supported[1][place], bound=highest.get(place, nan))
        verdict: Verdict = "undecided"
        reason = obstacle
        if obstacle:
            verdict = "not assessable"
        elif up.pairs is not None and claimed.at_par and insensitive and insensitive[place]:
            verdict = "not assessable"
            where = ", ".join(insensitive[place])
            reason = f"no baseline is shown to be above random by {claimed.margin:g} on {where}"
        elif up.pairs is not None and unearned and unearned[place]:
            verdict, reason = "not assessable", unearned[place]
        elif up.pairs is not None:
            verdict = "supported"
        elif down.pairs is not None:
            verdict = "not supported"
        else:
            reason = _waits_for(comparisons[place], claimed)
        decisions.append(
            Decision(
                verdict=verdict,
                worse=verdict == "not supported" and worse[1][place][1] is not None,
                better=verdict == "supported" and better is not None and better[1][place][1] is not None,
                reason=reason,
                supported=up,
                not_supported=down,
                against=against[place],
            )
        )
    return decisions


def _direction(path: Array, needed: float, passed: int | None, bound: float) -> Direction:
    # Where it passed because others did after it had ended, it rests on its own pairs and no more.
    return Direction(path, needed, None if passed is None else min(passed, len(path)), bound)


def holm_over_time(paths: Sequence[Array], level: float) -> list[tuple[float, int | None]]:
    """paths: [pair] greatest log evidence so far, a test each -> evidence needed, and pairs after which it was passed.

    Needed is the one that each test passed with all seeds there are, or has to pass next. A path that ends
    earlier than others stays where it is. Source: Holm (1979), A simple sequentially rejective multiple test procedure,
    Scandinavian Journal of Statistics 6(2), step by step: a test once passed stays passed.
    """
    length = max((len(path) for path in paths), default=0)
    passed: list[int | None] = [None] * len(paths)
    needed = [len(paths) / level] * len(paths)
    for n in range(1, length + 1):
        waiting = [place for place in range(len(paths)) if passed[place] is None]
        at = {place: paths[place][min(n, len(paths[place])) - 1] if len(paths[place]) else 0.0 for place in waiting}
        left = len(waiting)
        for place in sorted(waiting, key=lambda place: -at[place]):
            if at[place] < log(left / level):
                break
            passed[place], needed[place] = n, left / level
            left -= 1
        if not left:
            break
    left = passed.count(None)
    return [(needed[place] if passed[place] else left / level, passed[place]) for place in range(len(paths))]


def assay_sensitive(
    baselines: Sequence[Array], random: float, margin: float, low: float, high: float, *, level: float = LEVEL
) -> bool:
    """baselines: scores [seed] each of one task -> whether one is shown to be above random by more than the margin.

    Without that, "at par" would be true of two that learn nothing. Evidence is the mean over baselines of the bets
    against "the mean of this baseline is at most that of a random policy plus the margin".

    Args:
        random: score of a random policy.
        low: least possible score.
        high: greatest possible score.
    """
    rule = DecisionRule()
    length = min((len(scores) for scores in baselines), default=0)
    # Both sides of a bet lie within its bounds.
    low, high = min(low, random), max(high, random)
    if not length or not abs(margin) < high - low:
        return False
    scores = np.stack([np.asarray(each, dtype=float)[:length] for each in baselines])
    path = rule.any_of(rule.evidence(scores, np.full(scores.shape, float(random)), margin, low, high))
    return bool(path.max() >= -log(level))


def _obstacle(comparisons: Sequence[Pairs], claimed: Claimed) -> str:
    if not comparisons:
        return "there is no baseline to compare with"
    rule = claimed.rule
    if rule.name == "wins" and claimed.at_par:
        return 'the rule `wins` knows no margin, so it cannot show "at par"'
    if rule.name == "fixed" and rule.look < FIXED_SEEDS:
        return f"the rule `fixed` needs at least {FIXED_SEEDS} seeds; {rule.look} are declared"
    for each in comparisons:
        if each.obstacle:
            return each.obstacle
        if rule.needs_bounds and not each.bounded:
            return NO_BOUNDS
        if rule.needs_bounds and not claimed.margin < each.high - each.low:
            return f"the margin {claimed.margin:g} is not smaller than the range of the scores"
    return ""


def _path(comparisons: Sequence[Pairs], rule: DecisionRule, theta: float, *, above: bool) -> Array:
    """[pair]: log of the greatest evidence up to each pair that the advantage is above (below) theta."""
    each = [rule.evidence(*question(pairs, theta, above=above)) for pairs in comparisons]
    if above:
        # A comparison that has fewer pairs than others stays where it is.
        length = max(map(len, each))
        so_far = [np.maximum.accumulate(np.concatenate([[0.0], path])) for path in each]
        return np.asarray(
            np.min([np.pad(path, (0, length + 1 - len(path)), mode="edge") for path in so_far], axis=0)[1:]
        )
    length = min(map(len, each))
    together = rule.any_of(np.stack([path[:length] for path in each]))
    return np.asarray(np.maximum.accumulate(np.maximum(together, 0.0)))


def question(pairs: Pairs, theta: float, *, above: bool) -> Question:
    """What a rule is asked to show that the advantage is above (below) theta."""
    if above:
        return Question(pairs.candidate, pairs.baseline_at_most, theta, pairs.low, pairs.high)
    return Question(pairs.baseline, pairs.candidate, -theta, pairs.low, pairs.high)


def _against(
    comparisons: Sequence[Sequence[Pairs]],
    claimed: Claimed,
    testable: Sequence[int],
    supported: Sequence[tuple[float, int | None]],
    not_supported: Sequence[tuple[float, int | None]],
    worse: Sequence[tuple[float, int | None]],
) -> list[tuple[Against, ...]]:
    """Each variant's comparisons."""
    rule = claimed.rule
    cells = [(place, each) for place in testable for each in comparisons[place]]
    up = [question(each, claimed.claimed, above=True) for _, each in cells]
    down = [question(each, claimed.ruled_out, above=False) for _, each in cells]
    lows = lower_ends(rule, up, [supported[place][0] for place, _ in cells])
    highs = lower_ends(rule, down, [not_supported[place][0] for place, _ in cells])
    found: list[list[Against]] = [
        []
        if place in testable
        else [Against(len(each.candidate), _difference(each), nan, nan, 0.0, 0.0, False, False) for each in own]
        for place, own in enumerate(comparisons)
    ]
    # What "worse" is for this claim: below 0, or below the negative margin where par is claimed.
    under = [question(each, min(claimed.ruled_out, 0.0), above=False) for _, each in cells]
    for (place, pairs), above, below, deeper, low, high in zip(cells, up, down, under, lows, highs, strict=True):
        supporting, opposing, far = (float(rule.evidence(*each).max(initial=0.0)) for each in (above, below, deeper))
        baselines = len(comparisons[place])
        found[place].append(
            Against(
                pairs=len(pairs.candidate),
                difference=_difference(pairs),
                low=low,
                high=-high,
                supporting=supporting,
                opposing=opposing,
                named=opposing >= log(not_supported[place][0] * baselines),
                worse=far >= log(worse[place][0] * baselines),
            )
        )
    return [tuple(each) for each in found]


def _highest(
    comparisons: Sequence[Sequence[Pairs]],
    claimed: Claimed,
    testable: Sequence[int],
    not_supported: Sequence[tuple[float, int | None]],
) -> dict[int, float]:
    """What the smallest advantage over the baselines is at most, of each variant that can be tested."""
    asked = []
    for place in testable:
        length = min(len(each.candidate) for each in comparisons[place])
        row = [question(each, claimed.ruled_out, above=False) for each in comparisons[place]]
        asked.append([each._replace(x=each.x[:length], y=each.y[:length]) for each in row])
    ends = lower_ends_of_greatest(claimed.rule, asked, [not_supported[place][0] for place in testable])
    return {place: -end for place, end in zip(testable, ends, strict=True)}


def _difference(pairs: Pairs) -> float:
    with np.errstate(invalid="ignore"):
        return float((pairs.candidate - pairs.baseline).mean()) if len(pairs.candidate) else nan


def _waits_for(comparisons: Sequence[Pairs], claimed: Claimed) -> str:
    n = min(len(each.candidate) for each in comparisons)
    if not n:
        return "no seed is complete on both sides"
    if claimed.rule.name == "fixed" and n < claimed.rule.look:
        return f"the rule `fixed` looks once, at {claimed.rule.look} seeds; {n} are complete"
    return ""
