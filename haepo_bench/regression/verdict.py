"""From numbers to marks: one test on one statistic per cell, corrected over the cells that are tested together.

The statistic of a run is the area under its curve in units of the task's span (`baseline.Scale`): 0 is the random
policy, 1 a solved task, so that a drop of 0.10 means the same everywhere. Identical cells never get here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, comb, inf, isnan, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haepo_bench.statistics.comparisons import DRAWS, EXACT_LIMIT, holm, permutation_p_values
from haepo_bench.statistics.intervals import difference_interval

Array = NDArray[Any]

ALPHA = 0.01
MIN_EFFECT = 0.10
#: Runs on either side: the test needs the spread of both.
FEWEST = 2
#: Of the smallest drop that a sample could have shown.
POWER = 0.8
#: The least p that random rearrangements can give lies so far below what the first step of Holm's method asks for.
_DRAWS_A_STEP = 100
_MOST_DRAWS = 199_999
_SEED = 0


class Mark(StrEnum):
    """The verdict on a cell."""

    IDENTICAL = "="
    NOT_DISTINGUISHABLE = "~"
    BETTER = "+"
    WORSE = "-"
    TOO_FEW = "?"
    FAILED = "!"
    NOT_COMPARABLE = "x"


MEANINGS = {
    Mark.IDENTICAL: "identical",
    Mark.NOT_DISTINGUISHABLE: "not distinguishable",
    Mark.BETTER: "better",
    Mark.WORSE: "worse",
    Mark.TOO_FEW: "too few seeds to decide",
    Mark.FAILED: "failed or missing",
    Mark.NOT_COMPARABLE: "not comparable",
}


@dataclass(frozen=True)
class Rule:
    """When a cell counts as worse.

    Args:
        alpha: chance that any of the cells judged together is called worse although none changed.
        min_effect: a smaller drop does not matter; in units of the task's span.
        noninferiority: a cell is green only where a drop of `min_effect` is ruled out.
    """

    alpha: float = ALPHA
    min_effect: float = MIN_EFFECT
    noninferiority: bool = False


DEFAULT_RULE = Rule()


@dataclass(frozen=True)
class CellEvidence:
    """What two samples say of one cell; NaN where it is undefined.

    Args:
        baseline_mean: in units of the task's span, like all effects here.
        current_mean: as `baseline_mean`.
        effect: current less baseline: negative is a drop.
        low: lower end of the interval of the effect, one-sided at 1 - alpha, uncorrected.
        high: upper end, as `low`.
        p_worse: one-sided permutation p-value of a drop, uncorrected.
        p_better: of a gain.
        p_least: the least p that samples of these sizes can give.
        spread: pooled standard deviation of one run.
        baseline_seeds: runs that count.
        current_seeds: runs that count.
    """

    baseline_mean: float
    current_mean: float
    effect: float
    low: float
    high: float
    p_worse: float
    p_better: float
    p_least: float
    spread: float
    baseline_seeds: int
    current_seeds: int


@dataclass(frozen=True)
class Judgement:
    """A mark with what it rests on.

    Args:
        p_worse: adjusted by Holm's method over the cells judged together.
        p_better: as `p_worse`, in the other direction.
        smallest_drop: the smallest true drop that would have been called worse with power 0.8; infinite where none.
    """

    mark: Mark
    evidence: CellEvidence
    p_worse: float
    p_better: float
    smallest_drop: float


def compare(
    baseline: Sequence[ArrayLike], current: Sequence[ArrayLike], *, rule: Rule = DEFAULT_RULE
) -> list[CellEvidence]:
    """baseline, current: [seed] a cell each -> what they say of each cell; seeds that are NaN are left out.

    The test is the unpaired permutation test of Welch's t: exact up to 200,000 rearrangements, beyond Monte-Carlo with
    enough draws for so many cells at `rule.alpha`. It rearranges t, not the difference of means, because a change that
    touches the spread alone must not be called worse (docs/how-to/regression.md has the rates of both). Cells of equal
    sizes share their draws, which come from a fixed seed: the same numbers always give the same p-values.
    """
    samples = [(_defined(new), _defined(old)) for old, new in zip(baseline, current, strict=True)]
    # Returns near the largest float overflow in sums and squares: such cells come out as not tested.
    with np.errstate(over="ignore", invalid="ignore"):
        return _compared(samples, rule)


def judge(evidence: Sequence[CellEvidence], rule: Rule = DEFAULT_RULE) -> list[Judgement]:
    """Marks on cells that are judged together, in their order.

    `-`: the adjusted p-value is at most alpha and the drop at least min_effect; `+` the same upwards; `?` where no data
    of these sizes could have given `-`, or where non-inferiority is required and not shown; else `~`.
    """
    worse = holm([each.p_worse for each in evidence])
    better = holm([each.p_better for each in evidence])
    tests = int((~np.isnan(worse)).sum())
    return [
        _judgement(each, float(down), float(up), tests, rule)
        for each, down, up in zip(evidence, worse, better, strict=True)
    ]


def judge_arrays(
    baseline: Sequence[ArrayLike], current: Sequence[ArrayLike], rule: Rule = DEFAULT_RULE
) -> list[Judgement]:
    """baseline, current: [seed] a cell each -> marks on cells that are judged together, in their order."""
    return judge(compare(baseline, current, rule=rule), rule)


def draws_for(tests: int, alpha: float) -> int:
    """Random rearrangements for which the least p-value lies far below what Holm's first step asks for."""
    return min(max(DRAWS, ceil(_DRAWS_A_STEP * tests / alpha) - 1), _MOST_DRAWS)


