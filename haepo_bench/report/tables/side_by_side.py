"""Several results folders next to each other: other settings, other machines, or the commits of a history."""

from haepo_bench.report.document import AlgorithmResult, ReportDocument, SuiteResult
from haepo_bench.report.tables.per_task import UNDEFINED, Table, TableCell, estimate_cell, return_decimals, seeds_cell

_COMMIT = "git.commit"
#: Digits of a commit that are shown.
_SHORT = 10
_OTHER = ("other settings", "other code")


def side_by_side(document: ReportDocument) -> list[Table]:
    """A table for each suite that several folders have."""
    return [_table(name, suites) for name, suites in matched(document)]


def matched(document: ReportDocument) -> list[tuple[str, list[SuiteResult]]]:
    """Suites that several folders have, by name; with an empty name where each folder has one suite alone."""
    groups: dict[str, list[SuiteResult]] = {}
    folders = [suite.results for suite in document.suites]
    alone = all(folders.count(name) == 1 for name in folders)
    for suite in document.suites:
        if suite.results:
            groups.setdefault("" if alone else suite_name(suite), []).append(suite)
    return [(name, suites) for name, suites in groups.items() if len(suites) > 1]


def suite_name(suite: SuiteResult) -> str:
    """The suite's name without the folder behind it."""
    return suite.suite.removesuffix(f" ({suite.results})") if suite.results else suite.suite


def cells_beside(suites: list[SuiteResult]) -> dict[tuple[str, str], list[AlgorithmResult | None]]:
    """{(task, algorithm): its result in each suite}; None where a suite does not have it."""
    found = [
        {(task.task, result.algorithm): result for task in suite.tasks for result in task.algorithms}
        for suite in suites
    ]
    return {key: [own.get(key) for own in found] for key in dict.fromkeys(key for own in found for key in own)}


def differs(result: AlgorithmResult, first: AlgorithmResult) -> tuple[bool, bool]:
    """Whether settings and code are others than those of the first folder that has the cell."""
    return result.settings_hash != first.settings_hash, result.code_hash != first.code_hash


def _table(name: str, suites: list[SuiteResult]) -> Table:
    rows = []
    for (task, algorithm), results in cells_beside(suites).items():
        first = next(result for result in results if result)
        # One without any run says nothing of the others.
        scored = all(result.final_score for result in results if result and result.runs)
        decimals = 2 if scored else return_decimals([result.final_return for result in results if result])
        cells = [_cell(result, first, scored=scored, decimals=decimals) for result in results]
        rows.append([TableCell(algorithm, task), *cells])
    notes = [
        "Final score of the sampled policy (final return where a folder has no score), mean over seeds [95 % interval] "
        "and n/N. A description: nothing is tested between folders here; `haepo-bench compare A B` tests two.",
        "Other settings, other code: than the first folder that has this algorithm on this task.",
        "Verdicts further down are each folder's own.",
    ]
    shown = [(suite, ", ".join(commit[:_SHORT] for commit in commits_of(suite))) for suite in suites]
    notes += [f"{suite.results}: commit {commits or 'unknown'}." for suite, commits in shown]
    title = f"Side by side: {name}" if name else "Side by side"
    return Table(title, ["Algorithm", *(suite.results for suite in suites)], rows, notes)


def _cell(result: AlgorithmResult | None, first: AlgorithmResult, *, scored: bool, decimals: int) -> TableCell:
    if result is None:
        return TableCell(UNDEFINED)
    estimate = result.final_score if scored else result.final_return
    cell = estimate_cell(estimate, decimals)
    other = [name for name, is_other in zip(_OTHER, differs(result, first), strict=True) if is_other]
    interval = f"{cell.detail} " if estimate is not None and estimate.low is not None else ""
    return TableCell(cell.text, "; ".join([f"{interval}{seeds_cell(result).text}", *other]))


def commits_of(suite: SuiteResult) -> list[str]:
    """Commits that a suite's runs come from."""
    return suite.provenance.get(_COMMIT, [])
