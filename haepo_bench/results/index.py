"""The index of a results folder: its run records in one SQLite file, so that many are read in seconds.

Made from the records and never the only copy: delete it, and the next `run` makes it again. An entry holds for a file
of the same name, size and modification time (ns); else the record is read. Only what holds the folder's lock writes it.
Readers that find it missing, damaged, locked or of another version read the records.

SQLite, because it is part of Python, changes single entries in place, and is either before or after a change when a
process dies. Each entry has a checksum, which SQLite does not keep.
"""

import contextlib
import os
import sqlite3
import stat
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from haepo_bench.files import refuse_special
from haepo_bench.results.packed_runs import PackedCurve, SharedParts, digest_of, pack, unpack
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store, is_cell, read_record

INDEX_FILE = ".index.sqlite3"

#: Of the tables and of what `pack` makes; an index of another version is made anew.
_VERSION = 1
_TABLES = """
CREATE TABLE texts (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, text TEXT NOT NULL);
CREATE TABLE runs (
    folder TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    cell INTEGER NOT NULL, session INTEGER NOT NULL, columns INTEGER NOT NULL,
    own BLOB NOT NULL, own_sum INTEGER NOT NULL, curve BLOB NOT NULL, curve_sum INTEGER NOT NULL,
    PRIMARY KEY (folder, name)
);
"""
_BUSY_SECONDS = 2.0
_COMMIT_EVERY = 5_000


class Indexed(NamedTuple):
    """An entry: the record with an empty curve, and the curve; empty where it was not asked for or has no result."""

    record: RunRecord
    curve: PackedCurve


class Index:
    """The entries of a results folder that hold for its files as they now are.

    Args:
        root: the suite's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._shared = SharedParts({})
        self._connection: sqlite3.Connection | None = None
        with contextlib.suppress(sqlite3.Error, OSError):
            refuse_special(root / INDEX_FILE)
            self._connection = _open(root / INDEX_FILE)
            self._shared = SharedParts({number: text for number, (_, text) in _texts(self._connection).items()})

    def folder(self, name: str, *, curves: bool) -> dict[str, Indexed]:
        """The entries of a cell's folder, by file name.

        Args:
            curves: whether their curves are wanted as well.
        """
        found: dict[str, Indexed] = {}
        for place, *parts in self._rows(name, ", curve, curve_sum" if curves else ""):
            entry = self._entry(place, *parts)
            if entry is not None:
                found[place[1]] = entry
        return found

    def made_by(self, name: str) -> dict[str, tuple[str, dict[str, Any]]]:
        """Of the entries of a cell's folder what the runs use, and the provenance that those of a session share.

        A quarter of what records cost, which are not made for it.
        """
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for place, *parts in self._rows(name):
            with contextlib.suppress(KeyError, ValueError, TypeError):
                cell, session, columns, own, own_sum = parts
                if _sum(place, [self._shared.text(number) for number in (cell, session, columns)], own) == own_sum:
                    found[place[1]] = self._shared.cell(cell).uses, self._shared.plain(session)
        return found

    def _rows(self, name: str, more: str = "") -> Iterator[tuple[Any, ...]]:
        """The entries of a cell's folder that are of its files as they are now: place, then the parts as stored."""
        beside = f"{self._root / name}{os.sep}"
        with contextlib.suppress(sqlite3.Error):
            for file, size, mtime_ns, *parts in self._select(name, more):
                if isinstance(file, str) and _stamp(beside + file) == (size, mtime_ns):
                    yield (name, file, size, mtime_ns), *parts

    def _select(self, name: str, more: str) -> Iterable[tuple[Any, ...]]:
        if self._connection is None:
            return ()
        wanted = f"name, size, mtime_ns, cell, session, columns, own, own_sum{more}"
        return self._connection.execute(f"SELECT {wanted} FROM runs WHERE folder = ?", (name,))

    def __enter__(self) -> "Index":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _entry(
        self,
        place: "_Place",
        cell: int,
        session: int,
        columns: int,
        own: bytes,
        own_sum: int,
        curve: bytes = b"",
        curve_sum: int = 0,
    ) -> Indexed | None:
        """None where it is not what was written."""
        try:
            shared = [self._shared.text(number) for number in (cell, session, columns)]
            if _sum(place, shared, own) != own_sum or zlib.crc32(curve) != curve_sum:
                return None
            record = unpack(self._shared, cell, session, own)
            rows = self._shared.rows(columns) if curve else {}
            table = np.frombuffer(curve, dtype="<f8").reshape(len(rows) or 1, -1)
        except (KeyError, ValueError, TypeError):
            return None
        return Indexed(record, PackedCurve(rows, table))


