"""What runs on a node of a Ray cluster: a task that keeps a worker process and tells the driver what it hears.

A process of our own within Ray's, for the same reasons as on one machine: that a crash of the algorithm is known from a
killed process, that its output goes to the job's log, and that it is one thread from its first moment. It stays between
the jobs of a Ray worker, so that libraries are imported once, and dies with it.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NamedTuple

from haepo_bench.execution.local import BYTES_A_WORKER, JOBS_A_WORKER, TICK_SECONDS
from haepo_bench.execution.parcels import LOG, Parcel, SuiteFiles, missing_from_here, unpack
from haepo_bench.execution.provenance import here, reference_seconds
from haepo_bench.execution.records import utc_now
from haepo_bench.execution.worker import Message, Request
from haepo_bench.execution.worker_process import WorkerProcess
from haepo_bench.files import open_in_place, open_regular, read_regular
from haepo_bench.results.record import UNFIT, Failure
from haepo_bench.suite.plan import foreign_code

#: Between two pieces of news, unless something happens that cannot wait.
_PIECE_SECONDS = 0.5
#: Of a log in one piece.
_MOST_BYTES = 1 << 20
_FOLDERS = "haepo-bench-node-"
_LOCK = "lock"


class Node(NamedTuple):
    """Where a job is run.

    Args:
        id: Ray's, as hexadecimal digits.
        started: when, as ISO 8601.
        facts: of the machine, for a run's provenance.
    """

    id: str
    started: str
    facts: dict[str, Any]


@dataclass(frozen=True)
class News:
    """A piece of what a node tells of a job.

    Args:
        messages: the worker's, in their order.
        files: contents by name in the job's folder: what the log has got since the last piece, other files whole.
        node: comes with the first piece.
        death: of a worker that died in the middle of the job (`WorkerProcess.death`).
    """

    messages: list[Message] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    node: Node | None = None
    death: tuple[str, str] | None = None


def run_job(parcel: Parcel, suite_files: SuiteFiles) -> Iterator[News]:
    """Runs a job here, and tells of it until it is over."""
    import ray

    facts = {**here(), "reference_seconds": _reference_seconds()}
    node = Node(ray.get_runtime_context().get_node_id(), utc_now(), facts)
    yield News(node=node)
    missing = missing_from_here(parcel)
    if missing:
        failure = Failure(
            status="failed",
            type=UNFIT,
            message=f"not on the node {facts['node']}: {', '.join(missing)}",
            remedy="put it on a file system that all nodes share, under the same path",
            started=node.started,
        )
        yield News([Message("failed", failure)])
        return
    with contextlib.suppress(OSError):
        os.chdir(parcel.place)
    with _folder() as folder:
        job_folder = folder / "job"
        job_folder.mkdir()
        request = unpack(parcel, suite_files, job_folder, folder)
        provenance = {**request.provenance, **facts, "started": node.started}
        yield from _run(replace(request, provenance=provenance), job_folder)


def _run(request: Request, folder: Path) -> Iterator[News]:
    worker = _Idle.take(request.log, foreign_code(request.runs))
    with contextlib.suppress(OSError):  # it is dead, which the next look at it shows
        worker.connection.send(request)
    worker.jobs += 1
    news = _Reporter(folder)
    while True:
        wait([worker.connection], TICK_SECONDS)
        # In this order: what a worker said before its death lies in the pipe when its death is seen.
        dead = worker.process.poll() is not None
        news.messages += worker.received()
        ended = next((message for message in news.messages if message.kind == "ended"), None)
        if ended is not None:
            worker.peak_bytes = ended.content
            yield from news.rest()
            _Idle.keep(worker)
            return
        if dead or worker.deaf:
            worker.kill()
            news.messages += worker.received()
            worker.connection.close()
            yield from news.rest(worker.death)
            return
        if news.due:
            yield news.piece()


class _Reporter:
    """What is to be said of a job.

    Args:
        folder: the job's.
    """

    def __init__(self, folder: Path) -> None:
        self.messages: list[Message] = []
        self._folder = folder
        self._said_at = time.monotonic()
        self._logged = 0
        self._known: dict[str, tuple[int, int]] = {
            file.name: _state(file) for file in folder.iterdir() if file.name != LOG
        }

    @property
    def due(self) -> bool:
        """Whether a piece is due."""
        if any(message.kind in ("finished", "failed") for message in self.messages):
            return True
        return time.monotonic() - self._said_at >= _PIECE_SECONDS

    def piece(self, death: tuple[str, str] | None = None) -> News:
        """What there is now; of several reports on progress the last."""
        progress = [message for message in self.messages if message.kind == "progress"]
        messages = [message for message in self.messages if message.kind != "progress" or message is progress[-1]]
        self.messages = []
        self._said_at = time.monotonic()
        return News(messages, self._files(), death=death)

    def rest(self, death: tuple[str, str] | None = None) -> Iterator[News]:
        """All that there is at the end; the log before it, however long it is."""
        while len(more := self._log()) == _MOST_BYTES:
            yield News(files={LOG: more})
        last = self.piece(death)
        yield News(last.messages, {**last.files, LOG: more + last.files.get(LOG, b"")}, death=death)

    def _files(self) -> dict[str, bytes]:
        files = {LOG: log} if (log := self._log()) else {}
        for file in self._folder.iterdir():
            if file.name == LOG or file.name.startswith("."):  # the latter are being written
                continue
            with contextlib.suppress(FileNotFoundError):
                state = _state(file)
                if self._known.get(file.name) != state:
                    files[file.name] = read_regular(file, most=None)
                    self._known[file.name] = state
        return files

    def _log(self) -> bytes:
        try:
            with open_regular(self._folder / LOG) as file:
                file.seek(self._logged)
                content = file.read(_MOST_BYTES)
        except FileNotFoundError:
            return b""
        self._logged += len(content)
        return content


class _Idle:
    """The worker process that waits for the next job of this Ray worker."""

    _worker: WorkerProcess | None = None
    _devices: str | None = None

    @classmethod
    def take(cls, log: Path, foreign: frozenset[str]) -> WorkerProcess:
        worker, cls._worker = cls._worker, None
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")  # Ray sets it for each task
        usable = worker is not None and worker.process.poll() is None and devices == cls._devices
        if worker is not None and not (usable and worker.suits(foreign)):
            worker.kill()
            worker.connection.close()
            worker = None
        cls._devices = devices
        worker = worker or WorkerProcess(log)
        worker.foreign |= foreign
        return worker

    @classmethod
    def keep(cls, worker: WorkerProcess) -> None:
        if worker.jobs >= JOBS_A_WORKER or worker.peak_bytes > BYTES_A_WORKER:
            worker.retire()
        else:
            cls._worker = worker


def _state(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_mtime_ns, found.st_size


@cache
def _reference_seconds() -> float:
    return round(reference_seconds(), 6)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for a job; for all jobs of this process under one name, so that their modules are the same."""
    _sweep()
    folder = _name()
    folder.mkdir(mode=0o700)
    # Whose process lives holds a lock; process numbers would say nothing among containers that share a disk.
    with open_in_place(folder / "unlocked") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "unlocked").rename(folder / _LOCK)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def _name() -> Path:
    return Path(tempfile.gettempdir()) / f"{_FOLDERS}{secrets.token_hex(8)}"


@cache
def _sweep() -> None:
    """Removes the folders of processes that were killed."""
    for old in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*"):
        with contextlib.suppress(OSError), open_regular(old / _LOCK) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(old, ignore_errors=True)
