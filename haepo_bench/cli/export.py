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
    tensorboard = "tensorboard"
    wandb = "wandb"
    trackio = "trackio"
    mlflow = "mlflow"


def export(
    results: Annotated[
        Path, typer.Argument(help="A results folder, of one suite or of several.", show_default=True)
    ] = Path("results"),
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="Of tables, or a tool to log to. All but csv need their extra: pip install 'haepo-bench[parquet]'.",
        ),
    ] = ExportFormat.csv,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables, and for what tools keep; RESULTS/export where left out.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace tables that are there; log to tools' folders that are there.")
    ] = False,
) -> None:
    """Write the runs in RESULTS as two tidy tables, one row per run, and one row per run and evaluation point.

    Or log them to TensorBoard, W&B, trackio or MLflow, as `run --log` does while they are made.
    """
    from haepo_bench.cli.omissions import conclude, name_omissions
    from haepo_bench.exchange.export import EXPORT_FOLDER, TableFormat
    from haepo_bench.exchange.export import export as write_tables
    from haepo_bench.report.numbers.damaged import damaged_files
    from haepo_bench.text import plain
    from haepo_bench.wording import many

    folder = out if out is not None else results / EXPORT_FOLDER
    if form is ExportFormat.csv or form is ExportFormat.parquet:
        kind: TableFormat = "csv" if form is ExportFormat.csv else "parquet"
        tables = write_tables(results, kind, folder, force=force)
        for file, rows, what in zip(tables.files, tables.rows, ("runs", "evaluation points"), strict=True):
            echo(f"wrote {file} ({rows:,} {what})")
        selections = tables.selections
    else:
        from haepo_bench.loggers.stored import log_stored

        logged = log_stored(form.value, results, folder, force=force)
        for place, runs in logged.places.items():
            # A server that the tool's environment names has them instead.
            echo(f"wrote {place} ({many(runs, 'run')})" if place.exists() else f"logged {many(runs, 'run')} to {form}")
        selections = logged.selections
    name_omissions(selections)
    named = [(plain(selection.name), file) for selection in selections for file in damaged_files(selection)]
    raise typer.Exit(conclude(ExitCode.OK, named))
