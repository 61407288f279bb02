"""Arguments that several commands share, with what shells complete them to."""

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.suite.shipped import list_suites
from haepo_bench.tasks.address import WRAPPERS
from haepo_bench.terminal import echo
from haepo_bench.text import visible

if TYPE_CHECKING:
    from haepo_bench.suite.plan import Execution


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


class ExecutorChoice(StrEnum):
    """What may run the jobs."""

    local = "local"
    ray = "ray"
    slurm = "slurm"


ExecutorOption = Annotated[
    ExecutorChoice | None,
    typer.Option(
        "--executor",
        help="What runs the jobs; the suite's choice if left out. local: processes on this machine. ray: a cluster. "
        "slurm: an array of jobs.",
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="With --executor ray: HOST:PORT of the cluster's head; auto: the cluster that this machine is a node of, "
        "or RAY_ADDRESS; local: one of its own on this machine. auto if left out.",
    ),
]


class LogChoice(StrEnum):
    """Tools that curves may be logged to."""

    tensorboard = "tensorboard"
    wandb = "wandb"
    trackio = "trackio"
    mlflow = "mlflow"


LogOption = Annotated[
    list[LogChoice] | None,
    typer.Option(
        "--log",
        help="Log every run's curve to this tool as it happens; repeatable; the suite's choice if left out.",
    ),
]


def log_sets(log: list[LogChoice] | None) -> list[str]:
    """The assignments to a suite that `--log` stands for."""
    return [f"execution.log=[{', '.join(log)}]"] if log else []


def executor_sets(executor: ExecutorChoice | None) -> list[str]:
    """The assignments to a suite that `--executor` stands for."""
    return [] if executor is None else [f"execution.executor={executor.value}"]


def at_address(execution: "Execution", address: str | None) -> "Execution":
    """The execution with what `--address` says of the cluster.

    Raises:
        UserError: the executor has no cluster.
    """
    if address is None:
        return execution
    if execution.executor != "ray":
        raise UserError("--address: needs --executor ray", remedy="add it, or leave --address out")
    return replace(execution, ray=replace(execution.ray, address=address))


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
        help="Run the K-th of N equal shares, the same on every machine, below the suite's results, in "
        "shards/K-of-N; then: merge.",
    ),
]
