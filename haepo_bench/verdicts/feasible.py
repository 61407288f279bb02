"""Whether the seeds of a suite can decide its claims at all, before anything is run."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from haepo_bench.results.claims import DeclaredCell, DeclaredClaims, ScoreBounds
from haepo_bench.statistics.planning import ADVANTAGE, fewest_seeds
from haepo_bench.statistics.rules import DecisionRule
from haepo_bench.statistics.verdicts import Claimed
from haepo_bench.verdicts.claims import CLAIMS, Claim
from haepo_bench.verdicts.measured import is_control, weights_of


class Feasible(NamedTuple):
    """What it takes to decide a claim.

    Args:
        fewest: seeds per side with which an advantage as `fewest_seeds` supposes it is decided; None where nothing is.
        supposed: that advantage, in words.
        reason: why nothing can, or what must be known of the bounds first; else empty.
        short: {algorithm: seeds that it has in common with the other side} of those that have fewer.
    """

    claim: str
    fewest: int | None
    supposed: str
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
        seeds = _in_common([cell for cell in own if cell.task in tasks], claims.candidates)
        short = {name: n for name, n in seeds.items() if fewest is not None and n < fewest}
        found.append(Feasible(claim.name, fewest, supposed(claims.rule, at_par=claim.at_par), reason, short))
    return found


def supposed(rule: str, *, at_par: bool) -> str:
    """What `fewest_seeds` supposes of the scores, in words."""
    if rule == "wins":
        return "a win on every seed"
    return f"{'equality' if at_par else f'an advantage of {ADVANTAGE:g}'} without any spread"


def _in_common(cells: Sequence[DeclaredCell], candidates: Sequence[str]) -> dict[str, int]:
    """For each algorithm the fewest seeds, over tasks, that it shares with any one of the other side."""
    found: dict[str, int] = {}
    for cell in cells:
        others = [
            len(set(cell.seeds) & set(other.seeds))
            for other in cells
            if other.task == cell.task and (other.algorithm in candidates) != (cell.algorithm in candidates)
        ]
        if others:
            found[cell.algorithm] = min(found.get(cell.algorithm, max(others)), max(others))
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
