"""The report as Markdown and LaTeX."""

import re
from collections.abc import Callable, Sequence
from urllib.parse import quote

from haepo_bench.report.document import ReportDocument, SuiteResult, TaskResult
from haepo_bench.report.latex_tables import tabulars
from haepo_bench.report.latex_text import DEFINITION, latex
from haepo_bench.report.tables.across import across_tables, improvement_table
from haepo_bench.report.tables.claim_words import how_to_declare, scorecard_lines, scorecard_notes
from haepo_bench.report.tables.credit import credit_table
from haepo_bench.report.tables.history import history_notes, history_tables
from haepo_bench.report.tables.in_short import leaders
from haepo_bench.report.tables.overoptimisation import overoptimisation_table
from haepo_bench.report.tables.per_task import (
    Table,
    TableCell,
    diagnostics_table,
    heading,
    omissions,
    reading_notes,
    result_table,
    summary,
)
from haepo_bench.report.tables.side_by_side import side_by_side
from haepo_bench.report.tables.verdicts import pairwise_table, scorecard_tables
from haepo_bench.text import markdown, markdown_list, markdown_table

#: Title and address of a picture.
Link = tuple[str, str]


def to_markdown(document: ReportDocument, links: Callable[[SuiteResult, str], Sequence[Link]]) -> str:
    """The report as GitHub-flavoured Markdown; `links` gives the pictures of a suite's task (overview: empty name)."""
    beside = [
        block for table in side_by_side(document) for block in (f"# {markdown(table.title)}", *_markdown_table(table))
    ]
    suites = [block for suite in document.suites for block in _markdown_suite(suite, links)]
    return "\n\n".join([*beside, *suites]) + "\n"


def _markdown_suite(suite: SuiteResult, links: Callable[[SuiteResult, str], Sequence[Link]]) -> list[str]:
    blocks = [f"# {markdown(suite.suite)}"]
    if suite.description:
        blocks.append(markdown(suite.description))
    blocks.append(markdown_list([summary(suite), *leaders(suite), *how_to_declare(suite), *reading_notes(suite)]))
    blocks += _markdown_scorecard(suite)
    across = across_tables(suite)
    if across:
        blocks.append("## Over all tasks")
        blocks += [block for table in across for block in (f"### {markdown(table.title)}", *_markdown_table(table))]
    blocks += [_markdown_picture(link) for link in links(suite, "")]
    for task in suite.tasks:
        blocks.append(f"## {markdown(heading(task))}")
        blocks += _markdown_table(result_table(task))
        blocks += [_markdown_picture(link) for link in links(suite, task.task)]
        for table in _further_tables(task):
            blocks += [f"### {markdown(table.title)}", *_markdown_table(table)]
    history = history_tables(suite)
    if history:
        blocks += ["## History", markdown_list(history_notes(suite))]
        blocks += [block for table in history for block in (f"### {markdown(table.title)}", *_markdown_table(table))]
    left_out = omissions(suite)
    if left_out:
        blocks += ["## Not in this report", markdown_list(left_out)]
    return blocks


def _markdown_scorecard(suite: SuiteResult) -> list[str]:
    blocks = []
    if suite.scorecard is not None:
        lines = [f"{line.lead} {line.sentences}" for line in scorecard_lines(suite)]
        blocks += [
            "## Claims",
            markdown_list(lines),
            "How to read them:",
            markdown_list(scorecard_notes(suite)),
        ]
        for overall, details in scorecard_tables(suite):
            for table in (overall, *details):
                blocks += [f"### Claim: {markdown(table.title)}", *_markdown_table(table)]
    pairs = pairwise_table(suite)
    if pairs:
        blocks += [f"## {markdown(pairs.title)}", *_markdown_table(pairs)]
    return blocks


def _markdown_table(table: Table) -> list[str]:
    rows = [[markdown(_joined(cell, first=i == 0)) for i, cell in enumerate(cells)] for cells in table.rows]
    text = markdown_table([*map(markdown, table.columns)], rows, right=range(1, len(table.columns)))
    return [text, markdown_list(table.notes)] if table.notes else [text]


def _markdown_picture(link: Link) -> str:
    title, address = link
    return f"![{markdown(title)}]({quote(address)})"


def to_latex(document: ReportDocument) -> str:
    """Every table for LaTeX, each under a label of its own; what no table says is in comments."""
    blocks = ["% needs: \\usepackage[T1]{fontenc} \\usepackage{booktabs,array}; \\extrafloats{500} where all are taken"]
    labels = _Labels()
    beside = side_by_side(document)
    blocks += [_latex_table(None, table, table.title, labels) for table in beside]
    for suite in document.suites:
        said = [summary(suite), *leaders(suite), *how_to_declare(suite), *omissions(suite), *reading_notes(suite)]
        said += history_notes(suite)
        if suite.scorecard:
            said += [f"{line.lead} {line.sentences}" for line in scorecard_lines(suite)]
            said += scorecard_notes(suite)
        blocks.append("\n".join(f"% {latex(' '.join(line.split()))}" for line in said))
        for overall, details in scorecard_tables(suite):
            blocks += [
                _latex_table(suite.suite, table, f"Claim: {table.title}", labels) for table in (overall, *details)
            ]
        pairs = pairwise_table(suite)
        if pairs:
            blocks.append(_latex_table(suite.suite, pairs, pairs.title, labels))
        blocks += [_latex_table(suite.suite, table, table.title, labels) for table in across_tables(suite)]
        for task in suite.tasks:
            blocks.append(_latex_table(suite.suite, result_table(task), heading(task), labels))
            blocks += [
                _latex_table(suite.suite, table, f"{table.title}: {task.task}", labels)
                for table in _further_tables(task)
            ]
        blocks += [_latex_table(suite.suite, table, table.title, labels) for table in history_tables(suite)]
    text = "\n\n".join(blocks) + "\n"
    return text.replace("\n\n", f"\n{DEFINITION}\n\n", 1) if r"\otherchar" in text else text


class _Labels:
    """Labels of tables, each once: `tab:SUITE:TITLE`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, suite: str, title: str) -> str:
        stem = ":".join(re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] for text in (suite, title))
        label, n = f"tab:{stem}", 2
        while label in self._taken:
            label, n = f"tab:{stem}-{n}", n + 1
        self._taken.add(label)
        return label


def _further_tables(task: TaskResult) -> list[Table]:
    """What follows a task's results."""
    tables = (overoptimisation_table(task), credit_table(task), improvement_table(task), diagnostics_table(task))
    return [table for table in tables if table]


def _latex_table(suite: str | None, table: Table, title: str, labels: _Labels) -> str:
    """suite: None for a table on several folders."""
    rows = [[_joined(cell, first=i == 0) for i, cell in enumerate(cells)] for cells in table.rows]
    where = f" (suite {suite})" if suite is not None else ""
    floats = tabulars(table.columns, rows)
    blocks = []
    for n, lines in enumerate(floats, 1):
        part = f", part {n} of {len(floats)}" if len(floats) > 1 else ""
        notes = table.notes if n == len(floats) else []
        blocks += [
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{latex(f'{title}{part}{where}')}}}",
            rf"\label{{{labels.of(suite or 'folders', title)}}}",
            *lines,
            *(rf"\par\smallskip {latex(note)}" for note in notes),
            r"\end{table}",
        ]
    return "\n".join(blocks)


def _joined(cell: TableCell, *, first: bool) -> str:
    if not cell.detail:
        return cell.text
    if first:
        return f"{cell.text}: {cell.detail}"
    return f"{cell.text} {cell.detail}" if cell.detail.startswith("[") else f"{cell.text} ({cell.detail})"
