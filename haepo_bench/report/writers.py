"""The report as Markdown, CSV and LaTeX."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from haepo_bench.report.document import AlgorithmResult, Estimate, ReportDocument, SuiteResult, TaskResult
from haepo_bench.report.tables import Cell, Table, absences, diagnostics_table, reading_notes, result_table
from haepo_bench.report.text import csv_text, latex, markdown
from haepo_bench.report.verdict_text import scorecard_lines, scorecard_notes, scorecard_tables
from haepo_bench.results.frames import COSTS, DIAGNOSTICS, MEASURES

#: Title and address of a picture.
Link = tuple[str, str]


def to_markdown(document: ReportDocument, links: Callable[[SuiteResult, str], Sequence[Link]]) -> str:
    """The report as GitHub-flavoured Markdown; `links` gives the pictures of a suite's task (overview: empty name)."""
    return "\n\n".join(block for suite in document.suites for block in _markdown_suite(suite, links)) + "\n"


def _markdown_suite(suite: SuiteResult, links: Callable[[SuiteResult, str], Sequence[Link]]) -> list[str]:
    blocks = [f"# {markdown(suite.suite)}"]
    if suite.description:
        blocks.append(markdown(suite.description))
    blocks.append(_markdown_list([summary(suite), *reading_notes(suite)]))
    blocks += _markdown_scorecard(suite)
    blocks += [_markdown_picture(link) for link in links(suite, "")]
    for task in suite.tasks:
        blocks.append(f"## {markdown(task.task)}")
        blocks += _markdown_table(result_table(task))
        blocks += [_markdown_picture(link) for link in links(suite, task.task)]
        diagnostics = diagnostics_table(task)
        if diagnostics:
            blocks += [f"### {markdown(diagnostics.title)}", *_markdown_table(diagnostics)]
    left_out = omissions(suite)
    if left_out:
        blocks += ["## Not in this report", _markdown_list(left_out)]
    return blocks


def _markdown_scorecard(suite: SuiteResult) -> list[str]:
    if suite.scorecard is None:
        return []
    card = suite.scorecard
    blocks = ["## Claims", _markdown_list([" ".join(line) for line in scorecard_lines(card)]), "How to read them:"]
    blocks.append(_markdown_list(scorecard_notes(card)))
    for overall, details in scorecard_tables(suite):
        for table in (overall, *details):
            blocks += [f"### Claim: {markdown(table.title)}", *_markdown_table(table)]
    return blocks


def _markdown_list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)


def _markdown_table(table: Table) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    lines = [row([markdown(column) for column in table.columns]), row(["---", *["---:"] * (len(table.columns) - 1)])]
    lines += [row([markdown(_joined(cell, first=i == 0)) for i, cell in enumerate(cells)]) for cells in table.rows]
    blocks = ["\n".join(lines)]
    if table.notes:
        blocks.append(_markdown_list(table.notes))
    return blocks


def _markdown_picture(link: Link) -> str:
    title, address = link
    return f"![{markdown(title)}]({quote(address)})"


def to_latex(document: ReportDocument) -> str:
    """The result tables for LaTeX with booktabs and graphicx, one a task."""
    blocks = [
        "% needs: \\usepackage[T1]{fontenc} \\usepackage{booktabs,graphicx}; for emoji and the like a Unicode engine"
    ]
    blocks += [_latex_table(suite, task) for suite in document.suites for task in suite.tasks]
    return "\n\n".join(blocks) + "\n"


def _latex_table(suite: SuiteResult, task: TaskResult) -> str:
    table = result_table(task)
    rows = [[latex(_joined(cell, first=i == 0)) for i, cell in enumerate(cells)] for cells in table.rows]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(task.task)} (suite {latex(suite.suite)}): {latex(' '.join(reading_notes(suite)))}}}",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"\toprule",
        " & ".join(map(latex, table.columns)) + r" \\",
        r"\midrule",
        # An empty group: a line that starts with [ would be taken for an argument of the row end before it.
        *("{}" + " & ".join(row) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}}",
        *(rf"\par\smallskip{{\footnotesize {latex(note)}}}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines)


def to_csv(document: ReportDocument) -> str:
    """One row for each algorithm on each task, numbers in full precision, empty where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(csv_columns())
    for suite in document.suites:
        for task in suite.tasks:
            writer.writerows(_csv_row(suite, task, result) for result in task.algorithms)
    return out.getvalue()


def csv_columns() -> list[str]:
    """The header of the CSV table."""
    names = ["suite", "task", "algorithm", "uses", "label", "told", "critic", "discount", "n", "planned", "diverged"]
    for measure in (*MEASURES, *DIAGNOSTICS):
        names += [f"{measure}_{part}" for part in ("mean", "low", "high", "n")]
    return [*names, *COSTS, "absent", "notes", "footnote", "settings_hash", "code_hash"]


def _csv_row(suite: SuiteResult, task: TaskResult, result: AlgorithmResult) -> list[Any]:
    information = result.information
    row: list[Any] = [suite.suite, task.task, result.algorithm, result.uses, result.label, information.told]
    row += [information.critic, information.discount]
    row += [len(result.seeds.shown), len(result.seeds.planned), len(result.seeds.diverged)]
    estimates: list[Estimate | None] = [getattr(result, measure) for measure in MEASURES]
    estimates += [result.diagnostics.get(name) for name in DIAGNOSTICS]
    for estimate in estimates:
        row += [estimate.mean, estimate.low, estimate.high, estimate.n] if estimate else [None] * 4
    row += [result.cost[name] for name in COSTS]
    own = task.model_copy(update={"algorithms": [result]})
    row += ["; ".join(absences(own)), "; ".join(result.notes), result.footnote, result.settings_hash, result.code_hash]
    return [csv_text(value) if isinstance(value, str) else value for value in row]


def summary(suite: SuiteResult) -> str:
    """One sentence: how much there is, and how much is missing."""
    algorithms = {result.algorithm for task in suite.tasks for result in task.algorithms}
    missing = suite.runs_planned - suite.runs_shown
    diverged = sum(len(result.seeds.diverged) for task in suite.tasks for result in task.algorithms)
    text = f"{_many(len(algorithms), 'algorithm')} on {_many(len(suite.tasks), 'task')}: "
    text += f"{suite.runs_shown} of {_many(suite.runs_planned, 'run')} have a result"
    text += f", {diverged} of them diverged" if diverged else ""
    text += f"; {missing} missing, each named below its table" if missing else ""
    plan = "" if suite.plan else " No readable plan: the newest settings and code of each algorithm are shown."
    return f"{text}.{plan}"


def omissions(suite: SuiteResult) -> list[str]:
    """One line for each file that could not be read and each folder that is left out."""
    lines = [f"{file.file}: not readable: {file.reason}" for file in suite.damaged]
    return lines + [f"{left.folder}: {_many(left.runs, 'run')} not shown: {left.reason}" for left in suite.not_shown]


def _many(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _joined(cell: Cell, *, first: bool) -> str:
    if not cell.detail:
        return cell.text
    if first:
        return f"{cell.text}: {cell.detail}"
    return f"{cell.text} {cell.detail}" if cell.detail.startswith("[") else f"{cell.text} ({cell.detail})"
