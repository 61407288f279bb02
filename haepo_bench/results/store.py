"""Where runs are on disk: `<results>/<suite>/<cell folder>/seed-<n>.json`.

Files are written whole or not at all (temporary name in the same folder, flushed to disk, renamed) and nothing that is
stored as finished is ever replaced. A file that cannot be used is damaged (it was read, and is wrong), newer (of a
format that a later version writes) or unreadable (it could not be read, so that nothing is known of what it holds).
Only a damaged file is ever put aside.
"""

import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haepo_bench.errors import UserError
from haepo_bench.files import list_folder, open_regular, read_regular, reason_of, refuse_special
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.record import FINISHED, NewerFormat, RunRecord
from haepo_bench.results.writing import translate_os_errors, write_atomically

if TYPE_CHECKING:
    from haepo_bench.results.lock import Held

PLAN_FILE = "plan.json"
DECLARATIONS_FILE = "declarations.jsonl"
LOG_FOLDER = "logs"
#: Folder of the results of a suite's shards, in the suite's.
SHARDS_FOLDER = "shards"
#: Where reports go unless told otherwise; never a cell's folder, whose names contain `--`.
REPORT_FOLDER = "report"


class FileState(StrEnum):
    """Why a file in a store cannot be used."""

    DAMAGED = "damaged"
    NEWER = "newer"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Unusable:
    """A file or folder in a store that cannot be used.

    Args:
        reason: what is wrong with it, without its name.
    """

    path: Path
    reason: str
    state: FileState

    def error(self) -> UserError:
        """What a command says that cannot go on without it: it is newer or unreadable."""
        if self.state is FileState.NEWER:
            remedy = "install that version, or choose another folder with --results"
            return UserError(self.reason, where=str(self.path), remedy=remedy)
        return unreadable(self.path, self.reason)


def unreadable(path: Path, reason: str) -> UserError:
    """What is said of a stored file that cannot be read, before anything is done that may replace it."""
    return UserError(
        f"cannot be read: {reason}",
        where=str(path),
        remedy="what is in it is neither known nor replaced: make it readable, or move it out of the results folder",
    )


