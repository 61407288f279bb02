"""What is missing from a plan, and its division into jobs.

A job is a block of runs: the unit of scheduling, timeout and death. A run depends only on its identity, so how runs are
divided never changes a result.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from haepo_bench.errors import UserError
from haepo_bench.results.index import Index
from haepo_bench.results.record import FAILED, FINISHED, Failure, Number, RunRecord, Status
from haepo_bench.results.store import FileState, Store, Unusable
from haepo_bench.suite.plan import Cell, Plan, PlannedRun, RunKey


@dataclass(frozen=True)
class Stored:
    """What the store knows of a run.

    Args:
        status: of the record, `damaged` where the file cannot be read as one.
        seconds: that the run took, training and evaluation; None where it has no result.
        log: the job's log file relative to the suite's folder, empty where the record does not say.
        failures: all attempts that failed, this record's included, oldest first.
    """

    status: Status | Literal["damaged"]
    final: Mapping[str, Number]
    error: Failure | None
    seconds: float | None
    log: str
    failures: tuple[Failure, ...]

    @classmethod
    def of(cls, record: RunRecord) -> "Stored":
        """What is remembered of a record."""
        own = [record.error] if record.error is not None and record.status in FAILED else []
        return cls(
            status=record.status,
            final=record.final,
            error=record.error,
            seconds=seconds_of(record),
            log=str(record.provenance.get("log", "")),
            failures=(*record.attempts, *own),
        )


@dataclass(frozen=True)
class Survey:
    """What a plan asks for, compared with what is stored.

    Args:
        stored: every run asked for that has a file.
        missing: seeds to be run, by cell in the plan's order; cells without any are left out.
        waiting: runs that failed by their own doing, which only `--retry-failed` runs again.
    """

    stored: dict[RunKey, Stored]
    missing: list[tuple[Cell, tuple[int, ...]]]
    waiting: list[RunKey]


#: So many cells share jobs, and more, of at most so many seeds each, as a search makes them: fewer are scheduled better
#: one by one, and more seeds fill a batch by themselves.
MANY_CELLS, FEW_SEEDS = 4, 5
#: Runs of a job that cells share, and its estimated seconds: it is the unit of timeouts and of what a death costs.
MOST_ROWS, MOST_SECONDS = 240, 600.0


@dataclass(frozen=True)
class Job:
    """A block of runs: seeds of one cell, or of several that train as one batch.

    Args:
        seconds: estimated.
    """

    runs: tuple[PlannedRun, ...]
    seconds: float

    @classmethod
    def of(cls, cell: Cell, seeds: Sequence[int], seconds: float) -> "Job":
        """A block of one cell's seeds."""
        return cls(tuple(PlannedRun(cell, seed) for seed in seeds), seconds)

    @property
    def cell(self) -> Cell:
        """Of the first run."""
        return self.runs[0].cell

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of all runs, in their order."""
        return tuple(run.seed for run in self.runs)

    @property
    def log_name(self) -> str:
        """Name of the job's log: no two jobs share their first run."""
        more = f"-and-{len(self.runs) - 1}-more" if len(self.runs) > 1 else ""
        return f"{self.cell.folder}/seed-{self.seeds[0]}{more}"

    def part(self, runs: Sequence[PlannedRun]) -> "Job":
        """A job of some of its runs."""
        return Job(tuple(runs), self.seconds / len(self.runs) * len(runs))


def survey(plan: Plan, store: Store, *, retry_failed: bool) -> Survey:
    """Reads what is stored of a plan and says what is to be run.

    Raises:
        UserError: a file holds another run than its name says, is of a newer format, or cannot be read.
    """
    store.check_readable(())
    stored: dict[RunKey, Stored] = {}
    missing: list[tuple[Cell, tuple[int, ...]]] = []
    waiting: list[RunKey] = []
    with Index(store.root) as index:
        for cell in plan.cells:
            seeds = []
            indexed = index.folder(cell.folder, curves=False)
            for seed in cell.seeds:
                key = RunKey(cell.folder, seed)
                entry = indexed.get(f"seed-{seed}.json")
                record = store.read(cell.folder, seed) if entry is None else entry.record
                if record is None:
                    seeds.append(seed)
                elif isinstance(record, Unusable):
                    if record.state is not FileState.DAMAGED:
                        raise record.error()
                    stored[key] = Stored("damaged", {}, None, None, "", ())
                    seeds.append(seed)
                else:
                    _check_identity(record, cell, seed, store)
                    stored[key] = Stored.of(record)
                    if record.status in FAILED and not retry_failed and not _lost(record):
                        waiting.append(key)
                    elif record.status not in FINISHED:
                        seeds.append(seed)
            for seed in seeds:
                store.check_checkpoint(cell.folder, seed)
            if seeds:
                missing.append((cell, tuple(seeds)))
    return Survey(stored, missing, waiting)