def least_p(current: int, baseline: int, draws: int) -> float:
    """The least p-value that the permutation test can give for samples of these sizes."""
    divisions = comb(current + baseline, current)
    return 1 / divisions if divisions <= EXACT_LIMIT else 1 / (draws + 1)


def seeds_needed(baseline: int, tests: int, rule: Rule) -> int | None:
    """The fewest current runs that can be called worse against so many, at the first step of Holm's method.

    Args:
        baseline: runs, at least one.

    Returns:
        None where no number can, because no more rearrangements are drawn, or the baseline has one run.
    """
    draws, level = draws_for(tests, rule.alpha), rule.alpha / max(tests, 1)
    if baseline < FEWEST:
        return None
    for current in range(FEWEST, EXACT_LIMIT + 1):
        if least_p(current, baseline, draws) <= level:
            return current
        if comb(current + baseline, current) > EXACT_LIMIT:
            break
    return None


def smallest_drop(evidence: CellEvidence, tests: int, rule: Rule) -> float:
    """The smallest true drop that is called worse with power 0.8, at the first step of Holm's method.

    Welch's t with equal spread, to which the permutation test is close: the noncentrality at which the test at
    alpha / tests has that power, times the standard error. A drop must also be seen to be at least `min_effect`.
    Infinite where samples of these sizes cannot give a p-value that small.
    """
    from scipy import special

    n, m = evidence.current_seeds, evidence.baseline_seeds
    level = rule.alpha / max(tests, 1)
    if evidence.p_least > level:
        return inf
    error = evidence.spread * sqrt(1 / n + 1 / m)
    freedom = (1 / n + 1 / m) ** 2 / (1 / n**2 / (n - 1) + 1 / m**2 / (m - 1))
    critical = special.stdtrit(freedom, 1 - level)
    shift = float(special.nctdtrinc(freedom, 1 - POWER, critical))
    return max(shift * error, rule.min_effect + float(special.ndtri(POWER)) * error)


def _judgement(evidence: CellEvidence, p_worse: float, p_better: float, tests: int, rule: Rule) -> Judgement:
    # What differs from the least drop that matters by rounding alone is as large.
    least = rule.min_effect - 1e-9
    if p_worse <= rule.alpha and -evidence.effect >= least:
        mark = Mark.WORSE
    elif (
        isnan(p_worse)  # where nothing could be tested, nothing is green
        or evidence.p_least * max(tests, 1) > rule.alpha
        or (rule.noninferiority and not evidence.low > -rule.min_effect)
    ):
        mark = Mark.TOO_FEW
    elif p_better <= rule.alpha and evidence.effect >= least:
        mark = Mark.BETTER
    else:
        mark = Mark.NOT_DISTINGUISHABLE
    return Judgement(mark, evidence, p_worse, p_better, smallest_drop(evidence, tests, rule))


def _compared(samples: Sequence[tuple[Array, Array]], rule: Rule) -> list[CellEvidence]:
    """samples: [current seed], [baseline seed] a cell."""
    draws = draws_for(len(samples), rule.alpha)
    p_values = np.full((2, len(samples)), nan)
    for sizes in {(len(x), len(y)) for x, y in samples if min(len(x), len(y)) >= FEWEST}:
        places = [place for place, (x, y) in enumerate(samples) if (len(x), len(y)) == sizes]
        new, old = (np.stack([samples[place][side] for place in places], axis=1) for side in (0, 1))
        p_values[:, places] = permutation_p_values(
            new, old, rng=np.random.default_rng(_SEED), draws=draws, studentised=True
        )
    return [
        _evidence(x, y, float(worse), float(better), draws, rule)
        for (x, y), worse, better in zip(samples, *p_values, strict=True)
    ]


def _evidence(x: Array, y: Array, p_worse: float, p_better: float, draws: int, rule: Rule) -> CellEvidence:
    """x: [current seed], y: [baseline seed]."""
    n, m = len(x), len(y)
    baseline_mean, current_mean = (float(values.mean()) if len(values) else nan for values in (y, x))
    interval = difference_interval(x, y, confidence=1 - 2 * rule.alpha)
    freedom = n + m - 2
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in (x, y) if len(values))
    return CellEvidence(
        baseline_mean=baseline_mean,
        current_mean=current_mean,
        effect=current_mean - baseline_mean,
        low=float(interval.low),
        high=float(interval.high),
        p_worse=p_worse,
        p_better=p_better,
        p_least=least_p(n, m, draws) if min(n, m) >= FEWEST else inf,
        spread=sqrt(squares / freedom) if freedom > 0 else nan,
        baseline_seeds=m,
        current_seeds=n,
    )


def _defined(values: ArrayLike) -> Array:
    found: Array = np.asarray(values, dtype=float)
    return np.asarray(found[~np.isnan(found)])
