"""What is in a store and the present plan's results do not need; its removal to a folder beside: nothing is deleted.

Three kinds: runs of planned cells by other code or settings (obsolete; reports show them as history), files that cannot
be read as the runs that they should be (damaged), and what unfinished runs would go on from (checkpoints). Without a
readable plan nothing is obsolete, because nothing says what is wanted.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Literal

from haepo_bench.results.identity import CellIdentity, cell_folder
from haepo_bench.results.opening import find_suites
from haepo_bench.results.selection import TRASH_FOLDER, SelectedCell, select
from haepo_bench.results.store import LOG_FOLDER, FileState, Store, Unusable, read_record
from haepo_bench.results.writing import translate_os_errors

Kind = Literal["obsolete", "damaged", "checkpoint"]
KINDS: tuple[Kind, ...] = ("obsolete", "damaged", "checkpoint")

_HASHES = re.compile(r"([0-9a-f]{8})-([0-9a-f]{8})")


@dataclass(frozen=True)
class Leftover:
    """What can go.

    Args:
        suite: the suite's folder.
        paths: a cell's folder and its logs, or one file; relative to the suite's folder, the first one names it.
        size: of all files together, in bytes.
        runs: run files among them.
        reason: why it can go.
    """

    kind: Kind
    suite: Path
    paths: tuple[Path, ...]
    size: int
    runs: int
    reason: str


def leftovers(results: Path, kinds: tuple[Kind, ...] = KINDS) -> list[Leftover]:
    """What can go from a suite's folder, or from all suites in a folder.

    Raises:
        OSError: a folder cannot be listed.
    """
    return [found for suite in find_suites(results) for found in _in_suite(suite, kinds)]


def move_away(results: Path, kinds: tuple[Kind, ...] = KINDS) -> list[Leftover]:
    """Moves what can go to `.trash` in `results`, where no command looks; what has been moved.

    Raises:
        UserError: a `run` holds a suite's folder, or something cannot be moved.
    """
    moved = []
    for suite in find_suites(results):
        below = Path() if suite == results else Path(suite.name)
        with Store(suite).lock():
            for found in _in_suite(suite, kinds):
                for path in found.paths:
                    _move(suite / path, results / TRASH_FOLDER / below / path)
                moved.append(found)
    return moved


def _in_suite(suite: Path, kinds: tuple[Kind, ...]) -> Iterator[Leftover]:
    store = Store(suite)
    folders = sorted(path for path in suite.iterdir() if path.is_dir() and not path.name.startswith("."))
    reasons = _obsolete_folders(store, [folder.name for folder in folders])
    for folder in folders:
        reason = reasons.get(folder.name)
        if reason is not None and "obsolete" in kinds:
            logs = Path(LOG_FOLDER) / folder.name
            paths = (Path(folder.name), *([logs] if (suite / logs).is_dir() else []))
            size = sum(_size(suite / path) for path in paths)
            runs = sum(1 for _ in folder.glob("seed-*.json"))
            yield Leftover("obsolete", suite, paths, size, runs, reason)
            continue
        if folder.name == LOG_FOLDER:
            continue
        for file in sorted(folder.glob("seed-*")):
            kind, why = _file_kind(file)
            if kind in kinds:
                yield Leftover(kind, suite, (file.relative_to(suite),), _size(file), int(kind == "damaged"), why)


def _file_kind(file: Path) -> tuple[Kind | None, str]:
    """What a file in a cell's folder is, and why it can go."""
    if not file.is_file():
        return None, ""
    if ".damaged" in file.name:
        return "damaged", "set aside when it could not be read"
    if file.suffix == ".checkpoint":
        return "checkpoint", "of a run that is not finished: it would start from its beginning"
    if file.suffix == ".json":
        record = read_record(file)
        # One that cannot be read may hold a run all the same.
        if isinstance(record, Unusable) and record.state is FileState.DAMAGED:
            return "damaged", record.reason
    return None, ""


def _obsolete_folders(store: Store, names: list[str]) -> dict[str, str]:
    """Folders that hold runs of planned cells by other settings or other code, and which of the two."""
    selection = select(store)
    if not selection.plan:
        return {}
    planned = {cell.folder for cell in selection.cells}
    others = [name for name in names if name not in planned]
    return {name: reason for cell in selection.cells for name in others if (reason := _why_obsolete(cell, name))}


def _why_obsolete(cell: SelectedCell, folder: str) -> str:
    start = cell_folder(CellIdentity(*cell.key, settings_hash="", code_hash="")).removesuffix("-")
    hashes = _HASHES.fullmatch(folder.removeprefix(start)) if folder.startswith(start) else None
    if hashes is None:
        return ""
    return "other code" if hashes[1] == cell.settings_hash[:8] else "other settings"


def _size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file())


def _move(source: Path, target: Path) -> None:
    with translate_os_errors(target.parent):
        free = next(place for n in count() if not (place := _numbered(target, n)).exists())
        free.parent.mkdir(parents=True, exist_ok=True)
        source.rename(free)


def _numbered(path: Path, n: int) -> Path:
    return path.with_name(f"{path.name}.{n}") if n else path
