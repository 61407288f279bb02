"""The report's page, made anew where finished runs have changed: by `haepo-bench report`, in a process of its own.

So the page has the bytes that `report` writes, and making it never keeps the view from answering.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

#: While runs go on, reports take at most this share of one processor.
_SHARE = 0.05
#: With nothing finished at first, the first report comes no sooner: it would be of one algorithm.
_FIRST_SECONDS = 60.0
#: Until one that failed is tried again; twice as long after each further time.
_AGAIN_SECONDS, _LONGEST_SECONDS = 60.0, 3600.0
_NICE = 10


class ReportMaker:
    """Makes reports of a results folder, one at a time.

    Args:
        folder: where they go; it is the caller's to remove.
    """

    def __init__(self, results: Path, folder: Path) -> None:
        self._results, self._folder = results, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._begun = 0.0
        self._next: float | None = None
        #: Fingerprints of the runs that the last attempt and the newest report are of.
        self._asked: tuple[Any, ...] | None = None
        self._made: tuple[Any, ...] | None = None
        self._again, self._patience = float("-inf"), _AGAIN_SECONDS
        self.version = 0
        self.problem = ""
        #: The newest report's folder; None before the first.
        self.current: Path | None = None

    @property
    def making(self) -> bool:
        """Whether one is being made."""
        return self._process is not None

    def is_current(self, fingerprint: tuple[Any, ...]) -> bool:
        """Whether the newest report is of the runs that are there now."""
        return self.current is not None and not self.making and self._made == fingerprint and not self.problem

    def look(self, fingerprint: tuple[Any, ...], *, finished: int, running: bool) -> None:
        """Takes what is ready, and begins the next where it is time.

        Args:
            fingerprint: of the runs that are stored.
            finished: how many of them have a result.
            running: whether more are coming.
        """
        now = time.monotonic()
        if self._next is None:
            self._next = now if finished else now + _FIRST_SECONDS
        self._take_ended(now)
        if self._process is not None:
            return
        due = fingerprint != self._made and (fingerprint != self._asked or now >= self._again)
        if finished and due and (not running or now >= self._next):
            self._begun = now
            try:
                self._start(politely=running)
            except OSError as error:
                self._fail(f"the report cannot be made: {error.strerror or error}", now)
            self._asked = fingerprint

    def stop(self) -> None:
        """Ends the process, where one runs."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2.0)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()

    def _start(self, *, politely: bool) -> None:
        out = self._folder / str(self.version + 1)
        shutil.rmtree(out, ignore_errors=True)  # of an attempt that was killed
        command = [sys.executable, "-P", "-m", "haepo_bench", "report", str(self._results), "--out", str(out)]
        with (self._folder / "messages").open("wb") as messages:
            # Of its own session: Ctrl-C is ours, and we end it.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        with contextlib.suppress(OSError):
            if politely:
                os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICE)

    def _take_ended(self, now: float) -> None:
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return
        self._process = None
        self._next = now + (now - self._begun) / _SHARE
        made = self._folder / str(self.version + 1)
        messages = ""
        with contextlib.suppress(OSError):
            messages = (self._folder / "messages").read_text(encoding="utf-8", errors="replace").strip()[-2000:]
        # Code 4 comes with a report of what could be read; a signal may have left half a one.
        whole = code >= 0 and (made / "report.html").is_file()
        problem = "" if whole and not code else messages or f"the report ended with code {code}"
        if not whole:
            self._fail(problem, now)
            return
        self._made, self._patience = self._asked, _AGAIN_SECONDS
        self.problem = problem
        self.version += 1
        self.current = made
        # The one before stays: a page may be reading from it.
        shutil.rmtree(self._folder / str(self.version - 2), ignore_errors=True)

    def _fail(self, problem: str, now: float) -> None:
        self.problem = problem
        self._again = now + self._patience
        self._patience = min(2 * self._patience, _LONGEST_SECONDS)
