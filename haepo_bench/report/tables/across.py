"""Tables over all tasks, and of how often one algorithm beats another."""

from collections.abc import Sequence

from haepo_bench.report.document import AggregateValue, AlgorithmResult, Improvement, Profile, SuiteResult, TaskResult
from haepo_bench.report.document_numbers import RunCount
from haepo_bench.report.tables.ladders import ladder_tables
from haepo_bench.report.tables.per_task import (
    UNDEFINED,
    Footnotes,
    Table,
    TableCell,
    absences,
    absences_of,
    name_cell,
    resting_on,
    results_by_name,
)
from haepo_bench.report.tables.searches import search_tables
from haepo_bench.wording import fixed, many

STATISTIC_TITLES = {
    "mean": "Mean score",
    "iqm": "Interquartile mean",
    "optimality_gap": "Optimality gap (less is better)",
    "cvar": "CVaR: worst fifth of the seeds",
    "collapse_rate": "Collapse rate (less is better)",
}
#: Of a profile's thresholds, those that its table shows.
SHOWN_THRESHOLDS = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


def across_tables(suite: SuiteResult) -> list[Table]:
    """Searches and ladders; with a basis, aggregates, also without each task, profiles, chances of improvement."""
    if suite.basis is None:
        return [*search_tables(suite), *ladder_tables(suite)]
    tables = [_aggregates(suite)]
    if len(suite.basis.tasks) > 1:
        tables.append(_without_tasks(suite))
    tables.append(_profiles(suite))
    if suite.improvement:
        tables.append(_improvements("Probability of improvement over all tasks", suite.improvement, suite))
    return [*tables, *search_tables(suite), *ladder_tables(suite)]


def improvement_table(task: TaskResult) -> Table | None:
    """How often a run of a candidate ends better than one of a baseline; None where nothing is claimed."""
    if not task.improvement:
        return None
    measure = "final return" if task.improvement[0].measure == "final_return" else "final score"
    named = {name for each in task.improvement for name in (each.candidate, each.baseline)}
    footnotes = Footnotes(result for result in task.algorithms if result.algorithm in named)
    own = [result for result in task.algorithms if result.algorithm in named]
    notes = [resting_on(own), *absences(task.model_copy(update={"algorithms": own}))]
    title = f"{task.task}: probability of improvement ({measure})"
    return _improvement_table(title, task.improvement, own, footnotes, notes)


def _aggregates(suite: SuiteResult) -> Table:
    assert suite.basis is not None
    results = results_by_name(suite)
    footnotes = Footnotes(results[name] for name in suite.basis.algorithms)
    rows, notes = [], []
    for place, name in enumerate(suite.basis.algorithms):
        values = [aggregate.values[place] for aggregate in suite.aggregates]
        rows.append(
            [
                name_cell(results[name], footnotes),
                TableCell(_runs(values[0].runs)),
                *(_value_cell(value) for value in values),
            ]
        )
        moved = [
            f"{STATISTIC_TITLES[aggregate.statistic].split(' (')[0]} {fixed(value.if_missing.lowest, 2)} to "
            f"{fixed(value.if_missing.highest, 2)}"
            for aggregate, value in zip(suite.aggregates, values, strict=True)
            if value.if_missing
        ]
        if moved:
            notes.append(
                f"{name}: had the missing seeds been the lowest or the highest seen on their tasks: {'; '.join(moved)}"
            )
    return Table(
        "Aggregates of the final score",
        ["Algorithm", "Runs n/N", *(STATISTIC_TITLES[aggregate.statistic] for aggregate in suite.aggregates)],
        rows,
        [
            *_basis_notes(suite),
            "Of the final score. Tasks of one family weigh together as much as those of another. Side by side, because "
            "each hides what another shows: there is no overall number. Intervals: other seeds on these tasks, not "
            "other tasks; CVaR has none with fewer than 20 seeds on a task.",
            *notes,
            *absences_of(suite, suite.basis.algorithms, suite.basis.tasks),
            *footnotes.lines,
        ],
    )


def _without_tasks(suite: SuiteResult) -> Table:
    assert suite.basis is not None
    results = results_by_name(suite)
    footnotes = Footnotes(results[name] for name in suite.basis.algorithms)
    rows = [
        [
            name_cell(results[name], footnotes),
            TableCell(_runs(suite.aggregates[0].values[place].runs)),
            *(_without_cell(aggregate.values[place]) for aggregate in suite.aggregates),
        ]
        for place, name in enumerate(suite.basis.algorithms)
    ]
    return Table(
        "Aggregates without one task",
        ["Algorithm", "Runs n/N", *(STATISTIC_TITLES[aggregate.statistic] for aggregate in suite.aggregates)],
        rows,
        [
            "From the lowest to the highest value that leaving out one task gives, in brackets which: where the two "
            "tell different stories, the story is one task's.",
            *absences_of(suite, suite.basis.algorithms, suite.basis.tasks),
            *footnotes.lines,
        ],
    )


