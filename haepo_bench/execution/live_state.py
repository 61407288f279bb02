"""Writes what goes on into the results folder (results/live_file.py), for readers elsewhere."""

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from haepo_bench.execution.executor import Ended, Event, Failed, Finished, Marked, Progressed, Started
from haepo_bench.execution.jobs import Job, last_end
from haepo_bench.execution.observing import Retried
from haepo_bench.execution.partial import PartialCurves
from haepo_bench.files import open_new
from haepo_bench.results.live_file import (
    HEARTBEAT_SECONDS,
    LIVE_FILE,
    LiveCurve,
    LiveFailure,
    LiveJob,
    LiveState,
)
from haepo_bench.results.record import Failure, Number
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import PlannedRun, RunKey

#: The file is replaced at most so often: soon for an evaluation point or the end of a run, rarely for mere progress,
#: of which there is some at any time.
_SOON_SECONDS, _PERIOD_SECONDS = 0.25, 1.0
#: Points of a curve and curves at most: what a screen can show, in a file that costs milliseconds.
_POINTS, _CURVES, _FAILURES = 80, 240, 100
_MESSAGE_CHARACTERS = 2_000


@dataclass
class _Running:
    job: Job
    worker: int
    since: float
    env_steps: int = 0

    @property
    def total(self) -> int:
        return self.job.cell.budget * len(self.job.runs)

    def seconds_left(self, now: float) -> float | None:
        """At the rate so far; None before the first step."""
        if self.env_steps <= 0:
            return None
        return max(0.0, (now - self.since) * (self.total - self.env_steps) / self.env_steps)


