"""Verdicts on a suite's claims from its stored runs, for the report and for `run --until-decided` alike."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from haepo_bench.results.claims import DeclaredClaims
from haepo_bench.results.frames import frames
from haepo_bench.results.selection import Selection
from haepo_bench.statistics.pairs import Pairs
from haepo_bench.statistics.planning import MOST_SEEDS, fewest_seeds, outlook
from haepo_bench.statistics.verdicts import Claimed, Decision, assay_sensitive, decide
from haepo_bench.text import plain
from haepo_bench.verdicts import declared
from haepo_bench.verdicts.claims import CLAIMS, Claim
from haepo_bench.verdicts.feedback import UNKNOWN, feedback_classes
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
        feedback: the class of feedback that these baselines receive; empty where it is against all.
    """

    algorithm: str
    tasks: tuple[str, ...]
    decision: Decision
    paths: tuple[Path, ...]
    beside: tuple[Path, ...]
    without: Mapping[str, str]
    more_seeds: int | None = None
    feedback: str = ""


class JudgedClaim(NamedTuple):
    """A claim about all variants.

    Args:
        baselines: all that are declared.
        tasks: that it is about.
        left_out: {task: why it says nothing about the claim}.
        insensitive: tasks on which no baseline is shown to be above random by the margin; of a claim of being at par.
        overall: a variant each, over all tasks; one family.
        by_task: a variant on a task each; a family of its own.
        by_feedback: a variant against the baselines of one class of feedback each, over all tasks; a family of its own,
            empty where all are of one class.
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
    by_feedback: tuple[Judged, ...] = ()
    fewest_seeds: int | None = None


def measured_table(selection: Selection, threshold: float) -> Table:
    """What claims are judged by, for every cell; `threshold` is the score whose first time is the time to threshold."""
    with np.errstate(over="ignore", invalid="ignore"):
        rows = by_cell(selection.cells, frames(selection.cells))
        return measure(selection.cells, *rows, threshold, selection.uniform_success)


def judge(selection: Selection, table: Table | None = None, *, details: bool = True) -> list[JudgedClaim]:
    """The verdicts on everything that a suite claims; nothing where it claims nothing.

    Args:
        table: `measured_table` of the selection, where it is known.
        details: whether to judge the claims task by task, and by what feedback the baselines receive, too.
    """
    claims = selection.claims
    if claims is None:
        return []
    if table is None:
        table = measured_table(selection, claims.threshold)
    ranges = declared.ranges(selection)
    level = declared.level(selection)
    classes = feedback_classes(selection.cells) if details else None
    return [
        _claim(Outcomes(each, selection.cells, table, ranges), claims, level, classes)
        for each in CLAIMS
        if claims.makes(each.name)
    ]


class _Asked(NamedTuple):
    """A variant against baselines, on tasks: what is decided together with others of its family."""

    name: str
    tasks: tuple[str, ...]
    paths: tuple[Path, ...]
    beside: tuple[Path, ...]
    feedback: str = ""

    @property
    def pairs(self) -> list[Pairs]:
        return [path.pairs for path in self.paths]


def _claim(outcomes: Outcomes, claims: DeclaredClaims, level: float, classes: Mapping[str, str] | None) -> JudgedClaim:
    """The verdicts on one claim; without `classes` of feedback those over all tasks and baselines alone."""
    claim = outcomes.claim
    left_out = outcomes.left_out([*claims.candidates, *claims.baselines])
    tasks = tuple(task for task in outcomes.tasks if task not in left_out)
    without = {name: reason for name in claims.baselines if (reason := outcomes.without(name, tasks))} if tasks else {}
    baselines = [name for name in claims.baselines if name not in without]
    without |= dict.fromkeys(claims.left_out, "left out by declaration")
    beside = [name for name in claims.left_out if not outcomes.without(name, tasks)]

    def compared(candidate: str, own: tuple[str, ...]) -> _Asked:
        paths, others = (tuple(outcomes.path(candidate, name, own) for name in names) for names in (baselines, beside))
        return _Asked(candidate, own, paths, others)

    asked = [compared(name, tasks) for name in claims.candidates]
    single, by_class = [], []
    if classes is not None and len(tasks) > 1:
        single = [compared(name, (task,)) for name in claims.candidates for task in tasks]
    if classes is not None and len(_in_order(baselines, classes)) > 1:
        by_class = [_of_class(each, kind, classes) for each in asked for kind in _in_order(baselines, classes)]
    looks = [len(path.seeds) for each in (*asked, *single) for path in each.paths]
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

    def judged(family: Sequence[_Asked]) -> tuple[Judged, ...]:
        unlearned = [[plain(task) for task in each.tasks if task in insensitive] for each in family]
        unearned = [guards.unearned(each.name, each.tasks, len(family)) for each in family]
        pairs = [each.pairs for each in family]
        decisions = decide(pairs, claimed, insensitive=unlearned, unearned=unearned) if family else []
        return tuple(
            Judged(
                each.name,
                each.tasks,
                decision,
                each.paths,
                each.beside,
                without,
                outlook(each.pairs, claimed, decision, most=MOST_SEEDS).more,
                each.feedback,
            )
            for each, decision in zip(family, decisions, strict=True)
        )

    widest = [pairs for each in asked for pairs in each.pairs if not pairs.obstacle]
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
        judged(by_class),
        fewest,
    )


def _in_order(baselines: Sequence[str], classes: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(classes.get(name, UNKNOWN) for name in baselines))


def _of_class(asked: _Asked, kind: str, classes: Mapping[str, str]) -> _Asked:
    """Against the baselines of one class alone."""
    paths = tuple(path for path in asked.paths if classes.get(path.baseline, UNKNOWN) == kind)
    return asked._replace(paths=paths, beside=(), feedback=kind)


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