def make_jobs(
    missing: Sequence[tuple[Cell, tuple[int, ...]]], workers: int, seconds_a_run: Mapping[str, float]
) -> list[Job]:
    """Divides what is missing into jobs, the longest first.

    Cells whose algorithm trains a job's seeds as one batch stay whole, unless workers would idle; the others fall apart
    into single seeds. Many cells of few seeds that can train as rows of one batch share jobs.

    Args:
        seconds_a_run: estimate by cell folder.
    """
    jobs: list[Job] = []
    sharing: dict[str, list[Job]] = {}
    total = sum(seconds_a_run[cell.folder] * len(seeds) for cell, seeds in missing)
    for cell, seeds in missing:
        each = seconds_a_run[cell.folder]
        blocks = [seeds] if cell.batches_seeds else [(seed,) for seed in seeds]
        own = [Job.of(cell, block, each * len(block)) for block in blocks]
        if cell.batch and len(seeds) <= FEW_SEEDS:
            sharing.setdefault(cell.batch, []).extend(own)
        else:
            jobs.extend(own)
    for small in sharing.values():
        jobs.extend(_joined(small, total / workers) if len(small) >= MANY_CELLS else small)
    while len(jobs) < workers:
        divisible = [job for job in jobs if len(job.runs) > 1]
        if not divisible:
            break
        longest = max(divisible, key=lambda job: job.seconds)
        jobs.remove(longest)
        half = (len(longest.runs) + 1) // 2
        jobs.extend(longest.part(runs) for runs in (longest.runs[:half], longest.runs[half:]))
    return sorted(jobs, key=lambda job: -job.seconds)


def _joined(jobs: Sequence[Job], share: float) -> list[Job]:
    """Jobs that can share batches joined into few, of nearly the same number.

    Args:
        share: seconds of all that is missing that one worker has to take: no job needs to be longer.
    """
    runs = sum(len(job.runs) for job in jobs)
    seconds = sum(job.seconds for job in jobs)
    longest = min(share, MOST_SECONDS)
    # Less a hair: the same seconds summed in another order are not one job more. Nothing takes no time to divide.
    pieces = math.ceil(seconds / longest - 1e-9) if longest > 0 else 1
    count = min(len(jobs), max(-(-runs // MOST_ROWS), pieces))
    made: list[Job] = []
    held: list[Job] = []
    for number, job in enumerate(jobs):
        held.append(job)
        if (number + 1) * count // len(jobs) > len(made):
            together = tuple(run for one in held for run in one.runs)
            made.append(Job(together, sum(one.seconds for one in held)))
            held = []
    return made


def seconds_of(record: RunRecord) -> float | None:
    """Seconds that a finished run took, training and evaluation."""
    parts = [record.cost.get("wall_seconds"), record.cost.get("evaluation_seconds")]
    return sum(parts) if all(part is not None for part in parts) else None  # type: ignore[arg-type]  # `all` is not seen to narrow


def _lost(record: RunRecord) -> bool:
    """Whether the machine failed: nothing is known of the run then, and it is run again like one that is missing."""
    return record.error is not None and record.error.of_machine


def _check_identity(record: RunRecord, cell: Cell, seed: int, store: Store) -> None:
    """Guards against files that were copied or renamed by hand."""
    if (record.settings_hash, record.code_hash, record.seed) != (cell.settings_hash, cell.code_hash, seed):
        raise UserError(
            f"the file holds another run (seed {record.seed}, settings {record.settings_hash[:8]}, "
            f"code {record.code_hash[:8]}) than its name says",
            where=str(store.path(cell.folder, seed)),
            remedy="was it copied or renamed? Move it out of the results folder and run again",
        )
