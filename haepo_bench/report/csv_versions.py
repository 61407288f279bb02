"""CSV tables of versions: the history in one folder, and several folders side by side."""

from collections.abc import Sequence
from typing import Any

from haepo_bench.report.csv_cells import csv_table, estimate_cells
from haepo_bench.report.document import ReportDocument
from haepo_bench.report.tables.side_by_side import cells_beside, commits_of, differs, matched, suite_name
from haepo_bench.results.frames import MEASURES


def history_csv(document: ReportDocument) -> str:
    """One row for each version of an algorithm on a task, and measure."""
    header = [
        "suite",
        "task",
        "algorithm",
        "version",
        "shown",
        "first",
        "last",
        "commits",
        "settings_hash",
        "code_hash",
    ]
    header += ["measure", "mean", "low", "high", "n", "planned", "diverged"]
    header += ["change", "change_low", "change_high", "p_permutation", "p_adjusted", "outcome", "not_comparable"]
    header += ["settings_changes", "code_changes"]
    rows = []
    for suite in document.suites:
        for own in suite.history.algorithms if suite.history else []:
            for number, version in enumerate(own.versions, 1):
                start = [suite.suite, own.task, own.algorithm, number, version.shown, version.first, version.last]
                start += ["; ".join(version.commits), version.settings_hash, version.code_hash]
                end = [version.not_comparable, "; ".join(version.settings_changes), _code(version.code_changes)]
                for each in version.measures:
                    row: list[Any] = [
                        *start,
                        each.measure,
                        *estimate_cells(each.estimate),
                        version.planned,
                        version.diverged,
                    ]
                    change = each.change
                    row += [change.difference, change.low, change.high] if change else [None] * 3
                    row += [change.p_permutation, change.p_adjusted, change.outcome] if change else [None] * 3
                    rows.append([*row, *end])
    return csv_table(header, rows)


def _code(changes: Sequence[str] | None) -> str | None:
    return None if changes is None else "; ".join(changes)


def side_by_side_csv(document: ReportDocument) -> str:
    """One row for each algorithm on a task, folder and measure that has a value."""
    header = ["suite", "task", "algorithm", "results", "commits", "measure", "mean", "low", "high", "n", "planned"]
    header += ["other_settings", "other_code", "settings_hash", "code_hash"]
    rows: list[list[Any]] = []
    nothing: dict[str, Any] = {"": None}
    for _, suites in matched(document):
        for (task, algorithm), results in cells_beside(suites).items():
            first = next(result for result in results if result)
            for suite, result in zip(suites, results, strict=True):
                if result is None:
                    continue
                start = [suite_name(suite), task, algorithm, suite.results, "; ".join(commits_of(suite))]
                end = [len(result.seeds.planned), *differs(result, first), result.settings_hash, result.code_hash]
                found = {name: getattr(result, name) for name in MEASURES}
                shown = {name: each for name, each in found.items() if each and each.mean is not None}
                # One without any result is named nonetheless.
                rows += [[*start, name, *estimate_cells(each), *end] for name, each in (shown or nothing).items()]
    return csv_table(header, rows)