class LiveWriter:
    """Follows the jobs of a session and keeps the file up to date.

    Args:
        jobs: that the session begins with.
        slots: jobs that can run at a time.
    """

    name = "the live state"

    def __init__(self, store: Store, jobs: Sequence[Job], slots: int) -> None:
        self._path = store.root / LIVE_FILE
        self._store = store
        self._slots = max(slots, 1)
        self._waiting = {id(job): job for job in jobs}
        self._runs = sum(len(job.runs) for job in jobs)
        cells = [run.cell for job in jobs for run in job.runs]
        self._scored = sorted({cell.task for cell in cells if cell.references is not None})
        self._running: dict[int, _Running] = {}
        self._finished = self._failed = 0
        self._curves = PartialCurves()
        self._ended: dict[RunKey, LiveCurve] = {}
        self._failures: list[LiveFailure] = []
        self._host = socket.gethostname()
        self._began = time.monotonic()
        self._written = float("-inf")
        self._news = self._urgent = True

    def __enter__(self) -> "LiveWriter":
        self._write(time.monotonic())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for path in (self._path, _unfinished(self._path)):
            path.unlink(missing_ok=True)

    def show(self, event: Event | Retried) -> None:
        """Takes in what happened, and writes it where the last time is long enough ago."""
        self._take(event)
        now = time.monotonic()
        since = now - self._written
        patience = _SOON_SECONDS if self._urgent else _PERIOD_SECONDS if self._news else HEARTBEAT_SECONDS
        if since >= patience:
            self._write(now)

    def _take(self, event: Event | Retried) -> None:
        match event:
            case Started(job):
                self._waiting.pop(id(job), None)
                for run in job.runs:  # tried again
                    self._ended.pop(run.key, None)
                taken = {running.worker for running in self._running.values()}
                worker = next(number for number in range(1, len(taken) + 2) if number not in taken)
                self._running[id(job)] = _Running(job, worker, time.monotonic())
            case Progressed(job, env_steps, _, _):
                self._running[id(job)].env_steps = env_steps
            case Marked(_, run, row):
                self._curves.add(run.key, row)
            case Finished(_, run):
                self._finished += 1
                self._end(run)
            case Failed(job, runs, failure):
                self._failed += len(runs)
                self._fail(job, runs, failure, again=False)
            case Retried(job, runs, failure):
                self._fail(job, runs, failure, again=True)
            case Ended(job):
                del self._running[id(job)]
            case _:
                return
        self._news = True
        self._urgent = self._urgent or not isinstance(event, Progressed)

    def _fail(self, job: Job, runs: Sequence[PlannedRun], failure: Failure, *, again: bool) -> None:
        for run in runs:
            self._end(run)
        self._failures.append(
            LiveFailure(
                task=runs[0].cell.task,
                algorithm=runs[0].cell.algorithm,
                seeds=[run.seed for run in runs],
                status=failure.status,
                type=failure.type,
                message=failure.message[:_MESSAGE_CHARACTERS],
                remedy=failure.remedy[:_MESSAGE_CHARACTERS],
                log=self._log(job),
                again=again,
            )
        )
        del self._failures[:-_FAILURES]

    def _end(self, run: PlannedRun) -> None:
        """Keeps the curve of a run that is over, as long as there is room."""
        curve = self._curve(run, ended=True)
        self._curves.take(run.key)
        if curve.env_steps:
            self._ended[run.key] = curve
        while len(self._ended) > _CURVES:
            del self._ended[next(iter(self._ended))]

    def _curve(self, run: PlannedRun, *, ended: bool) -> LiveCurve:
        cell = run.cell
        rows = self._curves.rows(run.key)
        rows = _thinned(rows)
        score = (lambda value: value) if cell.references is None else cell.references.score
        values = [row.get("eval_return") for row in rows]
        return LiveCurve(
            task=cell.task,
            algorithm=cell.algorithm,
            seed=run.seed,
            ended=ended,
            env_steps=[int(row["env_steps"] or 0) for row in rows],
            values=[None if value is None else float(f"{score(value):.6g}") for value in values],
        )

    def _log(self, job: Job) -> str:
        return self._store.log_path(job.log_name).relative_to(self._store.root).as_posix()

    def _seconds_left(self, now: float) -> float:
        """Of the jobs that run at their rates, and of those that wait by their estimates."""
        begun = [
            max(running.job.seconds - (now - running.since), 0.0) if left is None else left
            for running in self._running.values()
            for left in [running.seconds_left(now)]
        ]
        return last_end(begun, [job.seconds for job in self._waiting.values()], self._slots)

    def _write(self, now: float) -> None:
        under_way = [run for running in self._running.values() for run in running.job.runs]
        curves = [self._curve(run, ended=False) for run in under_way[:_CURVES] if self._curves.rows(run.key)]
        ended = list(self._ended.values())[-(_CURVES - len(curves)) :] if len(curves) < _CURVES else []
        known = self._running or self._finished
        state = LiveState(
            written=time.time(),
            host=self._host,
            process=os.getpid(),
            seconds=now - self._began,
            runs=self._runs,
            finished=self._finished,
            failed=self._failed,
            waiting=len(self._waiting),
            workers=self._slots,
            seconds_left=self._seconds_left(now) if known else None,
            scored=self._scored,
            jobs=[
                LiveJob(
                    worker=running.worker,
                    task=running.job.cell.task,
                    algorithm=running.job.cell.algorithm,
                    seeds=list(running.job.seeds),
                    log=self._log(running.job),
                    seconds=now - running.since,
                    env_steps=running.env_steps,
                    total=running.total,
                    seconds_left=running.seconds_left(now),
                )
                for running in self._running.values()
            ],
            curves=[*ended, *curves],
            curves_left_out=max(0, len(under_way) - _CURVES),
            failures=self._failures,
        )
        self._written, self._news, self._urgent = now, False, False
        # Not flushed to disk: after a crash of the machine it is of no use. A folder that cannot be written is the
        # store's to complain about.
        with contextlib.suppress(OSError):
            unfinished = _unfinished(self._path)
            with open_new(unfinished) as file:
                file.write(state.model_dump_json().encode("utf-8", errors="replace"))
            unfinished.replace(self._path)


def _thinned(rows: list[dict[str, Number]]) -> list[dict[str, Number]]:
    """At most `_POINTS`, the last one among them: every 2^n-th, so that seeds have them at the same steps."""
    least = -(-(len(rows) - 1) // (_POINTS - 1))
    every = 1 << max(least - 1, 0).bit_length()
    return [row for i, row in enumerate(rows) if i % every == 0 or i == len(rows) - 1]


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")
