"""Which algorithms of a suite are above which others: all pairs in either direction, one family of its own."""

from collections.abc import Sequence
from typing import NamedTuple

from haepo_bench.results.selection import Selection
from haepo_bench.statistics.pairwise import PairDecision, decide_pairs
from haepo_bench.statistics.rules import DecisionRule
from haepo_bench.statistics.verdicts import LEVEL
from haepo_bench.verdicts import declared
from haepo_bench.verdicts.claims import CLAIMS, Claim
from haepo_bench.verdicts.measured import Table
from haepo_bench.verdicts.paths import Outcomes, Path

#: What pairs are compared by.
MEASURE = next(claim for claim in CLAIMS if claim.measure == "final_score")


class PairVerdict(NamedTuple):
    """Whether one algorithm, `path.candidate`, is shown to be above another, `path.baseline`."""

    path: Path
    decision: PairDecision


def judge_pairs(
    selection: Selection,
    table: Table,
    names: Sequence[str],
    *,
    measure: Claim = MEASURE,
    by_task: bool = False,
    level: float = LEVEL,
) -> list[PairVerdict]:
    """All ordered pairs of some algorithms over the tasks that both were asked for; one family.

    By betting, which needs bounds and fits any stop. Failed and missing runs count as in claims.

    Args:
        measure: a claim, for its measure alone.
        by_task: on each task by itself.
    """
    outcomes = Outcomes(measure, selection.cells, table, declared.ranges(selection))
    left_out = outcomes.left_out(names)
    own = [task for task in outcomes.tasks if task not in left_out]
    claims = selection.claims
    rule = DecisionRule(dependence=claims.dependence) if claims else DecisionRule()
    paths = [
        outcomes.path(one, other, tasks)
        for tasks in ([[task] for task in own] if by_task else [own])
        for one in names
        for other in names
        if one != other
    ]
    decisions = decide_pairs([path.pairs for path in paths], rule=rule, level=level)
    return [PairVerdict(path, decision) for path, decision in zip(paths, decisions, strict=True)]
