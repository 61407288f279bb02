"""The claims scorecard: what the runs say of what was claimed of the candidates, one primary measure per claim."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.report.document_numbers import RunCount
from haepo_bench.report.document_scorecard import ClaimResult, Comparison, LeftOutTask, Reading, Scorecard, SecondLook
from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.results.selection import Selection
from haepo_bench.statistics.former_verdicts import ALPHA, Evidence, FormerDecision, against_all, decide, evidence
from haepo_bench.statistics.intervals import combination_interval
from haepo_bench.statistics.rates import rate_combination_interval
from haepo_bench.text import plain
from haepo_bench.verdicts.measured import (
    CONTROL_REASON,
    Extremes,
    Table,
    filled,
    is_control,
    number,
    weights_of,
    wrappers,
)

Array = NDArray[Any]

#: Nothing here searches hyper-parameters yet: neither candidates nor baselines had a search budget.
STATUS = "untuned"


class SecondaryMeasure(NamedTuple):
    """A secondary measure.

    Args:
        wrappers: only tasks with one of these around them; all where empty.
        rate: of zeros and ones, whose difference gets an interval for rates.
    """

    name: str
    measure: str
    wrappers: tuple[str, ...] = ()
    rate: bool = False


class Claim(NamedTuple):
    """What can be claimed.

    Args:
        name: in plain words.
        measure: the primary endpoint, a measure of which more is better.
        absent: why a task without it is left out.
        at_par: claimed is "not worse by the margin", not "better".
    """

    name: str
    measure: str
    absent: str
    looks: tuple[SecondaryMeasure, ...] = ()
    at_par: bool = False


_NO_SCORE = "it has no reference returns, so no score"
CLAIMS = (
    Claim("converges fast", "area", _NO_SCORE, (SecondaryMeasure("time_to_threshold", "time_to_threshold"),)),
    Claim(
        "explores thoroughly",
        "relative_coverage",
        "no coverage relative to a uniform policy is counted there",
        (
            SecondaryMeasure("goals_retained", "goals_retained"),
            SecondaryMeasure("first_success_sooner_than_uniform", "first_success_sooner", rate=True),
        ),
    ),
    Claim(
        "aligns with true rewards",
        "reward_alignment",
        "it has no probe set",
        (SecondaryMeasure("clean_score_under_noise_and_proxy", "final_score", ("noise", "proxy")),),
    ),
    Claim(
        "robust",
        "cvar",
        _NO_SCORE,
        (
            SecondaryMeasure("collapse_rate", "collapse", rate=True),
            SecondaryMeasure("final_score_under_noise_and_scale", "final_score", ("noise", "scale")),
        ),
    ),
    Claim("better or at par", "final_score", _NO_SCORE, at_par=True),
)


def scorecard(selection: Selection, table: Table, seen: Extremes) -> Scorecard | None:
    """The verdicts on a suite's claims; None where nothing is claimed."""
    declared = selection.claims
    if declared is None:
        return None
    tasks = list(dict.fromkeys(cell.task for cell in selection.cells))
    return Scorecard(
        candidates=[plain(name) for name in declared.candidates],
        baselines=[plain(name) for name in declared.baselines],
        margin=declared.margin,
        threshold=declared.threshold,
        status=STATUS,
        exploratory=plain(selection.exploratory),
        claims=[_claim(claim, declared, table, seen, tasks) for claim in CLAIMS],
    )


def _claim(claim: Claim, declared: DeclaredClaims, table: Table, seen: Extremes, tasks: Sequence[str]) -> ClaimResult:
    def measured(task: str, names: Sequence[str]) -> bool:
        has = any((task, name) in table and table[task, name].has(claim.measure) for name in names)
        return has and not is_control(task)

    usable = [task for task in tasks if measured(task, declared.candidates) and measured(task, declared.baselines)]
    pairs = [(reading, baseline) for reading in declared.candidates for baseline in declared.baselines]
    shared = {pair: [task for task in usable if all(measured(task, [name]) for name in pair)] for pair in pairs}
    single = [(pair, task) for pair in pairs for task in shared[pair]]
    overall = [
        each.model_copy(update={"looks": _looks(claim, table, seen, pair, tasks)})
        for pair, each in zip(
            pairs, _compare(claim, declared, table, seen, [(pair, shared[pair]) for pair in pairs]), strict=True
        )
    ]
    by_task = _compare(claim, declared, table, seen, [(pair, [task]) for pair, task in single])
    readings = []
    for reading in declared.candidates:
        own = [each for (name, _), each in zip(pairs, overall, strict=True) if name == reading]
        verdicts = [each.verdict for each in own if each.verdict is not None]
        readings.append(
            Reading(
                algorithm=plain(reading),
                verdict=against_all(verdicts) if verdicts else None,
                overall=own,
                by_task=[each for ((name, _), _), each in zip(single, by_task, strict=True) if name == reading],
            )
        )
    return ClaimResult(
        claim=claim.name,
        measure=claim.measure,
        supported=sum(reading.verdict == "supported" for reading in readings),
        tested=sum(reading.verdict is not None for reading in readings),
        readings=readings,
        left_out=[
            LeftOutTask(task=plain(task), reason=_why_left_out(claim, declared, table, task))
            for task in tasks
            if task not in usable
        ],
    )


