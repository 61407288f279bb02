"""Writes the tables of columns in docs/reference/results-format.md, from the registry and what our objectives declare.

python tools/column_tables.py
"""

from collections.abc import Iterable
from pathlib import Path

from haepo_bench import catalogue
from haepo_bench.results.columns import COLUMNS, COST_COLUMNS, REDUCTION, Column
from haepo_bench.text import markdown_table
from haepo_bench.training.language.credit import CREDIT_COLUMNS

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "results-format.md"


def with_tables(page: str) -> str:
    """The page with its tables made anew, each between its two comments."""
    for name, table in (("curve", curve_table()), ("cost", cost_table())):
        start, end = f"<!-- columns: {name} -->\n", f"<!-- end of columns: {name} -->"
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n{table}\n{end}{rest.partition(end)[2]}"
    return page


def curve_table() -> str:
    """Columns of the curve, one a line: the registry's, then those that objectives declare, then credit's."""
    rows = []
    ours: list[tuple[tuple[str, ...], Column]] = [((), column) for column in COLUMNS.values()]
    for names, column in [*ours, *objective_columns(), *(((), column) for column in CREDIT_COLUMNS)]:
        whose = f" ({', '.join(f'`{name}`' for name in names)})" if names else ""
        clock = " (a clock)" if column.clock else ""
        rows.append([f"`{column.name}`", column.heading, f"{column.meaning}{whose}{clock}", REDUCTION[column.kind]])
    return markdown_table(["column", "heading in tables", "meaning", "value at an evaluation point"], rows) + "\n"


def cost_table() -> str:
    """Numbers of a run's cost, one a line."""
    rows = [[f"`{column.name}`", column.heading, column.meaning] for column in COST_COLUMNS.values()]
    return markdown_table(["number", "heading", "meaning"], rows) + "\n"


def objective_columns() -> list[tuple[tuple[str, ...], Column]]:
    """Each column that objectives of the catalogue declare, with the algorithms that do."""
    found: dict[Column, list[str]] = {}
    for name in catalogue.ALGORITHMS:
        for column in _declared(name):
            found.setdefault(column, []).append(name)
    return [(tuple(names), column) for column, names in found.items()]


def _declared(name: str) -> Iterable[Column]:
    objective = getattr(catalogue.algorithm(name), "objective", None)
    return objective.columns if objective is not None else ()


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