class Store:
    """One suite's results folder.

    Args:
        root: `<results>/<suite>`; made on the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, cell_folder: str, seed: int) -> Path:
        """The file of one run."""
        return self.root / cell_folder / f"seed-{seed}.json"

    def policy_path(self, cell_folder: str, seed: int) -> Path:
        """The file of one run's final policy, where policies are kept."""
        return self.root / cell_folder / f"seed-{seed}.npz"

    def checkpoint_path(self, cell_folder: str, seed: int) -> Path:
        """The file that one run can go on from, until it is finished."""
        return self.root / cell_folder / f"seed-{seed}.checkpoint"

    def log_path(self, name: str) -> Path:
        """The log file of a job."""
        return self.root / LOG_FOLDER / f"{name}.log"

    def sweep(self) -> None:
        """Removes what a killed `run` left behind: half-written files, checkpoints of finished runs.

        Call it with the lock held.

        Raises:
            UserError: one of them cannot be removed, or is not a file.
        """
        for file in self.files(self.root):
            if file.name.startswith((f".{PLAN_FILE}.", f".{DECLARATIONS_FILE}.")):
                _remove(file, "a half-written plan")
        for folder in self.folders():
            for file in self.files(folder):
                if file.name.startswith(".seed-"):
                    _remove(file, "a half-written file")
                elif file.name.startswith("seed-") and file.suffix == ".checkpoint":
                    record = read_record(file.with_suffix(".json"))
                    if isinstance(record, RunRecord) and record.status in FINISHED:
                        _remove(file, "the checkpoint of a finished run")

    def prepare(self, files: Iterable[Path]) -> None:
        """Makes the folders of files that are to be written, and sees to it that they can be.

        Before hours are spent on what could then not be stored.

        Raises:
            UserError: a folder cannot be written, or something that is not a file has the name of one.
        """
        files = list(files)
        for folder in dict.fromkeys(file.parent for file in files):
            with translate_os_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
        for file in files:
            with translate_os_errors(file):
                refuse_special(file)

    def check_readable(self, cell_folders: Iterable[str]) -> None:
        """Whether the plan and all runs of some cells can be read, where there are any.

        Raises:
            UserError: one cannot, or is of a newer format.
        """
        found: list[Any] = [self.read_plan()]
        for folder in (self.root / name for name in cell_folders):
            try:
                names = [entry.name for entry in list_folder(folder)]
            except FileNotFoundError:
                continue
            except OSError as error:
                raise unreadable(folder, reason_of(error)) from None
            found += [read_record(folder / name) for name in names if name.endswith(".json")]
        for file in found:
            if isinstance(file, Unusable) and file.state is not FileState.DAMAGED:
                raise file.error()

    def check_checkpoint(self, cell_folder: str, seed: int) -> None:
        """Whether a run's checkpoint, where there is one, can be read.

        Raises:
            UserError: it cannot.
        """
        path = self.checkpoint_path(cell_folder, seed)
        try:
            open_regular(path).close()
        except FileNotFoundError:
            pass
        except OSError as error:
            raise unreadable(path, reason_of(error)) from None

    def read(self, cell_folder: str, seed: int) -> RunRecord | Unusable | None:
        """One run, None where there is none, `Unusable` where the file cannot be used."""
        return read_record(self.path(cell_folder, seed))

    def write(self, cell_folder: str, record: RunRecord) -> Path:
        """Stores a run.

        With a finished run its checkpoint goes. A finished run is never overwritten: storing over one raises
        FileExistsError. A damaged file is kept beside under a name ending in `.damaged`.

        Raises:
            UserError: the folder cannot be written, the disk is full, or what stands there is newer or unreadable.
            FileExistsError: that run is already stored as finished.
        """
        path = self.path(cell_folder, record.seed)
        before = read_record(path)
        if isinstance(before, Unusable):
            _put_aside(before)
        elif before is not None and before.status in FINISHED:
            raise FileExistsError(f"{path} holds a finished run")
        write_atomically(path, record.to_json())
        if record.status in FINISHED:
            self.drop_checkpoint(cell_folder, record.seed)
        return path

    def drop_checkpoint(self, cell_folder: str, seed: int) -> None:
        """Removes the checkpoint of a run that is finished now, where there is one."""
        _remove(self.checkpoint_path(cell_folder, seed), "the checkpoint of a finished run")

    def write_plan(self, plan: PlanFile) -> None:
        """Stores what the last `run` asked for, so that reports know what is missing; a damaged plan is kept beside.

        Raises:
            UserError: it cannot be written, or the plan that stands there is newer or unreadable.
        """
        before = self.read_plan()
        if isinstance(before, Unusable):
            _put_aside(before)
        write_atomically(self.plan_path, plan.to_json())

    @property
    def plan_path(self) -> Path:
        """The file of the plan."""
        return self.root / PLAN_FILE

    @property
    def declarations_path(self) -> Path:
        """The file of what has been claimed in this folder (declarations.py)."""
        return self.root / DECLARATIONS_FILE

    def read_plan(self) -> PlanFile | Unusable | None:
        """What the last `run` asked for; None where nothing says so."""
        path = self.plan_path
        try:
            return PlanFile.from_json(read_regular(path))
        except FileNotFoundError:
            return None
        except OSError as error:
            return Unusable(path, reason_of(error), FileState.UNREADABLE)
        except NewerFormat as error:
            return Unusable(path, str(error), FileState.NEWER)
        except (ValueError, RecursionError) as error:
            return Unusable(path, str(error), FileState.DAMAGED)

    def records(self) -> Iterator[tuple[Path, RunRecord | Unusable]]:
        """Every JSON file one folder below, reports apart, read as a run; in the order of their paths.

        Folders of cells that cannot be listed, and the store itself where it cannot, come as `Unusable`.
        """
        for folder, names in self.record_files():
            if isinstance(names, Unusable):
                yield folder, names
                continue
            for name in names:
                record = read_record(folder / name)
                if record is not None:
                    yield folder / name, record

    def record_files(self) -> Iterator[tuple[Path, list[str] | Unusable]]:
        """Each folder that may hold runs, with the names of its JSON files; what cannot be listed as `Unusable`."""
        found, problems = self._listing()
        yield from ((problem.path, problem) for problem in problems)
        for folder in found:
            if folder.name == REPORT_FOLDER:
                continue
            try:
                names = [entry.name for entry in list_folder(folder)]
            except OSError as error:
                if is_cell(folder.name):
                    yield folder, Unusable(folder, reason_of(error), FileState.UNREADABLE)
                continue
            # A plan is not a run: it is that of another suite, one level below.
            yield folder, [name for name in names if name.endswith(".json") and name != PLAN_FILE]

    def folders(self) -> list[Path]:
        """The folders in this one, by name; what cannot be listed has none."""
        return self._listing()[0]

    @staticmethod
    def files(folder: Path) -> list[Path]:
        """What is in a folder, by name; nothing where it cannot be listed."""
        try:
            return [folder / entry.name for entry in list_folder(folder)]
        except OSError:
            return []

    def lock(self) -> AbstractContextManager["Held"]:
        """Holds the folder against a second `run`; the system lets go of it when the process dies.

        Raises:
            UserError: another process holds it, or it cannot be written.
        """
        from haepo_bench.results.lock import hold

        return hold(self.root)

    def _listing(self) -> tuple[list[Path], list[Unusable]]:
        """The folders in this one; and this one where it cannot be listed, and what is in a cell's place."""
        folders, problems = [], []
        try:
            entries = list_folder(self.root)
        except FileNotFoundError:
            return [], []
        except OSError as error:
            return [], [Unusable(self.root, reason_of(error), FileState.UNREADABLE)]
        for entry in entries:
            path = self.root / entry.name
            try:
                if entry.is_dir():
                    folders.append(path)
                elif not entry.is_file():
                    list_folder(path)  # raises what is wrong with it
            except OSError as error:
                if is_cell(entry.name):
                    problems.append(Unusable(path, reason_of(error), FileState.UNREADABLE))
        return folders, problems


