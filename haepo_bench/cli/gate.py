"""`haepo-bench gate`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.cli.arguments import SuiteArgument
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
from haepo_bench.terminal import echo


def gate(
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
    form: FormatOption = VerdictFormat.text,
    write: WriteOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the verdict.")] = False,
) -> None:
    """Run what is needed of SUITE to say whether the code as it now is changed its learning curves.

    Two known seeds first: cells that come out identical are done. The others run fresh seeds, which follow from the
    commit, and what is called worse must be so again on other seeds. Marks and exit codes are those of check.
    """
    from haepo_bench.execution.gate import GateOptions
    from haepo_bench.execution.gate import gate as run_gate
    from haepo_bench.regression.baseline import load_baseline
    from haepo_bench.suite.resolve import load_plan

    files = check_writable(write)
    loaded = load_baseline(baseline)
    plan = load_plan(suite)
    if workers is not None:
        plan = replace(plan, execution=replace(plan.execution, workers=workers))

    def say(line: str) -> None:
        if not quiet:
            echo(line, err=True)

    options = GateOptions(seeds=seeds, quiet=quiet, say=say)
    verdict = run_gate(plan, loaded, results, rule=rule_of(alpha, min_effect, require), options=options)
    code = deliver(verdict, form.value, files)
    say(f"the runs are in {results / plan.suite}")
    if verdict.interrupted:
        echo("interrupted", err=True)
    raise typer.Exit(code)
