"""What a selection says of how its claims are decided."""

from typing import NamedTuple

from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.results.selection import Selection
from haepo_bench.statistics.rules import DecisionRule
from haepo_bench.statistics.verdicts import declaration_level


class Range(NamedTuple):
    """Least and greatest value of a measure on a task.

    Args:
        clipped: values are clipped to it, as was declared.
    """

    low: float
    high: float
    clipped: bool = False


def ranges(selection: Selection) -> dict[str, Range]:
    """{task: of the score}; tasks whose bounds are not known are absent."""
    return {task: Range(each.low, each.high, each.clipped) for task, each in selection.bounds.items()}


def rule(claims: DeclaredClaims, look: int) -> DecisionRule:
    """By which comparisons are decided.

    Args:
        look: number of pairs at which the rule `fixed` looks.
    """
    return DecisionRule(claims.rule, claims.dependence, look)


def level(selection: Selection) -> float:
    """At which claims are tested; where nothing was declared, that of a first declaration."""
    return declaration_level(selection.declaration_number or 1)
