"""Runs read back from the tables that `haepo-bench export` wrote."""

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from haepo_bench.errors import UserError
from haepo_bench.exchange.files import read_bytes
from haepo_bench.exchange.mapping import is_name, is_task
from haepo_bench.exchange.numerals import number
from haepo_bench.exchange.records import FOOTNOTE, IMPORTER_VERSION, final_values, imported_from
from haepo_bench.exchange.rows import Rows, read_csv
from haepo_bench.exchange.storing import MissingRun
from haepo_bench.results.columns import COLUMNS, COST_COLUMNS, MEASURED, WHOLE
from haepo_bench.results.hashing import digest
from haepo_bench.results.identity import CellIdentity
from haepo_bench.results.record import Failure, Information, Number, References, RunRecord
from haepo_bench.text import unquoted_csv_text

#: Of a Parquet table that is read.
MAX_CELLS = 50_000_000

#: Columns of the curve table that follow from the others.
_DERIVED = ("return_filled", "score", "return_greedy_filled", "score_greedy")
_NO_CURVE = ("suite", "task", "algorithm", "seed", "status", *_DERIVED)
#: What only the last evaluation measures.
_ENDS = tuple(name for name, column in COLUMNS.items() if column.kind == "end")
_WHOLE = WHOLE & (MEASURED | COST_COLUMNS.keys())
_REMEDY = "the two tables must be as `haepo-bench export` wrote them"

#: Suite, task, algorithm and seed of a row.
_Key = tuple[str, str, str, int]


def curves_beside(runs: Path) -> Path:
    """The curve table that belongs to a run table."""
    return runs.with_name(f"curves{runs.suffix}")


def is_own(path: Path) -> bool:
    """Whether a file is the run table of an export, with its curve table beside it."""
    return path.name in {"runs.csv", "runs.parquet"} and curves_beside(path).is_file()


