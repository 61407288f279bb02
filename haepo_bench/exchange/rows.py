"""The content of a file from elsewhere, as rows: CSV, JSON lines and the trainer state of Hugging Face's trainers."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.wording import many

#: A cell in quotes; a quote within a cell is none of these.
_QUOTED = re.compile(r'(?<![^,;\t\n\r])"[^"]*(?:""[^"]*)*"')
#: The first line that is not empty, and the lines that a quoted name goes on over.
_HEADER = re.compile(rf"[\n\r]*(?:{_QUOTED.pattern}|[^\n\r])*")
_LINE_END = re.compile("\r\n?|\n")
#: In place of a value where an object has two of one name.
_CLASH = object()


@dataclass(frozen=True)
class Rows:
    """Named columns of equal length.

    Args:
        columns: name to [row] values as the file has them: numbers, text, None where the file says nothing.
        places: [row] where each row stands, such as `runs.csv:12`.
        facts: what the file says of all its rows, such as when the run started.
        clashes: name that stands for two values in one row to the place of that row.
    """

    columns: dict[str, list[Any]]
    places: list[str]
    facts: dict[str, Any] = field(default_factory=dict)
    clashes: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.places)


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
    return csv_rows(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text)), where)


def _delimiter(text: str) -> str:
    """Whichever of comma, semicolon and tab the header has most of, outside of quotes."""
    header = _HEADER.match(text)
    unquoted = _QUOTED.sub("", header[0] if header else "")
    return max(",;\t", key=unquoted.count)


@contextmanager
def _cells_of_any_size() -> Iterator[None]:
    before = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def csv_rows(reader: Any, where: str, *, first_line: int = 1, may_be_empty: bool = False) -> Rows:
    """Rows of a csv reader that stands before the header, which is the file's line `first_line`.

    Columns without a name, such as those behind trailing commas, are left out.
    """
    names: list[str] = []
    cells: list[list[str]] = []
    places: list[str] = []
    needed = 0
    try:
        with _cells_of_any_size():
            for row in reader:
                line = reader.line_num + first_line - 1
                if not row or (len(row) == 1 and not row[0].strip()):
                    continue
                if not names:
                    names = [name.strip() for name in row]
                    _check_header(names, f"{where}:{line}")
                    needed = max(i + 1 for i, name in enumerate(names) if name)
                    continue
                if len(row) < needed or any(cell.strip() for cell in row[len(names) :]):
                    raise UserError(
                        f"has {many(len(row), 'cell')}, but the header names {many(len(names), 'column')}",
                        where=f"{where}:{line}",
                        remedy="fix the line, or leave it out if the file was cut off while it was written",
                    )
                cells.append(row)
                places.append(f"{where}:{line}")
    except csv.Error as error:
        raise UserError(f"is not CSV: {error}", where=f"{where}:{reader.line_num + first_line - 1}") from None
    if not cells and not may_be_empty:
        raise UserError("is empty: it has a header and no rows" if names else "is empty", where=where)
    return Rows({name: [row[i].strip() or None for row in cells] for i, name in enumerate(names) if name}, places)


def _check_header(names: list[str], where: str) -> None:
    named = [name for name in names if name]
    twice = sorted({name for name in named if named.count(name) > 1})
    if twice:
        raise UserError(f"the header names the column '{twice[0]}' twice", where=where, remedy="rename one of the two")
    if not named:
        raise UserError("the header names no column", where=where)


def read_json_lines(content: bytes, where: str) -> Rows:
    """One JSON object per line, as W&B exports and many loggers write them; or a file that is one list of objects.

    Raises:
        UserError: empty, not JSON, or something else than objects.
    """
    text = decode(content, where)
    if text.lstrip().startswith("["):
        return objects(_loaded(text, where), [], where)
    # str.splitlines would also cut at characters that JSON has within texts, such as U+2028.
    lines = [(number, line) for number, line in enumerate(_LINE_END.split(text), 1) if line.strip()]
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
        raise UserError("is not a trainer state: it has no log_history", where=where, remedy="name its format")
    return objects(history, [], where)


def objects(entries: Any, places: list[str], where: str) -> Rows:
    """Rows of a list of JSON objects; what lies in an object inside one is called `outer.inner`."""
    if not isinstance(entries, list):
        raise UserError("holds no list of objects", where=where)
    places = places or [f"{where}: entry {i}" for i in range(len(entries))]
    rows = []
    clashes: dict[str, str] = {}
    for entry, place in zip(entries, places, strict=True):
        if not isinstance(entry, dict):
            raise UserError("is not a JSON object", where=place, remedy="one object per row, such as {'step': 1, ...}")
        row: dict[str, Any] = {}
        for name, value in _flat(entry):
            if value is _CLASH or (None not in (value, row.get(name)) and row[name] != value):
                clashes.setdefault(name, place)
            if row.get(name) is None:
                row[name] = value
        rows.append(row)
    if not rows:
        raise UserError("is empty", where=where)
    names = dict.fromkeys(name for row in rows for name in row)
    return Rows({name: [row.get(name) for row in rows] for name in names}, places, clashes=clashes)


def _flat(entry: dict[str, Any], prefix: str = "", depth: int = 0) -> Iterable[tuple[str, Any]]:
    for name, value in entry.items():
        if isinstance(value, dict) and depth < 8:
            yield from _flat(value, f"{prefix}{name}.", depth + 1)
        elif not isinstance(value, list | dict):
            yield f"{prefix}{name}", value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a key that comes twice with different values has none."""
    entry = dict(pairs)
    if len(entry) < len(pairs):
        first: dict[str, Any] = {}
        for name, value in pairs:
            if first.setdefault(name, value) != value:
                entry[name] = _CLASH
    return entry


def _loaded(text: str, where: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"is not JSON, perhaps cut off: {error}", where=where, remedy="fix the line, or leave it out"
        ) from None
