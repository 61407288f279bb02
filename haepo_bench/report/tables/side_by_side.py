"""Several results folders next to each other: other settings, other machines, or the commits of a history."""

from haepo_bench.report.document import AlgorithmResult, ReportDocument, SuiteResult
from haepo_bench.report.tables.per_task import UNDEFINED, Table, TableCell, estimate_cell, return_decimals, seeds_cell

_COMMIT = "git.commit"
#: Digits of a commit that are shown.
_SHORT = 10


def side_by_side(document: ReportDocument) -> list[Table]:
    """A table for each suite that several folders have; suites are matched by name, or as the only ones of theirs."""
    groups: dict[str, list[SuiteResult]] = {}
    folders = [suite.results for suite in document.suites]
    alone = all(folders.count(name) == 1 for name in folders)
    for suite in document.suites:
        if suite.results:
            groups.setdefault("" if alone else suite.suite.removesuffix(f" ({suite.results})"), []).append(suite)
    return [_table(name, suites) for name, suites in groups.items() if len(suites) > 1]


def _table(name: str, suites: list[SuiteResult]) -> Table:
    found = [
        {(task.task, result.algorithm): result for task in suite.tasks for result in task.algorithms}
        for suite in suites
    ]
    rows = []
    for task, algorithm in dict.fromkeys(key for own in found for key in own):
        results = [own.get((task, algorithm)) for own in found]
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
    notes += [f"{suite.results}: commit {', '.join(_commits(suite)) or 'unknown'}." for suite in suites]
    title = f"Side by side: {name}" if name else "Side by side"
    return Table(title, ["Algorithm", *(suite.results for suite in suites)], rows, notes)


def _cell(result: AlgorithmResult | None, first: AlgorithmResult, *, scored: bool, decimals: int) -> TableCell:
    if result is None:
        return TableCell(UNDEFINED)
    estimate = result.final_score if scored else result.final_return
    cell = estimate_cell(estimate, decimals)
    other = ["other settings"] if result.settings_hash != first.settings_hash else []
    other += ["other code"] if result.code_hash != first.code_hash else []
    interval = f"{cell.detail} " if estimate is not None and estimate.low is not None else ""
    return TableCell(cell.text, "; ".join([f"{interval}{seeds_cell(result).text}", *other]))


def _commits(suite: SuiteResult) -> list[str]:
    return [commit[:_SHORT] for commit in suite.provenance.get(_COMMIT, [])]
