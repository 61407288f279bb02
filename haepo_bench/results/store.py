"""Where runs lie on disk: `<results>/<suite>/<cell folder>/seed-<n>.json`.

Files are written whole or not at all (temporary name in the same folder, flushed to disk, renamed) and nothing that is
stored as finished is ever replaced.
"""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from haepo_bench import interruption
from haepo_bench.errors import UserError
from haepo_bench.results.record import FINISHED, NewerFormat, RunRecord

PLAN_FILE = "plan.json"
LOG_FOLDER = "logs"
LOCK_FILE = ".lock"
#: Where reports go unless told otherwise; never a cell's folder, whose names contain `--`.
REPORT_FOLDER = "report"


@dataclass(frozen=True)
class Damaged:
    """A file in a store that could not be read as a run.

    Args:
        newer: it is of a newer format, so nothing is wrong with it but that we cannot read it.
    """

    path: Path
    reason: str
    newer: bool = False


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
        """
        for leftover in (*self.root.glob(".plan.json.*"), *self.root.glob("*/.seed-*")):
            leftover.unlink(missing_ok=True)
        for checkpoint in self.root.glob("*/seed-*.checkpoint"):
            record = read_record(checkpoint.with_suffix(".json"))
            if isinstance(record, RunRecord) and record.status in FINISHED:
                checkpoint.unlink(missing_ok=True)

    def read(self, cell_folder: str, seed: int) -> RunRecord | Damaged | None:
        """One run, None where there is none, `Damaged` where the file cannot be read as one."""
        return read_record(self.path(cell_folder, seed))

    def write(self, cell_folder: str, record: RunRecord) -> Path:
        """Stores a run.

        With a finished run its checkpoint goes. A finished run is never overwritten: storing over one raises
        FileExistsError. A file that cannot be read is
        kept beside under a name ending in `.damaged`.

        Raises:
            UserError: the folder cannot be written or the disk is full.
            FileExistsError: that run is already stored as finished.
        """
        path = self.path(cell_folder, record.seed)
        before = read_record(path)
        if isinstance(before, Damaged):
            path.replace(_unused(path.with_suffix(".json.damaged")))
        elif before is not None and before.status in FINISHED:
            raise FileExistsError(f"{path} holds a finished run")
        write_atomically(path, record.to_json())
        if record.status in FINISHED:
            self.checkpoint_path(cell_folder, record.seed).unlink(missing_ok=True)
        return path

    def write_plan(self, document: dict[str, Any]) -> None:
        """Stores what the last `run` asked for, so that reports know what is missing."""
        write_atomically(self.root / PLAN_FILE, json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def read_plan(self) -> dict[str, Any] | Damaged | None:
        """What the last `run` asked for; None where nothing says so."""
        path = self.root / PLAN_FILE
        try:
            document = json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            return Damaged(path, str(error))
        if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
            return Damaged(path, "not a plan")
        return document

    def records(self) -> Iterator[tuple[Path, RunRecord | Damaged]]:
        """Every JSON file one folder below, reports apart, read as a run; in the order of their paths."""
        for path in sorted(self.root.glob("*/*.json")):
            record = None if path.parent.name == REPORT_FOLDER else read_record(path)
            if record is not None:
                yield path, record

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the folder against a second `run`; the system lets go of it when the process dies.

        Raises:
            UserError: another process holds it.
        """
        import fcntl

        path = self.root / LOCK_FILE
        with translate_os_errors(path):
            self.root.mkdir(parents=True, exist_ok=True)
            file = path.open("a+")
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise UserError(
                    f"another run is writing to this folder (process {holder})",
                    where=str(self.root),
                    remedy="wait for it, or choose another folder with --results",
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def cell_folder(task: str, algorithm: str, settings_hash: str, code_hash: str) -> str:
    """Name of the folder of a cell's runs inside the suite's folder."""
    return f"{quote(task, safe='')}--{algorithm}--{settings_hash[:8]}-{code_hash[:8]}"


def read_record(path: Path) -> RunRecord | Damaged | None:
    """Reads one run file; None where there is none."""
    try:
        record = RunRecord.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return Damaged(path, _one_line(error), newer=isinstance(error, NewerFormat))
    if path.name != f"seed-{record.seed}.json":
        return Damaged(path, f"holds the run of seed {record.seed}, which its name does not say")
    return record


def write_atomically(path: Path, content: str | bytes, *, option: str = "--results") -> None:
    """Writes a whole file or none: after a crash `path` holds the old content or the new one, never a part.

    Text is stored as UTF-8; what UTF-8 cannot hold (halves of surrogate pairs, as in undecodable file names) as `?`.

    Args:
        option: the command's option that names another folder.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8", errors="replace")
    with interruption.held(), translate_os_errors(path, option=option):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink()
            raise


@contextmanager
def translate_os_errors(path: Path, *, option: str = "--results") -> Iterator[None]:
    """Turns what the operating system says about a path that we write into a message for the user."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                "the disk is full", where=str(path), remedy="free some space and run again: finished runs are kept"
            ) from error
        raise UserError(
            f"cannot write: {error.strerror or error}", where=str(path), remedy=f"choose another folder with {option}"
        ) from error


def _unused(path: Path) -> Path:
    candidate, n = path, 1
    while candidate.exists():
        candidate, n = path.with_name(f"{path.name}.{n}"), n + 1
    return candidate


def _one_line(error: Exception) -> str:
    from pydantic import ValidationError

    if isinstance(error, ValidationError):
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        return f"{key}: {first['msg']}" if key else str(first["msg"])
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return f"not JSON, perhaps cut off: {error}"
    return " ".join(str(error).split())
