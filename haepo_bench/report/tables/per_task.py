"""The report's tables, as text cells that every format writes in its own way."""

from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from haepo_bench.report.document import AlgorithmResult, DiagnosticColumn, SuiteResult, TaskResult
from haepo_bench.report.document_numbers import FEWEST_SEEDS, MeanEstimate
from haepo_bench.results.columns import COLUMNS, Column
from haepo_bench.results.record import TINY_MODEL
from haepo_bench.wording import decimals_of, fixed, many, named_seeds

#: Marks of footnotes, in the order of their use.
_MARKERS = "*†‡§¶"

UNDEFINED = "–"

#: Columns of the result table that are not its main ones, by how they begin.
_FURTHER = (
    "Final score, greedy",
    "Final return, greedy",
    "Score after",
    "Area up to",
    "Return after",
    "Gradient steps",
    "Wall seconds",
    "Peak memory",
)
#: More diagnostics than this are behind a switch.
_MAIN_DIAGNOSTICS = 8

#: A table names so many absent runs itself; the rest are below their task's table.
NAMED_ABSENCES = 8

COST_NOTE = (
    "Seconds are training time per seed, evaluation apart; where the seeds of a job train as one batch, a seed's equal "
    "share of the batch's time. Peak memory is that of the worker process, which the seeds of a job share."
)
TIME_NOTE = (
    "After so many CPU seconds of training (wall seconds where a run has no others): at the time at which the task's "
    "fastest algorithm had used up its budget, each run's score by then, and its mean score up to then. All were still "
    "training or just done, so no curve is extrapolated. Seconds depend on the machine and its load; env steps do not."
)
INTERVAL_NOTE = (
    "Mean over seeds [95 % interval, which decides nothing]; n/N: seeds with a result of those asked for. Fewer than "
    f"{FEWEST_SEEDS} seeds have no interval."
)
SEARCH_NOTE = (
    "This is the report on a search: what it calls a seed is a replicate of the whole search, and its run is what that "
    "replicate chose, trained again on a seed of its own. The runs of the search itself are in the tables of searches."
)
SCORE_NOTE = "Score: 0 is the random policy, 1 a solved task. Area: score averaged over the budget (1: solved at once)."
DIVERGED_NOTE = (
    "A diverged run counts with the random policy's return (score 0) from the evaluation point on at which it diverged."
)


class TableCell(NamedTuple):
    """One table cell: `text`, and smaller `detail` below or behind it."""

    text: str
    detail: str = ""


class Table(NamedTuple):
    """A table with its notes; the first column is text, the others are aligned right.

    Args:
        further: positions of the columns that the page keeps behind a switch; every other format has them all.
    """

    title: str
    columns: list[str]
    rows: list[list[TableCell]]
    notes: list[str]
    further: frozenset[int] = frozenset()


class Footnotes:
    """Numbers the footnotes of one table or figure in the order in which they are met."""

    def __init__(self, results: Iterable[AlgorithmResult]) -> None:
        self._texts = list(dict.fromkeys(result.footnote for result in results if result.footnote))

    def marker(self, result: AlgorithmResult) -> str:
        """The mark behind an algorithm's name; empty where it has no footnote."""
        return _marker(self._texts.index(result.footnote)) if result.footnote else ""

    @property
    def lines(self) -> list[str]:
        """Each footnote behind its mark."""
        return [f"{_marker(i)} {text}" for i, text in enumerate(self._texts)]


