"""What a file of somebody else's holds, as rows: CSV, JSON lines and the trainer state of Hugging Face's trainers."""

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.files import open_regular, read_regular, reason_of

#: Larger files are no learning curves: reading one into memory helps nobody.
MAX_BYTES = 2 * 1024**3


@dataclass(frozen=True)
class Rows:
    """Named columns of equal length.

    Args:
        columns: name to [row] values as the file has them: numbers, text, None where the file says nothing.
        places: [row] where each row stands, such as `runs.csv:12`.
        facts: what the file says of all its rows, such as when the run started.
    """

    columns: dict[str, list[Any]]
    places: list[str]
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)


def read_bytes(path: Path) -> bytes:
    """A whole file.

    Raises:
        UserError: not readable, or beyond what a learning curve can be.
    """
    try:
        return read_regular(path, most=MAX_BYTES)
    except OSError as error:
        raise UserError(f"cannot be read: {reason_of(error)}", where=str(path)) from None


def check_regular(path: Path) -> None:
    """Whether a file can be opened at all, before a library does.

    Raises:
        UserError: it is not a file, or cannot be read.
    """
    try:
        open_regular(path).close()
    except OSError as error:
        raise UserError(f"cannot be read: {reason_of(error)}", where=str(path)) from None


def decode(content: bytes, where: str) -> str:
    """UTF-8 text, with or without a byte order mark.

    Raises:
        UserError: it is something else.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"is not UTF-8 text (byte {error.start})", where=where, remedy="save it as UTF-8") from None


def read_csv(content: bytes, where: str) -> Rows:
    """A table with a header; cells are text, None where empty. Commas, else semicolons or tabs, whichever it has.

    Raises:
        UserError: empty, a column twice, or a row of another length than the header.
    """
    text = decode(content, where)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    return csv_rows(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), where)


def csv_rows(reader: Any, where: str, *, first_line: int = 1) -> Rows:
    """Rows of a csv reader that stands before the header, which is the file's line `first_line`."""
    names: list[str] = []
    cells: list[list[str]] = []
    places: list[str] = []
    try:
        for row in reader:
            line = reader.line_num + first_line - 1
            if not row or (len(row) == 1 and not row[0].strip()):
                continue
            if not names:
                names = [name.strip() for name in row]
                _check_header(names, f"{where}:{line}")
                continue
            if len(row) != len(names):
                raise UserError(
                    f"has {len(row)} cells, but the header names {len(names)} columns",
                    where=f"{where}:{line}",
                    remedy="mend the line, or leave it out if the file was cut off while it was written",
                )
            cells.append(row)
            places.append(f"{where}:{line}")
    except csv.Error as error:
        raise UserError(f"is not CSV: {error}", where=f"{where}:{reader.line_num + first_line - 1}") from None
    if not cells:
        raise UserError("is empty: it has a header and no rows" if names else "is empty", where=where)
    columns = {name: [row[i].strip() or None for row in cells] for i, name in enumerate(names)}
    return Rows(columns, places)


def _check_header(names: list[str], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"the header names the column '{twice[0]}' twice", where=where, remedy="rename one of the two")


def read_json_lines(content: bytes, where: str) -> Rows:
    """One JSON object a line, as W&B exports and many loggers write them; or a file that is one list of objects.

    Raises:
        UserError: empty, not JSON, or something else than objects.
    """
    text = decode(content, where)
    if text.lstrip().startswith("["):
        return objects(_loaded(text, where), [], where)
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    places = [f"{where}:{number}" for number, _ in lines]
    return objects([_loaded(line, place) for (_, line), place in zip(lines, places, strict=True)], places, where)


def read_trainer_state(content: bytes, where: str) -> Rows:
    """`log_history` of a trainer_state.json, as Hugging Face's trainers (TRL among them) write it.

    Raises:
        UserError: not JSON, or without a log_history.
    """
    document = _loaded(decode(content, where), where)
    history = document.get("log_history") if isinstance(document, dict) else None
    if history is None:
        raise UserError("is no trainer state: it has no log_history", where=where, remedy="name its format")
    return objects(history, [], where)


def objects(entries: Any, places: list[str], where: str) -> Rows:
    """Rows of a list of JSON objects; what lies in an object inside one is called `outer.inner`."""
    if not isinstance(entries, list):
        raise UserError("holds no list of objects", where=where)
    places = places or [f"{where}: entry {i}" for i in range(len(entries))]
    rows = []
    for entry, place in zip(entries, places, strict=True):
        if not isinstance(entry, dict):
            raise UserError("is no JSON object", where=place, remedy="one object a row, such as {'step': 1, ...}")
        rows.append(dict(_flat(entry)))
    if not rows:
        raise UserError("is empty", where=where)
    names = dict.fromkeys(name for row in rows for name in row)
    return Rows({name: [row.get(name) for row in rows] for name in names}, places)


def _flat(entry: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterable[tuple[str, Any]]:
    for name, value in entry.items():
        if isinstance(value, dict) and depth < 8:
            yield from _flat(value, f"{prefix}{name}.", depth + 1)
        elif not isinstance(value, list | dict):
            yield f"{prefix}{name}", value


def _loaded(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"is not JSON, perhaps cut off: {error}", where=where, remedy="mend the line, or leave it out"
        ) from None


def number(value: Any, where: str, column: str) -> float | None:
    """A cell as a number, NaN and infinity among them; None where it is empty.

    Raises:
        UserError: it is something else.
    """
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise UserError(f"'{str(value)[:40]}' in the column '{column}' is no number", where=where) from None
    except OverflowError:
        return math.inf
