"""The claims scorecard and the table of all pairs as tables."""

from collections.abc import Container
from math import log

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_numbers import RunCount
from haepo_bench.report.document_scorecard import AllPairs, ClaimResult, Comparison, PairComparison, Reading, Scorecard
from haepo_bench.report.tables.claim_words import (
    MEASURE_TITLES,
    RULE_TITLES,
    decided,
    listed,
    odds,
    progress,
    signed,
    variants,
)
from haepo_bench.report.tables.per_task import UNDEFINED, Footnotes, Table, TableCell, absences_of, kind, resting_on
from haepo_bench.verdicts.feasible import supposed
from haepo_bench.wording import fixed, many


def scorecard_tables(suite: SuiteResult) -> list[tuple[Table, list[Table]]]:
    """For each claim that anything measures: the verdicts over all tasks (else a second look), and more tables."""
    card = suite.scorecard
    if card is None:
        return []
    groups = [
        [
            *([_overall_table(claim, suite, card)] if claim.tasks else []),
            *_feedback_tables(claim, suite, card),
            *_task_tables(claim, suite, card),
            *_look_tables(claim, suite, card),
        ]
        for claim in card.claims
    ]
    return [(first, details) for first, *details in filter(None, groups)]


def pairs_of(found: AllPairs) -> tuple[list[str], dict[tuple[str, str], PairComparison]]:
    """The algorithms in their order, and every comparison by row and column."""
    names = list(dict.fromkeys(each.algorithm for each in found.comparisons))
    return names, {(each.algorithm, each.other): each for each in found.comparisons}


def pairwise_table(suite: SuiteResult) -> Table | None:
    """Who is above whom: rows against columns, final score; None with fewer than two algorithms."""
    found = suite.pairwise
    if found is None or not found.comparisons:
        return None
    names, cells = pairs_of(found)
    rows = []
    for name in names:
        row = [TableCell(name)]
        for other in names:
            each = cells.get((name, other))
            if each is None or each.difference is None:
                row.append(TableCell(UNDEFINED, each.reason if each else ""))
                continue
            details = [f"at least {signed(each.low)}"] if each.decided and each.low is not None else []
            if each.log_evidence is not None and each.needed is not None:
                details.append(f"{odds(each.log_evidence)} of {odds(log(each.needed))}")
            details.append(many(each.pairs, "seed"))
            text = signed(each.difference) + (" above" if each.decided else "")
            row.append(TableCell(text, "; ".join([*details, *filter(None, [each.reason])])))
        rows.append(row)
    return Table(
        "All pairs of algorithms: mean final score of the row minus that of the column",
        ["Algorithm", *(f"minus {name}" for name in names)],
        rows,
        [
            "above: shown to be above, at whatever moment one stops. All pairs in either direction are one family, "
            f"apart from the claims: the chance of any wrong 'above' is at most {100 * found.level:g} %. Everything "
            "else is not decided.",
        ],
    )


def _overall_table(claim: ClaimResult, suite: SuiteResult, card: Scorecard) -> Table:
    footnotes = _footnotes(suite, card)
    noun = variants(suite).capitalize()
    rows = []
    for reading in claim.readings:
        cells = [_comparison_cell(reading, name) for name in _compared(card)]
        rows.append([_name(suite, reading.algorithm, footnotes), _verdict_cell(claim, reading, card), *cells])
    notes = [
        f"Decided by: {MEASURE_TITLES[claim.measure]}. Rule: {RULE_TITLES.get(claim.rule, claim.rule)}; margin "
        f"{claim.margin:g}.",
        "Each baseline: difference, then candidate and baseline; the difference is at least (at most) so much at the "
        "level that decides; seeds that are complete on both sides.",
        *_seeds_notes(claim),
        *_coverage_notes(claim),
        *_missing_notes(suite, card, claim.tasks),
        *footnotes.lines,
    ]
    columns = [noun, "Against all", *_against(card)]
    return Table(f"{claim.claim} – {card.status}", columns, rows, notes)


def _feedback_tables(claim: ClaimResult, suite: SuiteResult, card: Scorecard) -> list[Table]:
    """Verdicts against the baselines of each class of feedback alone; none where all are of one class."""
    if not claim.by_feedback:
        return []
    footnotes = _footnotes(suite, card)
    classes = list(dict.fromkeys(reading.feedback for reading in claim.by_feedback))
    cells = {(reading.algorithm, reading.feedback): reading for reading in claim.by_feedback}
    names = list(dict.fromkeys(reading.algorithm for reading in claim.by_feedback))
    rows = [
        [_name(suite, name, footnotes), *(_verdict_cell(claim, cells[name, kind], card) for kind in classes)]
        for name in names
    ]
    of_class = {kind: [name for name in card.baselines if card.feedback.get(name) == kind] for kind in classes}
    columns = [variants(suite).capitalize(), *(f"{kind}: {listed(of_class[kind])}" for kind in classes)]
    notes = [
        f"The candidates receive: {listed(sorted({card.feedback.get(name, '') for name in names}))}. Only algorithms "
        "that receive the same are compared like for like.",
        *_missing_notes(suite, card, claim.tasks),
        *footnotes.lines,
    ]
    return [Table(f"{claim.claim}, by the feedback that the baselines receive – {card.status}", columns, rows, notes)]