def _profiles(suite: SuiteResult) -> Table:
    assert suite.basis is not None
    results = results_by_name(suite)
    footnotes = Footnotes(results[name] for name in suite.basis.algorithms)
    rows = [
        [
            name_cell(results[profile.algorithm], footnotes),
            TableCell(_runs(profile.runs)),
            *(_share_cell(profile, threshold) for threshold in SHOWN_THRESHOLDS),
        ]
        for profile in suite.profiles
    ]
    return Table(
        "Share of runs above a score",
        ["Algorithm", "Runs n/N", *(f"above {threshold:g}" for threshold in SHOWN_THRESHOLDS)],
        rows,
        [
            *_basis_notes(suite),
            "Performance profile with its pointwise 95 % interval (Wilson's, combined over tasks), tasks weighted by "
            "family; the JSON has all thresholds.",
            *absences_of(suite, suite.basis.algorithms, suite.basis.tasks),
            *footnotes.lines,
        ],
    )


def _improvements(title: str, found: Sequence[Improvement], suite: SuiteResult) -> Table:
    results = results_by_name(suite)
    named = list(dict.fromkeys(name for each in found for name in (each.candidate, each.baseline)))
    own = [results[name] for name in named]
    assert suite.basis is not None
    tasks = [task for task in suite.tasks if task.task in suite.basis.tasks]
    notes = [resting_on([each for task in tasks for each in task.algorithms if each.algorithm in named])]
    if any(each.tasks != suite.basis.tasks for each in found):
        of = many(len(suite.basis.tasks), "task")
        notes.append(
            "Where both have results: "
            + "; ".join(
                f"{each.candidate} against {each.baseline} on {len(each.tasks)} of {of}"
                for each in found
                if each.tasks != suite.basis.tasks
            )
        )
    notes += absences_of(suite, named, suite.basis.tasks)
    return _improvement_table(title, found, own, Footnotes(own), [*_basis_notes(suite), *notes])


def _improvement_table(
    title: str,
    found: Sequence[Improvement],
    results: Sequence[AlgorithmResult],
    footnotes: Footnotes,
    notes: Sequence[str],
) -> Table:
    by_name = {result.algorithm: result for result in results}
    candidates = list(dict.fromkeys(each.candidate for each in found))
    baselines = list(dict.fromkeys(each.baseline for each in found))
    pairs = {(each.candidate, each.baseline): each for each in found}
    return Table(
        title,
        ["Candidate", *(f"against {name}" for name in baselines)],
        [
            [
                name_cell(by_name[candidate], footnotes),
                *(_improvement_cell(pairs.get((candidate, baseline))) for baseline in baselines),
            ]
            for candidate in candidates
        ],
        [
            "Chance that a run of the candidate ends better than a run of the baseline, ties counted half, with its 95 "
            "% interval; 0.5 is a draw. It does not say by how much. In brackets where runs are missing: how many "
            "there are of those asked for, and the chance if the candidate's missing runs were the worst seen on the "
            "task and the baseline's the best, to the other way round.",
            *notes,
            *footnotes.lines,
        ],
    )


def _improvement_cell(found: Improvement | None) -> TableCell:
    if found is None or found.probability is None:
        return TableCell(UNDEFINED)
    details = (
        [f"[{fixed(found.low, 2)}, {fixed(found.high, 2)}]"] if found.low is not None and found.high is not None else []
    )
    if found.lowest is not None and found.highest is not None:
        details.append(f"runs: {_runs(found.candidate_runs)} and {_runs(found.baseline_runs)}")
        details.append(f"{fixed(found.lowest, 2)} to {fixed(found.highest, 2)} had none been missing")
    return TableCell(fixed(found.probability, 2), "; ".join(details))


def _value_cell(value: AggregateValue) -> TableCell:
    if value.value is None:
        return TableCell(UNDEFINED)
    if value.low is None or value.high is None:
        return TableCell(fixed(value.value, 2), "[none]")
    return TableCell(fixed(value.value, 2), f"[{fixed(value.low, 2)}, {fixed(value.high, 2)}]")


def _without_cell(value: AggregateValue) -> TableCell:
    low, high = value.lowest_without, value.highest_without
    if low is None or high is None:
        return TableCell(UNDEFINED)
    return TableCell(f"{fixed(low.value, 2)} to {fixed(high.value, 2)}", f"without {low.task}; without {high.task}")


def _share_cell(profile: Profile, threshold: float) -> TableCell:
    place = profile.thresholds.index(min(profile.thresholds, key=lambda each: abs(each - threshold)))
    share, low, high = (ends[place] for ends in (profile.band.mean, profile.band.low, profile.band.high))
    if share is None:
        return TableCell(UNDEFINED)
    detail = "[n = 1]" if low is None or high is None else f"[{fixed(low, 2)}, {fixed(high, 2)}]"
    return TableCell(fixed(share, 2), detail)


def _basis_notes(suite: SuiteResult) -> list[str]:
    """Which tasks a table over all tasks rests on, and what is left out."""
    basis = suite.basis
    assert basis is not None
    notes = [f"Rests on {many(len(basis.tasks), 'task')}: {', '.join(basis.tasks)}."]
    for left, what in ((basis.tasks_left_out, "Task"), (basis.algorithms_left_out, "Algorithm")):
        notes += [f"{what} left out: {each.name}: {each.reason}." for each in left]
    return notes


def _runs(count: RunCount) -> str:
    return f"{count.shown:,}/{count.planned:,}"
