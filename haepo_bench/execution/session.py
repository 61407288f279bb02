"""One `run`: from a plan to stored runs."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from haepo_bench import interruption
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.execution.choice import executor_for
from haepo_bench.execution.estimate import START_SECONDS, Estimate, estimate_runs, without_checkpoints
from haepo_bench.execution.executor import Event, Executor, Failed, Finished, Marked, Queue, Started
from haepo_bench.execution.jobs import Job, make_jobs
from haepo_bench.execution.live_state import LiveWriter
from haepo_bench.execution.observing import Observer, Observers, Retried
from haepo_bench.execution.obsolete import Obsolete, obsolete
from haepo_bench.execution.partial import PartialCurves
from haepo_bench.execution.progress import display_for
from haepo_bench.execution.provenance import provenance, reference_seconds
from haepo_bench.execution.records import failure_record, shared_with, utc_now
from haepo_bench.execution.survey import Stored, Survey, seconds_of, survey
from haepo_bench.execution.worker import Request
from haepo_bench.execution.worker_process import WorkerProcess
from haepo_bench.results.claims import PROVENANCE_KEY
from haepo_bench.results.code import write_code
from haepo_bench.results.declarations import declare
from haepo_bench.results.index import refresh
from haepo_bench.results.lock import Held
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.record import FAILED, FINISHED, Engine, Failure, RunRecord
from haepo_bench.results.searches import TUNED
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Cell, Plan, PlannedRun, RunKey
from haepo_bench.suite.planned import plan_file
from haepo_bench.terminal import echo
from haepo_bench.wording import many

#: How often a run is tried again at once after a failure of the machine.
RETRIES = 3

#: Marking runs as interrupted must not keep a person waiting: an unmarked run is missing, and run again all the same.
_MARKING_SECONDS = 2.0


@dataclass(frozen=True)
class Options:
    """What a person asked of one `run` beside the suite.

    Args:
        retry_failed: run failed and timed-out runs again.
        fail_fast: stop at the first run that fails.
        save_policies: keep the final policies of the runs made now.
        max_hours: start no job that would probably not have ended by then; None for any number.
        quiet: show nothing meanwhile.
    """

    retry_failed: bool = False
    fail_fast: bool = False
    save_policies: bool = False
    max_hours: float | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Outcome:
    """How it went.

    Args:
        runs: all runs asked for that have a file now.
        complete: every run asked for is done or diverged.
        asked: number of runs asked for.
        finished: of those, how many are done or diverged.
        kept: of those, how many were there already.
        failed: runs asked for that failed or timed out, now or earlier.
        lost: of those, how many failed by the machine's doing, and are run again by the same command.
        resumable: of the others, how many have a checkpoint to go on from.
        not_started: runs that would not have ended within the time that was given.
        signalled: a signal ended it.
    """

    runs: dict[RunKey, Stored]
    complete: bool
    asked: int
    finished: int
    kept: int
    failed: int
    lost: int
    resumable: int
    not_started: int
    signalled: bool

    @property
    def after_interruption(self) -> str:
        """What is kept, and what the same command does with the rest."""
        again = self.asked - self.finished - self.failed - self.resumable
        rest = [f"resumes {many(self.resumable, 'run')} from a checkpoint"] if self.resumable else []
        rest += [f"starts {many(again, 'run')} from the beginning"] if again else []
        kept = f"{self.finished} of {many(self.asked, 'run')} finished and kept"
        return f"{kept}; the same command {' and '.join(rest)}" if rest else kept

    @property
    def exit_code(self) -> ExitCode:
        """130 interrupted, 2 where a run asked for has no result, else 0."""
        if self.signalled:
            return ExitCode.INTERRUPTED
        return ExitCode.OK if self.complete else ExitCode.RUN_FAILED


@dataclass(frozen=True)
class Forecast:
    """What a `run` would do.

    Args:
        jobs: in the order in which they would be started.
        estimates: of one run, by the folder of each cell that has something to do.
        obsolete: runs by other code of these cells.
    """

    survey: Survey
    jobs: list[Job]
    estimates: dict[str, Estimate]
    obsolete: list[Obsolete]


def forecast(plan: Plan, store: Store, *, retry_failed: bool) -> Forecast:
    """Compares a plan with what is stored; writes nothing."""
    _check_kind(plan, store)
    state = survey(plan, store, retry_failed=retry_failed)
    estimates = estimate_runs((cell for cell, _ in state.missing), store)
    seconds = {folder: estimate.seconds for folder, estimate in estimates.items()}
    jobs = make_jobs(state.missing, plan.execution.workers, seconds)
    return Forecast(state, jobs, estimates, obsolete([cell for cell, _ in state.missing], store))


def _check_kind(plan: Plan, store: Store) -> None:
    """Guards the runs of `run SUITE --tuned FILE` against those of a suite that is called SUITE-tuned, and vice versa.

    Raises:
        UserError: the folder has the others.
    """
    there = store.read_plan()
    if isinstance(there, PlanFile) and bool(there.tuned) != bool(plan.tuned):
        name = plan.suite.removesuffix(TUNED)
        found, plain = f"`run {name} --tuned`", f"a suite that is called {name}{TUNED}"
        has, asked = (found, plain) if there.tuned else (plain, found)
        raise UserError(
            f"has the runs of {has}, whose place those of {asked} would take",
            where=str(store.root),
            remedy="give one of the suites another name, or choose another folder with --results",
        )


def engine_of(store: Store) -> str | None:
    """The engine that the last `run` of a folder was made with; None where nothing readable says so."""
    plan = store.read_plan()
    return plan.engine if isinstance(plan, PlanFile) and plan.engine in get_args(Engine) else None


def run_plan(
    plan: Plan,
    store: Store,
    options: Options,
    ready: Sequence[WorkerProcess] = (),
    observers: Sequence[Observer] = (),
) -> Outcome:
    """Runs what is missing of a plan and stores each run as soon as it is finished.

    Args:
        ready: idle workers that run already.
        observers: hear what happens, where anything is run.

    Raises:
        UserError: another `run` holds the folder, it cannot be written, something in it cannot be read, the disk is
            full, or what was written was deleted before the end.
    """
    with store.lock() as held, contextlib.ExitStack() as stack:
        todo = forecast(plan, store, retry_failed=options.retry_failed)
        session = _Session(plan, store, options, todo.survey, held)
        jobs = todo.jobs
        if jobs:
            executor = session.executor(ready)
            stack.enter_context(contextlib.closing(executor))
            seconds = {folder: estimate.seconds for folder, estimate in todo.estimates.items()}
            jobs = make_jobs(todo.survey.missing, executor.slots, seconds)
        store.prepare(session.files(jobs))
        # Nothing was changed until here, where all that could stop this has been looked at.
        store.sweep()
        planned = plan_file(plan, written=utc_now())
        declare(store, planned)
        store.write_plan(planned)
        for cell, _ in todo.survey.missing:
            write_code(store, cell.folder, cell.code)
        signalled = session.run(jobs, executor, observers) if jobs else False
        session.leave(signalled=signalled)
        if not signalled:  # a person who stops it should not wait for it
            refresh(store)
    asked = [RunKey(cell.folder, seed) for cell in plan.cells for seed in cell.seeds]
    statuses = {key: session.runs[key].status if key in session.runs else None for key in asked}
    unfinished = [key for key, status in statuses.items() if status not in FINISHED | FAILED]
    return Outcome(
        runs=session.runs,
        complete=bool(asked) and all(status in FINISHED for status in statuses.values()),
        asked=len(asked),
        finished=sum(status in FINISHED for status in statuses.values()),
        kept=len(asked) - sum(len(seeds) for _, seeds in todo.survey.missing),
        failed=sum(status in FAILED for status in statuses.values()),
        lost=sum(_is_lost(session.runs[key]) for key, status in statuses.items() if status in FAILED),
        not_started=session.not_started,
        resumable=sum(store.checkpoint_path(*key).is_file() for key in unfinished),
        signalled=signalled,
    )


@dataclass
class _Session:
    plan: Plan
    store: Store
    options: Options
    survey: Survey
    held: Held
    runs: dict[RunKey, Stored] = field(init=False)
    pending: dict[RunKey, Cell] = field(init=False)
    logs: set[Path] = field(init=False, default_factory=set)
    not_started: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.runs = dict(self.survey.stored)
        self.pending = {RunKey(cell.folder, seed): cell for cell, seeds in self.survey.missing for seed in seeds}
        self._began = time.monotonic()
        self._partial = PartialCurves()
        self._losses: Counter[RunKey] = Counter()
        self._measured: dict[str, list[float]] = {}
        self._provenance = {**provenance(self.plan.execution.device), PROVENANCE_KEY: self.plan.declaration}
        if self.pending:
            # Before any worker runs, so that nothing of ours disturbs it.
            self._provenance["reference_seconds"] = round(reference_seconds(), 6)

    def executor(self, ready: Sequence[WorkerProcess]) -> Executor:
        """What runs the jobs; a limit on hours is kept exactly only where none of them waits outside of the queue."""
        return executor_for(self.plan.execution, self._request, ready, ahead=self.options.max_hours is None)

    def run(self, jobs: list[Job], executor: Executor, observers: Sequence[Observer]) -> bool:
        """Runs the jobs; True where a signal ended it."""
        queue = Queue(jobs, self._in_time)
        unkept = without_checkpoints(jobs, self.plan.execution.checkpoint_seconds)
        if unkept and not self.options.quiet:
            echo(unkept, err=True)
        with interruption.listening(executor.stop) as signals:
            live = LiveWriter(self.store, jobs, executor.slots)
            all_observers = Observers([display_for(jobs, quiet=self.options.quiet), live, *observers])
            with contextlib.closing(executor.events(queue)) as events, all_observers:
                for event in events:
                    self._take(event, executor, queue, all_observers)
            passed_over = {run.key for job in queue.passed_over for run in job.runs}
            self.not_started = len(passed_over)
            unfinished = [key for key in self.pending if key not in passed_over]
            reason = f"stopped by {signals[0]}" if signals else "stopped after another run failed"
            self._mark_interrupted(unfinished, reason)
        return bool(signals)

    def _in_time(self, job: Job) -> bool:
        """Whether a job that is started now would end in time, as far as is known."""
        if self.options.max_hours is None:
            return True
        measured = self._measured.get(job.cell.folder)
        seconds = sum(measured) / len(measured) * len(job.runs) if measured else job.seconds
        ends = time.monotonic() - self._began + START_SECONDS + seconds
        return ends <= self.options.max_hours * 3600

    def _take(self, event: Event, executor: Executor, queue: Queue, observers: Observers) -> None:
        self.held.check()
        match event:
            case Started(job):
                self.logs.add(self.store.log_path(job.log_name))
            case Marked(_, run, row):
                self._partial.add(run.key, row)
            case Finished(_, run, text):
                record = RunRecord.from_json(text)
                self._partial.take(run.key)
                self._measured.setdefault(run.cell.folder, []).append(seconds_of(record) or 0.0)
                self._store(run.cell, record)
            case Failed(job, runs, failure, machine):
                again = self._fail(job, runs, failure, machine)
                for retried in again:
                    queue.put(retried)
                lost = tuple(run for retried in again for run in retried.runs)
                if lost:
                    observers.show(Retried(job, lost, failure))
                keys = {run.key for run in lost}
                final = tuple(run for run in runs if run.key not in keys)
                if not final:
                    return
                event = Failed(job, final, failure)
                if self.options.fail_fast:
                    executor.stop()
        observers.show(event)

    def _fail(self, job: Job, runs: tuple[PlannedRun, ...], failure: Failure, machine: Mapping[str, Any]) -> list[Job]:
        """Stores that runs failed; jobs with those of them that are to be tried again at once."""
        again = []
        for run in runs:
            self._losses[run.key] += failure.of_machine
            once_more = failure.of_machine and self._losses[run.key] <= RETRIES
            if once_more:
                again.append(run)
            curve = self._partial.take(run.key)
            about = {**self._about(job), **machine, **shared_with(run, job.runs), "started": failure.started}
            record = failure_record(self.plan.suite, run.cell, run.seed, failure, about, curve)
            self._store(run.cell, record, final=not once_more)
        # In halves: what the process was killed for may have been the memory of the batch.
        half = (len(again) + 1) // 2
        return [job.part(some) for some in (again[:half], again[half:]) if some]

    def _store(self, cell: Cell, record: RunRecord, *, final: bool = True) -> None:
        key = RunKey(cell.folder, record.seed)
        before = self.runs.get(key)
        if before is not None and before.failures:
            record = record.model_copy(update={"attempts": list(before.failures)})
        self.store.write(cell.folder, record)
        self.runs[key] = Stored.of(record)
        if final:
            del self.pending[key]

    def _mark_interrupted(self, keys: Sequence[RunKey], reason: str) -> None:
        failure = Failure(status="interrupted", type="Interrupted", message=reason)
        deadline = time.monotonic() + _MARKING_SECONDS
        for key in keys:
            if time.monotonic() > deadline:
                break
            cell, curve = self.pending[key], self._partial.take(key)
            record = failure_record(self.plan.suite, cell, key.seed, failure, self._provenance, curve)
            self._store(cell, record)

    def leave(self, *, signalled: bool) -> None:
        """Sees to it that what was written is there; a plan that was deleted is written again.

        Raises:
            UserError: runs or logs were deleted meanwhile, and no signal ended the session anyway.
        """
        if not signalled:
            self.held.check()
        if self.store.read_plan() is None:
            self.store.write_plan(plan_file(self.plan, written=utc_now()))
        files = (*(self.store.path(*key) for key in self.runs), *sorted(self.logs))
        gone = [str(file.relative_to(self.store.root)) for file in files if not _is_there(file)]
        if gone and not signalled:
            listed = ", ".join(gone[:3]) + (f" and {len(gone) - 3} more" if len(gone) > 3 else "")
            raise UserError(
                f"deleted while this run was writing to it: {listed}",
                where=str(self.store.root),
                remedy="the same command makes again what is missing; what is there is kept",
            )

    def files(self, jobs: Sequence[Job]) -> Iterator[Path]:
        """All that the jobs will write under a name of their own."""
        for job in jobs:
            yield self.store.log_path(job.log_name)
            for run in job.runs:
                yield self.store.path(*run.key)
                if self.options.save_policies:
                    yield self.store.policy_path(*run.key)

    def _about(self, job: Job) -> dict[str, Any]:
        log = self.store.log_path(job.log_name).relative_to(self.store.root).as_posix()
        return {**self._provenance, "log": log}

    def _request(self, job: Job) -> Request:
        keep = self.options.save_policies
        return Request(
            suite=self.plan.suite,
            runs=job.runs,
            device=self.plan.execution.device,
            provenance={**self._about(job), "started": utc_now()},
            log=self.store.log_path(job.log_name),
            policies=[self.store.policy_path(*run.key) for run in job.runs] if keep else [],
            checkpoints=[self.store.checkpoint_path(*run.key) for run in job.runs],
            checkpoint_seconds=self.plan.execution.checkpoint_seconds,
        )


def _is_lost(run: Stored) -> bool:
    return run.error is not None and run.error.of_machine


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # out of reach, which is not gone
        return True
    return True