def read_own(path: Path, suite: str | None) -> tuple[list[RunRecord], list[MissingRun]]:
    """The runs of a run table and the curve table beside it, and the runs that were asked for and have none.

    Args:
        suite: a new name for the suite; as the tables say where None.

    Raises:
        UserError: the tables are damaged or do not belong together.
    """
    runs, curves = _read(path), _read(curves_beside(path))
    blocks = _blocks(curves, str(curves_beside(path)))
    provenance = imported_from([path, curves_beside(path)], "export")
    rows = [(row, _key(row, place), place) for row, place in _rows(runs, path)]
    lost = sorted(blocks.keys() - {key for _, key, _ in rows})
    if lost:
        raise UserError(
            f"has a curve of {lost[0][2]} on {lost[0][1]}, seed {lost[0][3]}, which is not among the runs",
            where=str(curves_beside(path)),
            remedy=_REMEDY,
        )
    records, missing = [], []
    for row, key, place in rows:
        if row.get("status") in {"missing", "damaged", "newer", "unreadable"}:
            missing.append(_missing(row, key, suite or key[0], place))
            continue
        try:
            records.append(_record(row, key, blocks.get(key, {}), suite or key[0], provenance, place))
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"is not a run as exported: {_first_line(error)}", where=place, remedy=_REMEDY) from None
    return records, missing


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _read(path: Path) -> Rows:
    if path.suffix == ".csv":
        table = read_csv(read_bytes(path), str(path))
        return replace(table, columns={unquoted_csv_text(name): column for name, column in table.columns.items()})
    try:
        import pandas as pd
        from pyarrow import parquet

        content = io.BytesIO(read_bytes(path))
        # Before anything is unpacked: a column of equal cells takes no room in the file.
        described = parquet.read_metadata(content)
        if described.num_rows * described.num_columns > MAX_CELLS:
            raise UserError(
                f"has more than {MAX_CELLS:,} cells", where=str(path), remedy="export fewer suites at a time"
            )
        frame = pd.read_parquet(content, engine="pyarrow")
    except ImportError:
        raise UserError(
            "Parquet files are read by pyarrow, which is not installed",
            where=str(path),
            remedy="pip install 'haepo-bench[parquet]'",
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(f"is not a Parquet file: {' '.join(str(error).split())[:200]}", where=str(path)) from None
    columns = {name: [None if pd.isna(value) else value for value in frame[name]] for name in frame.columns}
    return Rows(columns, [f"{path}: row {i}" for i in range(len(frame))])


def _rows(table: Rows, path: Path) -> list[tuple[dict[str, Any], str]]:
    missing = [
        name for name in ("suite", "task", "algorithm", "seed", "status", "settings") if name not in table.columns
    ]
    if missing:
        raise UserError(f"has no column '{missing[0]}'", where=str(path), remedy=_REMEDY)
    return [
        ({name: values[i] for name, values in table.columns.items()}, place) for i, place in enumerate(table.places)
    ]


def _key(row: Mapping[str, Any], place: str) -> _Key:
    suite, task, algorithm = (unquoted_csv_text(str(row.get(name) or "")) for name in ("suite", "task", "algorithm"))
    seed = number(row.get("seed"), place, "seed")
    if not is_name(suite) or not is_name(algorithm) or not is_task(task) or seed is None or seed < 0:
        raise UserError("does not say which run it belongs to", where=place, remedy=_REMEDY)
    return suite, task, algorithm, int(str(row["seed"]))


def _blocks(table: Rows, where: str) -> dict[_Key, dict[str, list[Number]]]:
    """The curves of each run: rows of the table that name it, in their order."""
    missing = [name for name in ("suite", "task", "algorithm", "seed", "env_steps") if name not in table.columns]
    if missing:
        raise UserError(f"has no column '{missing[0]}'", where=where, remedy=_REMEDY)
    names = [name for name in table.columns if name not in _NO_CURVE]
    indices: dict[tuple[Any, ...], list[int]] = {}
    keys = [table.columns[name] for name in ("suite", "task", "algorithm", "seed")]
    for i, raw in enumerate(zip(*keys, strict=True)):
        indices.setdefault(raw, []).append(i)
    blocks = {}
    for raw, rows in indices.items():
        key = _key(dict(zip(("suite", "task", "algorithm", "seed"), raw, strict=True)), table.places[rows[0]])
        columns = {name: [_number(table, name, i) for i in rows] for name in names}
        blocks[key] = {name: column for name, column in columns.items() if any(value is not None for value in column)}
    return blocks


def _number(table: Rows, name: str, i: int) -> Number:
    return _whole(name, number(table.columns[name][i], table.places[i], name))


def _whole(name: str, value: float | None) -> Number:
    return int(value) if value is not None and name in _WHOLE and value == round(value) else value


def _record(
    row: Mapping[str, Any],
    key: _Key,
    curve: dict[str, list[Number]],
    suite: str,
    imported: dict[str, Any],
    place: str,
) -> RunRecord:
    settings, status = json.loads(row["settings"]), row["status"]
    random, solved = (_float(row, f"reference_{name}", place) for name in ("random", "solved"))
    references = None
    if random is not None and solved is not None:
        references = References(random=random, solved=solved, source=_text(row, "reference_source"))
    ends = {name: _float(row, name, place) for name in _ENDS}
    costs = {name: _whole(name, _float(row, name, place)) for name in COST_COLUMNS}
    return RunRecord.model_validate(
        {
            "status": status,
            "suite": suite,
            "task": key[1],
            "algorithm": key[2],
            "uses": _text(row, "uses"),
            "seed": key[3],
            "settings_hash": row["settings_hash"],
            "code_hash": _code_hash(row),
            "settings": settings,
            "parameters": json.loads(row["parameters"]),
            "references": references,
            "information": _information(row, place),
            "curve": curve,
            "final": final_values(curve, references)
            | {name: value for name, value in ends.items() if value is not None},
            "cost": {name: value for name, value in costs.items() if value is not None},
            "notes": json.loads(row["notes"]),
            "provenance": {**json.loads(row["provenance"]), "imported": imported},
            "error": None if status == "done" else _failure(status, _text(row, "reason")),
            "attempts": json.loads(row["attempts"]),
        }
    )


def _missing(row: Mapping[str, Any], key: _Key, suite: str, place: str) -> MissingRun:
    try:
        information = Information.model_validate(_information(row, place))
    except ValidationError as error:
        raise UserError(f"is not a run as exported: {_first_line(error)}", where=place, remedy=_REMEDY) from None
    _, task, algorithm, seed = key
    cell = CellIdentity(task, algorithm, _text(row, "settings_hash"), _code_hash(row))
    return MissingRun(suite, cell, seed, _text(row, "uses") or algorithm, information)


def _code_hash(row: Mapping[str, Any]) -> str:
    # Not the code's own: `run` must never take an imported run for one that it made.
    return digest({"imported": IMPORTER_VERSION, "code_hash": row["code_hash"]})


def _information(row: Mapping[str, Any], place: str) -> dict[str, Any]:
    footnote = _text(row, "footnote")
    return {
        "told": row.get("told"),
        "critic": {"True": True, "False": False}.get(str(row.get("critic"))),
        "discount": _float(row, "discount", place),
        "label": _text(row, "label"),
        "footnote": footnote if FOOTNOTE in footnote else "; ".join(filter(None, [footnote, FOOTNOTE])),
    }


def _failure(status: Any, reason: str) -> Failure:
    kind, colon, message = reason.partition(": ")
    if status == "failed" and colon:
        return Failure(status=status, type=kind, message=message)
    return Failure(status=status, type=str(status).capitalize(), message=reason)


def _float(row: Mapping[str, Any], name: str, place: str) -> float | None:
    return number(row.get(name), place, name)


def _text(row: Mapping[str, Any], name: str) -> str:
    return unquoted_csv_text(str(row.get(name) or ""))
