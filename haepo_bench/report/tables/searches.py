"""Tables of searches at equal cost: the best of m configurations, and how much tuning matters."""

from collections.abc import Iterator

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_searches import EdgeValue, SearchedAlgorithm, SearchSummary
from haepo_bench.report.tables.claim_words import MEASURE_TITLES, listed
from haepo_bench.report.tables.per_task import (
    UNDEFINED,
    Footnotes,
    Table,
    TableCell,
    estimate_cell,
    name_cell,
    results_by_name,
    seconds,
)
from haepo_bench.wording import many

#: Of m, the numbers that have a column.
_SHOWN = (1, 2, 4, 8, 16, 32, 64)


def search_tables(suite: SuiteResult) -> list[Table]:
    """Nothing where nothing was searched."""
    if suite.search is None or not suite.search.algorithms:
        return []
    tables = [_best_of(suite, suite.search), _sensitivity(suite, suite.search)]
    if any(own.importance for own in suite.search.algorithms):
        tables.append(_importance(suite, suite.search))
    return tables


def _best_of(suite: SuiteResult, search: SearchSummary) -> Table:
    results = results_by_name(suite)
    footnotes = Footnotes(results[own.algorithm] for own in search.algorithms if own.algorithm in results)
    shown = [m for m in _SHOWN if m < search.trials] + [search.trials]
    rows = [
        [
            name_cell(results[own.algorithm], footnotes) if own.algorithm in results else TableCell(own.algorithm),
            TableCell(f"{own.replicates}/{search.replicates}", many(own.failed, "failed run") if own.failed else ""),
            *(estimate_cell(own.best_of[m - 1].score, 2) for m in shown),
            TableCell(UNDEFINED if not own.best_of else seconds(own.best_of[0].cpu_seconds)),
        ]
        for own in search.algorithms
    ]
    return Table(
        f"Best of m configurations: {MEASURE_TITLES[search.measure]}",
        ["Algorithm", "Searches n/N", *(f"m = {m}" for m in shown), "CPU seconds of a configuration"],
        rows,
        [
            f"Mean over replicates [95 % interval], each a search of {many(search.trials, 'configuration')} with "
            f"{many(search.seeds, 'tuning seed')} each on "
            f"{listed(search.tasks) or 'no task: none has this measure'}; families of tasks weigh alike.",
            "Cross-fitted: one tuning seed chooses and the others score, so that no score is too high by the luck that "
            "made it the best. With one tuning seed nothing can be said."
            if search.seeds > 1
            else "With one tuning seed nothing can be said: the seed that chooses would also score.",
            *_less_than_any_number(search),
            *footnotes.lines,
        ],
    )


def _sensitivity(suite: SuiteResult, search: SearchSummary) -> Table:
    results = results_by_name(suite)
    footnotes = Footnotes(results[own.algorithm] for own in search.algorithms if own.algorithm in results)
    rows = [
        [
            name_cell(results[own.algorithm], footnotes) if own.algorithm in results else TableCell(own.algorithm),
            TableCell(f"{own.replicates}/{search.replicates}"),
            estimate_cell(own.sensitivity, 2),
            TableCell(", ".join(each.parameter for each in own.edges) or "none", _ends(own)),
        ]
        for own in search.algorithms
    ]
    return Table(
        "Sensitivity to tuning",
        ["Algorithm", "Searches n/N", "Setting per task minus one for all", "Chosen at an end of its space"],
        rows,
        [
            "How much more the best setting of each task reaches than the best one for all tasks, in units of the "
            "spread between the 5th and the 95th percentile of all trials of all algorithms on a task (Adkins et al. "
            "2024), cross-fitted; near 0, one setting does for all. Below 0 by chance alone.",
            "Where values are chosen at an end of their space, the space is too small: widen it for all algorithms and "
            "search again before anything is concluded.",
            *_less_than_any_number(search),
            *_left_out(search),
            *footnotes.lines,
        ],
    )


def _importance(suite: SuiteResult, search: SearchSummary) -> Table:
    results = results_by_name(suite)
    footnotes = Footnotes(results[own.algorithm] for own in search.algorithms if own.algorithm in results)
    rows = []
    for own in search.algorithms:
        if own.importance is None:
            continue
        ranked = sorted(own.importance.parameters, key=lambda each: -(each.importance or 0.0))
        shares = [_share(share) for share in own.importance.retained]
        dimension = own.importance.dimension
        rows.append(
            [
                name_cell(results[own.algorithm], footnotes) if own.algorithm in results else TableCell(own.algorithm),
                TableCell(_share(own.importance.explained)),
                TableCell(", ".join(f"{each.parameter} {_share(each.importance)}" for each in ranked)),
                TableCell(UNDEFINED if dimension is None else str(dimension), ", ".join(shares)),
            ]
        )
    return Table(
        "Which hyper-parameters matter (exploratory)",
        ["Algorithm", "Explained", "Importance", "Effective dimension"],
        rows,
        [
            "Explained: share of the variance of scores that a random forest explains on trials that it has not seen; "
            "near 0 or below, the rest of the row says nothing. Importance: how much of it is lost where a "
            "hyper-parameter's values are shuffled. Means over tasks.",
            "Effective dimension (Adkins et al. 2024): how many hyper-parameters need a value per task to retain 0.95 "
            "of what a setting per task reaches above the mean trial; below it the share retained with 0, 1, ... of "
            "them, cross-fitted.",
            *footnotes.lines,
        ],
    )


def _share(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.2f}"


def _less_than_any_number(search: SearchSummary) -> Iterator[str]:
    """What becomes of means with a run that failed where the least score is not known."""
    if any(point.ended and point.score is None for own in search.algorithms for point in own.trials):
        yield (
            f"A run that failed on a task whose least score is not known counts as less than any number: {UNDEFINED} "
            "where a configuration with such a run may be the chosen one."
        )


def _left_out(search: SearchSummary) -> Iterator[str]:
    """Tasks without a say in what was chosen for all tasks."""
    parts = [
        f"{each.task} ({own.algorithm}: {each.replicates} of {search.replicates} searches)"
        for own in search.algorithms
        for each in own.no_assay
    ]
    if parts:
        yield (
            "Left out of the choice of one setting for all tasks, because more than two thirds of a search's trials "
            f"were at the random policy's score or at the ceiling: {'; '.join(parts)}."
        )


def _ends(own: SearchedAlgorithm) -> str:
    return "; ".join(f"{each.parameter}: {_end(each, own.replicates)}" for each in own.edges)


def _end(each: EdgeValue, replicates: int) -> str:
    parts = [f"{n} of {replicates} {name}" for name, n in (("low", each.low), ("high", each.high)) if n]
    return ", ".join(parts)
