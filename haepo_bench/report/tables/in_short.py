"""What a suite found, in plain words and in two small tables, for a reader with one minute."""

from math import log
from typing import NamedTuple

from haepo_bench.report.document import SuiteResult, TaskResult
from haepo_bench.report.document_scorecard import ClaimResult, Reading
from haepo_bench.report.tables.claim_words import MEASURE_TITLES, listed, odds, signed, variants
from haepo_bench.report.tables.per_task import UNDEFINED, heading, return_decimals, seeds_cell
from haepo_bench.report.tables.verdicts import state_text
from haepo_bench.results.claims import CONTROLS
from haepo_bench.verdicts.measured import is_control
from haepo_bench.wording import fixed, many, named_seeds

#: With more tasks than this the leaders are counted instead of named task by task.
_NAMED_TASKS = 8
#: A task on which no mean score gets so far says nothing about who leads.
_LEARNED = 0.1


class ScorecardCell(NamedTuple):
    """One cell of the scorecard: `state` is also its style."""

    state: str
    text: str
    detail: str


class ClaimMatrix(NamedTuple):
    """Variants by claims.

    Args:
        columns: claim, and in how many variants it is supported.
        rows: variant and its verdicts.
    """

    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[ScorecardCell]]]


class Glance(NamedTuple):
    """Final scores (returns where a task has no score), algorithms by tasks.

    Args:
        rows: algorithm, and for each task text, interval with n/N, and shade from 0 to 1 (None without a score).
    """

    tasks: list[str]
    rows: list[tuple[str, list[tuple[str, str, float | None]]]]


class Mishap(NamedTuple):
    """Runs of one cell that have no result, or diverged, for one reason."""

    task: str
    algorithm: str
    seeds: str
    status: str
    reason: str


class _Leader(NamedTuple):
    """Who has the highest mean on a task.

    Args:
        text: mean with interval and n/N.
        gap: to the next one, as text; `next_one` is its name.
    """

    task: TaskResult
    name: str
    mean: float
    text: str
    gap: str
    next_one: str


def leaders(suite: SuiteResult) -> list[str]:
    """Sentences on who reached most on which task; *beats* only where a declared claim decides it.

    Controls are not for winning.
    """
    found = [leader for task in suite.tasks if not is_control(task.task) and (leader := _leader(task))]
    lines = []
    learned = [leader for leader in found if leader.task.references is None or leader.mean >= _LEARNED]
    if len(learned) <= _NAMED_TASKS:
        lines += [_leader_sentence(leader, suite) for leader in learned]
    else:
        highest = [leader.name for leader in learned]
        counts = sorted(((highest.count(name), name) for name in dict.fromkeys(highest)), key=lambda each: -each[0])
        names = listed([f"{name} on {n}" for n, name in counts])
        lines.append(
            f"Highest mean at the end of training, on {len(learned)} tasks: {names}. That is a description, corrected "
            "for nothing: claims and the table of all pairs say what is decided."
        )
    unlearned = [leader.task.task for leader in found if leader not in learned]
    if unlearned:
        lines.append(f"No algorithm reaches a mean final score of {_LEARNED:g} on {', '.join(unlearned)}.")
    return lines


def _leader(task: TaskResult) -> _Leader | None:
    scored = task.references is not None
    known = [
        (result, estimate, estimate.mean)
        for result in task.algorithms
        if result.uses not in CONTROLS
        and (estimate := result.final_score if scored else result.final_return)
        and estimate.mean is not None
    ]
    if len(known) < 2:
        return None
    decimals = 2 if scored else return_decimals([estimate for _, estimate, _ in known])
    leader, best, mean = max(known, key=lambda item: item[2])
    text = fixed(mean, decimals)
    if best.low is not None and best.high is not None:
        text += f" [{fixed(best.low, decimals)}, {fixed(best.high, decimals)}]"
    other, _, runner_up = max((each for each in known if each[0] is not leader), key=lambda item: item[2])
    gap = fixed(mean - runner_up, decimals)
    return _Leader(
        task, leader.algorithm, mean, f"{text} ({seeds_cell(leader).text} seeds)",
        "" if round(mean - runner_up, decimals) == 0 else gap, other.algorithm,
    )  # fmt: skip


def _leader_sentence(leader: _Leader, suite: SuiteResult) -> str:
    task, name, _, text, gap, next_one = leader
    measure = "final score" if task.references is not None else "final return"
    beaten = _beaten_on(suite, task.task, name)
    if beaten:
        return f"{task.task}: {name} beats {listed(beaten, last=' and ')}, {text}."
    lead = f"higher than {next_one} by {gap}" if gap else f"level with {next_one}"
    return f"{task.task}: {name} has the highest mean {measure}, {text}; {lead}, not decided."


