"""`haepo-bench tune`."""

import contextlib
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench.cli.arguments import (
    AddressOption,
    EngineOption,
    ExecutorOption,
    SetOption,
    ShardOption,
    SuiteArgument,
    at_address,
    executor_sets,
    say,
)
from haepo_bench.cli.claim_lines import claim_lines, level_here
from haepo_bench.cli.search_cost import print_cost
from haepo_bench.errors import UserError
from haepo_bench.terminal import echo
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.execution.session import Options, Outcome
    from haepo_bench.results.store import Store
    from haepo_bench.search.tuning import Tuning
    from haepo_bench.suite.plan import Plan


def tune(
    context: typer.Context,
    suite: SuiteArgument,
    results: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Parent folder of the suite's results folder; trials are in DIR/SUITE/search."
        ),
    ] = Path("results"),
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where the settings found go; if left out SUITE.tuned.yaml next to the suite."
        ),
    ] = None,
    replicates: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=10_000,
            metavar="N",
            help="The first N replicates of each search; the suite's number if left out. More than the suite has "
            "only where it says a number, not a list.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="N", help="Worker processes; the suite's number if left out.")
    ] = None,
    engine: EngineOption = None,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    sets: SetOption = None,
    shard: ShardOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False,
    max_hours: Annotated[
        float | None,
        typer.Option(
            "--max-hours",
            min=0.0,
            metavar="H",
            help="Start no job that would not end within H hours; the same command continues.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it costs, by algorithm; write nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the end.")] = False,
) -> None:
    """Search the hyper-parameters of every algorithm of a suite at equal cost.

    The suite says how, under search. The whole search is repeated on seeds of its own; the report on DIR/SUITE/search
    says what each algorithm reaches at equal search. The settings found go to a file for `run SUITE --tuned FILE`.
    What has ended is kept: the same command continues.
    """
    from haepo_bench.execution.resolving import SuiteWorker
    from haepo_bench.execution.session import Options, engine_of
    from haepo_bench.results.searches import SEARCH_FOLDER
    from haepo_bench.results.store import Store
    from haepo_bench.search.tuned_file import check_target
    from haepo_bench.search.tuning import Tuning
    from haepo_bench.suite.shards import Shard

    part = Shard.parse(shard) if shard is not None else None
    worker = context.with_resource(contextlib.closing(SuiteWorker()))
    sets = [*(sets or ()), *executor_sets(executor)]
    plan = worker.load_plan(suite, sets, say=say, engine=engine, tune=True)
    if replicates is not None:
        sets += [f"search.replicates={_first(replicates, plan)}"]
        plan = worker.load_plan(suite, sets, engine=engine, tune=True)
    execution = at_address(plan.execution, address).with_workers(workers)
    if execution.executor == "slurm":
        raise UserError(
            "tune: a Slurm array runs the seeds of a suite, and what a search runs next follows from what it has run",
            remedy="submit `haepo-bench tune SUITE --executor local --shard K/N` as an array of your own, then merge",
        )
    store = Store(results / plan.suite / SEARCH_FOLDER)
    if part is not None:
        store = Store(store.root / part.folder)
    begun = engine_of(store)
    if begun is not None and begun != plan.execution.engine and plan.execution.engine_open:
        source = f"the plan in {store.root}"
        plan = worker.load_plan(suite, sets, engine=begun, engine_from=source, tune=True)
        execution = replace(plan.execution, workers=execution.workers, ray=execution.ray)
    plan = replace(plan, execution=execution)
    tuning = Tuning(plan, store, part, retry_failed)
    file = _file(suite, plan.suite, out)
    check_target(file, plan.suite)
    if not dry_run:
        options = Options(retry_failed=retry_failed, max_hours=max_hours, quiet=quiet)
        outcome = _run(tuning, store, options)
        _say_outcome(outcome, max_hours)
        _leave(tuning, store, suite, file)
        raise typer.Exit(outcome.exit_code)
    for line in claim_lines(plan, level_here(plan, store)):
        echo(line)
    print_cost(tuning, tuning.next())


def _first(replicates: int, plan: "Plan") -> int | list[int]:
    """The first replicates that the suite declares; further ones only where it has a number, not a list of its own."""
    assert plan.search is not None
    declared = plan.search.replicates
    if declared == list(range(len(declared))):
        return replicates
    if replicates > len(declared):
        raise UserError(
            f"tune --replicates {replicates}: the suite declares {many(len(declared), 'replicate')}, {declared}",
            remedy="add numbers to search.replicates in the suite",
        )
    return declared[:replicates]


