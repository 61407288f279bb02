"""`haepo-bench check`."""

from pathlib import Path
from typing import Annotated

import typer

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


def check(
    results: Annotated[
        Path,
        typer.Argument(metavar="RESULTS", help="A results folder, of one suite or of several.", show_default=False),
    ],
    baseline: BaselineOption,
    alpha: AlphaOption = 0.01,
    min_effect: MinEffectOption = 0.10,
    require: RequireOption = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            "--max-slowdown",
            min=0.01,
            metavar="RATIO",
            help="Also judge the training cost: accept RATIO times the baseline's, each relative to a reference job.",
        ),
    ] = None,
    form: FormatOption = VerdictFormat.text,
    write: WriteOption = None,
) -> None:
    """Judge stored runs by a baseline.

    Marks: = identical, ~ not distinguishable, + better, - worse, ? too few seeds to decide, ! failed or missing, x not
    comparable. Exit code 1 with any -, else 2 with any ! or ?, else 3 with any x, else 0.
    """
    from haepo_bench.cli.omissions import conclude
    from haepo_bench.regression.baseline import load_baseline
    from haepo_bench.regression.check import check as judge
    from haepo_bench.regression.folder import runs_in
    from haepo_bench.report.numbers.damaged import damaged_files
    from haepo_bench.text import plain

    files = check_writable(write)
    loaded = load_baseline(baseline)
    selection = runs_in(results, loaded.suite, to="check")
    verdict = judge(selection, loaded, rule=rule_of(alpha, min_effect, require), max_slowdown=max_slowdown)
    code = deliver(verdict, form.value, files)
    raise typer.Exit(conclude(code, ((plain(selection.name), file) for file in damaged_files(selection))))
