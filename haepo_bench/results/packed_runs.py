"""Run records packed for the index: what many share is stored once, curves as arrays.

A record is cut into what it shares with the others of its cell, what its provenance shares with the others of its
session, and the rest. Unpacked records share the objects of the former two, so that a hundred thousand of them fit
into memory. Nothing here is the only copy of anything: what does not unpack is read from its file again.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from haepo_bench.results.record import FINISHED, Failure, Information, References, RunRecord

#: Fields that the runs of a cell share.
_OF_CELL = (
    *("format_version", "suite", "task", "algorithm", "uses", "settings_hash", "code_hash"),
    *("settings", "parameters", "references", "information", "notes"),
)
#: Of the provenance, what differs from run to run.
_OF_RUN = ("started", "seeds", "log", "resumed", "checkpoints_put_aside")


class PackedRun(NamedTuple):
    """A record in parts.

    Args:
        cell, session, columns: JSON texts that many share: of the cell, of the provenance, the names of the curve.
        own: JSON text of the rest.
        curve: [column, point] float64, in C order; NaN where null.
    """

    cell: str
    session: str
    columns: str
    own: str
    curve: bytes


def pack(record: RunRecord) -> PackedRun:
    """Packs a record."""
    document = record.model_dump(mode="json", exclude={"curve"})
    provenance = document.pop("provenance")
    cell = {name: document.pop(name) for name in _OF_CELL}
    own_provenance = {name: provenance.pop(name) for name in _OF_RUN if name in provenance}
    curve = record.curve if record.status in FINISHED else {}
    columns = np.array([np.array(column, dtype=float) for column in curve.values()], dtype="<f8")
    return PackedRun(
        cell=_dump(cell),
        session=_dump(provenance),
        columns=_dump(list(curve)),
        own=_dump({**document, "provenance": own_provenance}),
        curve=columns.tobytes(),
    )


@lru_cache(maxsize=100_000)
def digest_of(text: str) -> bytes:
    """What a shared text is known by."""
    return sha256(text.encode()).digest()[:16]


class SharedParts:
    """Shared texts as objects, each made once.

    Args:
        texts: by the number under which they are stored.
    """

    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts
        self._objects: dict[int, Any] = {}

    def text(self, number: int) -> str:
        """A text as it was stored."""
        return self._texts[number]

    def plain(self, number: int) -> Any:
        """A text as JSON."""
        if number not in self._objects:
            self._objects[number] = json.loads(self._texts[number])
        return self._objects[number]

    def rows(self, number: int) -> dict[str, int]:
        """The names of a curve's columns, each with its row."""
        if number not in self._objects:
            self._objects[number] = {name: row for row, name in enumerate(json.loads(self._texts[number]))}
        found: dict[str, int] = self._objects[number]
        return found

    def cell(self, number: int) -> RunRecord:
        """What runs of a cell share, as a record that says no more; a copy of it costs less than another."""
        if number not in self._objects:
            fields = json.loads(self._texts[number])
            references = fields["references"]
            fields["references"] = None if references is None else References.model_validate(references)
            fields["information"] = Information.model_validate(fields["information"])
            own = dict.fromkeys(RunRecord.model_fields.keys() - fields.keys())
            fields |= {**own, "curve": {}, "attempts": []}
            self._objects[number] = RunRecord.model_construct(**fields)
        found: RunRecord = self._objects[number]
        return found


def unpack(shared: SharedParts, cell: int, session: int, own: bytes) -> RunRecord:
    """The record with an empty curve.

    Raises:
        KeyError, ValueError: it is not what `pack` made.
    """
    fields = from_json(own, allow_inf_nan=False)
    fields["provenance"] = {**shared.plain(session), **fields["provenance"]}
    error, attempts = fields["error"], fields["attempts"]
    if error is not None:
        fields["error"] = Failure.model_validate(error)
    if attempts:
        fields["attempts"] = [Failure.model_validate(attempt) for attempt in attempts]
    return shared.cell(cell).model_copy(update=fields)


class PackedCurve(Mapping[str, NDArray[Any]]):
    """Columns by name, of an array that is never copied.

    Args:
        rows: {name: row}; runs with the same columns share it.
        table: [column, point] float64.
    """

    __slots__ = ("_rows", "_table")

    def __init__(self, rows: dict[str, int], table: NDArray[Any]) -> None:
        self._rows, self._table = rows, table

    def __getitem__(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = self._table[self._rows[name]]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