def _marker(i: int) -> str:
    return _MARKERS[i % len(_MARKERS)] * (i // len(_MARKERS) + 1)


def results_by_name(suite: SuiteResult) -> dict[str, AlgorithmResult]:
    """Any result of each algorithm, for its name and footnote."""
    return {result.algorithm: result for task in reversed(suite.tasks) for result in reversed(task.algorithms)}


def heading(task: TaskResult) -> str:
    """The task's name for a heading, with the one note that must not be missed: that a tiny model learnt it."""
    return f"{task.task} ({TINY_MODEL})" if any(TINY_MODEL in each.notes for each in task.algorithms) else task.task


def result_table(task: TaskResult) -> Table:
    """What the algorithms reached on a task, the feedback they receive and what it cost."""
    footnotes = Footnotes(task.algorithms)
    scored = any(result.final_score for result in task.algorithms)
    decimals = return_decimals([e for r in task.algorithms for e in (r.final_return, r.final_return_greedy)])
    columns = ["Algorithm", "Seeds n/N"]
    columns += ["Final score, sampled", "Final score, greedy", "Area under score curve"] if scored else []
    columns += ["Final return, sampled", "Final return, greedy"]
    columns += [] if scored else ["Mean return over training"]
    if task.common_seconds is not None:
        after = f"{seconds(task.common_seconds)} {clock_unit(task)}"
        columns += [f"Score after {after}", f"Area up to {after}"] if scored else [f"Return after {after}"]
    columns += ["Feedback", "Env steps", "Gradient steps", "Wall seconds", "CPU seconds", "Peak memory, MiB"]
    rows = []
    for result in task.algorithms:
        row = [name_cell(result, footnotes), seeds_cell(result)]
        if scored:
            row += [estimate_cell(e, 2) for e in (result.final_score, result.final_score_greedy, result.area)]
        row += [estimate_cell(e, decimals) for e in (result.final_return, result.final_return_greedy)]
        row += [] if scored else [estimate_cell(result.area_return, decimals)]
        if task.common_seconds is not None and scored:
            row += [estimate_cell(e, 2) for e in (result.score_in_time, result.area_in_time)]
        elif task.common_seconds is not None:
            row += [estimate_cell(result.return_in_time, decimals)]
        row += [information_cell(result), *cost_cells(result)]
        rows.append(row)
    notes = [*footnotes.lines, *absences(task), *missing_ranges(task, decimals), *additions(task), *run_notes(task)]
    further = frozenset(i for i, name in enumerate(columns) if name.startswith(_FURTHER))
    return Table(task.task, columns, rows, notes, further)


def diagnostics_table(task: TaskResult) -> Table | None:
    """How training ended: the last diagnostics; None where no run has any."""
    columns = task.diagnostic_columns
    results = [result for result in task.algorithms if result.diagnostics]
    if not columns:
        return None
    footnotes = Footnotes(results)
    decimals = {column.name: diagnostic_decimals(column, results) for column in columns}
    rows = [
        [
            name_cell(result, footnotes),
            TableCell(f"{len(result.seeds.shown) - len(result.seeds.diverged)}/{len(result.seeds.planned)}"),
            *(estimate_cell(result.diagnostics.get(name), places) for name, places in decimals.items()),
        ]
        for result in results
    ]
    return Table(
        f"{task.task}: diagnostics at the end of training",
        ["Algorithm", "Seeds done n/N", *(column_heading(column) for column in columns)],
        rows,
        [*footnotes.lines, "Mean over the seeds that are done.", *_meanings(columns), *absences(task)],
        frozenset(range(2 + _MAIN_DIAGNOSTICS, 2 + len(columns))),
    )


def column_heading(column: DiagnosticColumn) -> str:
    """Title and unit."""
    return Column(column.name, column.title, column.unit).heading


def diagnostic_decimals(column: DiagnosticColumn, results: Sequence[AlgorithmResult]) -> int:
    """Decimals of a diagnostic in tables and charts."""
    known = COLUMNS.get(column.name)
    if known is not None and known.decimals is not None:
        return known.decimals
    if column.unit.startswith("fraction"):
        return 3
    return return_decimals(result.diagnostics[column.name] for result in results if column.name in result.diagnostics)


_UNDESCRIBED = "recorded by the algorithm or the task, which do not describe it"


def _meanings(columns: Sequence[DiagnosticColumn]) -> list[str]:
    """One line for each column that the documentation does not describe."""
    return [
        f"{column_heading(column)}: {column.meaning or _UNDESCRIBED}"
        for column in columns
        if column.name not in COLUMNS
    ]


def summary(suite: SuiteResult) -> str:
    """One sentence: how much there is, and how much is missing."""
    algorithms = {result.algorithm for task in suite.tasks for result in task.algorithms}
    missing = suite.runs_planned - suite.runs_shown
    diverged = sum(len(result.seeds.diverged) for task in suite.tasks for result in task.algorithms)
    noun = "algorithm" if suite.search is None else "row"
    text = f"{many(len(algorithms), noun)} on {many(len(suite.tasks), 'task')}: "
    text += f"{suite.runs_shown:,} of {many(suite.runs_planned, 'run')} have a result"
    text += f", {diverged} of them diverged" if diverged else ""
    text += f"; {missing:,} missing, each named below its table" if missing else ""
    plan = "" if suite.plan else " No readable plan: the newest settings and code of each algorithm are shown."
    return f"{text}.{plan}"


def omissions(suite: SuiteResult) -> list[str]:
    """One line for each file that cannot be used and each folder that is left out."""
    lines = [f"{file.file}: {file.state}: {file.reason}" for file in suite.damaged]
    return lines + [f"{left.folder}: {many(left.runs, 'run')} not shown: {left.reason}" for left in suite.not_shown]


def reading_notes(suite: SuiteResult) -> list[str]:
    """How a suite's tables are to be read; said once per suite."""
    results = [result for task in suite.tasks for result in task.algorithms]
    notes = [] if suite.search is None else [SEARCH_NOTE]
    notes += [INTERVAL_NOTE]
    notes += [SCORE_NOTE] if any(result.final_score for result in results) else []
    notes += [DIVERGED_NOTE] if any(result.seeds.diverged for result in results) else []
    notes += [TIME_NOTE] if any(task.common_seconds is not None for task in suite.tasks) else []
    return [*notes, COST_NOTE, *_machines(suite)]


def _machines(suite: SuiteResult) -> list[str]:
    """Where the runs come from processors or versions that may round differently: which."""
    found = {"processors": suite.provenance.get("cpu", [])}
    versions = {key: values for key, values in suite.provenance.items() if key.startswith("versions.")}
    found |= {f"versions of {key.removeprefix('versions.')}": values for key, values in versions.items()}
    said = [f"{len(values)} {what} ({', '.join(values)})" for what, values in found.items() if len(values) > 1]
    if not said:
        return []
    return [f"The runs come from {' and '.join(said)}: the same run may differ between them in rounding, and in time."]


def name_cell(result: AlgorithmResult, footnotes: Footnotes) -> TableCell:
    """The algorithm's name with its kind, which for HAEPO is its variant."""
    return TableCell(result.algorithm + footnotes.marker(result), kind(result))


def kind(result: AlgorithmResult) -> str:
    """The label of an algorithm, which for HAEPO says its variant; empty where it only repeats the name."""
    return result.label if result.label.casefold() != result.algorithm.casefold() else ""


def seeds_cell(result: AlgorithmResult) -> TableCell:
    """n/N, and how many of the n diverged or were added after a look."""
    counts = {"diverged": len(result.seeds.diverged), "exploratory": len(result.seeds.exploratory)}
    detail = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return TableCell(f"{len(result.seeds.shown)}/{len(result.seeds.planned)}", detail)


def clock_unit(task: TaskResult) -> str:
    """Of the seconds at which algorithms are compared."""
    return "CPU s" if task.common_clock == "cpu_seconds" else "s"


def cost_cells(result: AlgorithmResult) -> list[TableCell]:
    """Steps, seconds and memory: what the result cost, means over the seeds shown."""
    cost = result.cost
    memory = cost["peak_memory_bytes"]
    return [
        TableCell(count(cost["env_steps_collected"])),
        TableCell(count(cost["gradient_steps"])),
        TableCell(seconds(cost["wall_seconds"])),
        TableCell(seconds(cost["cpu_seconds"])),
        TableCell(UNDEFINED if memory is None else fixed(memory / 2**20, 0)),
    ]


def information_cell(result: AlgorithmResult) -> TableCell:
    """What feedback the algorithm receives, whether it learns a critic, whether it discounts."""
    information = result.information
    if information.told is None and information.critic is None:
        return TableCell(UNDEFINED)
    critic = {True: "critic", False: "no critic", None: "critic unknown"}[information.critic]
    discount = "no discount" if information.discount is None else f"discount {information.discount:g}"
    return TableCell(information.told or UNDEFINED, f"{critic}, {discount}")


def estimate_cell(estimate: MeanEstimate | None, decimals: int) -> TableCell:
    """Mean, and the interval as detail."""
    if estimate is None or estimate.mean is None:
        return TableCell(UNDEFINED)
    if estimate.low is None or estimate.high is None:
        return TableCell(fixed(estimate.mean, decimals), no_interval(estimate.n))
    return TableCell(
        fixed(estimate.mean, decimals), f"[{fixed(estimate.low, decimals)}, {fixed(estimate.high, decimals)}]"
    )


def no_interval(n: int) -> str:
    """Why a mean over n seeds has no interval."""
    return f"[n = {n}]" if n < FEWEST_SEEDS else "[all alike]"


def return_decimals(estimates: Iterable[MeanEstimate]) -> int:
    """Decimals that show about three digits of the largest of some returns."""
    return decimals_of(e.mean for e in estimates)


def count(value: float | None) -> str:
    """A mean number of steps."""
    return UNDEFINED if value is None else fixed(value, 0)


def seconds(value: float | None) -> str:
    """Seconds with about three digits."""
    if value is None:
        return UNDEFINED
    return fixed(value, 0 if value >= 100 else 1 if value >= 10 else 2)


def absences(task: TaskResult) -> list[str]:
    """One line for each algorithm and reason: which runs have no result, and which diverged."""
    lines = []
    for result in task.algorithms:
        groups: dict[tuple[str, str], list[int]] = {}
        for run in result.seeds.missing:
            groups.setdefault((run.status.replace("_", " "), run.reason), []).append(run.seed)
        for stray in result.seeds.diverged:
            groups.setdefault(("diverged", stray.reason), []).append(stray.seed)
        for (status, reason), seeds in groups.items():
            lines.append(f"{result.algorithm}, {named_seeds(seeds)}: {status}{f' ({reason})' if reason else ''}")
    return lines


#: How `AlgorithmResult.if_missing` is shown, in this order.
_MOVABLE = {
    "final_score": "final score",
    "area": "area",
    "final_return": "final return",
    "area_return": "mean return over training",
}


def missing_ranges(task: TaskResult, decimals: int) -> list[str]:
    """One line for each algorithm that lacks values: how far that could move what is shown."""
    lines = []
    for result in task.algorithms:
        names = [name for name in _MOVABLE if name in result.if_missing]
        # Where there are scores the returns only repeat them.
        names = [name for name in names if "return" not in name] if "final_score" in names else names
        parts = []
        for name in names:
            ends, places = result.if_missing[name], decimals if "return" in name else 2
            parts.append(f"{_MOVABLE[name]} {fixed(ends.lowest, places)} to {fixed(ends.highest, places)}")
        if parts:
            lines.append(
                f"{result.algorithm}: had the missing seeds been the lowest or the highest seen on the task: "
                f"{'; '.join(parts)}"
            )
    return lines


def additions(task: TaskResult) -> list[str]:
    """One line for each algorithm with runs that precede the declaration."""
    return [
        f"{result.algorithm}, {named_seeds(result.seeds.exploratory)}: exploratory: made before the claims were "
        "declared as they now are, so perhaps looked at: these runs confirm none of them"
        for result in task.algorithms
        if result.seeds.exploratory
    ]


def resting_on(results: Sequence[AlgorithmResult]) -> str:
    """On how many runs of those asked for a table rests."""
    shown, planned = sum(len(each.seeds.shown) for each in results), sum(len(each.seeds.planned) for each in results)
    added = sum(len(each.seeds.exploratory) for each in results)
    text = f"Rests on {shown:,} of {many(planned, 'run')} asked for"
    return f"{text}, {added:,} of them exploratory." if added else f"{text}."


def absences_of(suite: SuiteResult, algorithms: Container[str], tasks: Container[str]) -> list[str]:
    """`absences` of some algorithms on some tasks, for a table over several; the first of them where they are many."""
    lines = []
    for task in suite.tasks:
        if task.task in tasks:
            own = [result for result in task.algorithms if result.algorithm in algorithms]
            lines += [f"{task.task}: {line}" for line in absences(task.model_copy(update={"algorithms": own}))]
    more = len(lines) - NAMED_ABSENCES
    return [*lines[:NAMED_ABSENCES], f"and {more} more, each below its task's table"] if more > 0 else lines


def run_notes(task: TaskResult) -> list[str]:
    """What the runs themselves say that a reader should know, each once with those that say it; not the heading's."""
    saying: dict[str, list[str]] = {}
    for result in task.algorithms:
        for note in result.notes:
            if note == TINY_MODEL:
                continue
            saying.setdefault(note, []).append(result.algorithm)
    everybody = len(task.algorithms) if len(task.algorithms) > 1 else None
    return [
        f"{'all algorithms' if len(names) == everybody else ', '.join(names)}: {note}" for note, names in saying.items()
    ]
