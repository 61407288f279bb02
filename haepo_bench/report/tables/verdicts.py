"""The claims scorecard in words and as tables."""

from collections.abc import Container, Sequence
from typing import NamedTuple, get_args

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_numbers import RunCount
from haepo_bench.report.document_scorecard import ClaimResult, Comparison, Reading, Scorecard
from haepo_bench.report.tables.per_task import UNDEFINED, Footnotes, Table, TableCell, absences_of, kind, resting_on
from haepo_bench.statistics.aggregates import TAIL_SEEDS
from haepo_bench.statistics.former_verdicts import POWER, Verdict
from haepo_bench.wording import fixed, many

#: What each measure is, for a reader who sees it alone.
MEASURE_TITLES = {
    "area": "area under the score curve",
    "relative_coverage": "states visited, relative to a uniformly random policy, mean over training",
    "reward_alignment": "reward alignment, Kendall's tau-b from -1 to 1",
    "cvar": "CVaR: mean final score of the worst fifth of the seeds",
    "final_score": "mean final score",
    "time_to_threshold": "time to threshold (share of the budget; never counts as 1)",
    "goals_retained": "goals retained (fraction)",
    "first_success_sooner_than_uniform": "seeds that succeeded sooner than a uniform policy would (fraction)",
    "clean_score_under_noise_and_proxy": "clean final score under noise and proxy rewards",
    "collapse_rate": "collapse rate (fraction of seeds)",
    "final_score_under_noise_and_scale": "clean final score under noise and scaled rewards",
}
#: Fewest seeds for a CVaR of the worst fifth.
_CVAR_SEEDS = TAIL_SEEDS * 5


class Line(NamedTuple):
    """What was found of a claim: in how many variants it is supported, and in which."""

    lead: str
    readings: str


def scorecard_lines(scorecard: Scorecard) -> list[Line]:
    """What was found, claim by claim, in plain words."""
    return [_claim_line(claim, scorecard) for claim in scorecard.claims]


def scorecard_notes(scorecard: Scorecard) -> list[str]:
    """What was claimed of whom, and how to read the verdicts."""
    margin = f"{scorecard.margin:g}"
    notes = [
        f"Candidate: {_listed(scorecard.candidates)}. Baselines: {_listed(scorecard.baselines)}.",
        "Untuned: neither candidates nor baselines had a hyper-parameter search; the verdicts hold for these settings.",
    ]
    if scorecard.exploratory:
        notes.append(f"Exploratory: {scorecard.exploratory}. Take the verdicts as hypotheses for new seeds.")
    return [
        *notes,
        "Each claim is decided by one measure. Supported: the candidate is better (better or at par: less than "
        f"{margin} worse). Not supported: an advantage of {margin} or more is ruled out (better or at par: it is "
        f"{margin} or more worse). Undecided: neither. Over several tasks the mean difference counts, families of "
        "tasks weighing alike; a variant's verdict is against every baseline at once.",
        "Missing runs are flagged. If they could change the verdict, the cell says how: with the candidate's missing "
        "runs as the worst seen on the task and the baseline's as the best, or the other way round.",
        f"Seeds needed: per side and task, for a verdict with power {POWER:g} if differences and spreads are as "
        "measured here. In brackets: one-sided 95 % bounds of the difference, each by itself. Verdicts: within a "
        f"claim, all comparisons over tasks are corrected together (Holm, {scorecard.alpha:g} in each direction), and "
        "so are all those task by task; different claims are not corrected for each other.",
    ]


def scorecard_tables(suite: SuiteResult) -> list[tuple[Table, list[Table]]]:
    """For each claim that anything measures: the verdicts over all tasks (else a second look), and more tables."""
    card = suite.scorecard
    if card is None:
        return []
    groups = [
        [
            *([_overall_table(claim, suite, card)] if claim.tested else []),
            *_task_tables(claim, suite, card),
            *_look_tables(claim, suite, card),
        ]
        for claim in card.claims
    ]
    return [(first, details) for first, *details in filter(None, groups)]


