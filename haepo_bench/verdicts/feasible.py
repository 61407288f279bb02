"""Whether the seeds of a suite can decide its claims at all, before anything is run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from haepo_bench.results.claims import DeclaredCell, DeclaredClaims, ScoreBounds
from haepo_bench.statistics.planning import fewest_seeds
from haepo_bench.statistics.rules import DecisionRule
from haepo_bench.statistics.verdicts import Claimed
from haepo_bench.verdicts.claims import CLAIMS, Claim
from haepo_bench.verdicts.measured import is_control, weights_of


class Feasible(NamedTuple):
    """What it takes to decide a claim.

    Args:
        fewest: seeds per side with which "supported" can be decided at all; None where nothing can.
        reason: why nothing can, or what must be known of the bounds first; else empty.
        short: {algorithm: seeds} of those that have fewer.
    """

    claim: str
    fewest: int | None
    reason: str
    short: Mapping[str, int]


def feasible(
    claims: DeclaredClaims,
    bounds: Mapping[str, ScoreBounds],
    cells: Iterable[DeclaredCell],
    scored: Sequence[str],
    level: float,
) -> list[Feasible]:
    """What each claim takes, over all of its tasks; scores without any spread, so that no seeds decide with fewer.

    Args:
        cells: of the suite.
        scored: the tasks that have scores.
        level: of the declaration.
    """
    named = {*claims.candidates, *claims.baselines}
    own = [cell for cell in cells if cell.algorithm in named and not is_control(cell.task)]
    found = []
    for claim in CLAIMS:
        if not claims.makes(claim.name):
            continue
        tasks = [task for task in dict.fromkeys(cell.task for cell in own) if claim.bounds or task in scored]
        fewest, reason = _fewest(claim, claims, bounds, tasks, level)
        seeds: dict[str, int] = {}
        for cell in own:
            if cell.task in tasks:
                seeds[cell.algorithm] = min(seeds.get(cell.algorithm, len(cell.seeds)), len(cell.seeds))
        short = {name: n for name, n in seeds.items() if fewest is not None and n < fewest}
        found.append(Feasible(claim.name, fewest, reason, short))
    return found


def _fewest(
    claim: Claim, claims: DeclaredClaims, bounds: Mapping[str, ScoreBounds], tasks: Sequence[str], level: float
) -> tuple[int | None, str]:
    rule = DecisionRule(claims.rule, claims.dependence, 0)
    if not tasks:
        return None, claim.absent.replace("it has", "the tasks have")
    if rule.name == "wins" and claim.at_par:
        return None, "the rule wins knows no margin, so it cannot show that anything is at par"
    unknown = [task for task in tasks if claim.bounds is None and task not in bounds] if rule.needs_bounds else []
    if unknown:
        return (
            None,
            f"the bounds of the score on {', '.join(unknown)} are not known: give the task a clip, or rule: wins",
        )
    low = high = 0.0
    if claim.bounds is not None:
        low, high = claim.bounds
    elif rule.needs_bounds:
        weights = weights_of(tasks)
        low, high = (
            float(weights @ np.array([getattr(bounds[task], end) for task in tasks])) for end in ("low", "high")
        )
    claimed = Claimed(claims.margin_of(claim.name), claim.at_par, rule, level)
    fewest = fewest_seeds(claimed, len(claims.candidates), low, high)
    return fewest, "" if fewest is not None else "no number of seeds can decide it with this margin and these bounds"
