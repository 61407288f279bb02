"""`haepo-bench gate`."""

import contextlib
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench.cli.arguments import ShardOption, SuiteArgument
from haepo_bench.cli.arguments import say as print_line
from haepo_bench.cli.verdicts import (
    AlphaOption,
    BaselineOption,
    FormatOption,
    MinEffectOption,
    RequireOption,
    VerdictFormat,
    WriteOption,
    check_writable,
    deliver,
    rule_of,
)
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.terminal import echo
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.regression.check import Verdict
    from haepo_bench.suite.shards import Shard


def gate(
    context: typer.Context,
    suite: SuiteArgument,
    baseline: BaselineOption,
    results: Annotated[Path, typer.Option(metavar="DIR", help="Parent folder of the suite's results folder.")] = Path(
        "results/gate"
    ),
    seeds: Annotated[
        int, typer.Option(min=2, max=10_000, metavar="N", help="Fresh seeds of each cell that is not identical.")
    ] = 10,
    alpha: AlphaOption = 0.01,
    min_effect: MinEffectOption = 0.10,
    require: RequireOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, metavar="N", help="Worker processes; the suite's number if left out.")
    ] = None,
    shard: ShardOption = None,
    form: FormatOption = VerdictFormat.text,
    write: WriteOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the verdict.")] = False,
) -> None:
    """Run what is needed of SUITE to say whether the code as it now is changed its learning curves.

    Two known seeds first: cells that come out identical are done. The others run fresh seeds, which follow from the
    commit, and what is called worse must be so again on other seeds. Marks and exit codes are those of check.

    With --shard it runs what a share of the cells needs and judges nothing: merge the shards, then gate the whole.
    """
    from haepo_bench.execution.gate import GateOptions, gate_root
    from haepo_bench.execution.gate import gate as run_gate
    from haepo_bench.execution.resolving import SuiteWorker
    from haepo_bench.regression.baseline import load_baseline
    from haepo_bench.suite.shards import Shard

    part = Shard.parse(shard) if shard is not None else None
    if part is not None and (write or form is not VerdictFormat.text):
        raise UserError(
            "a shard does not give a verdict to be written",
            where="--shard",
            remedy="merge the shards, and give --format and --write to the gate of the whole",
        )
    files = check_writable(write)
    loaded = load_baseline(baseline)
    worker = context.with_resource(contextlib.closing(SuiteWorker()))
    plan = worker.load_plan(suite, say=print_line, engine=loaded.engine, engine_from=f"the baseline {baseline}")
    plan = replace(plan, execution=plan.execution.with_workers(workers))

    def say(line: str) -> None:
        if not quiet:
            echo(line, err=True)

    options = GateOptions(seeds=seeds, quiet=quiet, say=say, shard=part, ready=worker.ready)
    verdict = run_gate(plan, loaded, results, rule=rule_of(alpha, min_effect, require), options=options)
    root = gate_root(plan, results, part)
    code = deliver(verdict, form.value, files) if part is None else _after_shard(verdict, part, root)
    say(f"the runs are in {root}")
    if verdict.interrupted:
        echo("interrupted", err=True)
    raise typer.Exit(code)


def _after_shard(verdict: "Verdict", shard: "Shard", root: Path) -> ExitCode:
    """Says what to do with the runs of a shard, and what they lack."""
    from haepo_bench.regression.verdict import Mark

    failed = [cell for cell in verdict.cells if cell.mark is Mark.FAILED]
    for cell in failed:
        echo(f"{cell.key}: {cell.remark}", err=True)
    shards, whole = shlex.quote(str(root.parent)), shlex.quote(str(root.parent.parent))
    echo(f"shard {shard}: {many(len(verdict.cells), 'cell')} measured; the verdict is that of all shards together")
    echo(f"next, with all shards: haepo-bench merge {shards} --into {whole}, then the same command without --shard")
    if verdict.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.RUN_FAILED if failed else ExitCode.OK