def _task_tables(claim: ClaimResult, suite: SuiteResult, card: Scorecard) -> list[Table]:
    if not claim.by_task:
        return []
    footnotes = _footnotes(suite, card)
    noun = variants(suite).capitalize()
    rows = []
    for reading in claim.by_task:
        cells = [_comparison_cell(reading, name) for name in _compared(card)]
        first = TableCell(_marked(suite, reading.algorithm, footnotes), listed(reading.tasks))
        rows.append([first, _verdict_cell(claim, reading, card), *cells])
    columns = [f"{noun} and task", "Against all", *_against(card)]
    notes = [*_missing_notes(suite, card, claim.tasks), *footnotes.lines]
    return [Table(f"{claim.claim}, task by task – {card.status}", columns, rows, notes)]


def _verdict_cell(claim: ClaimResult, reading: Reading, card: Scorecard) -> TableCell:
    text: str = state_text(claim, reading)
    if reading.state == "not assessable":
        return TableCell(text, reading.reason)
    detail = decided(claim, reading)
    if reading.state == "undecided":
        detail = f"after {many(reading.pairs, 'seed')}; {progress(reading)}"
    return TableCell(text, f"{card.status}; {detail}")


def state_text(claim: ClaimResult, reading: Reading) -> str:
    """The state as tables have it."""
    if reading.state == "supported" and claim.at_par:
        return "at par and better" if reading.better else "at par"
    return f"no better by {claim.margin:g}" if reading.state == "no better" else reading.state


def _comparison_cell(reading: Reading, baseline: str) -> TableCell:
    each = next((own for own in reading.comparisons if own.baseline == baseline), None)
    if each is None or each.difference is None or each.candidate is None or each.against is None:
        return TableCell(UNDEFINED, each.reason or each.ended_by if each else "")
    details = [f"{fixed(each.candidate, 2)} and {fixed(each.against, 2)}", *_bounds(reading, each)]
    details.append(f"{many(each.pairs, 'seed')}" + (f" of {each.seeds}" if each.pairs < each.seeds else ""))
    if each.failed:
        details.append(f"{many(each.failed, 'failed run')} at a bound")
    if each.clipped:
        details.append(f"{100 * each.clipped:.0f} % clipped")
    if each.ended_by:
        details.append(f"waits for {each.ended_by}")
    if each.reason:
        details.append(each.reason)
    return TableCell(signed(each.difference), "; ".join(details))


def _bounds(reading: Reading, each: Comparison) -> list[str]:
    """The end that the verdict rests on; both while there is none."""
    ends = []
    if reading.verdict != "not supported" and each.low is not None:
        ends.append(f"at least {signed(each.low)}")
    if reading.verdict != "supported" and each.high is not None:
        ends.append(f"at most {signed(each.high)}")
    return ends


def _compared(card: Scorecard) -> list[str]:
    """The columns: baselines, and who is shown beside them; those with the candidates' feedback first."""
    names = [*card.baselines, *card.left_out]
    classes = list(dict.fromkeys(card.feedback.get(name, "") for name in (*card.candidates, *names)))
    return sorted(names, key=lambda name: classes.index(card.feedback.get(name, "")))


def _against(card: Scorecard) -> list[str]:
    """Their headings, with the class of feedback where it is not the candidates'."""
    own = {card.feedback.get(name, "") for name in card.candidates}
    return [
        f"against {name if kind in own else f'{name} ({kind})'}"
        for name in _compared(card)
        for kind in [card.feedback.get(name, "")]
    ]


def _seeds_notes(claim: ClaimResult) -> list[str]:
    """How many seeds the rule takes at least, and how many there are."""
    fewest = claim.fewest_seeds
    declared = [each.seeds for r in claim.readings for each in r.comparisons if each.counts and each.seeds]
    if fewest is None or not declared:
        return []
    what = supposed(claim.rule, at_par=claim.at_par)
    there = f"{min(declared)} to {max(declared)}" if min(declared) < max(declared) else f"{min(declared)}"
    are = "is" if max(declared) == 1 else "are"
    return [f"{what[0].upper()}{what[1:]} would be decided from {many(fewest, 'seed')} on; {there} {are} declared."]


