"""Runs jobs in worker processes of our own.

Own processes with pipes, because one SIGKILL fails every future of a ProcessPoolExecutor; `subprocess` rather than
`multiprocessing`, because a worker needs its environment, its log file and blocked signals from its first moment, and
must not import the program's main module again.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Pipe, wait
from typing import IO, Any

from haepo_bench import interruption
from haepo_bench.errors import UserError
from haepo_bench.execution.survey import Job
from haepo_bench.execution.worker import Message, Request
from haepo_bench.files import hint_for, open_in_place, reason_of
from haepo_bench.results.record import Failure
from haepo_bench.results.writing import translate_os_errors

JOBS_A_WORKER = 50
BYTES_A_WORKER = 1 << 30
TICK_SECONDS = 0.25
_CLOSE_SECONDS = 2.0

#: Each worker is one thread; set before any library is loaded, because several read them only then.
_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


@dataclass(frozen=True)
class Started:
    """A worker took a job."""

    job: Job


@dataclass(frozen=True)
class Progressed:
    """Where a job stands, summed over its seeds; `eval_return` None before the first evaluation."""

    job: Job
    env_steps: int
    total: int
    eval_return: float | None


@dataclass(frozen=True)
class Finished:
    """A seed is done or diverged; `record` is its run record as JSON text."""

    job: Job
    seed: int
    record: str


@dataclass(frozen=True)
class Failed:
    """Seeds of a job that will have no result."""

    job: Job
    seeds: tuple[int, ...]
    failure: Failure


@dataclass(frozen=True)
class Ended:
    """A job is over: each of its seeds has finished or failed."""

    job: Job


@dataclass(frozen=True)
class Tick:
    """Nothing in particular, several times a second."""


Event = Started | Progressed | Finished | Failed | Ended | Tick


class LocalExecutor:
    """Runs jobs on this machine.

    Args:
        workers: processes at a time.
        timeout_seconds: for one job, from the moment it is given to a worker.
        request: makes what is sent to a worker for a job.
    """

    def __init__(self, *, workers: int, timeout_seconds: float, request: Callable[[Job], Request]) -> None:
        self._limit = workers
        self._timeout_seconds = timeout_seconds
        self._request = request
        self._workers: list[_Worker] = []
        self._stopping = False
        with _for_a_process():
            self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)

    def stop(self) -> None:
        """Ends `events` soon; safe to call from a signal handler."""
        self._stopping = True
        with contextlib.suppress(OSError):
            os.write(self._wake_writer, b"\0")

    def events(self, jobs: Sequence[Job]) -> Generator[Event, None, None]:
        """Runs all jobs in order and tells what happens; after `stop` only what had finished by then still comes.

        However the iteration ends, no worker survives it: close it (`contextlib.closing`) where it may end early.
        """
        queue = deque(jobs)
        try:
            while not self._stopping and (queue or any(worker.job for worker in self._workers)):
                yield from self._assign(queue)
                wait([self._wake_reader, *(worker.connection for worker in self._workers)], self._patience())
                if self._stopping:
                    break
                for worker in list(self._workers):
                    yield from self._attend(worker)
                yield Tick()
            if self._stopping:
                for worker in self._workers:
                    worker.kill()
                for worker in self._workers:
                    yield from self._deliver(worker)
        finally:
            for worker in self._workers:
                worker.kill()
                worker.connection.close()
            self._workers.clear()

    def close(self) -> None:
        """Lets go of what the executor holds; `stop` may not be called after it."""
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _assign(self, queue: deque[Job]) -> Iterator[Event]:
        while queue:
            worker = next((worker for worker in self._workers if worker.job is None), None)
            if worker is None:
                if len(self._workers) >= self._limit:
                    return
                worker = _Worker(self._request(queue[0]))
                self._workers.append(worker)
            job = queue.popleft()
            worker.take(job, self._request(job), self._timeout_seconds)
            yield Started(job)

    def _patience(self) -> float:
        deadlines = [worker.deadline for worker in self._workers if worker.job]
        return max(0.0, min(TICK_SECONDS, min(deadlines, default=0.0) - time.monotonic())) if deadlines else 0.0

    def _attend(self, worker: "_Worker") -> Iterator[Event]:
        # In this order: what a worker said before its death lies in the pipe when its death is seen.
        dead = worker.process.poll() is not None
        yield from self._deliver(worker)
        if dead or worker.deaf:
            worker.kill()
            yield from self._give_up(worker, "failed", "WorkerDied", _death(worker.process.returncode))
        elif worker.job and time.monotonic() >= worker.deadline:
            worker.kill()
            yield from self._deliver(worker)
            message = f"not finished after {self._timeout_seconds:g} s, the suite's execution.timeout"
            yield from self._give_up(worker, "timed_out", "Timeout", message)
        elif worker.job is None and (worker.jobs >= JOBS_A_WORKER or worker.peak_bytes > BYTES_A_WORKER):
            worker.retire()
            self._workers.remove(worker)

    def _give_up(self, worker: "_Worker", status: Any, kind: str, message: str) -> Iterator[Event]:
        self._workers.remove(worker)
        worker.connection.close()
        if worker.job is not None:
            yield from worker.fail(Failure(status=status, type=kind, message=message, started=worker.started))
            yield Ended(worker.job)

    def _deliver(self, worker: "_Worker") -> Iterator[Event]:
        for message in worker.received():
            job = worker.job
            if job is None:
                continue
            if message.kind == "progress":
                yield Progressed(job, *message.content)
            elif message.kind == "finished" and message.seed in worker.unfinished:
                worker.unfinished.remove(message.seed)
                yield Finished(job, message.seed, message.content)
            elif message.kind == "failed":
                yield from worker.fail(message.content, None if message.seed < 0 else message.seed)
            elif message.kind == "ended":
                worker.peak_bytes = message.content
                worker.job = None
                yield Ended(job)


class _Worker:
    """One worker process, seen from its parent."""

    def __init__(self, first: Request) -> None:
        with translate_os_errors(first.log):
            first.log.parent.mkdir(parents=True, exist_ok=True)
            log = open_in_place(first.log)
        with log:
            self._start(log)
        self.job: Job | None = None
        self.unfinished: list[int] = []
        self.started = ""
        self.deadline = 0.0
        self.jobs = 0
        self.peak_bytes = 0
        self.deaf = False

    def _start(self, log: IO[bytes]) -> None:
        with _for_a_process():
            self.connection, theirs = Pipe()
        # Our own sys.path, so that it finds this package and plugins wherever we did.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from haepo_bench.execution.worker import main; main({theirs.fileno()})"
        )
        with theirs, _blocked(), _for_a_process():
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD},
            )

    def take(self, job: Job, request: Request, timeout_seconds: float) -> None:
        """Gives the worker a job."""
        self.job, self.unfinished, self.jobs = job, list(job.seeds), self.jobs + 1
        self.started = str(request.provenance["started"])
        self.deadline = time.monotonic() + timeout_seconds
        with contextlib.suppress(OSError):  # it is dead, which the next look at it shows
            self.connection.send(request)

    def received(self) -> Iterator[Message]:
        """All that the worker has said so far."""
        try:
            while self.connection.poll():
                yield self.connection.recv()
        except (EOFError, OSError):
            self.deaf = True

    def fail(self, failure: Failure, seed: int | None = None) -> Iterator[Event]:
        """Fails one seed, or all that have not finished."""
        seeds = [known for known in self.unfinished if seed in (None, known)]
        if self.job is not None and seeds:
            yield Failed(self.job, tuple(seeds), failure)
            self.unfinished = [known for known in self.unfinished if known not in seeds]

    def retire(self) -> None:
        """Lets an idle worker go: at the pipe's end it exits."""
        self.connection.close()
        try:
            self.process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Ends the worker at once; what it said before can still be received."""
        if self.deaf:
            # The pipe broke just now: leave it a moment to die of its own cause, which the record names.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_CLOSE_SECONDS)
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_CLOSE_SECONDS)


@contextlib.contextmanager
def _for_a_process() -> Iterator[None]:
    """Says what the operating system refuses to give a worker process: files, memory, processes."""
    try:
        yield
    except OSError as error:
        hint = hint_for(error)
        remedy = f"{hint}, or try fewer with --workers" if hint else "try fewer with --workers"
        raise UserError(f"cannot start a worker process: {reason_of(error)}", remedy=remedy) from error


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """Blocks what would end us: a process started meanwhile is born with it blocked, and ours comes in afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, interruption.NUMBERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _death(returncode: int | None) -> str:
    if returncode is None:
        return "the worker process does not answer and cannot be killed"
    if returncode >= 0:
        return f"the worker process exited with code {returncode} in the middle of the job"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    hint = " (out of memory?)" if returncode == -signal.SIGKILL else ""
    return f"the worker process was killed by {name}{hint}"
