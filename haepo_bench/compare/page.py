"""A comparison as one HTML page that needs no network: style, program and data all inside."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from haepo_bench.compare import tables as words
from haepo_bench.compare.document import CellComparison, CompareDocument
from haepo_bench.compare.writers import cost_row, row
from haepo_bench.report.charts.building import ENV_STEPS, RETURN, SCORE, WALL_SECONDS
from haepo_bench.report.charts.description import ChartAlgorithm, ChartLine, LineChart, LinePanel
from haepo_bench.report.page.charts import assets, chart_fragment
from haepo_bench.report.styles import COLOURS, Look
from haepo_bench.report.tables.per_task import Table, TableCell, return_decimals

#: Algorithms in one chart: each has two lines, and more than eight cannot be told apart.
_TOGETHER = 4
#: A's lines are whole, B's dashed.
_DASHES = {"A": 0, "B": 1}


def to_html(document: CompareDocument) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("haepo_bench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    tasks = words.by_task(document)
    page = environment.get_template("compare.html.j2").render(
        document=document,
        assets=assets(),
        headline=words.headline(document),
        settings=words.settings_summary(document),
        sources=words.source_lines(document),
        method=words.method_lines(document),
        omissions=words.omission_lines(document),
        tasks=[_task(task, cells, f"t{number}") for number, ((task, _), cells) in enumerate(tasks.items(), 1)],
    )
    return page + "\n"


def _task(task: str, cells: list[CellComparison], key: str) -> dict[str, Any]:
    # Identical curves lie on each other: there is nothing to see.
    moved = [cell for cell in cells if words.outcome(cell) != "identical"]
    chunks = [moved[start : start + _TOGETHER] for start in range(0, len(moved), _TOGETHER)]
    return {
        "task": task,
        "key": key,
        "table": _table(task, cells),
        "cost": _cost_table(task, cells),
        "lines": [line for cell in cells for line in words.cell_lines(cell)],
        "identical": len(cells) - len(moved),
        "charts": [_chart(task, chunk, f"{key}-{n}") for n, chunk in enumerate(chunks)],
    }


def _table(task: str, cells: list[CellComparison]) -> Table:
    titles = words.TITLES[cells[0].final.measure], words.TITLES[cells[0].area.measure]
    columns = ["Algorithm", "n/N A", "n/N B", f"{titles[0]} A", f"{titles[0]} B"]
    columns += [f"{titles[0]} B − A", "p", f"{titles[1]} B − A", "p", "Outcome"]
    return Table(task, columns, [[_cell(text) for text in row(cell)[1:]] for cell in cells], [])


def _cell(text: str) -> TableCell:
    """A number with what stands behind it in brackets, smaller."""
    for bracket in (" [", " ("):
        head, found, tail = text.partition(bracket)
        if found:
            return TableCell(head, bracket.strip() + tail)
    return TableCell(text)


def _cost_table(task: str, cells: list[CellComparison]) -> Table:
    columns = ["Algorithm", *(f"{title}, B / A" for title in words.COST_RATIOS.values()), "Detectable final difference"]
    return Table(f"{task}: cost", columns, [[TableCell(text) for text in cost_row(cell)[1:]] for cell in cells], [])


def _chart(task: str, cells: list[CellComparison], group: str) -> Markup:
    scored = cells[0].final.measure == "final_score"
    algorithms, lines = [], []
    for number, cell in enumerate(cells):
        for side, own in (("A", cell.a), ("B", cell.b)):
            if own.curve is None:
                continue
            name, look = f"{cell.algorithm} ({side})", Look(number % len(COLOURS), _DASHES[side], _DASHES[side])
            times: dict[str, Sequence[float | None]] = {
                "env_steps": own.curve.env_steps,
                "wall_seconds": own.curve.wall_seconds,
            }
            algorithms.append(ChartAlgorithm(name, look, counted=f"{words.seeds(own)} seeds"))
            lines.append(
                ChartLine(
                    name,
                    x={key: values for key, values in times.items() if any(value is not None for value in values)},
                    y={"value": own.curve.values},
                )
            )
    decimals = return_decimals([estimate for cell in cells for estimate in (cell.final.a, cell.final.b)])
    y = replace(SCORE, key="value") if scored else replace(RETURN, key="value", decimals=decimals)
    x = tuple(axis for axis in (ENV_STEPS, WALL_SECONDS) if any(axis.key in each.x for each in lines))
    chart = LineChart(
        title=f"Learning curves on {task}: A whole, B dashed; bands are 95 % intervals",
        algorithms=tuple(algorithms),
        panels=(LinePanel(task, x, (y,), tuple(lines)),),
    )
    missing = Markup("<p>Without JavaScript this chart is not shown; the table has its numbers.</p>")
    return chart_fragment(chart, group=group, fallback=missing)
