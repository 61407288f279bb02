"""What a person sees while jobs run: a live picture on a terminal, plain lines elsewhere, nothing when quiet.

All of it goes to standard error; a terminal that has gone away never stops a run.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haepo_bench.execution.executor import Ended, Event, Failed, Finished, Progressed, Started
from haepo_bench.execution.jobs import Job
from haepo_bench.execution.observing import Retried
from haepo_bench.results.record import Failure
from haepo_bench.suite.plan import PlannedRun, by_cell
from haepo_bench.terminal import console, echo, is_terminal
from haepo_bench.text import visible
from haepo_bench.wording import duration, many, named_seeds

if TYPE_CHECKING:
    from rich.console import RenderableType

_HEARTBEAT_SECONDS = 30.0
_REDRAW_SECONDS = 0.25


@dataclass
class _Running:
    job: Job
    since: float
    env_steps: int = 0
    eval_return: float | None = None
    failed: bool = False

    @property
    def total(self) -> int:
        return self.job.cell.budget * len(self.job.runs)

    @property
    def name(self) -> str:
        return _named(self.job.runs)

    @property
    def value(self) -> str:
        """Latest score, or return where the task has no references."""
        if self.eval_return is None:
            return ""
        references = self.job.cell.references
        if references is None:
            return f"return {self.eval_return:.4g}"
        return f"score {references.score(self.eval_return):.3f}"

    def rate(self, now: float) -> float:
        """Training env steps per second since the job began, all its seeds together."""
        return self.env_steps / max(now - self.since, 1e-9)

    def left(self, now: float) -> str:
        """Time left at that rate."""
        rate = self.rate(now)
        return duration((self.total - self.env_steps) / rate) + " left" if self.env_steps else "starting"


@dataclass
class Display:
    """Follows the jobs and shows nothing.

    Args:
        runs: to be run.
        steps: training env steps that they take.
    """

    name = "the display"

    runs: int
    steps: int
    finished: int = 0
    failed: int = 0
    steps_over: int = 0
    running: dict[int, _Running] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def show(self, event: Event | Retried) -> None:
        """Takes in what happened."""
        match event:
            case Started(job):
                self.running[id(job)] = _Running(job, time.monotonic())
            case Progressed(job, env_steps, _, eval_return):
                state = self.running[id(job)]
                state.env_steps, state.eval_return = env_steps, eval_return
            case Finished():
                self.finished += 1
            case Failed(job, runs):
                self.failed += len(runs)
                self.running[id(job)].failed = True
            case Retried(job, runs):
                self.running[id(job)].failed = True
                # They are counted when they end.
                self.steps_over -= job.cell.budget * len(runs)
            case Ended(job):
                self.steps_over += self.running.pop(id(job)).total


@dataclass
class Lines(Display):
    """Plain lines: a job starts, ends, fails; and a sign of life now and then."""

    spoken: float = field(default_factory=time.monotonic)

    def show(self, event: Event | Retried) -> None:
        """Takes in what happened and says so where it is news."""
        state = self.running.get(id(getattr(event, "job", None)))
        super().show(event)
        now = time.monotonic()
        match event:
            case Started(job):
                self._say(f"start  {self.running[id(job)].name}")
            case Failed() | Retried():
                self._say(_failure_text(event))
            case Ended() if state is not None and not state.failed:
                value = f", {state.value}" if state.value else ""
                self._say(f"done   {state.name} in {duration(now - state.since)}{value} ({self._count()})")
            case _ if now - self.spoken >= _HEARTBEAT_SECONDS:
                jobs = "; ".join(
                    f"{state.name} {state.env_steps / state.total:.0%} {state.value}".rstrip()
                    for state in self.running.values()
                )
                self._say(f"{duration(now - self.begun)}  {self._count()}: {jobs}")

    def _count(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        return f"{self.finished + self.failed} of {many(self.runs, 'run')}{failed}"

    def _say(self, text: str) -> None:
        self.spoken = time.monotonic()
        echo(text, err=True)


class Picture(Display):
    """A live picture: a bar for the suite and a line for each running job."""

    def __enter__(self) -> "Picture":
        from rich.live import Live

        self._drawn = 0.0
        # Drawn by hand: a second thread would draw in the middle of our own changes. Nothing is redirected: all that is
        # printed meanwhile goes through this console.
        self._live = Live(
            console=console(err=True), auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, event: Event | Retried) -> None:
        """Takes in what happened, says what failed and redraws at most a few times a second."""
        super().show(event)
        now = time.monotonic()
        if isinstance(event, Failed | Retried):
            self._live.console.print(_failure_text(event), markup=False, highlight=False, emoji=False)
        if now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._live.update(self._picture(now), refresh=True)

    def _picture(self, now: float) -> "RenderableType":
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        steps = self.steps_over + sum(state.env_steps for state in self.running.values())
        head = Table.grid(padding=(0, 1))
        failed = f", {self.failed} failed" if self.failed else ""
        head.add_row(
            Text(f"{self.finished + self.failed} of {many(self.runs, 'run')}{failed}"),
            ProgressBar(total=max(self.steps, 1), completed=min(steps, self.steps), width=40),
            Text(f"{steps / max(self.steps, 1):.0%}"),
            Text(duration(now - self.begun)),
        )
        jobs = Table.grid(padding=(0, 2))
        for state in self.running.values():
            jobs.add_row(
                Text(visible(state.name), overflow="ellipsis", no_wrap=True),
                Text(f"{state.env_steps / state.total:.0%}", justify="right"),
                Text(f"{state.rate(now):,.0f} steps/s", justify="right"),
                Text(state.value),
                Text(state.left(now)),
            )
        return Group(head, jobs)


def _failure_text(event: Failed | Retried) -> str:
    failure = event.failure
    first_line = failure.message.partition("\n")[0]
    reason = f"{failure.type}: {first_line}{remedy_lines(failure)}"
    what = "again" if isinstance(event, Retried) else failure.status.replace("_", " ")
    return f"{what}  {_named(event.runs)}: {reason}"


def _named(runs: Sequence[PlannedRun]) -> str:
    """The task, the algorithm and the seeds of some runs of a job."""
    cells = by_cell(runs)
    (cell, seeds), others = cells[0], len(cells) - 1
    if others:
        return f"{cell.task} {cell.algorithm} and {many(others, 'other')}, {many(len(runs), 'run')}"
    return f"{cell.task} {cell.algorithm} {named_seeds(seeds)}"


def remedy_lines(failure: Failure) -> str:
    """What to do about a failure, to go beneath its line; empty where unknown."""
    return "".join(f"\n  {line}" for line in failure.remedy.splitlines())


def display_for(jobs: list[Job], *, quiet: bool) -> Display:
    """The display that suits where standard error goes."""
    runs = sum(len(job.runs) for job in jobs)
    steps = sum(job.cell.budget * len(job.runs) for job in jobs)
    if quiet:
        return Display(runs, steps)
    # A dumb terminal cannot redraw a line.
    living = is_terminal(err=True) and os.environ.get("TERM") not in {"dumb", "unknown"}
    return Picture(runs, steps) if living else Lines(runs, steps)
