"""A suite on a cluster from end to end: collect what there is, submit what is missing, wait for it or not.

What is known is in files alone: the results of each chunk, and which jobs were submitted. So the command may end at any
time, and the same command goes on.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from haepo_bench import interruption
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.execution.records import utc_now
from haepo_bench.execution.slurm.chunks import cut, hand_over, time_limit
from haepo_bench.execution.slurm.job import ChunkJob
from haepo_bench.execution.slurm.queue import SLURM_FOLDER, JobQueue, QueueError, Submitted
from haepo_bench.execution.survey import Survey, survey
from haepo_bench.files import read_regular
from haepo_bench.results.code import write_code
from haepo_bench.results.declarations import declare
from haepo_bench.results.merging import Conflict, merge
from haepo_bench.results.store import Store
from haepo_bench.suite.machine import usable_cores
from haepo_bench.suite.plan import Plan
from haepo_bench.suite.planned import plan_file
from haepo_bench.suite.shards import Shard
from haepo_bench.suite.slurm_keys import SlurmOptions
from haepo_bench.wording import duration, many

#: How often a chunk is submitted that brings nothing.
TRIES = 3
#: Between two looks at the queue: at processes of this machine, at Slurm, which serves others too.
_LOCAL_SECONDS, _SLURM_SECONDS, _STEP_SECONDS = 0.5, 15.0, 0.25
#: A job that was submitted just now may not be in the queue's list yet.
_UNLISTED_SECONDS = 30.0
#: While a command waits, merging takes at most this part of the time.
_MERGING = 0.1
#: Exit codes after which another try may bring more: runs are missing, the command was ended.
_MAY_GO_ON = frozenset({None, ExitCode.OK, ExitCode.RUN_FAILED, ExitCode.INTERRUPTED})


@dataclass(frozen=True)
class GivenUp:
    """A chunk that is not submitted again.

    Args:
        code: that its command exited with; None where Slurm ended it.
        said: the command's own error message, empty where there is none.
    """

    shard: Shard
    code: int | None
    log: Path
    said: str


@dataclass(frozen=True)
class Spread:
    """How it went.

    Args:
        survey: of the suite's folder at the end.
        queued: jobs that have not ended, by what Slurm says of them.
        left: chunks that wait to be submitted.
        conflicts: unequal results of one run.
        given_up: chunks that are not submitted again.
        signalled: a signal ended it.
    """

    survey: Survey
    queued: Counter[str]
    left: int
    conflicts: list[Conflict]
    given_up: list[GivenUp]
    signalled: bool


class Cluster:
    """A plan, its folder, and the queue.

    Args:
        command: makes the command of a chunk from its shard.
        retry_failed: run failed runs again.
        say: takes a line for people.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        options: SlurmOptions,
        command: Callable[[Shard], Sequence[str]],
        *,
        retry_failed: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._plan, self._store, self._options = plan, store, options
        self._command, self._retry_failed, self._say = command, retry_failed, say
        self._chunks = cut(plan, options)
        self._queue = JobQueue(store.root / SLURM_FOLDER, plan.suite, options)
        self._waiting: list[int] = []
        self._to_collect: set[int] = set()
        self._lacked: dict[int, int] = {}
        self._tries: Counter[int] = Counter()
        self._codes: dict[int, tuple[int | None, Path]] = {}
        self._given_up: dict[int, GivenUp] = {}
        self._conflicts: dict[Path, Conflict] = {}
        self._stopped = False
        self._merged_at, self._merging_took = 0.0, 0.0
        self._said = ""

    def outlook(self) -> list[str]:
        """What a run would submit and what is in the queue, in lines; nothing is changed."""
        lacking = self._chunks.lacking(self._survey(self._retry_failed))
        minutes = time_limit(self._chunks, self._options)
        size = f"{many(len(self._chunks.runs), 'job')} of about {duration(self._chunks.longest)} at most"
        states = self._states()
        queued = f"in the queue: {_counts(states)}" if states else "none of them is in the queue"
        return [f"{size}, time limit {duration(minutes * 60)}; {len(lacking)} to be made, {queued}", *self._warnings()]

    def run(self, *, detach: bool) -> Spread:
        """Collects, submits and, unless it is to detach, waits until nothing is left to do.

        Raises:
            UserError: Slurm is not there or refuses the jobs, jobs of another version of the suite are in the queue,
                or the folder cannot be written.
        """
        with Store(self._store.root / SLURM_FOLDER).lock():  # no second command submits the same
            states = self._states()
            for line in self._warnings():
                self._say(line)
            self._queue.forget(job for job in self._queue.submitted if job not in states)
            found = self._collect(self._chunks.runs, retry_failed=self._retry_failed)
            active = {job.chunk for job in states}
            self._waiting = [number for number in self._chunks.lacking(found) if number not in active]
            states = self._submit(found, states)
            with interruption.listening(self._stop) as signals:
                while not detach and not self._stopped and (states or self._waiting or self._to_collect):
                    self._tell(states)
                    self._sleep()
                    states = self._next(states)
                if self._stopped:
                    self._queue.cancel(states)
            if not detach and not self._stopped:
                found = self._survey()
            return Spread(
                survey=found,
                queued=Counter() if self._stopped and self._options.cluster == "local" else Counter(states.values()),
                left=len(self._waiting),
                conflicts=list(self._conflicts.values()),
                given_up=list(self._given_up.values()),
                signalled=bool(signals),
            )

    def _stop(self) -> None:
        self._stopped = True

    def _sleep(self) -> None:
        # In steps: a signal whose handler raises nothing does not end a sleep.
        until = time.monotonic() + (_LOCAL_SECONDS if self._options.cluster == "local" else _SLURM_SECONDS)
        while not self._stopped and time.monotonic() < until:
            time.sleep(_STEP_SECONDS)

    def _next(self, before: Mapping[Submitted, str]) -> dict[Submitted, str]:
        """One look at the queue, and what follows from it; the jobs that have not ended."""
        try:
            states = self._queue.states()
        except QueueError as error:
            self._say(f"the queue does not answer: {error}")
            return dict(before)
        now = datetime.now(UTC)
        ended = []
        for job in self._queue.submitted:
            if job in states:
                continue
            code = self._queue.exit_code(job)
            new = now - datetime.fromisoformat(job.at) < timedelta(seconds=_UNLISTED_SECONDS)
            if code is None and new and job.cluster == "slurm":
                states[job] = before.get(job, "PENDING")
                continue
            self._codes[job.chunk] = code, self._queue.error_log(job)
            self._to_collect.add(job.chunk)
            ended.append(job)
        self._queue.forget(ended)
        found = None
        rested = time.monotonic() - self._merged_at >= self._merging_took / _MERGING
        if self._to_collect and (rested or not (states or self._waiting)):
            found = self._collect(self._to_collect)
            lacking = self._chunks.lacking(found)
            for number in sorted(self._to_collect):
                self._decide(number, len(lacking.get(number, ())))
            self._to_collect = set()
        return self._submit(found, states)

    def _decide(self, number: int, lacks: int) -> None:
        """Whether a chunk that has ended is submitted again."""
        if not lacks:
            return
        code, log = self._codes[number]
        self._tries[number] = self._tries[number] + 1 if lacks >= self._lacked.get(number, 0) else 0
        if code in _MAY_GO_ON and self._tries[number] < TRIES:
            self._waiting.append(number)
        else:
            self._given_up[number] = GivenUp(self._chunks.shard(number), code, log, _last_error(log))

    def _submit(self, found: Survey | None, states: Mapping[Submitted, str]) -> dict[Submitted, str]:
        """Submits chunks that wait; all jobs that have not ended then."""
        numbers = self._waiting[: self._free(len(states))]
        if not numbers or self._stopped:
            return dict(states)
        lacking = self._chunks.lacking(found or self._survey(self._retry_failed))
        work = {}
        for number in numbers:
            lacks = set(lacking.get(number, ()))
            self._lacked[number] = len(lacks)
            known = (key for key in self._chunks.runs[number] if key not in lacks)
            hand_over(self._store, self._chunks.store(self._store, number), known)
            work[number] = ChunkJob(tuple(self._command(self._chunks.shard(number))), str(Path.cwd()))
        minutes = time_limit(self._chunks, self._options)
        submitted = self._queue.submit(self._chunks.plan, work, minutes)
        self._waiting = self._waiting[len(numbers) :]
        names = list(dict.fromkeys(job.job.partition("_")[0] for job in submitted))
        named = f": {', '.join(names)}" if self._options.cluster == "slurm" else ""
        self._say(f"submitted {many(len(submitted), 'job')}{named}")
        return {**states, **dict.fromkeys(submitted, "PENDING")}

    def _free(self, running: int) -> int | None:
        """How many more jobs may be submitted now; None for any number, where Slurm keeps count."""
        if self._options.cluster == "slurm":
            return None
        most = self._options.parallel or max(1, usable_cores() // self._options.cpus)
        return max(0, most - running)

    def _states(self) -> dict[Submitted, str]:
        """The jobs that have not ended.

        Raises:
            UserError: the queue does not answer, or holds jobs of another version of the suite.
        """
        try:
            states = self._queue.states()
        except QueueError as error:
            raise UserError(f"the queue does not answer: {error}", remedy="try again later") from None
        others = sorted({job.job.partition("_")[0] for job in states if job.plan != self._chunks.plan})
        if others:
            end = "scancel" if self._options.cluster == "slurm" else "kill"
            raise UserError(
                f"jobs of another version or division of this suite are in the queue: {', '.join(others)}",
                where=str(self._store.root),
                remedy=f"wait for them, or end them: {end} {' '.join(others)}",
            )
        return states

    def _survey(self, retry_failed: bool = False) -> Survey:
        return survey(self._plan, self._store, retry_failed=retry_failed)

    def _collect(self, numbers: Iterable[int], *, retry_failed: bool = False) -> Survey:
        """Merges those of some chunks that have what is missing, and declares what is to be run."""
        found = self._survey(retry_failed)
        lacking = self._chunks.lacking(found, failed=True)
        stores = {number: self._chunks.store(self._store, number) for number in numbers}
        sources = [
            store.root
            for number, store in stores.items()
            if any(store.path(*key).is_file() for key in lacking.get(number, ()))
        ]
        began = time.monotonic()
        if sources:
            for merged in merge(sources, self._store.root):
                self._conflicts.update({conflict.path: conflict for conflict in merged.conflicts})
        with self._store.lock():
            # The plan is this command's, whatever a node wrote into its own.
            planned = plan_file(self._plan, written=utc_now())
            declare(self._store, planned)
            self._store.write_plan(planned)
            for cell, _ in found.missing:
                write_code(self._store, cell.folder, cell.code)
        if sources:
            found = self._survey(retry_failed)
        self._merged_at = time.monotonic()
        self._merging_took = self._merged_at - began
        return found

    def _warnings(self) -> list[str]:
        minutes, longest = time_limit(self._chunks, self._options), self._chunks.longest_run
        if longest < minutes * 60:
            return []
        return [
            f"the longest run takes about {duration(longest)} at the built-in rate, and a job ends after "
            f"{duration(minutes * 60)}: such a run may never end; raise --slurm-time"
        ]

    def _tell(self, states: Mapping[Submitted, str]) -> None:
        rest = f", {len(self._waiting)} to be submitted" if self._waiting else ""
        line = f"jobs: {_counts(states) or 'none in the queue'}{rest}"
        if line != self._said:
            self._said = line
            self._say(line)


def _counts(states: Mapping[Submitted, str]) -> str:
    """`3 running, 12 pending`."""
    return ", ".join(f"{n} {state.lower()}" for state, n in sorted(Counter(states.values()).items()))


def _last_error(log: Path) -> str:
    """The error message at the end of a job's log, without its remedy."""
    with contextlib.suppress(OSError):
        lines = read_regular(log, most=None).decode("utf-8", errors="replace").splitlines()
        return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")
    return ""
