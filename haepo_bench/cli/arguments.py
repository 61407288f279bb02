"""Arguments that several commands share, with what shells complete them to."""

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench import catalogue
from haepo_bench.suite.shipped import list_suites
from haepo_bench.tasks.address import WRAPPERS
from haepo_bench.terminal import echo
from haepo_bench.text import visible


def complete_suite(incomplete: str) -> list[str]:
    """Shipped suites, and the YAML files and folders of the place that is being typed."""
    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") else typed.parent
    try:
        paths = [path for path in folder.iterdir() if path.is_dir() or path.suffix in {".yaml", ".yml"}]
    except OSError:
        paths = []
    shown = [f"{path}/" if path.is_dir() else str(path) for path in paths if not path.name.startswith(".")]
    return _matching([*list_suites(), *sorted(shown)], incomplete)


def complete_name(incomplete: str) -> list[str]:
    """Everything that `describe` knows."""
    return _matching(known_names(), incomplete)


def known_names() -> list[str]:
    """Algorithms, families of algorithms, tasks (a family whose variants are endless as `gym/`), wrappers."""
    tasks = [entry.name.partition("<")[0] for entry in catalogue.list_tasks()]
    return [*(entry.name for entry in catalogue.list_algorithms()), *catalogue.FAMILIES, *tasks, *WRAPPERS]


def say(line: str) -> None:
    """Prints a line that is not the command's answer."""
    echo(line, err=True)


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    # A shell shows what it is told as it is.
    return [name for name in names if name.startswith(incomplete) and name == visible(name)]


SuiteArgument = Annotated[
    str,
    typer.Argument(
        metavar="SUITE", help="A suite file, or the name of a shipped suite.", autocompletion=complete_suite
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one entry of the suite, such as seeds=2; repeatable."),
]


class EngineChoice(StrEnum):
    """What may be asked for."""

    auto = "auto"
    torch = "torch"
    compiled = "compiled"


EngineOption = Annotated[
    EngineChoice | None,
    typer.Option(
        "--engine",
        help="What computes the runs of native algorithms; the suite's choice if left out. auto: the compiled kernels "
        "where they are installed and the processor can run them, else torch.",
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="GLOB",
        help="Keep the cells whose task, algorithm or task:algorithm matches any of these patterns; repeatable.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Run the K-th of N equal shares, the same on every machine, in DIR/SUITE/shards/K-of-N; then: merge.",
    ),
]