def read_record(path: Path) -> RunRecord | Unusable | None:
    """Reads one run file; None where there is none."""
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Unusable(path, reason_of(error), FileState.UNREADABLE)
    try:
        record = RunRecord.from_json(content)
    except NewerFormat as error:
        return Unusable(path, _one_line(error), FileState.NEWER)
    except ValueError as error:
        return Unusable(path, _one_line(error), FileState.DAMAGED)
    if path.name != f"seed-{record.seed}.json":
        reason = f"holds the run of seed {record.seed}, which its name does not say"
        return Unusable(path, reason, FileState.DAMAGED)
    return record


def put_aside(path: Path) -> Path:
    """Renames a damaged file, so that another can take its place; where it is now.

    Raises:
        UserError: it cannot be renamed.
    """
    candidate, n = path.with_name(f"{path.name}.damaged"), 0
    while os.path.lexists(candidate):
        n += 1
        candidate = path.with_name(f"{path.name}.damaged.{n}")
    with translate_os_errors(path):
        path.rename(candidate)
    return candidate


def _put_aside(file: Unusable) -> None:
    if file.state is not FileState.DAMAGED:
        raise file.error()
    put_aside(file.path)


def _remove(path: Path, what: str) -> None:
    """Removes a file of ours, where there is one."""
    with translate_os_errors(path):
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return
        if stat.S_ISDIR(mode):
            raise UserError(
                f"is a folder that is called like {what}",
                where=str(path),
                remedy="move it out of the results folder: names like this are for files of haepo-bench",
            )
        path.unlink(missing_ok=True)


def is_cell(name: str) -> bool:
    """Whether a folder is called as cells' folders are."""
    return "--" in name and not name.startswith(".")


def _one_line(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        return f"{key}: {first['msg']}" if key else str(first["msg"])
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return f"not JSON, perhaps cut off: {error}"
    return " ".join(str(error).split())
