"""`haepo-bench export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.errors import ExitCode
from haepo_bench.terminal import echo


class ExportFormat(StrEnum):
    """What `--format` takes."""

    csv = "csv"
    parquet = "parquet"


def export(
    results: Annotated[
        Path, typer.Argument(help="A results folder, of one suite or of several.", show_default=True)
    ] = Path("results"),
    form: Annotated[
        ExportFormat, typer.Option("--format", help="parquet needs pip install 'haepo-bench[parquet]'.")
    ] = ExportFormat.csv,
    out: Annotated[Path | None, typer.Option(help="Folder for the two tables; RESULTS/export where left out.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace tables that are there.")] = False,
) -> None:
    """Write two tidy tables of the runs in RESULTS: one row per run, and one row per run and evaluation point."""
    from haepo_bench.cli.omissions import conclude, name_omissions
    from haepo_bench.exchange.export import EXPORT_FOLDER
    from haepo_bench.exchange.export import export as write_tables
    from haepo_bench.report.numbers.damaged import damaged_files
    from haepo_bench.text import plain

    done = write_tables(results, form.value, out if out is not None else results / EXPORT_FOLDER, force=force)
    for file, rows, what in zip(done.files, done.rows, ("runs", "evaluation points"), strict=True):
        echo(f"wrote {file} ({rows:,} {what})")
    name_omissions(done.selections)
    named = [(plain(selection.name), file) for selection in done.selections for file in damaged_files(selection)]
    raise typer.Exit(conclude(ExitCode.OK, named))
