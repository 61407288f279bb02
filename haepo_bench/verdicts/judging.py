"""Verdicts on a suite's claims from its stored runs, for the report and for `run --until-decided` alike."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.results.frames import frames
from haepo_bench.results.selection import Selection
from haepo_bench.statistics.planning import MOST_SEEDS, fewest_seeds, outlook
from haepo_bench.statistics.verdicts import Claimed, Decision, assay_sensitive, decide
from haepo_bench.text import plain
from haepo_bench.verdicts import declared
from haepo_bench.verdicts.claims import CLAIMS, Claim
from haepo_bench.verdicts.guards import Guards
from haepo_bench.verdicts.measured import Table, by_cell, measure
from haepo_bench.verdicts.paths import Outcomes, Path


class Judged(NamedTuple):
    """A variant's verdict against all baselines at once, over the claim's tasks or on one of them.

    Args:
        paths: the comparisons that it rests on, a baseline each, in the order of `decision.against`.
        beside: comparisons with baselines that have no part in it.
        without: {baseline: why it has no part}.
        more_seeds: about so many more seeds decide it, if they are like these; None where it is decided, or beyond what
            is practical.
    """

    algorithm: str
    tasks: tuple[str, ...]
    decision: Decision
    paths: tuple[Path, ...]
    beside: tuple[Path, ...]
    without: Mapping[str, str]
    more_seeds: int | None = None


class JudgedClaim(NamedTuple):
    """A claim about all variants.

    Args:
        baselines: all that are declared.
        tasks: that it is about.
        left_out: {task: why it says nothing about the claim}.
        insensitive: tasks on which no baseline is shown to be above random by the margin; of a claim of being at par.
        overall: a variant each, over all tasks; one family.
        by_task: a variant on a task each; a family of its own.
        fewest_seeds: with which anything can be decided over all tasks; None where nothing can.
    """

    claim: Claim
    claimed: Claimed
    baselines: tuple[str, ...]
    tasks: tuple[str, ...]
    left_out: Mapping[str, str]
    insensitive: tuple[str, ...]
    overall: tuple[Judged, ...]
    by_task: tuple[Judged, ...]
    fewest_seeds: int | None = None


def measured_table(selection: Selection, threshold: float) -> Table:
    """What claims are judged by, for every cell; `threshold` is the score whose first time is the time to threshold."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows = by_cell(selection.cells, frames(selection.cells))
        return measure(selection.cells, *rows, threshold, selection.uniform_success)


def judge(selection: Selection, table: Table | None = None, *, by_task: bool = True) -> list[JudgedClaim]:
    """The verdicts on everything that a suite claims; nothing where it claims nothing.

    Args:
        table: `measured_table` of the selection, where it is known.
        by_task: whether to judge the claims task by task, too.
    """
    claims = selection.claims
    if claims is None:
        return []
    if table is None:
        table = measured_table(selection, claims.threshold)
    ranges = declared.ranges(selection)
    level = declared.level(selection)
    return [
        _claim(Outcomes(each, selection.cells, table, ranges), claims, level, by_task=by_task)
        for each in CLAIMS
        if claims.makes(each.name)
    ]


def _claim(outcomes: Outcomes, claims: DeclaredClaims, level: float, *, by_task: bool) -> JudgedClaim:
    claim = outcomes.claim
    left_out = outcomes.left_out([*claims.candidates, *claims.baselines])
    tasks = tuple(task for task in outcomes.tasks if task not in left_out)
    without = {name: reason for name in claims.baselines if (reason := outcomes.without(name, tasks))} if tasks else {}
    baselines = [name for name in claims.baselines if name not in without]
    without |= dict.fromkeys(claims.left_out, "left out by declaration")
    beside = [name for name in claims.left_out if not outcomes.without(name, tasks)]

    def compared(candidate: str, own: Sequence[str]) -> tuple[list[Path], list[Path]]:
        return (
            [outcomes.path(candidate, name, own) for name in baselines],
            [outcomes.path(candidate, name, own) for name in beside],
        )

    asked = [(name, tasks) for name in claims.candidates]
    single = [(name, (task,)) for name in claims.candidates for task in tasks] if by_task and len(tasks) > 1 else []
    found = {each: compared(*each) for each in (*asked, *single)}
    looks = [len(path.seeds) for paths, _ in found.values() for path in paths]
    claimed = Claimed(
        margin=claims.margin_of(claim.name),
        at_par=claim.at_par,
        rule=declared.rule(claims, min(looks, default=0)),
        level=level,
    )
    guards = Guards(outcomes, claimed)
    insensitive = (
        tuple(task for task in tasks if not _sensitive(outcomes, baselines, task, claimed)) if claim.at_par else ()
    )

    def judged(family: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[Judged, ...]:
        compared = [[path.pairs for path in found[each][0]] for each in family]
        unlearned = [[plain(task) for task in own if task in insensitive] for _, own in family]
        unearned = [guards.unearned(name, own, len(family)) for name, own in family]
        decisions = decide(compared, claimed, insensitive=unlearned, unearned=unearned) if family else []
        return tuple(
            Judged(
                name,
                own,
                decision,
                tuple(found[name, own][0]),
                tuple(found[name, own][1]),
                without,
                outlook(pairs, claimed, decision, most=MOST_SEEDS).more,
            )
            for (name, own), decision, pairs in zip(family, decisions, compared, strict=True)
        )

    widest = [path.pairs for each in asked for path in found[each][0] if not path.pairs.obstacle]
    fewest = None
    if widest:
        ends = min(each.low for each in widest), max(each.high for each in widest)
        fewest = fewest_seeds(claimed, len(asked), *ends)
    return JudgedClaim(
        claim,
        claimed,
        (*claims.baselines, *claims.left_out),
        tasks,
        left_out,
        insensitive,
        judged(asked),
        judged(single),
        fewest,
    )


def _sensitive(outcomes: Outcomes, baselines: Sequence[str], task: str, claimed: Claimed) -> bool:
    found = outcomes.range(task)
    if found is None:
        return True  # said of the comparison: without bounds nothing is decided
    samples = []
    for name in baselines:
        seeds = outcomes.seeds(name, task)
        if not seeds:
            continue
        runs, _ = outcomes.values(name, task, seeds)
        values = np.where(runs.failed[0], found.low, runs.scores[0])
        there = np.isnan(values)
        samples.append(values[: int(np.argmax(there))] if there.any() else values)
    samples = [each for each in samples if len(each)]
    if any(((each < found.low) | (each > found.high)).any() for each in samples):
        samples = [np.clip(each, found.low, found.high) for each in samples]  # not assessable anyway, or rounding
    return bool(samples) and assay_sensitive(samples, 0.0, claimed.margin, found.low, found.high, level=claimed.level)
