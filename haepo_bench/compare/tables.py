"""A comparison in words and as rows of text, which every format writes in its own way."""

from collections import Counter
from collections.abc import Iterable

from haepo_bench.compare.document import (
    CellComparison,
    CellSide,
    CompareDocument,
    MeasureComparison,
    OneSided,
    Outcome,
    SuiteComparison,
)
from haepo_bench.report.tables.per_task import UNDEFINED, return_decimals
from haepo_bench.wording import fixed, many, named_seeds

#: How an outcome is marked, so that it can be found at a glance.
MARKS: dict[Outcome, str] = {
    "better": "▲ better",
    "worse": "▼ worse",
    "no difference shown": "≈ no difference shown",
    "too few seeds": "? too few seeds to show any difference",
    "identical": "= identical",
    "not tested": "? not tested",
}
TITLES = {
    "final_score": "Final score",
    "final_return": "Final return",
    "area": "Area",
    "area_return": "Mean return over training",
}
COST_RATIOS = {"wall_seconds": "seconds", "cpu_seconds": "CPU seconds", "peak_memory_bytes": "memory"}


def cells(document: CompareDocument) -> list[CellComparison]:
    """Of all suites, those with a result on either side; `omission_lines` names the others."""
    return [cell for suite in document.suites for cell in suite.cells if _made(cell)]


def by_task(document: CompareDocument) -> dict[tuple[str, str], list[CellComparison]]:
    """Cells that one table or chart can hold: of one task, and with the same measure at the end."""
    groups: dict[tuple[str, str], list[CellComparison]] = {}
    for cell in cells(document):
        groups.setdefault((cell.task, cell.final.measure), []).append(cell)
    return groups


def _made(cell: CellComparison) -> bool:
    return bool(cell.a.shown or cell.b.shown)


def headline(document: CompareDocument) -> str:
    """One sentence: how many algorithms on a task are better, worse, the same."""
    counts = Counter(outcome(cell) for cell in cells(document))
    parts = [f"{counts[name]} {name}" for name in MARKS if counts[name]]
    alone = sum(len(suite.only_a) + len(suite.only_b) for suite in document.suites)
    compared = len(cells(document))
    text = f"{many(compared, 'cell')} (an algorithm on a task) compared: {', '.join(parts)}."
    text += f" {alone} on one side only." if alone else ""
    empty = sum(len(suite.cells) for suite in document.suites) - compared
    return text + (f" {empty} without a result on either side." if empty else "")


def outcome(cell: CellComparison) -> Outcome:
    """Of both measures together: worse where either is, else better where either is."""
    both = {cell.final.outcome, cell.area.outcome}
    order: tuple[Outcome, ...] = ("worse", "better", "no difference shown", "too few seeds", "identical", "not tested")
    return next(name for name in order if name in both)


def outcome_text(cell: CellComparison) -> str:
    """The outcome marked, and where nothing showed, what would have."""
    text = MARKS[outcome(cell)]
    detectable = cell.final.smallest_detectable
    if outcome(cell) != "no difference shown" or detectable is None:
        return text
    return f"{text} (detectable: {fixed(detectable, decimals(cell))})"


def changed(cell: CellComparison) -> bool:
    """Whether a reader should see it before the others."""
    return outcome(cell) in {"better", "worse"} or bool(cell.warnings)


def seeds(side: CellSide) -> str:
    """n/N, and how many of the n diverged."""
    strays = f" ({len(side.diverged)} diverged)" if side.diverged else ""
    return f"{side.shown}/{side.planned}{strays}"


def decimals(cell: CellComparison) -> int:
    """Two for scores; for returns as many as show three digits."""
    if cell.final.measure == "final_score":
        return 3
    return return_decimals([cell.final.a, cell.final.b, cell.area.a, cell.area.b])


def value(number: float | None, places: int) -> str:
    """A mean, or a dash."""
    return UNDEFINED if number is None else fixed(number, places)


def difference(measure: MeasureComparison, places: int) -> str:
    """B minus A with its interval."""
    if measure.outcome == "identical":
        return "0 (identical)"
    if measure.difference is None:
        return UNDEFINED
    text = f"{'+' if measure.difference > 0 else ''}{fixed(measure.difference, places)}"
    if measure.low is None or measure.high is None:
        return f"{text} [no interval]"
    return f"{text} [{fixed(measure.low, places)}, {fixed(measure.high, places)}]"


def p_value(measure: MeasureComparison) -> str:
    """Adjusted."""
    if measure.p_adjusted is None:
        return UNDEFINED
    return "< 0.001" if measure.p_adjusted < 0.001 else f"{measure.p_adjusted:.3f}"


def ratio(number: float | None) -> str:
    """`x 1.25`."""
    return UNDEFINED if number is None else f"× {number:.3g}"


def source_lines(document: CompareDocument) -> list[str]:
    """Where both sides come from."""
    lines = []
    for name, side in (("A", document.a), ("B", document.b)):
        parts = [side.label]
        if side.git_commits:
            parts.append("commit " + ", ".join(commit[:12] + commit[40:] for commit in side.git_commits[:4]))
        if side.versions:
            parts.append("haepo-bench " + ", ".join(side.versions))
        if side.machines:
            parts.append("on " + "; ".join(side.machines[:4]))
        if side.imported:
            parts.append(f"{many(side.imported, 'run')} imported")
        lines.append(f"{name}: {', '.join(parts)}")
    return lines