def _beaten_on(suite: SuiteResult, task: str, name: str) -> list[str]:
    """Baselines that a declared claim shows an algorithm to beat in final score on a task."""
    claims = suite.scorecard.claims if suite.scorecard else []
    for claim in claims:
        if claim.measure == "final_score":
            for reading in claim.by_task or claim.readings:
                if reading.algorithm == name and reading.tasks == [task] and reading.better:
                    return [each.baseline for each in reading.comparisons if each.counts]
    return []


def claim_matrix(suite: SuiteResult) -> ClaimMatrix | None:
    """The scorecard as a grid; None where nothing is claimed."""
    card = suite.scorecard
    if card is None:
        return None
    noun = variants(suite)
    columns = [
        (
            claim.claim[0].upper() + claim.claim[1:],
            f"{claim.supported} of {many(len(claim.readings), noun)}" if claim.tasks else "nothing measures it",
        )
        for claim in card.claims
    ]
    rows = []
    for i, name in enumerate(card.candidates):
        rows.append((name, [_verdict(claim, claim.readings[i]) for claim in card.claims]))
    return ClaimMatrix(columns, rows)


def _verdict(claim: ClaimResult, reading: Reading) -> ScorecardCell:
    text = state_text(claim, reading)
    state = reading.state.replace(" ", "-")
    if reading.state == "not assessable":
        return ScorecardCell(state, text if claim.tasks else "not measured", reading.reason if claim.tasks else "")
    if reading.state != "undecided":
        return ScorecardCell(state, text, _decided_by(reading))
    sides = [each.log_evidence[-1] if each.log_evidence else 0.0 for each in (reading.for_claim, reading.against_claim)]
    return ScorecardCell(state, text, f"{odds(max(sides))} of {odds(log(reading.for_claim.needed))}")


def _decided_by(reading: Reading) -> str:
    """`+0.14, at least +0.03; 222 : 1 of 60 : 1`."""
    side, end = (reading.for_claim, "least") if reading.verdict == "supported" else (reading.against_claim, "most")
    known = [each.difference for each in reading.comparisons if each.counts and each.difference is not None]
    parts = [signed(min(known))] if known else []
    parts += [f"at {end} {signed(side.bound)}"] if side.bound is not None else []
    return f"{', '.join(parts)}; {odds(side.log_evidence[-1])} of {odds(log(side.needed))}"


def decided_by(suite: SuiteResult) -> str:
    """By which measure each claim is decided."""
    claims = suite.scorecard.claims if suite.scorecard else []
    listed = "; ".join(f"{claim.claim}: {MEASURE_TITLES[claim.measure]}" for claim in claims)
    return f"Decided by: {listed}."


def glance(suite: SuiteResult) -> Glance:
    """All final scores in one grid."""
    names = list(dict.fromkeys(result.algorithm for task in suite.tasks for result in task.algorithms))
    cells: dict[str, list[tuple[str, str, float | None]]] = {name: [] for name in names}
    for task in suite.tasks:
        scored = task.references is not None
        estimates = {r.algorithm: (r, r.final_score if scored else r.final_return) for r in task.algorithms}
        decimals = 2 if scored else return_decimals([each for _, each in estimates.values() if each])
        for name in names:
            result, estimate = estimates.get(name, (None, None))
            seeds = seeds_cell(result).text if result else ""
            if estimate is None or estimate.mean is None:
                cells[name].append((UNDEFINED, seeds, None))
                continue
            interval = seeds
            if estimate.low is not None and estimate.high is not None:
                interval = f"[{fixed(estimate.low, decimals)}, {fixed(estimate.high, decimals)}] {seeds}"
            shade = min(max(estimate.mean, 0.0), 1.0) if scored else None
            cells[name].append((fixed(estimate.mean, decimals), interval, shade))
    return Glance([heading(task) for task in suite.tasks], list(cells.items()))


def mishaps(suite: SuiteResult) -> list[Mishap]:
    """All runs without a result and all that diverged, grouped by cell and reason."""
    found = []
    for task in suite.tasks:
        for result in task.algorithms:
            groups: dict[tuple[str, str], list[int]] = {}
            for run in result.seeds.missing:
                groups.setdefault((run.status.replace("_", " "), run.reason), []).append(run.seed)
            for stray in result.seeds.diverged:
                groups.setdefault(("diverged", stray.reason), []).append(stray.seed)
            found += [
                Mishap(task.task, result.algorithm, named_seeds(seeds), status, reason)
                for (status, reason), seeds in groups.items()
            ]
    return found
