"""`haepo-bench view` in a process of its own, and requests to it."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cli_support import ROOT


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


class Viewer:
    """A view that runs; `port` is where."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    def get(self, target: str, host: str | None = None, method: str = "GET") -> Answer:
        """What it answers; the target goes to it as it is written."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, target, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{self.port}")
        connection.endheaders()
        answer = connection.getresponse()
        found = Answer(answer.status, answer.read(), {key.lower(): value for key, value in answer.getheaders()})
        connection.close()
        return found

    def state(self) -> dict[str, Any]:
        """What the page shows."""
        found: dict[str, Any] = json.loads(self.get("/state").body)
        return found

    def interrupt(self) -> tuple[int, str]:
        """Ctrl-C; exit code and standard error."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


@contextmanager
def viewing(results: Path, environment: dict[str, str] | None = None) -> Iterator[Viewer]:
    """Starts `haepo-bench view` on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "haepo_bench", "view", str(results), "--port", "0", "--no-open"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0,
        env={**(environment or {**os.environ, "PYTHONPATH": str(ROOT)}), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("http://127.0.0.1:"), line
        yield Viewer(process, int(line.split("/")[2].split(":")[1]))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
