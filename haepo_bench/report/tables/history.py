"""How results moved over the versions of code and settings in one folder, as tables."""

from haepo_bench.report.document import SuiteResult
from haepo_bench.report.document_history import AlgorithmHistory, HistoryMeasure, HistoryVersion
from haepo_bench.report.tables.per_task import UNDEFINED, Table, TableCell, estimate_cell, return_decimals
from haepo_bench.wording import fixed, many

_TITLES = {
    "final_score": ("Final score, sampled", "Change of score"),
    "area": ("Area under score curve", "Change of area"),
    "final_return": ("Final return, sampled", "Change of return"),
    "area_return": ("Mean return over training", "Change of mean return"),
}
#: Behind a task's name.
HISTORY_TITLE = ": history"
#: So many of the things that changed are named; the report as JSON has all.
_NAMED = 6


def history_tables(suite: SuiteResult) -> list[Table]:
    """One table for each task on which an algorithm has several versions."""
    if suite.history is None:
        return []
    tasks: dict[tuple[str, tuple[str, ...]], list[AlgorithmHistory]] = {}
    for own in suite.history.algorithms:
        measures = tuple(each.measure for each in own.versions[0].measures)
        tasks.setdefault((own.task, measures), []).append(own)
    return [_table(task, measures, every) for (task, measures), every in tasks.items()]


def history_notes(suite: SuiteResult) -> list[str]:
    """How they are to be read."""
    if suite.history is None:
        return []
    tests = many(suite.history.tests, "test")
    return [
        "The versions of each algorithm whose runs are in this folder: one row for each code with each settings, in "
        "the order of their first runs (UTC), with the commit (+: files differed from it). The rest of the report is "
        "about the versions marked as shown; n/N: of an earlier version, the seeds with a result of those begun.",
        "Change: this version minus the one before, with its 95 % interval, which decides nothing. Better or worse, "
        f"where a row says so: by a two-sided permutation test, adjusted for all {tests} of this history (Holm) at "
        f"{100 * suite.history.alpha:g} %. That holds for one look at a history that is complete. To judge every "
        "commit as it comes use `haepo-bench check` or the gate.",
    ]


def when(version: HistoryVersion) -> str:
    """Day and minute of a version's first run."""
    return version.first[:16].replace("T", " ") or "unknown date"


def commits(version: HistoryVersion, digits: int = 10) -> str:
    """Its commits, so many digits of each, with a + where files differ from it; empty where none is known."""
    parts = (commit.partition(" ") for commit in version.commits)
    return ", ".join(f"{commit[:digits]}{'+' if dirty else ''}" for commit, _, dirty in parts)


def _table(task: str, measures: tuple[str, ...], every: list[AlgorithmHistory]) -> Table:
    columns = ["Algorithm", "First run", "Seeds n/N"]
    for name in measures:
        columns += _TITLES[name]
    columns += ["What changed"]
    places = {
        name: 2
        if "return" not in name
        else return_decimals(m.estimate for own in every for v in own.versions for m in v.measures if m.measure == name)
        for name in measures
    }
    rows = []
    for own in every:
        for version in own.versions:
            row = [
                TableCell(own.algorithm, "shown" if version.shown else ""),
                TableCell(when(version), commits(version)),
                _seeds(version),
            ]
            for measure in version.measures:
                row += [estimate_cell(measure.estimate, places[measure.measure]), _change(measure, places)]
            rows.append([*row, _changed(version, first=version is own.versions[0])])
    return Table(f"{task}{HISTORY_TITLE}", columns, rows, [])


def _seeds(version: HistoryVersion) -> TableCell:
    return TableCell(
        f"{len(version.seeds)}/{version.planned}", f"{version.diverged} diverged" if version.diverged else ""
    )


def _change(measure: HistoryMeasure, places: dict[str, int]) -> TableCell:
    change, decimals = measure.change, places[measure.measure]
    if change is None or change.difference is None:
        return TableCell(UNDEFINED)
    if change.outcome == "identical":
        return TableCell("identical")
    number = fixed(change.difference, decimals)
    text = f"+{number}" if change.difference > 0 and number.strip("0.,") else number
    parts = []
    if change.low is not None and change.high is not None:
        parts.append(f"[{fixed(change.low, decimals)}, {fixed(change.high, decimals)}]")
    if change.p_adjusted is not None:
        said = "" if change.outcome == "no difference shown" else f"{change.outcome}, "
        parts.append(f"{said}p = {change.p_adjusted:.2g}")
    return TableCell(text, " ".join(parts))


def _changed(version: HistoryVersion, *, first: bool) -> TableCell:
    if first:
        return TableCell(UNDEFINED)
    code = ["code, not stored what"] if version.code_changes is None else version.code_changes
    every = [*(each.removeprefix("algorithm.parameters.") for each in version.settings_changes), *code]
    more = [f"and {len(every) - _NAMED} more"] if len(every) > _NAMED else []
    return TableCell("; ".join([*every[:_NAMED], *more]) or "nothing that is stored", version.not_comparable)
