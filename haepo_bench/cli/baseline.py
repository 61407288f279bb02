"""`haepo-bench baseline`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.errors import ExitCode
from haepo_bench.terminal import echo


def baseline(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The results folder of one suite, complete.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The baseline file, such as baselines/regression.json.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why it is recorded; kept in the file for good.")
    ],
    min_seeds: Annotated[
        int | None,
        typer.Option("--min-seeds", min=2, metavar="N", help="Runs that each cell must have; 50 where left out."),
    ] = None,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="Take runs that were made while files differed from the commit.")
    ] = False,
) -> None:
    """Record what later runs are judged by.

    Recording onto an existing baseline keeps its history of reasons and, for each cell, what its first recording said.
    """
    from haepo_bench.cli.omissions import conclude
    from haepo_bench.regression.baseline import load_baseline, save_baseline
    from haepo_bench.regression.folder import runs_in
    from haepo_bench.regression.present import recording_lines
    from haepo_bench.regression.recording import SEEDS, record_baseline
    from haepo_bench.report.numbers.damaged import damaged_files
    from haepo_bench.text import plain

    before = load_baseline(out) if os.path.lexists(out) else None
    selection = runs_in(results, before.suite if before else None, to="record")
    recorded = record_baseline(
        selection,
        reason=reason,
        before=before,
        min_seeds=SEEDS if min_seeds is None else min_seeds,
        allow_dirty=allow_dirty,
    )
    save_baseline(out, recorded)
    echo("\n".join(recording_lines(before, recorded)))
    echo(f"wrote {out}")
    raise typer.Exit(conclude(ExitCode.OK, ((plain(selection.name), file) for file in damaged_files(selection))))