def _claim_line(claim: ClaimResult, card: Scorecard) -> Line:
    name = claim.claim[0].upper() + claim.claim[1:]
    if not claim.tested:
        return Line(f"{name}: not tested.", f"Nothing here measures it ({MEASURE_TITLES[claim.measure]}).")
    lead = f"{name}: supported in {claim.supported} of {many(claim.tested, 'variant')}, {card.status}."
    parts = []
    for verdict in (*get_args(Verdict), None):
        those = [_reading_text(claim, reading) for reading in claim.readings if reading.verdict == verdict]
        if those:
            title = verdict or "not tested"
            parts.append(f"{title[0].upper()}{title[1:]}: {_listed(those)}.")
    return Line(lead, " ".join(parts))


def _reading_text(claim: ClaimResult, reading: Reading) -> str:
    """A variant's name and, in brackets, what its verdict rests on."""
    compared = [each for each in reading.overall if each.verdict]
    if reading.verdict is None:
        return reading.algorithm
    same = sum(each.verdict == reading.verdict for each in compared)
    baselines = f"all {len(compared)} baselines" if same == len(compared) else f"{same} of {len(compared)} baselines"
    against = f"against {compared[0].baseline if len(compared) == 1 else baselines}"
    needed = f"; {_needed(claim, compared)}" if reading.verdict == "undecided" else ""
    return f"{reading.algorithm} ({against}{needed})"


def _needed(claim: ClaimResult, comparisons: Sequence[Comparison]) -> str:
    """How many seeds would decide those that are undecided."""
    open_ones = [each for each in comparisons if each.verdict == "undecided"]
    needs = [_seeds(claim, each) for each in open_ones]
    if None in needs:
        return "more seeds than are practical would be needed"
    about = "at least" if any(each.low is None for each in open_ones) else "about"
    return f"{about} {many(max(n for n in needs if n is not None), 'seed')} would be needed"


def _seeds(claim: ClaimResult, comparison: Comparison) -> int | None:
    """Seeds for a verdict; None where no number would do."""
    least = _CVAR_SEEDS if claim.measure == "cvar" else 2
    if comparison.seeds_needed is not None:
        return max(comparison.seeds_needed, least)
    return least if comparison.low is None else None


def _overall_table(claim: ClaimResult, suite: SuiteResult, card: Scorecard) -> Table:
    footnotes = _footnotes(suite, card)
    rows = []
    for reading in claim.readings:
        verdict = TableCell(reading.verdict or UNDEFINED, card.status if reading.verdict else "")
        cells = [_comparison_cell(claim, each) for each in reading.overall]
        rows.append([_name(suite, reading.algorithm, footnotes), verdict, *cells])
    notes = [f"Decided by: {MEASURE_TITLES[claim.measure]}.", *_coverage_notes(claim)]
    notes += _missing_notes(suite, card, [task for r in claim.readings for each in r.overall for task in each.tasks])
    notes += footnotes.lines
    return Table(
        f"{claim.claim} – {card.status}",
        ["Variant", "Against all", *(f"against {name}" for name in card.baselines)],
        rows,
        notes,
    )


def _task_tables(claim: ClaimResult, suite: SuiteResult, card: Scorecard) -> list[Table]:
    footnotes = _footnotes(suite, card)
    rows = []
    for reading in claim.readings:
        tasks = dict.fromkeys(each.tasks[0] for each in reading.by_task)
        for task in tasks:
            found = {each.baseline: each for each in reading.by_task if each.tasks == [task]}
            cells = [
                _comparison_cell(claim, found[name]) if name in found else TableCell(UNDEFINED)
                for name in card.baselines
            ]
            rows.append([TableCell(_marked(suite, reading.algorithm, footnotes), task), *cells])
    if len({row[0].detail for row in rows}) < 2:
        return []
    return [
        Table(
            f"{claim.claim}, task by task – {card.status}",
            ["Variant and task", *(f"against {name}" for name in card.baselines)],
            rows,
            [
                *_missing_notes(suite, card, [each.tasks[0] for r in claim.readings for each in r.by_task]),
                *footnotes.lines,
            ],
        )
    ]


def _look_tables(claim: ClaimResult, suite: SuiteResult, card: Scorecard) -> list[Table]:
    names = list(
        dict.fromkeys(look.measure for reading in claim.readings for each in reading.overall for look in each.looks)
    )
    footnotes = _footnotes(suite, card)
    tables = []
    for measure in names:
        rows, tasks, looks = [], set(), []
        for reading in claim.readings:
            cells = []
            for each in reading.overall:
                look = next((look for look in each.looks if look.measure == measure), None)
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
                ["Variant", *(f"against {name}" for name in card.baselines)],
                rows,
                [*notes, *footnotes.lines],
            )
        )
    return tables


