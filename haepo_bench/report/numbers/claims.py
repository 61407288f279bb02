"""The claims scorecard of the document: what the runs say of what was claimed of the candidates."""

from collections.abc import Mapping, Sequence
from math import isnan

from haepo_bench.report.document_scorecard import (
    ClaimResult,
    Comparison,
    Evidence,
    LeftOutBaseline,
    LeftOutTask,
    Reading,
    Scorecard,
    State,
)
from haepo_bench.report.numbers.looks import count_runs, second_looks
from haepo_bench.results.selection import Selection
from haepo_bench.statistics.verdicts import PROMISE, PROMISE_AT_EQUAL_SEARCH, Against, Decision, Direction
from haepo_bench.text import plain
from haepo_bench.verdicts import declared
from haepo_bench.verdicts.feedback import UNKNOWN, feedback_classes
from haepo_bench.verdicts.judging import Judged, JudgedClaim, judge
from haepo_bench.verdicts.measured import Extremes, Table, number
from haepo_bench.verdicts.paths import Path


def _status(selection: Selection) -> str:
    """What all verdicts are marked with: what was done about hyper-parameters."""
    if selection.search is not None:
        claims, spaces = selection.claims, selection.search.spaces
        sides = (*claims.candidates, *claims.baselines) if claims is not None else ()
        return "at equal search" if all(spaces.get(name) for name in sides) else "not all at equal search"
    return "settings found by tuning" if selection.tuned else "untuned"


def scorecard(selection: Selection, table: Table, seen: Extremes) -> Scorecard | None:
    """The verdicts on a suite's claims; None where nothing is claimed."""
    claims = selection.claims
    if claims is None:
        return None
    classes = feedback_classes(selection.cells)
    named = {*claims.candidates, *claims.baselines, *claims.left_out}
    results = [_claim(each, selection, table, seen, classes) for each in judge(selection, table)]
    return Scorecard(
        candidates=[plain(name) for name in claims.candidates],
        baselines=[plain(name) for name in claims.baselines],
        left_out=[plain(name) for name in claims.left_out],
        margin=claims.margin,
        threshold=claims.threshold,
        level=declared.level(selection),
        declaration=selection.declaration_number,
        feedback={plain(name): kind for name, kind in classes.items() if name in named},
        families=sum(2 * (1 + bool(each.by_task) + bool(each.by_feedback)) for each in results if each.tested),
        status=_status(selection),
        promise=PROMISE if selection.search is None else PROMISE_AT_EQUAL_SEARCH,
        exploratory=plain(selection.exploratory),
        siblings=[
            f"{plain(cell.algorithm)} on {plain(cell.task)}: {cell.siblings}"
            for cell in selection.cells
            if cell.siblings
        ],
        claims=results,
    )


def _claim(
    judged: JudgedClaim, selection: Selection, table: Table, seen: Extremes, classes: Mapping[str, str]
) -> ClaimResult:
    claim, claimed = judged.claim, judged.claimed
    confirmed = selection.declaration_number is not None

    def readings(family: Sequence[Judged], *, looks: bool) -> list[Reading]:
        every = [cell.task for cell in selection.cells]
        asked = tuple(dict.fromkeys(every)) if looks else ()
        return [_reading(each, judged, table, seen, asked, classes, confirmed=confirmed) for each in family]

    overall = readings(judged.overall, looks=True)
    return ClaimResult(
        claim=claim.name,
        measure=claim.measure,
        margin=claimed.margin,
        at_par=claim.at_par,
        rule=claimed.rule.name,
        dependence=claimed.rule.dependence,
        supported=sum(each.verdict == "supported" for each in overall),
        tested=sum(each.verdict != "not assessable" for each in overall),
        tasks=[plain(task) for task in judged.tasks],
        left_out=[LeftOutTask(task=plain(task), reason=reason) for task, reason in judged.left_out.items()],
        without=[
            LeftOutBaseline(baseline=plain(name), reason=reason)
            for name, reason in next((each.without for each in judged.overall), {}).items()
        ],
        insensitive=[plain(task) for task in judged.insensitive],
        fewest_seeds=judged.fewest_seeds,
        readings=overall,
        by_task=readings(judged.by_task, looks=False),
        by_feedback=readings(judged.by_feedback, looks=False),
    )


