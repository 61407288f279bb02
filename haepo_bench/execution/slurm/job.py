"""What runs on a node: one chunk, as the command `haepo-bench run --shard`.

An object of submitit's: called when the job starts, asked for a checkpoint when Slurm is about to end it. A command
of submitit's own (`CommandFunction`) is never queued again. What is finished is stored, so that the job that follows
goes on where this one ended.
"""

import contextlib
import os
import signal
import subprocess
import time

from haepo_bench.interruption import INTERRUPTED

#: submitit warns a job so long before its end (`--signal`); the program takes a few seconds to end.
WARNING_SECONDS = 90
_END_SECONDS = 20.0
#: Slurm ends a job that it has sent SIGTERM to, at once or after the partition's time of grace.
_GRACE_SECONDS = 600.0


class ChunkJob:
    """One chunk.

    Args:
        command: that makes it.
        folder: that the command is run in.
    """

    def __init__(self, command: tuple[str, ...], folder: str) -> None:
        self.command = command
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> int:
        """Runs the command and returns its exit code."""
        self._process = subprocess.Popen(
            self.command, cwd=self.folder, stdin=subprocess.DEVNULL, preexec_fn=_without_warnings
        )
        try:
            _wait(self._process)
            code = self._process.wait()
            if code == INTERRUPTED:
                # Preempted. A job that returned now would be over; one that Slurm ends is queued again.
                time.sleep(_GRACE_SECONDS)
            return code
        finally:
            self._end()

    def checkpoint(self) -> object:
        """Ends the command in good order; what submitit is to queue again."""
        from submitit.helpers import DelayedSubmission

        self._end()
        return DelayedSubmission(ChunkJob(self.command, self.folder))

    def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # it has just ended
            os.kill(process.pid, signal.SIGTERM)
            if not _wait(process, _END_SECONDS):
                os.kill(process.pid, signal.SIGKILL)


def _wait(process: "subprocess.Popen[bytes]", seconds: float | None = None) -> bool:
    """Waits until a process has ended, and leaves its exit code; False where time is up.

    Not with Popen.wait, whose lock would be held when submitit's signal comes and waits for the same process.
    """
    if seconds is None:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return True
    deadline = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _without_warnings() -> None:
    """Ignores submitit's warning, which Slurm sends to every process of a job: it would end this one."""
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
