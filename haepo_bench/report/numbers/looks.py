"""What a claim's other measures say of a candidate and a baseline; nothing is decided by them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.report.document_numbers import RunCount
from haepo_bench.report.document_scorecard import SecondLook
from haepo_bench.statistics.aggregates import cvar_mean_interval
from haepo_bench.statistics.intervals import combination_interval
from haepo_bench.statistics.rates import rate_combination_interval
from haepo_bench.text import plain
from haepo_bench.verdicts.claims import Claim, SecondaryMeasure
from haepo_bench.verdicts.measured import Extremes, Table, filled, is_control, number, weights_of, wrappers

Array = NDArray[Any]


def count_runs(table: Table, name: str, tasks: Sequence[str]) -> RunCount:
    """Runs of an algorithm on some tasks."""
    own = [table[task, name] for task in tasks]
    return RunCount(shown=sum(each.shown for each in own), planned=sum(each.planned for each in own))


def second_looks(
    claim: Claim, table: Table, seen: Extremes, pair: tuple[str, str], tasks: Sequence[str]
) -> list[SecondLook]:
    """Over all tasks that have them."""
    return [look for each in claim.looks if (look := _look(each, table, seen, pair, tasks)) is not None]


def _look(
    look: SecondaryMeasure, table: Table, seen: Extremes, pair: tuple[str, str], tasks: Sequence[str]
) -> SecondLook | None:
    """A second measure over those of the tasks that have it; None where none has."""
    own = [
        task
        for task in tasks
        if not is_control(task)
        and (not look.wrappers or set(look.wrappers) & set(wrappers(task)))
        and all((task, name) in table and table[task, name].has(look.measure) for name in pair)
    ]
    if not own:
        return None
    weights = weights_of(own)
    signs = np.concatenate([weights, -weights])

    def difference(table: Table) -> float:
        return float(signs @ [table[task, name].estimate(look.measure) for name in pair for task in own])

    measure = "final_score" if look.measure == "cvar" else look.measure
    values = [table[task, name].values[measure] for name in pair for task in own]
    if look.rate:
        interval = rate_combination_interval([each[~np.isnan(each)] > 0 for each in values], signs)
    elif look.measure == "cvar":
        interval = cvar_mean_interval(values, signs)
    else:
        interval = combination_interval(values, signs)
    counts = [count_runs(table, name, own) for name in pair]
    ends: list[float] = []
    if any(count.shown < count.planned for count in counts):
        keys = [(task, name) for task in own for name in pair]
        whole = [filled(table, seen, keys, look.measure, {pair[0]}, favour=favour) for favour in (False, True)]
        ends = sorted(map(difference, whole))
    means = [float(weights @ [table[task, name].estimate(look.measure) for task in own]) for name in pair]
    return SecondLook(
        measure=look.name,
        tasks=[plain(task) for task in own],
        candidate=number(means[0]),
        baseline=number(means[1]),
        difference=number(means[0] - means[1]),
        low=number(interval.low),
        high=number(interval.high),
        lowest=number(ends[0]) if ends else None,
        highest=number(ends[1]) if ends else None,
        candidate_runs=counts[0],
        baseline_runs=counts[1],
    )
