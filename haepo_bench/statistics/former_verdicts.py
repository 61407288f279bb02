"""Verdicts on claims: is a candidate better than a baseline (or at par), or is that ruled out, or is it open?

Everything is a mean over seeds, or a weighted mean of such means over tasks, where larger is better. A claim says that
the difference (candidate minus baseline) is above one number, and is ruled out once it is shown to be below another:

    better    above 0         ruled out: below margin (no advantage that matters)
    at par    above -margin   ruled out: below -margin

At par is non-inferiority, with superiority read from the same test: Piaggio et al. (2012), CONSORT's extension for
non-inferiority trials, JAMA 308(24).

What is tested together is corrected by Holm's method, in each direction, so that the chance of any wrong "supported"
among them stays at alpha, and so does that of any wrong "not supported".
"""

from collections.abc import Sequence
from math import inf, nan, sqrt
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.comparisons import holm
from haepo_bench.statistics.intervals import combine
from haepo_bench.statistics.power import seeds_needed

Array = NDArray[Any]
Verdict = Literal["supported", "not supported", "undecided"]

#: One-sided, in each direction.
ALPHA = 0.05
POWER = 0.8


class Evidence(NamedTuple):
    """What the runs say of one difference.

    Args:
        difference: candidate minus baseline; NaN where a side has no run.
        low: one-sided 95 % lower bound, uncorrected; NaN with fewer than two seeds on a side.
        high: one-sided 95 % upper bound, uncorrected.
        p_above: p-value that the difference is above `claimed`.
        p_below: p-value that it is below `ruled_out`.
        p_positive: p-value that it is above zero.
        sd_candidate: of one seed's weighted mean over tasks.
        sd_baseline: as `sd_candidate`.
        claimed: what the claim says it is above.
        ruled_out: below this the claim is wrong.
        seeds: most runs that either side has on a task.
    """

    difference: float
    low: float
    high: float
    p_above: float
    p_below: float
    p_positive: float
    sd_candidate: float
    sd_baseline: float
    claimed: float
    ruled_out: float
    seeds: int


class FormerDecision(NamedTuple):
    """A verdict with its adjusted p-values.

    Args:
        p_supported: of the claim, adjusted; NaN where it could not be tested.
        p_not_supported: of its opposite, adjusted.
        p_positive: that the difference is above zero, adjusted.
        seeds_needed: on either side for a verdict with power 0.8 at the smallest adjusted alpha, if differences and
            spreads are as measured; NaN where there is a verdict or none can be foretold; infinite beyond all numbers.
    """

    verdict: Verdict
    p_supported: float
    p_not_supported: float
    p_positive: float
    seeds_needed: float


def evidence(
    candidate: Sequence[Array], baseline: Sequence[Array], weights: Array, *, claimed: float, ruled_out: float
) -> Evidence:
    """candidate, baseline: [seed] a task each, weights: [task] -> what they say of the mean difference over tasks.

    Skewness-corrected Welch, see `combination_interval`. NaN are seeds without a value.
    """
    samples = [*candidate, *baseline]
    signs = np.concatenate([weights, -np.asarray(weights)])
    found = combine(samples, signs)
    interval = found.interval(1 - 2 * ALPHA)

    def spread(groups: Sequence[Array]) -> float:
        if any((~np.isnan(values)).sum() < 2 for values in groups):
            return nan
        return sqrt(sum(w**2 * np.nanvar(values, ddof=1) for values, w in zip(groups, weights, strict=True)))

    return Evidence(
        difference=float(interval.estimate),
        low=float(interval.low),
        high=float(interval.high),
        p_above=float(found.p_above(claimed)),
        p_below=float(found.p_below(ruled_out)),
        p_positive=float(found.p_above(0.0)),
        sd_candidate=spread(candidate),
        sd_baseline=spread(baseline),
        claimed=claimed,
        ruled_out=ruled_out,
        seeds=max(int((~np.isnan(values)).sum()) for values in samples),
    )


def decide(tested_together: Sequence[Evidence], *, foretell: bool = True) -> list[FormerDecision]:
    """Verdicts on comparisons that are tested together, in their order; those that cannot be tested do not count.

    Args:
        foretell: whether to work out the seeds needed, which takes longer than all else.
    """
    above, below, positive = (
        holm([getattr(each, name) for each in tested_together]) for name in ("p_above", "p_below", "p_positive")
    )
    tests = int((~np.isnan(above)).sum())
    decisions = []
    for each, p_above, p_below, p_positive in zip(tested_together, above, below, positive, strict=True):
        verdict: Verdict = "undecided"
        if p_above < ALPHA:
            verdict = "supported"
        elif p_below < ALPHA:
            verdict = "not supported"
        needed = _seeds_for_a_verdict(each, ALPHA / max(tests, 1)) if foretell and verdict == "undecided" else nan
        decisions.append(FormerDecision(verdict, float(p_above), float(p_below), float(p_positive), needed))
    return decisions


def against_all(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim that is made against every one of several baselines at once.

    It holds where it holds against each, and fails where it fails against one. Source: Berger (1982), Multiparameter
    hypothesis testing and acceptance sampling, Technometrics 24(4): an intersection-union test.
    """
    if "not supported" in verdicts:
        return "not supported"
    return "supported" if set(verdicts) == {"supported"} else "undecided"


def _seeds_for_a_verdict(found: Evidence, alpha: float) -> float:
    """The fewest seeds per side for either verdict, if the difference and the spreads are as measured."""
    sd = (found.sd_candidate, found.sd_baseline)
    distances = [found.difference - found.claimed, found.ruled_out - found.difference]
    # Only what lies on the right side of its number can be shown; of the two the farther one takes fewer seeds.
    distance = max(distances)
    if np.isnan(found.p_above) or not np.isfinite([distance, *sd]).all():
        return nan
    if distance <= 0:
        return inf
    # So many there are did not do.
    return max(seeds_needed(distance, *sd, target=POWER, alpha=alpha, sides="one-sided"), found.seeds + 1)