def method_lines(document: CompareDocument) -> list[str]:
    """How the numbers are to be read."""
    machine = (
        "Both sides ran on the same kind of machine, but its other load is unknown"
        if document.same_machine
        else "The sides ran on different or unknown machines"
    )
    return [
        "Differences are B minus A: above zero, B is better. Brackets: 95 % skewness-corrected t interval.",
        f"p: two-sided unpaired permutation test of the means, Holm-adjusted for the {document.tests} tests of this "
        f"comparison; better and worse mean p < {document.alpha:g}.",
        f"Detectable: the true difference at the budget that would show with power {document.power:g} at the spread "
        "and number of seeds there are, before adjustment. No difference shown is not no difference. With too few "
        "seeds no runs could have shown one: the least p that the test can give, adjusted, is not below that level.",
        "Identical: all runs of the seeds that both sides have are the same in every column but the clock's; nothing "
        "is tested then.",
        "Settings: algorithms go together by task and name; where the hashes of their settings differ, what differs is "
        "listed. Code is not compared, only said to be the same or not.",
        f"Cost: B over A, means over runs. {machine}: seconds compare machines as much as algorithms.",
    ]


def cell_lines(cell: CellComparison) -> list[str]:
    """What is to be said of a cell beside its numbers; empty where it is nothing."""
    name = f"{cell.algorithm} on {cell.task}"
    lines = [f"{name}: {warning}" for warning in cell.warnings]
    if not cell.settings_same:
        listed = ", ".join(
            f"{change.key}: {_show(change.a)} → {_show(change.b)}" for change in cell.settings_changes[:12]
        )
        more = len(cell.settings_changes) - 12
        listed += f", and {more} more" if more > 0 else ""
        lines.append(f"{name}: other settings: {listed or 'not recorded which'}")
    alone = max(cell.a.shown, cell.b.shown) - cell.shared_seeds
    if outcome(cell) == "identical" and alone:
        lines.append(f"{name}: identical on {many(cell.shared_seeds, 'shared seed')}, {alone} more on one side only")
    elif cell.identical_runs and outcome(cell) != "identical":
        lines.append(f"{name}: {cell.identical_runs} of {many(cell.shared_seeds, 'shared seed')} identical")
    for side, has in (("A", cell.a), ("B", cell.b)):
        groups: dict[tuple[str, str], list[int]] = {}
        for run in has.missing:
            groups.setdefault((run.status.replace("_", " "), run.reason), []).append(run.seed)
        for stray in has.diverged:
            groups.setdefault(("diverged", stray.reason), []).append(stray.seed)
        for (status, reason), own in groups.items():
            lines.append(f"{name}, {side} {named_seeds(own)}: {status}{f' ({reason})' if reason else ''}")
    return lines


def settings_summary(document: CompareDocument) -> str:
    """How many cells have other settings or other code."""
    all_cells = cells(document)
    settings = sum(not cell.settings_same for cell in all_cells)
    code = sum(not cell.code_same for cell in all_cells)
    text = (
        "Settings: the same everywhere"
        if not settings
        else f"Settings: different in {settings} of {many(len(all_cells), 'cell')}"
    )
    return f"{text}. Code: {'the same everywhere' if not code else f'different in {code} of {len(all_cells)} cells'}."


def omission_lines(document: CompareDocument) -> list[str]:
    """What one side lacks, what could not be read and what is left out."""
    neither: dict[str, list[str]] = {}
    for cell in (cell for suite in document.suites for cell in suite.cells if not _made(cell)):
        neither.setdefault(cell.task, []).append(cell.algorithm)
    lines = [f"no result on either side on {task}: {', '.join(names)}" for task, names in neither.items()]
    for side, names, damaged in (
        ("A", document.suites_only_a, document.damaged_only_a),
        ("B", document.suites_only_b, document.damaged_only_b),
    ):
        lines += [f"only {side} has the suite {name}" for name in names]
        lines += [f"{side}: {file.file}: {file.state}: {file.reason}" for file in damaged]
    for suite in document.suites:
        lines += [*_one_sided(suite, "A", suite.only_a), *_one_sided(suite, "B", suite.only_b)]
        for side, damaged, left in (
            ("A", suite.damaged_a, suite.not_shown_a),
            ("B", suite.damaged_b, suite.not_shown_b),
        ):
            lines += [f"{side}: {file.file}: {file.state}: {file.reason}" for file in damaged]
            lines += [f"{side}: {folder.folder}: {folder.runs} not shown: {folder.reason}" for folder in left]
    return lines


def _one_sided(suite: SuiteComparison, side: str, alone: Iterable[OneSided]) -> list[str]:
    name = suite.suite_a if side == "A" else suite.suite_b
    return [
        f"only {side} has {cell.algorithm} on {cell.task} ({cell.shown}/{cell.planned} runs, suite {name})"
        for cell in alone
    ]


def _show(text: str | None) -> str:
    return "nothing" if text is None else text if len(text) <= 60 else f"{text[:57]}..."
