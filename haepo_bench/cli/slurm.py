"""`haepo-bench run --executor slurm`: its options, and what it says."""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from haepo_bench.cli.merge import say_conflicts
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.terminal import console, echo
from haepo_bench.text import plain
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.execution.slurm.spread import Cluster, Spread
    from haepo_bench.results.store import Store
    from haepo_bench.suite.plan import Plan
    from haepo_bench.suite.shards import Shard

PartitionOption = Annotated[
    str | None,
    typer.Option(
        "--slurm-partition", metavar="NAME", help="With --executor slurm: the partition; its default if left out."
    ),
]
AccountOption = Annotated[
    str | None, typer.Option("--slurm-account", metavar="NAME", help="With --executor slurm: the account charged.")
]
QosOption = Annotated[
    str | None, typer.Option("--slurm-qos", metavar="NAME", help="With --executor slurm: the quality of service.")
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        "--slurm-time", metavar="TIME", help="With --executor slurm: time limit of one job, such as 2h; 11m at least."
    ),
]
CpusOption = Annotated[
    int | None, typer.Option("--slurm-cpus", metavar="N", help="With --executor slurm: processors of one job.")
]
GpusOption = Annotated[
    int | None, typer.Option("--slurm-gpus", metavar="N", help="With --executor slurm: GPUs of one job.")
]
MemoryOption = Annotated[
    float | None, typer.Option("--slurm-memory", metavar="GB", help="With --executor slurm: memory of one job.")
]
DetachOption = Annotated[
    bool,
    typer.Option(
        "--detach", help="With --executor slurm: submit, and do not wait; the same command collects what is there."
    ),
]


def slurm_sets(**options: str | float | None) -> list[str]:
    """The assignments to a suite that the options `--slurm-*` stand for."""
    # JSON: what YAML takes for another kind of value stays text.
    return [f"execution.slurm.{key}={json.dumps(value)}" for key, value in options.items() if value is not None]


def check_options(plan: "Plan", sets: Sequence[str], useless: Sequence[tuple[str, object, str]], detach: bool) -> None:
    """Whether the options fit the executor.

    Args:
        sets: what `--slurm-*` stands for.
        useless: options that mean nothing to an array of jobs, their values, and what to do instead.

    Raises:
        UserError: one does not.
    """
    if plan.execution.executor == "slurm":
        for option, value, remedy in useless:
            if value:
                raise UserError(f"{option}: cannot be used with --executor slurm", remedy=remedy)
    elif sets or detach:
        option = f"--slurm-{sets[0].partition('=')[0].rpartition('.')[2]}" if sets else "--detach"
        raise UserError(f"{option}: needs --executor slurm", remedy=f"add it, or leave {option} out")


@dataclass(frozen=True)
class Asked:
    """What a person asked for on the command line, as each job's own command needs it."""

    suite: str
    results: Path
    sets: Sequence[str]
    only: Sequence[str]
    retry_failed: bool
    save_policies: bool

    def command(self, plan: "Plan", shard: "Shard") -> list[str]:
        """The command of one job."""
        execution = plan.execution
        return [
            *(sys.executable, "-P", "-m", "haepo_bench", "run", self.suite, "--results", str(self.results)),
            *("--shard", str(shard), "--as-planned", "--executor", "local", "--workers", str(execution.slurm.cpus)),
            # One engine for all, wherever a job is run.
            *("--engine", execution.engine),
            *(part for assignment in self.sets for part in ("--set", assignment)),
            *(part for pattern in self.only for part in ("--only", pattern)),
            *(["--retry-failed"] if self.retry_failed else []),
            *(["--save-policies"] if self.save_policies else []),
        ]


def cluster_for(plan: "Plan", store: "Store", asked: Asked, *, quiet: bool = True) -> "Cluster":
    """The plan's jobs and their queue."""
    from haepo_bench.execution.slurm.spread import Cluster

    def say(line: str) -> None:
        if not quiet:
            echo(plain(line), err=True)

    return Cluster(
        plan,
        store,
        plan.execution.slurm,
        lambda shard: asked.command(plan, shard),
        retry_failed=asked.retry_failed,
        say=say,
    )


def run_on_slurm(plan: "Plan", store: "Store", asked: Asked, *, detach: bool, quiet: bool) -> NoReturn:
    """Submits, waits and collects; ends the command."""
    from haepo_bench.execution.summary import print_results
    from haepo_bench.results.record import FAILED, FINISHED

    spread = cluster_for(plan, store, asked, quiet=quiet).run(detach=detach)
    statuses = [run.status for run in spread.survey.stored.values()]
    finished, failed = (sum(status in kind for status in statuses) for kind in (FINISHED, FAILED))
    if not spread.queued and not spread.left:
        print_results(plan, spread.survey.stored, store.root, console())
    say_conflicts(spread.conflicts, store.root)
    for chunk in spread.given_up:
        ended = "was ended again and again" if chunk.code is None else f"ended with exit code {chunk.code}"
        said = f": {chunk.said}" if chunk.said else ""
        echo(plain(f"job {chunk.shard} {ended}{said} (log: {chunk.log})"), err=True)
    if failed:
        echo(f"{many(failed, 'run')} failed: run again with --retry-failed", err=True)
    in_queue = ", ".join(f"{n} {state.lower()}" for state, n in sorted(spread.queued.items()))
    left = f"; {many(spread.left, 'job')} to be submitted" if spread.left and not spread.signalled else ""
    jobs = f"; in the queue: {in_queue}" if in_queue else ""
    echo(f"{finished:,} of {many(plan.runs, 'run')} collected{jobs}{left}", err=spread.signalled)
    if finished + failed < plan.runs:
        echo("the same command collects what is there, and submits what is missing", err=spread.signalled)
    if finished:
        echo(f"next: haepo-bench report {shlex.quote(str(store.root))}")
    raise typer.Exit(_exit_code(plan, spread, finished, detach))


def _exit_code(plan: "Plan", spread: "Spread", finished: int, detach: bool) -> ExitCode:
    """130 interrupted, 3 where results are unequal, 2 where runs are missing that are not in the queue, else 0."""
    if spread.signalled:
        return ExitCode.INTERRUPTED
    if any(not conflict.chosen for conflict in spread.conflicts):
        return ExitCode.NOT_COMPARABLE
    pending = detach and (spread.queued or spread.left) and not spread.given_up
    return ExitCode.OK if finished == plan.runs or pending else ExitCode.RUN_FAILED
