"""`haepo-bench list`."""

from enum import StrEnum
from typing import Annotated

import typer

from haepo_bench import catalogue
from haepo_bench.cli.layout import columns
from haepo_bench.listed import Listed
from haepo_bench.suite.shipped import list_suites
from haepo_bench.terminal import echo


class Kind(StrEnum):
    """What can be listed."""

    ALGORITHMS = "algorithms"
    TASKS = "tasks"
    SUITES = "suites"


def list_catalogue(
    kind: Annotated[Kind | None, typer.Argument(help="What to list; everything where left out.")] = None,
) -> None:
    """List algorithms, tasks and shipped suites."""
    tables = {Kind.ALGORITHMS: _algorithms, Kind.TASKS: _tasks, Kind.SUITES: _suites}
    for n, shown in enumerate([kind] if kind else list(Kind)):
        if kind is None:
            echo(f"{'' if n == 0 else chr(10)}{shown}")
        echo(columns(tables[shown]()))
    if kind is None:
        echo("\nhaepo-bench describe NAME says more")


def _algorithms() -> list[tuple[str, str]]:
    families = [(name, f"family: {' and '.join(members)}") for name, members in catalogue.FAMILIES.items()]
    return [*families, *_rows(catalogue.list_algorithms())]


def _tasks() -> list[tuple[str, str]]:
    return _rows([*catalogue.list_tasks(), *catalogue.list_wrappers()])


def _suites() -> list[tuple[str, str]]:
    from haepo_bench.suite.loading import load_suite

    return [(name, load_suite(path).suite.description) for name, path in list_suites().items()]


def _rows(entries: list[Listed]) -> list[tuple[str, str]]:
    return [
        (entry.name, f"{entry.summary} (confidence: {entry.confidence})" if entry.confidence else entry.summary)
        for entry in entries
    ]
