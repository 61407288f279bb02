"""A tool in a process of its own: what it prints, sets in its environment and breaks stays there."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from haepo_bench.errors import UserError
from haepo_bench.loggers.logger import LoggedRun

#: How a run travels.
RUN = TypeAdapter(LoggedRun)
#: What the tools' processes have in their environment unless the user says otherwise: nothing is sent to anybody, and
#: MLflow writes its folders of files, which it no longer does unasked.
_ENVIRONMENT = {
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
#: Of what is written on standard error, the end says why a process died.
_TAIL_BYTES = 4096


class ToolProcess:
    """The tool of a name, from outside. It starts with the first run, and again after `close` with the next.

    Args:
        folder: of the suite's results; what is kept on this machine goes below it.
    """

    def __init__(self, name: str, folder: Path, suite: str) -> None:
        self._arguments = (name, str(folder), suite)
        self._child: subprocess.Popen[bytes] | None = None
        self._said: Any = None
        self._begun = 0

    def begin(self, run: LoggedRun) -> "_Curve":
        """Begins a run."""
        self._begun += 1
        self.send("begin", self._begun, RUN.dump_python(run, mode="json"))
        return _Curve(self, self._begun)

    def close(self) -> None:
        """Waits until the tool has taken all of it.

        Raises:
            RuntimeError: the tool failed.
        """
        if self._child is not None:
            try:
                self._end(self._child)
            finally:
                self._child = None

    def kill(self) -> None:
        """Ends a tool that takes too long, with all processes that it started; what it had taken in may be lost."""
        child = self._child
        if child is not None and child.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
                os.killpg(child.pid, signal.SIGKILL)

    def send(self, *message: Any) -> None:
        """Hands something over; waits where the tool is behind.

        Raises:
            RuntimeError: the tool failed.
        """
        if self._child is None:
            self._child = self._start()
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(json.dumps(message).encode() + b"\n")
            self._child.stdin.flush()
        except OSError:  # it is gone
            self.close()
            raise RuntimeError("its process ended") from None

    def _start(self) -> "subprocess.Popen[bytes]":
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # until _end
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "haepo_bench.loggers.serving", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment(),
            # Ctrl-C is the session's, which ends the tool in good order.
            start_new_session=True,
        )

    def _end(self, child: "subprocess.Popen[bytes]") -> None:
        problem, _ = child.communicate()
        with self._said as said:
            said.seek(max(0, said.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = said.read().decode(errors="replace").split("\n")
        if problem:
            raise RuntimeError(problem.decode(errors="replace").strip())
        if child.returncode:
            last = next((line for line in reversed(lines) if line.strip()), "")
            raise RuntimeError(f"its process ended with {child.returncode}: {last}")


class _Curve:
    def __init__(self, process: ToolProcess, number: int) -> None:
        self._process, self._number = process, number

    def log(self, env_steps: int, values: Mapping[str, float | int]) -> None:
        self._process.send("log", self._number, env_steps, dict(values))

    def finish(self, status: str, provenance: Mapping[str, Any]) -> None:
        self._process.send("finish", self._number, status, dict(provenance))


def environment() -> dict[str, str]:
    """That of a tool's process."""
    return {**_ENVIRONMENT, **os.environ}


def tool(name: str, folder: Path, suite: str, where: str) -> ToolProcess:
    """The tool of a name, in a process of its own.

    Args:
        folder: of the suite's results; what is kept on this machine goes below it.
        where: the option that asked for it.

    Raises:
        UserError: it is not installed.
    """
    # A tool, its extra and its package share their name.
    if find_spec(name) is None:
        raise UserError(f"{name} is not installed", where=where, remedy=f"pip install 'haepo-bench[{name}]'")
    return ToolProcess(name, folder, suite)