def _coverage_notes(claim: ClaimResult) -> list[str]:
    """Which tasks and baselines the verdicts rest on, and which say nothing."""
    notes = [f"Rests on {many(len(claim.tasks), 'task')}: {listed(claim.tasks)}."]
    reasons: dict[str, list[str]] = {}
    for left in claim.left_out:
        reasons.setdefault(left.reason, []).append(left.task)
    notes += [f"Left out: {listed(tasks)}: {reason}." for reason, tasks in reasons.items()]
    notes += [f"No part in the verdicts: {each.baseline}: {each.reason}." for each in claim.without]
    if claim.insensitive:
        notes.append(
            f"No baseline is shown so far to be above random by {claim.margin:g} on {listed(claim.insensitive)}: "
            "until one is, nothing is called at par there."
        )
    for reading in claim.readings:
        for each in reading.comparisons:
            without = [task for task in claim.tasks if task not in each.tasks]
            if without and each.tasks:
                notes.append(f"{reading.algorithm} against {each.baseline}: without {listed(without)}.")
    return notes


def _look_tables(claim: ClaimResult, suite: SuiteResult, card: Scorecard) -> list[Table]:
    names = list(
        dict.fromkeys(look.measure for reading in claim.readings for each in reading.comparisons for look in each.looks)
    )
    footnotes = _footnotes(suite, card)
    tables = []
    for measure in names:
        rows, tasks, looks = [], set(), []
        for reading in claim.readings:
            cells = []
            for name in _compared(card):
                each = next((own for own in reading.comparisons if own.baseline == name), None)
                look = next((look for look in each.looks if look.measure == measure), None) if each else None
                if look is None or look.candidate is None or look.baseline is None:
                    cells.append(TableCell(UNDEFINED))
                    continue
                tasks.add(len(look.tasks))
                looks.append(look)
                details = [_interval(look.difference, look.low, look.high)]
                if _short(look.candidate_runs) or _short(look.baseline_runs):
                    details.append(_runs(look.candidate_runs, look.baseline_runs))
                    details += _range(look.lowest, look.highest)
                text = f"{fixed(look.candidate, 2)} against {fixed(look.baseline, 2)}"
                cells.append(TableCell(text, "; ".join(details)))
            rows.append([_name(suite, reading.algorithm, footnotes), *cells])
        on = f"{min(tasks)} to {max(tasks)}" if len(tasks) > 1 else str(max(tasks, default=0))
        notes = [
            f"A second look, which decides nothing: mean over {on} {'task' if on == '1' else 'tasks'}; the difference "
            "with its two-sided 95 % interval, not corrected.",
            *_missing_notes(suite, card, [task for look in looks for task in look.tasks]),
        ]
        tables.append(
            Table(
                f"{claim.claim}, second look: {MEASURE_TITLES[measure]}",
                [variants(suite).capitalize(), *_against(card)],
                rows,
                [*notes, *footnotes.lines],
            )
        )
    return tables


def _missing_notes(suite: SuiteResult, card: Scorecard, tasks: Container[str]) -> list[str]:
    """On how many runs of those asked for a table rests, and which have no result."""
    named = {*card.candidates, *_compared(card)}
    own = [
        result for task in suite.tasks if task.task in tasks for result in task.algorithms if result.algorithm in named
    ]
    return [resting_on(own), *absences_of(suite, named, tasks)]


def _interval(difference: float | None, low: float | None, high: float | None) -> str:
    if difference is None:
        return UNDEFINED
    text = signed(difference)
    return text if low is None or high is None else f"{text} [{fixed(low, 2)}, {fixed(high, 2)}]"


def _runs(candidate: RunCount, baseline: RunCount) -> str:
    return f"runs: {candidate.shown}/{candidate.planned} and {baseline.shown}/{baseline.planned}"


def _range(lowest: float | None, highest: float | None) -> list[str]:
    """How far a difference could move had no run been missing."""
    return [] if lowest is None or highest is None else [f"{signed(lowest)} to {signed(highest)} had none been missing"]


def _short(count: RunCount) -> bool:
    return count.shown < count.planned


def _footnotes(suite: SuiteResult, card: Scorecard) -> Footnotes:
    named = {*card.candidates, *_compared(card)}
    return Footnotes(result for task in suite.tasks for result in task.algorithms if result.algorithm in named)


def _name(suite: SuiteResult, algorithm: str, footnotes: Footnotes) -> TableCell:
    result = next((each for task in suite.tasks for each in task.algorithms if each.algorithm == algorithm), None)
    return TableCell(_marked(suite, algorithm, footnotes), kind(result) if result else "")


def _marked(suite: SuiteResult, algorithm: str, footnotes: Footnotes) -> str:
    result = next((each for task in suite.tasks for each in task.algorithms if each.algorithm == algorithm), None)
    return algorithm + (footnotes.marker(result) if result else "")