def _run(tuning: "Tuning", store: "Store", options: "Options") -> "Outcome":
    """Runs proposals until there is none."""
    from haepo_bench.execution.session import run_plan

    began = time.monotonic()
    while (plan := tuning.next()) is not None:
        if not options.quiet:
            echo(f"{many(plan.runs, 'run')} next; {_so_far(tuning)}", err=True)
        left = None if options.max_hours is None else options.max_hours - (time.monotonic() - began) / 3600
        # What is proposed has failed before only where it is to be run again.
        outcome = run_plan(plan, store, replace(options, retry_failed=True, max_hours=left))
        if outcome.signalled or outcome.finished + outcome.failed < outcome.asked or outcome.lost:
            return outcome
    # Nothing is left to run: writes the plan of all, and says what became of the runs.
    return run_plan(tuning.taken, store, replace(options, retry_failed=False, quiet=True))


def _so_far(tuning: "Tuning") -> str:
    chosen, all_ = (sum(getattr(each, name) for each in tuning.progress) for name in ("chosen", "replicates"))
    found = sum(each.found for each in tuning.progress)
    return f"{_have_chosen(chosen, all_)}, settings found for {many(found, 'algorithm')}"


def _have_chosen(chosen: int, replicates: int) -> str:
    return f"{chosen} of {many(replicates, 'replicate')} {'has' if replicates == 1 else 'have'} chosen"


def _say_outcome(outcome: "Outcome", max_hours: float | None) -> None:
    if outcome.signalled:
        echo(f"interrupted: {outcome.after_interruption}", err=True)
        return
    failed = outcome.failed - outcome.lost
    if failed:
        echo(f"{many(failed, 'run')} failed, which count with the least score; run again with --retry-failed", err=True)
    if outcome.lost:
        tried = f"{many(outcome.lost, 'run')} failed by the machine's doing, tried again in vain"
        echo(f"{tried}: the same command runs them again", err=True)
    if outcome.not_started:
        left = f"{many(outcome.not_started, 'run')} not started, which would not have ended within"
        echo(f"{left} {max_hours:g} h: the same command continues", err=True)


def _file(suite: str, name: str, out: Path | None) -> Path:
    """Where the settings found go."""
    from haepo_bench.suite.shipped import find_suite, list_suites

    if out is not None:
        return out
    path = find_suite(suite)
    folder = Path() if path in list_suites().values() else path.parent
    return folder / f"{name}.tuned.yaml"


def _leave(tuning: "Tuning", store: "Store", suite: str, file: Path) -> None:
    """Writes what was found, and says what comes next."""
    from haepo_bench.search.tuned_file import tuned_file, write_tuned

    for each in tuning.progress:
        found = "settings found" if each.found else "settings not found yet"
        line = f"{each.algorithm}: {_have_chosen(each.chosen, each.replicates)}"
        echo(line if tuning.shard is not None else f"{line}, {found}")
    where = shlex.quote(str(store.root))
    if tuning.shard is not None:
        shards, root = shlex.quote(str(store.root.parent)), shlex.quote(str(store.root.parent.parent))
        echo(f"next, with all shards: haepo-bench merge {shards} --into {root}, then the same command without --shard")
        return
    report = f"haepo-bench report {where}"
    if tuning.chooser is None or not all(each.found for each in tuning.progress):
        if tuning.progress and all(each.chosen == each.replicates for each in tuning.progress):
            echo(f"next: {report}, which has all that it needs; the settings found are left, for the same command")
        return
    tuned = tuned_file(tuning.plan, tuning.chooser)
    echo(f"settings found: {file} ({write_tuned(file, tuned)}); review and commit it")
    for name, algorithm in tuned.algorithms.items():
        if algorithm.failed == algorithm.draws * tuned.search.seeds * len(algorithm.params):
            failed = "all runs of its configurations failed; the settings are the first that were drawn"
            echo(f"warning: {name}: {failed}", err=True)
        if algorithm.space_too_small:
            echo(f"space too small: {name}: {', '.join(algorithm.space_too_small)} at an edge of the space")
    echo(f"next: haepo-bench run {shlex.quote(suite)} --tuned {shlex.quote(str(file))}")
    echo(f"      {report}")