def _why_left_out(claim: Claim, declared: DeclaredClaims, table: Table, task: str) -> str:
    """Why a task says nothing about a claim: no algorithm has the measure there, one side lacks it, or a control."""
    if is_control(task):
        return CONTROL_REASON
    for side, names in (("candidate", declared.candidates), ("baseline", declared.baselines)):
        if not any((task, name) in table and table[task, name].shown for name in names):
            return f"no {side} has a result there"
    have = [name for (at, name), measured in table.items() if at == task and measured.has(claim.measure)]
    return f"only {', '.join(map(plain, have))} measured it there" if have else claim.absent


def _compare(
    claim: Claim,
    declared: DeclaredClaims,
    table: Table,
    seen: Extremes,
    asked: Sequence[tuple[tuple[str, str], Sequence[str]]],
) -> list[Comparison]:
    """Comparisons of pairs (candidate, baseline) over their tasks, tested together."""
    tested = [(pair, tasks) for pair, tasks in asked if tasks]
    found = _evidence(claim, declared, table, tested)
    decided = iter(zip(found, decide(found), strict=True))
    made = [
        _comparison(claim, table, pair, tasks, *(next(decided) if tasks else (None, None))) for pair, tasks in asked
    ]
    if not any(map(_incomplete, made)):
        return made
    cases = []
    keys = {(task, name) for pair, tasks in tested for name in pair for task in tasks}
    for favour in (False, True):
        whole = filled(table, seen, keys, claim.measure, declared.candidates, favour=favour)
        evidence_then = _evidence(claim, declared, whole, tested)
        cases.append(iter(list(zip(evidence_then, decide(evidence_then, foretell=False), strict=True))))
    bounded = []
    for each in made:
        if each.tasks:
            (low, worst), (high, best) = map(next, cases)
            update = {
                "if_missing_worst": worst.verdict,
                "if_missing_best": best.verdict,
                "lowest": number(low.difference),
                "highest": number(high.difference),
            }
            bounded.append(each.model_copy(update=update) if _incomplete(each) else each)
        else:
            bounded.append(each)
    return bounded


def _incomplete(comparison: Comparison) -> bool:
    return any(side.shown < side.planned for side in (comparison.candidate_runs, comparison.baseline_runs))


def _evidence(
    claim: Claim, declared: DeclaredClaims, table: Table, tested: Sequence[tuple[tuple[str, str], Sequence[str]]]
) -> list[Evidence]:
    claimed, ruled_out = (-declared.margin, -declared.margin) if claim.at_par else (0.0, declared.margin)

    def samples(name: str, tasks: Sequence[str]) -> list[Array]:
        return [table[task, name].samples(claim.measure) for task in tasks]

    return [
        evidence(
            samples(candidate, tasks),
            samples(baseline, tasks),
            weights_of(tasks),
            claimed=claimed,
            ruled_out=ruled_out,
        )
        for (candidate, baseline), tasks in tested
    ]


def _comparison(
    claim: Claim,
    table: Table,
    pair: tuple[str, str],
    tasks: Sequence[str],
    found: Evidence | None,
    decision: FormerDecision | None,
) -> Comparison:
    weights = weights_of(tasks)

    def mean(name: str) -> float | None:
        return number(weights @ [table[task, name].estimate(claim.measure) for task in tasks]) if tasks else None

    counts = [_count(table, name, tasks) for name in pair]
    candidate, against = map(mean, pair)
    at_par = claim.at_par and decision is not None and decision.verdict == "supported"
    return Comparison(
        baseline=plain(pair[1]),
        tasks=[plain(task) for task in tasks],
        verdict=decision.verdict if decision else None,
        candidate=candidate,
        against=against,
        difference=None if candidate is None or against is None else candidate - against,
        low=number(found.low) if found else None,
        high=number(found.high) if found else None,
        p_supported=number(decision.p_supported) if decision else None,
        p_not_supported=number(decision.p_not_supported) if decision else None,
        better=bool(decision.p_positive < ALPHA) if decision and at_par else None,
        seeds_needed=int(decision.seeds_needed) if decision and math.isfinite(decision.seeds_needed) else None,
        if_missing_worst=None,
        if_missing_best=None,
        lowest=None,
        highest=None,
        candidate_runs=counts[0],
        baseline_runs=counts[1],
        looks=[],
    )


def _count(table: Table, name: str, tasks: Sequence[str]) -> RunCount:
    own = [table[task, name] for task in tasks]
    return RunCount(shown=sum(each.shown for each in own), planned=sum(each.planned for each in own))


def _looks(claim: Claim, table: Table, seen: Extremes, pair: tuple[str, str], tasks: Sequence[str]) -> list[SecondLook]:
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

    def samples(table: Table) -> list[Array]:
        return [table[task, name].values[look.measure] for name in pair for task in own]

    def difference(table: Table) -> float:
        return float(signs @ [np.nanmean(values) for values in samples(table)])

    values = samples(table)
    if look.rate:
        interval = rate_combination_interval([each[~np.isnan(each)] > 0 for each in values], signs)
    else:
        interval = combination_interval(values, signs)
    counts = [_count(table, name, own) for name in pair]
    ends: list[float] = []
    if any(count.shown < count.planned for count in counts):
        keys = [(task, name) for task in own for name in pair]
        whole = [filled(table, seen, keys, look.measure, {pair[0]}, favour=favour) for favour in (False, True)]
        ends = sorted(map(difference, whole))
    means = [float(weights @ [np.nanmean(table[task, name].values[look.measure]) for task in own]) for name in pair]
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