#: Folder and name of a run's file, its size and modification time.
_Place = tuple[str, str, int, int]


def _sum(place: _Place, shared: Sequence[str], own: bytes) -> int:
    """Of all that is stored of a run but its curve: a disk may forget, and a changed number would be believed."""
    value = zlib.crc32(repr(place).encode(), zlib.crc32(own))
    for text in shared:
        value = zlib.crc32(digest_of(text), value)
    return value


def refresh(store: Store) -> None:
    """Brings a folder's index up to date. Call it with the lock held.

    An index that cannot be written is left: nothing depends on it.
    """
    path = store.root / INDEX_FILE
    with contextlib.suppress(sqlite3.Error, OSError):
        refuse_special(path)
        with contextlib.closing(_writable(path)) as connection:
            known = {
                (folder, name): (size, mtime_ns)
                for folder, name, size, mtime_ns in connection.execute("SELECT folder, name, size, mtime_ns FROM runs")
            }
            writer = _Writer(connection)
            for folder in (folder for folder in store.folders() if is_cell(folder.name)):
                for file in store.files(folder):
                    if file.suffix != ".json":
                        continue
                    key, stamp = (folder.name, file.name), _stamp(file)
                    if stamp is not None and known.pop(key, None) != stamp:
                        record = read_record(file)
                        # As it was before and after it was read: else it may be another's content.
                        if isinstance(record, RunRecord) and _stamp(file) == stamp:
                            writer.put(key, stamp, record)
            connection.executemany("DELETE FROM runs WHERE folder = ? AND name = ?", known)
            connection.commit()


class _Writer:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers = {digest: number for number, (digest, _) in _texts(connection).items()}
        self._written = 0

    def put(self, key: tuple[str, str], stamp: tuple[int, int], record: RunRecord) -> None:
        packed = pack(record)
        shared = (packed.cell, packed.session, packed.columns)
        own, place = packed.own.encode(), (*key, *stamp)
        sums = _sum(place, shared, own), zlib.crc32(packed.curve)
        row = (*place, *map(self._number, shared), own, sums[0], packed.curve, sums[1])
        self._connection.execute(f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(row))})", row)
        self._written += 1
        if self._written % _COMMIT_EVERY == 0:
            self._connection.commit()

    def _number(self, text: str) -> int:
        digest = digest_of(text)
        if digest not in self._numbers:
            done = self._connection.execute("INSERT INTO texts (digest, text) VALUES (?, ?)", (digest, text))
            self._numbers[digest] = int(done.lastrowid or 0)
        return self._numbers[digest]


def _texts(connection: sqlite3.Connection) -> dict[int, tuple[bytes, str]]:
    """The shared texts that are what was written, each with its digest."""
    rows = connection.execute("SELECT number, digest, text FROM texts")
    return {n: (digest, text) for n, digest, text in rows if isinstance(text, str) and digest_of(text) == digest}


def _open(path: Path) -> sqlite3.Connection:
    """For reading.

    Raises:
        sqlite3.Error: there is none that can be read, or it is of another version.
    """
    quoted = path.resolve().as_uri()
    connection = sqlite3.connect(f"{quoted}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            raise sqlite3.DatabaseError("of another version")
    except BaseException:
        connection.close()
        raise
    return connection


def _writable(path: Path) -> sqlite3.Connection:
    """For writing; one that is damaged or of another version gives way to an empty one."""
    try:
        with contextlib.closing(_open(path)) as before:
            whole = before.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
            if not whole or len(_texts(before)) < before.execute("SELECT count(*) FROM texts").fetchone()[0]:
                raise sqlite3.DatabaseError("damaged")
    except sqlite3.Error:
        for name in (path, path.with_name(f"{path.name}-journal")):
            name.unlink(missing_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
        connection.executescript(f"{_TABLES}PRAGMA user_version = {_VERSION};")
    return connection


def _stamp(path: Path | str) -> tuple[int, int] | None:
    """Size and modification time of a file that can be read; None of anything else."""
    try:
        found = os.stat(path)  # noqa: PTH116  # of a hundred thousand, most of the time would go into making paths
    except (OSError, ValueError):
        return None
    readable = stat.S_ISREG(found.st_mode) and os.access(path, os.R_OK)
    return (found.st_size, found.st_mtime_ns) if readable else None
