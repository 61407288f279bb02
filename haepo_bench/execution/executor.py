"""The contract of executors: what runs jobs, and what it promises.

An executor is given jobs and tells what becomes of them. It promises:

1. Of each job that it starts: Started, then for each of its runs exactly one Finished or Failed, then Ended.
   Progressed and Marked come in between, as they happen; jobs interleave in any order.
2. The bytes of a result are those of its identity: neither the order of jobs, nor how many run at a time, nor where,
   nor what happened to others shows in them. (That is the worker's doing; an executor has to start it right: one
   thread, set before any library is loaded.)
3. It writes no run: who iterates over the events is the one writer of the store. Logs, checkpoints and policies are
   written by the worker, or here where that is elsewhere, each to a file that no other job of the session writes.
4. What fails tells what failed (`Failure.of_machine`): a process that was killed, memory or a node that was lost is not
   the algorithm's doing. An executor never runs a job again by itself; a job that is added to the queue, at any time
   until `events` ends, is run as well.
5. After `stop`, `events` ends within seconds, with what had finished by then; stopping is safe in a signal handler.
   However the iteration ends, no process of the executor survives it.

tests/execution/test_executor_contract.py holds every executor to it.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from haepo_bench.execution.jobs import Job
from haepo_bench.results.record import Failure, Number
from haepo_bench.suite.plan import PlannedRun


@dataclass(frozen=True)
class Started:
    """A job was given to a worker."""

    job: Job


@dataclass(frozen=True)
class Progressed:
    """Where a job stands, summed over its runs; `eval_return` None before the first evaluation."""

    job: Job
    env_steps: int
    total: int
    eval_return: float | None


@dataclass(frozen=True)
class Marked:
    """A run has been evaluated: its curve's columns at one evaluation point, `env_steps` among them.

    A run that goes on from a checkpoint tells the points of before again.
    """

    job: Job
    run: PlannedRun
    row: dict[str, Number]


@dataclass(frozen=True)
class Finished:
    """A run is done or diverged; `record` is its run record as JSON text."""

    job: Job
    run: PlannedRun
    record: str


@dataclass(frozen=True)
class Failed:
    """Runs of a job that will have no result from it.

    Args:
        machine: that they were run on, as provenance says it; empty: this one.
    """

    job: Job
    runs: tuple[PlannedRun, ...]
    failure: Failure
    machine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """A job is over: each of its runs has finished or failed."""

    job: Job


@dataclass(frozen=True)
class Tick:
    """Nothing in particular, several times a second."""


Event = Started | Progressed | Marked | Finished | Failed | Ended | Tick


class Queue:
    """Jobs that are waiting, in the order in which they are to be started.

    Args:
        may_start: says of the next job whether it may be started now; one that may not is passed over for good.
    """

    def __init__(self, jobs: Iterable[Job], may_start: Callable[[Job], bool] = lambda job: True) -> None:
        self._jobs = deque(jobs)
        self._may_start = may_start
        self.passed_over: list[Job] = []

    def take(self, suits: Callable[[Job], bool] = lambda job: True) -> Job | None:
        """The next job for which `suits` holds, else the next; None where none is waiting that may be started."""
        while self._jobs:
            place = next((place for place, job in enumerate(self._jobs) if suits(job)), 0)
            job = self._jobs[place]
            del self._jobs[place]
            if self._may_start(job):
                return job
            self.passed_over.append(job)
        return None

    def put(self, job: Job) -> None:
        """Adds a job, which is next."""
        self._jobs.appendleft(job)


class Executor(Protocol):
    """Runs jobs; the module says what it promises."""

    #: Jobs that can run at a time, as far as it is known before the first.
    slots: int

    def events(self, queue: Queue) -> Generator[Event, None, None]:
        """Runs the jobs of a queue and tells what happens.

        Close it (`contextlib.closing`) where the iteration may end early.
        """
        ...

    def stop(self) -> None:
        """Ends `events` soon; safe to call from a signal handler."""
        ...

    def close(self) -> None:
        """Lets go of what the executor holds; `stop` may not be called after it."""
        ...