def _reading(
    judged: Judged,
    of: JudgedClaim,
    table: Table,
    seen: Extremes,
    asked: Sequence[str],
    classes: Mapping[str, str],
    *,
    confirmed: bool,
) -> Reading:
    decision = judged.decision
    verdict, reason = decision.verdict, decision.reason
    if not confirmed and verdict in ("supported", "not supported"):
        # What was claimed after the runs were made is not confirmed by them.
        verdict, reason = "undecided", "the evidence would decide it, but the claims did not stand before the runs"
    state: State = "undecided"
    if verdict == "not supported":
        state = "worse" if decision.worse else "no better"
    elif verdict != "undecided":
        state = verdict
    by_name: dict[str, tuple[Path, Against | None]] = {path.baseline: (path, None) for path in judged.beside}
    by_name |= {path.baseline: (path, each) for path, each in zip(judged.paths, decision.against, strict=True)}
    comparisons = []
    for name, (path, against) in sorted(by_name.items(), key=lambda each: of.baselines.index(each[0])):
        made = _comparison(path, against, judged.without.get(name, ""), table, classes.get(name, UNKNOWN))
        looks = second_looks(of.claim, table, seen, (judged.algorithm, name), asked) if asked else []
        comparisons.append(made.model_copy(update={"looks": looks}))
    return Reading(
        algorithm=plain(judged.algorithm),
        tasks=[plain(task) for task in judged.tasks],
        feedback=judged.feedback,
        verdict=verdict,
        state=state,
        better=decision.better if verdict == "supported" and of.claim.at_par else None,
        reason=plain(reason),
        pairs=_pairs(decision, judged.paths),
        more_seeds=judged.more_seeds if verdict == "undecided" else None,
        for_claim=_evidence(decision.supported),
        against_claim=_evidence(decision.not_supported),
        comparisons=comparisons,
    )


def _pairs(decision: Decision, paths: Sequence[Path]) -> int:
    """After how many pairs it was decided, else how many there are on all sides."""
    decided = {"supported": decision.supported, "not supported": decision.not_supported}.get(decision.verdict)
    if decided is not None and decided.pairs is not None:
        return decided.pairs
    return min((len(path.pairs.candidate) for path in paths), default=0)


def _evidence(standing: Direction) -> Evidence:
    return Evidence(
        log_evidence=[float(value) for value in standing.path],
        needed=standing.needed,
        decided_after=standing.pairs,
        bound=number(standing.bound),
    )


def _comparison(path: Path, against: Against | None, without: str, table: Table, feedback: str) -> Comparison:
    pairs = path.pairs
    n = len(pairs.candidate)
    means = [number(side.mean()) if n else None for side in (pairs.candidate, pairs.baseline)]
    candidate, baseline = means
    assessed = against is not None and not isnan(against.low)
    return Comparison(
        baseline=plain(path.baseline),
        feedback=feedback,
        tasks=[plain(task) for task in path.tasks],
        counts=against is not None,
        reason=plain(without or pairs.obstacle),
        pairs=n,
        seeds=len(path.seeds),
        ended_by=path.ended_by,
        failed=pairs.failed,
        clipped=path.clipped,
        candidate=candidate,
        against=baseline,
        difference=None if candidate is None or baseline is None else candidate - baseline,
        low=number(against.low) if against is not None else None,
        high=number(against.high) if against is not None else None,
        supporting=number(against.supporting) if against is not None and assessed else None,
        opposing=number(against.opposing) if against is not None and assessed else None,
        named=against is not None and against.named,
        worse=against is not None and against.worse,
        candidate_runs=count_runs(table, path.candidate, path.tasks),
        baseline_runs=count_runs(table, path.baseline, path.tasks),
        looks=[],
    )
