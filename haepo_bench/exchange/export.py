"""Tidy tables of a results folder, as CSV or Parquet."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.results.opening import open_results
from haepo_bench.results.selection import Selection
from haepo_bench.results.writing import translate_os_errors, write_atomically
from haepo_bench.text import csv_text

if TYPE_CHECKING:
    import pandas as pd

TableFormat = Literal["csv", "parquet"]

#: Folder inside the results where tables go unless told otherwise.
EXPORT_FOLDER = "export"


class Export(NamedTuple):
    """What was written and what it rests on.

    Args:
        files: the run table, then the curve table.
        rows: rows of each.
    """

    files: tuple[Path, Path]
    rows: tuple[int, int]
    selections: list[Selection]


def export(results: Path, form: TableFormat, out: Path, *, force: bool = False) -> Export:
    """Writes `runs` and `curves` to the folder `out`; both files appear whole or not at all.

    Args:
        force: replace files that are there.

    Raises:
        UserError: nothing to export, a file is there already, pyarrow is missing, the folder cannot be written.
    """
    if form == "parquet":
        _require_pyarrow()
    files = (out / f"runs.{form}", out / f"curves.{form}")
    with translate_os_errors(out, option="--out"):
        existing = [file for file in files if file.exists()]
    if existing and not force:
        raise UserError(
            "is there already", where=str(existing[0]), remedy="replace it with --force, or name another --out folder"
        )
    selections = open_results(results, to="export")
    from haepo_bench.exchange.tables import tables

    both = tables(selections)
    render = _csv if form == "csv" else _parquet
    contents = [render(table) for table in both]
    written: list[Path] = []
    try:
        for file, content in zip(files, contents, strict=True):
            write_atomically(file, content, option="--out")
            written.append(file)
    except UserError:
        for file in written:  # alone it would be in the way of the next try
            if file not in existing:
                file.unlink()
        raise
    return Export(files, (len(both.runs), len(both.curves)), selections)


def _csv(table: "pd.DataFrame") -> bytes:
    """UTF-8; numbers with all their digits; empty where undefined; no text that a spreadsheet takes for a formula."""
    import pandas as pd

    from haepo_bench.exchange.tables import text_columns

    safe = table.copy(deep=False)
    for name in text_columns(safe):
        known = {value: csv_text(value) for value in safe[name].unique() if isinstance(value, str)}
        safe[name] = safe[name].map(lambda value, known=known: known.get(value, value))
    safe.columns = pd.Index([csv_text(str(name)) for name in safe.columns])
    return safe.to_csv(index=False, lineterminator="\n").encode("utf-8", errors="replace")


def _parquet(table: "pd.DataFrame") -> bytes:
    from haepo_bench.exchange.tables import text_columns

    file = io.BytesIO()
    # Columns of text, or of true and false, that hold nothing anywhere would get no type at all.
    typed = {
        name: "boolean" if name in ("critic", "exploratory", "git_dirty") else "string" for name in text_columns(table)
    }
    table.astype(typed).to_parquet(file, engine="pyarrow", index=False)
    return file.getvalue()


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401  # is it there?
    except ImportError:
        raise UserError(
            "Parquet files are written by pyarrow, which is not installed",
            where="--format parquet",
            remedy="pip install 'haepo-bench[parquet]', or take --format csv",
        ) from None
