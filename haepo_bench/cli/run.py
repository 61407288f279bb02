"""`haepo-bench run`."""

import contextlib
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.cli.arguments import (
    AddressOption,
    EngineOption,
    ExecutorOption,
    LogOption,
    OnlyOption,
    SetOption,
    ShardOption,
    SuiteArgument,
    at_address,
    executor_sets,
    log_sets,
    say,
)
from haepo_bench.cli.claim_lines import claim_lines, level_here
from haepo_bench.cli.slurm import (
    AccountOption,
    Asked,
    CpusOption,
    DetachOption,
    GpusOption,
    MemoryOption,
    PartitionOption,
    QosOption,
    TimeOption,
    check_options,
    cluster_for,
    run_on_slurm,
    slurm_sets,
)
from haepo_bench.cli.until_decided import print_cost, run_until_decided
from haepo_bench.cli.view import ViewBeside
from haepo_bench.errors import UserError
from haepo_bench.terminal import console, echo
from haepo_bench.wording import many


def run(
    context: typer.Context,
    suite: SuiteArgument,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Parent folder of the suite's results folder.")] = Path(
        "results"
    ),
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="N", help="Worker processes; the suite's number if left out.")
    ] = None,
    engine: EngineOption = None,
    executor: ExecutorOption = None,
    address: AddressOption = None,
    slurm_partition: PartitionOption = None,
    slurm_account: AccountOption = None,
    slurm_qos: QosOption = None,
    slurm_time: TimeOption = None,
    slurm_cpus: CpusOption = None,
    slurm_gpus: GpusOption = None,
    slurm_memory: MemoryOption = None,
    detach: DetachOption = False,
    sets: SetOption = None,
    only: OnlyOption = None,
    shard: ShardOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed runs again.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False,
    max_hours: Annotated[
        float | None,
        typer.Option(
            "--max-hours",
            min=0.0,
            metavar="H",
            help="Start no job that would not end within H hours; the same command continues.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be run; write nothing.")] = False,
    save_policies: Annotated[
        bool, typer.Option("--save-policies", help="Keep the final policy of each run made now as seed-<n>.npz.")
    ] = False,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided", help="Run seeds until the claims are decided, where they decide most per env step."
        ),
    ] = False,
    tuned: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Run with the settings that `tune` found, into results of their own: DIR/SUITE-tuned."
        ),
    ] = None,
    per_task: Annotated[
        bool, typer.Option("--per-task", help="With --tuned: also with those found for each task, as NAME.per-task.")
    ] = False,
    max_seeds: Annotated[
        int, typer.Option(min=2, max=10_000, metavar="N", help="With --until-decided: seeds of an algorithm at most.")
    ] = 200,
    log: LogOption = None,
    view: Annotated[
        bool, typer.Option("--view", help="Show the runs as they happen, in a browser, as `view` does.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the end.")] = False,
    as_planned: Annotated[bool, typer.Option("--as-planned", hidden=True)] = False,
) -> None:
    """Run what is missing of a suite.

    Finished runs are kept and never run again while settings and code stay the same. Interrupted runs are run again, as
    are those whose process was killed or out of memory (up to 3 times at once); other failed ones with --retry-failed.
    """
    from haepo_bench.execution.resolving import SuiteWorker
    from haepo_bench.execution.session import Options, engine_of, forecast, run_plan
    from haepo_bench.execution.summary import print_forecast, print_results
    from haepo_bench.loggers.live import observers_for
    from haepo_bench.results.store import Store
    from haepo_bench.suite.shards import Shard, share

    asked = context.get_parameter_source("max_seeds")
    if not until_decided and asked is not None and asked.name != "DEFAULT":
        raise UserError(
            "--max-seeds: needs --until-decided", remedy="without it the suite's seeds are run: --set seeds=N"
        )
    if per_task and tuned is None:
        raise UserError("--per-task: needs --tuned FILE", remedy="`haepo-bench tune` writes the file")
    part = Shard.parse(shard) if shard is not None else None
    worker = context.with_resource(contextlib.closing(SuiteWorker()))
    of_slurm = slurm_sets(
        partition=slurm_partition,
        account=slurm_account,
        qos=slurm_qos,
        time=slurm_time,
        cpus=slurm_cpus,
        gpus=slurm_gpus,
        memory=slurm_memory,
    )
    sets = [*(sets or ()), *of_slurm, *executor_sets(executor), *log_sets(log)]
    settings = None if tuned is None else str(tuned)
    plan = worker.load_plan(suite, sets, only or (), say=say, engine=engine, tuned=settings, per_task=per_task)
    execution = at_address(plan.execution, address).with_workers(workers)
    plan = replace(plan, execution=execution)
    store = Store(results / plan.suite)
    no_array = [
        ("--shard", shard, "the jobs are shards themselves; --executor local runs one by hand"),
        ("--workers", workers, "a job has as many workers as processors: --slurm-cpus N"),
        ("--max-hours", max_hours, "--slurm-time is the limit of a job; the same command continues"),
        ("--fail-fast", fail_fast, "leave it out: failed runs wait for --retry-failed"),
        ("--until-decided", until_decided, "leave it out, and give the seeds that are to be run: --set seeds=N"),
    ]
    check_options(plan, of_slurm, no_array, detach)
    if as_planned:
        from haepo_bench.execution.slurm.agreement import check_as_planned

        check_as_planned(plan, store)
    if part is not None:
        whole, plan = plan, share(plan, part)
        store = Store(store.root / part.folder)
        if not plan.runs:
            echo(f"shard {part} has nothing to do: there are fewer runs ({whole.runs}) than shards")
            return
    begun = engine_of(store)
    if begun is not None and begun != plan.execution.engine and plan.execution.engine_open:
        # Runs of one folder are of one engine, unless an option names another.
        source = f"the plan in {store.root}"
        again = worker.load_plan(
            suite, sets, only or (), engine=begun, engine_from=source, tuned=settings, per_task=per_task
        )
        plan = replace(again, execution=replace(again.execution, workers=execution.workers, ray=execution.ray))
        plan = plan if part is None else share(plan, part)
    search = None
    if until_decided:
        from haepo_bench.search.until_decided import UntilDecided

        if part is not None or only:
            option = "--shard" if part is not None else "--only"
            raise UserError(f"--until-decided takes whole seeds of all algorithms: leave {option} out")
        plan = replace(plan, source=f"{plan.source}\n# run with --until-decided --max-seeds {max_seeds}")
        search = UntilDecided(plan, store, max_seeds, retry_failed)
    asked_of_all = Asked(suite, results, sets, only or (), retry_failed, save_policies)
    if dry_run:
        for line in claim_lines(plan if search is None else search.at_most(), level_here(plan, store)):
            echo(line)
    if dry_run and search is not None:
        print_cost(search, store)
        return
    if dry_run:
        print_forecast(plan, forecast(plan, store, retry_failed=retry_failed), console())
        for line in cluster_for(plan, store, asked_of_all).outlook() if plan.execution.executor == "slurm" else ():
            echo(line)
        return
    if not quiet:
        execution = plan.execution
        counts = [many(len(plan.cells), "cell"), many(plan.runs, "run")]
        places = {"ray": "on a Ray cluster", "slurm": "as Slurm jobs"}
        where = places.get(execution.executor) or many(execution.workers, "worker")
        count = ", ".join([*counts, where])
        of_it = f", shard {part}" if part is not None else ""
        echo(f"{plan.suite}{of_it}: {count}, device {execution.device} ({execution.device_reason})", err=True)
        used = dict.fromkeys(cell.engine for cell in plan.cells)
        echo(f"engine {' and '.join(used)} ({execution.engine_reason})", err=True)
        if part is not None and execution.engine_open:
            echo(f"  left to this machine: to have the same on all of them, add --engine {execution.engine}", err=True)
    beside = context.with_resource(ViewBeside(store.root)) if view else None
    if plan.execution.executor == "slurm":
        run_on_slurm(plan, store, asked_of_all, detach=detach, quiet=quiet)
    options = Options(
        retry_failed=retry_failed,
        fail_fast=fail_fast,
        save_policies=save_policies,
        max_hours=max_hours,
        quiet=quiet,
    )
    observers = observers_for(plan.execution.log, store.root, plan.suite)
    if search is not None:
        outcome = run_until_decided(search, store, options, observers)
        plan = search.taken
    else:
        outcome = run_plan(plan, store, options, worker.ready, observers)
    print_results(plan, outcome.runs, store.root, console())
    if outcome.signalled:
        echo(f"interrupted: {outcome.after_interruption}", err=True)
    else:
        if outcome.failed > outcome.lost:
            echo(f"{many(outcome.failed - outcome.lost, 'run')} failed: run again with --retry-failed", err=True)
        if outcome.lost:
            tried = f"{many(outcome.lost, 'run')} failed by the machine's doing, tried again in vain"
            echo(f"{tried}: the same command runs them again", err=True)
        if outcome.not_started:
            left = f"{many(outcome.not_started, 'run')} not started, which would not have ended within"
            echo(f"{left} {max_hours:g} h: the same command continues", err=True)
    if part is None:
        echo(f"next: haepo-bench report {shlex.quote(str(store.root))}")
    else:
        shards, suite_root = store.root.parent, store.root.parent.parent
        echo(
            f"next, with all shards: haepo-bench merge {shlex.quote(str(shards))} --into {shlex.quote(str(suite_root))}"
        )
    if beside is not None:
        beside.stays = not outcome.signalled
    raise typer.Exit(outcome.exit_code)
