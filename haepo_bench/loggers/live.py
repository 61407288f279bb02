"""An observer that tells a tool of runs as they go on, in a thread of its own."""

import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from haepo_bench.execution.executor import Event, Failed, Finished, Marked
from haepo_bench.execution.observing import Retried
from haepo_bench.loggers.logger import LoggedCurve, LoggedRun, provenance_of
from haepo_bench.loggers.process import ToolProcess, tool
from haepo_bench.results.record import Number, RunRecord
from haepo_bench.suite.plan import PlannedRun, RunKey

#: What a tool may still take after the last run has ended, and where the session ends before its runs do.
_CLOSING_SECONDS = 60.0
_HURRIED_SECONDS = 10.0


class _Open:
    """A curve under way. A run that goes on from a checkpoint, or begins again, tells points of before once more: they
    are the same, and logged once.
    """

    def __init__(self, run: LoggedRun, curve: LoggedCurve) -> None:
        self._run, self._curve = run, curve
        self._latest = -1

    def log(self, row: Mapping[str, Number]) -> None:
        env_steps = int(row["env_steps"] or 0)
        if env_steps > self._latest:
            self._curve.log(env_steps, self._run.values(row))
            self._latest = env_steps

    def finish(self, status: str, provenance: Mapping[str, Any]) -> None:
        self._curve.finish(status, provenance)


class LiveLogger:
    """Passes what happens on to a tool. What the tool raises is raised in the session's thread, at the next event.

    Args:
        name: of the option that asked for it.
    """

    def __init__(self, name: str, suite: str, tool: ToolProcess) -> None:
        self.name = name
        self._suite, self._tool = suite, tool
        self._open: dict[RunKey, _Open] = {}
        self._unfinished: set[RunKey] = set()
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "LiveLogger":
        if self._error is None:
            # A tool that hangs does not keep the program from ending.
            self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._events.put(None)
        # A person who stops a session waits for its end.
        seconds = _HURRIED_SECONDS if self._unfinished or kind is not None else _CLOSING_SECONDS
        self._unfinished.clear()
        thread.join(seconds)
        if thread.is_alive():
            self._tool.kill()
            raise TimeoutError(f"it took longer than {seconds:g} s after the last run to take all that was logged")
        if self._error is not None:
            raise self._error

    def show(self, event: Event | Retried) -> None:
        """Hands on the events that a tool hears of."""
        if self._error is not None:
            self._thread = None
            raise self._error
        match event:
            case Marked(run=run):
                self._unfinished.add(run.key)
            case Finished(run=run):
                self._unfinished.discard(run.key)
            case Failed(runs=runs):
                self._unfinished.difference_update(run.key for run in runs)
            case _:
                return
        self._events.put(event)

    def _work(self) -> None:
        try:
            while (event := self._events.get()) is not None:
                self._tell(event)
            self._open.clear()
            self._tool.close()
        except Exception as error:  # whatever a library raises
            self._error = error
            self._tool.kill()

    def _tell(self, event: Event) -> None:
        match event:
            case Marked(run=run, row=row):
                self._curve(run).log(row)
            case Finished(run=run, record=text):
                record = RunRecord.from_json(text)
                curve = self._curve(run)
                for row in rows_of(record):
                    curve.log(row)
                curve.finish(record.status, provenance_of(record))
                del self._open[run.key]
            case Failed(runs=runs, failure=failure):
                for run in runs:
                    self._curve(run).finish(failure.status, {"error": failure.type})
                    del self._open[run.key]

    def _curve(self, run: PlannedRun) -> _Open:
        if run.key not in self._open:
            logged = LoggedRun.planned(self._suite, run)
            self._open[run.key] = _Open(logged, self._tool.begin(logged))
        return self._open[run.key]


def rows_of(record: RunRecord) -> list[dict[str, Number]]:
    """The evaluation points of a record, each with its columns."""
    length = len(record.curve.get("env_steps", []))
    return [{name: column[i] for name, column in record.curve.items()} for i in range(length)]


def observers_for(names: Sequence[str], folder: Path, suite: str) -> list[LiveLogger]:
    """What tells the tools of a session's runs, in the order of their names.

    Raises:
        UserError: one of them is not installed.
    """
    options = {name: f"--log {name}" for name in names}
    return [LiveLogger(option, suite, tool(name, folder, suite, option)) for name, option in options.items()]
