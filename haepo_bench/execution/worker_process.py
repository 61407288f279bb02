"""One worker process, seen from its parent: started, given jobs, listened to, ended."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import IO

from haepo_bench import interruption
from haepo_bench.errors import UserError
from haepo_bench.execution.executor import Failed
from haepo_bench.execution.jobs import Job
from haepo_bench.execution.worker import Message, Request
from haepo_bench.files import hint_for, open_in_place, reason_of
from haepo_bench.results.record import CRASHED, KILLED, Failure
from haepo_bench.results.writing import translate_os_errors

_CLOSE_SECONDS = 2.0

#: Each worker is one thread; set before any library is loaded, because several read them only then.
ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
    ),
    "1",
)


#: Signals by which a process ends for what it did itself.
_OWN_DOING = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS})


class WorkerProcess:
    """A process that runs `worker.main`, idle until it is given a job.

    Args:
        log: file that its output goes to until its first job; None: where this program's goes.
    """

    def __init__(self, log: Path | None) -> None:
        if log is None:
            self._start(None)
        else:
            with translate_os_errors(log):
                log.parent.mkdir(parents=True, exist_ok=True)
                file = open_in_place(log)
            with file:
                self._start(file)
        self.job: Job | None = None
        self.unfinished: list[int] = []
        self.started = ""
        self.deadline = 0.0
        self.jobs = 0
        self.peak_bytes = 0
        #: Hashes of other people's code that it has imported.
        self.foreign: frozenset[str] = frozenset()
        self.deaf = False

    def _start(self, log: IO[bytes] | None) -> None:
        with for_a_process():
            self.connection, theirs = Pipe()
        # Our own sys.path, so that it finds this package and plugins wherever we did.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            f"from haepo_bench.execution.worker import main; main({theirs.fileno()})"
        )
        with theirs, _blocked(), for_a_process():
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **ONE_THREAD},
            )

    def suits(self, foreign: frozenset[str]) -> bool:
        """Whether it has imported no other people's code than a job executes.

        Code may change what all modules of its process share, such as a function of torch. What it does to its own
        runs is its own affair; those of others are not to depend on who was there before.
        """
        return self.foreign <= foreign

    def take(self, job: Job, request: Request, timeout_seconds: float) -> None:
        """Gives the worker a job."""
        self.job, self.unfinished, self.jobs = job, list(range(len(job.runs))), self.jobs + 1
        self.foreign |= job.foreign
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

    @property
    def death(self) -> tuple[str, str]:
        """What it died of: a failure's type, which says whether it was the machine's doing, and the message."""
        code = self.process.returncode
        if code is None:
            return KILLED, "the worker process does not answer and cannot be killed"
        if code >= 0:
            return CRASHED, f"the worker process exited with code {code} in the middle of the job"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        if -code in _OWN_DOING:
            return CRASHED, f"the worker process crashed with {name}"
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return KILLED, f"the worker process was killed by {name}{hint}"

    @property
    def exit_code(self) -> int | None:
        """The code that a worker whose pipe has ended exited with; None where a signal ended it."""
        try:
            code = self.process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else None

    def fail(self, failure: Failure, run: int | None = None) -> Iterator[Failed]:
        """Fails one run of the job, or all that have not finished."""
        failed = [known for known in self.unfinished if run in (None, known)]
        if self.job is not None and failed:
            yield Failed(self.job, tuple(self.job.runs[known] for known in failed), failure)
            self.unfinished = [known for known in self.unfinished if known not in failed]

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
def for_a_process() -> Iterator[None]:
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