def _comparison_cell(claim: ClaimResult, comparison: Comparison) -> TableCell:
    if comparison.verdict is None:
        return TableCell(UNDEFINED)
    text: str = comparison.verdict
    if comparison.better is not None:
        text = "at par and better" if comparison.better else "at par"
    details = [_interval(comparison.difference, comparison.low, comparison.high)]
    if comparison.verdict == "undecided":
        seeds = _seeds(claim, comparison)
        details.append("no number of seeds" if seeds is None else f"{many(seeds, 'seed')} needed")
    if _short(comparison.candidate_runs) or _short(comparison.baseline_runs):
        details.append(_runs(comparison.candidate_runs, comparison.baseline_runs))
        details += _range(comparison.lowest, comparison.highest)
        for verdict, case in ((comparison.if_missing_worst, "worst"), (comparison.if_missing_best, "best")):
            if verdict != comparison.verdict:
                details.append(f"{verdict} if the missing were the {case}")
    return TableCell(text, "; ".join(details))


def _coverage_notes(claim: ClaimResult) -> list[str]:
    """Which tasks the verdicts rest on, and which say nothing."""
    usable = list(dict.fromkeys(task for reading in claim.readings for each in reading.overall for task in each.tasks))
    notes = [f"Rests on {many(len(usable), 'task')}: {_listed(usable)}."] if usable else []
    reasons: dict[str, list[str]] = {}
    for left in claim.left_out:
        reasons.setdefault(left.reason, []).append(left.task)
    notes += [f"Left out: {_listed(tasks)}: {reason}." for reason, tasks in reasons.items()]
    nothing: dict[str, list[str]] = {}
    for reading in claim.readings:
        for each in reading.overall:
            without = [task for task in usable if task not in each.tasks]
            if not each.tasks:
                nothing.setdefault(reading.algorithm, []).append(each.baseline)
            elif without:
                notes.append(f"{reading.algorithm} against {each.baseline}: without {_listed(without)}.")
    every = {each.baseline for reading in claim.readings for each in reading.overall}
    for name, baselines in nothing.items():
        whom = "any baseline" if set(baselines) == every else _listed(baselines)
        notes.append(f"{name} against {whom}: not tested, no task has results of both.")
    return notes


def _missing_notes(suite: SuiteResult, card: Scorecard, tasks: Container[str]) -> list[str]:
    """On how many runs of those asked for a table rests, and which have no result."""
    named = {*card.candidates, *card.baselines}
    own = [
        result for task in suite.tasks if task.task in tasks for result in task.algorithms if result.algorithm in named
    ]
    return [resting_on(own), *absences_of(suite, named, tasks)]


def _interval(difference: float | None, low: float | None, high: float | None) -> str:
    if difference is None:
        return UNDEFINED
    text = _signed(difference)
    return text if low is None or high is None else f"{text} [{fixed(low, 2)}, {fixed(high, 2)}]"


def _runs(candidate: RunCount, baseline: RunCount) -> str:
    return f"runs: {candidate.shown}/{candidate.planned} and {baseline.shown}/{baseline.planned}"


def _range(lowest: float | None, highest: float | None) -> list[str]:
    """How far a difference could move had no run been missing."""
    return (
        [] if lowest is None or highest is None else [f"{_signed(lowest)} to {_signed(highest)} had none been missing"]
    )


def _signed(difference: float) -> str:
    return f"{'+' if difference >= 0.005 else ''}{fixed(difference, 2)}"


def _short(count: RunCount) -> bool:
    return count.shown < count.planned


def _footnotes(suite: SuiteResult, card: Scorecard) -> Footnotes:
    named = {*card.candidates, *card.baselines}
    return Footnotes(result for task in suite.tasks for result in task.algorithms if result.algorithm in named)


def _name(suite: SuiteResult, algorithm: str, footnotes: Footnotes) -> TableCell:
    result = next((each for task in suite.tasks for each in task.algorithms if each.algorithm == algorithm), None)
    return TableCell(_marked(suite, algorithm, footnotes), kind(result) if result else "")


def _marked(suite: SuiteResult, algorithm: str, footnotes: Footnotes) -> str:
    result = next((each for task in suite.tasks for each in task.algorithms if each.algorithm == algorithm), None)
    return algorithm + (footnotes.marker(result) if result else "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
