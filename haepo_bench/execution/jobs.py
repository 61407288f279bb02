"""What is missing, divided into jobs.

A job is a block of runs: the unit of scheduling, timeout and death. A run depends only on its identity, so how runs are
divided never changes a result.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from haepo_bench.suite.plan import Cell, PlannedRun, foreign_code

#: So many cells share jobs, and more, of at most so many seeds each, as a search makes them: fewer are scheduled better
#: one by one, and more seeds fill a batch by themselves.
MANY_CELLS, FEW_SEEDS = 4, 5
#: Runs of a job that cells share, and its estimated seconds: it is the unit of timeouts and of what a death costs.
MOST_ROWS, MOST_SECONDS = 240, 600.0


#: Longest that a job of several runs should be, in shares of a worker, where others would wait for it; and how much
#: sooner all must end for jobs to be divided for that: in batches of fewer seeds each costs more.
UNEVEN, SOONER = 1.25, 0.9


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

    @cached_property
    def foreign(self) -> frozenset[str]:
        """Hashes of other people's code that it executes."""
        return foreign_code(self.runs)

    @property
    def log_name(self) -> str:
        """Name of the job's log: no two jobs share their first run."""
        more = f"-and-{len(self.runs) - 1}-more" if len(self.runs) > 1 else ""
        return f"{self.cell.folder}/seed-{self.seeds[0]}{more}"

    def part(self, runs: Sequence[PlannedRun]) -> "Job":
        """A job of some of its runs."""
        return Job(tuple(runs), self.seconds / len(self.runs) * len(runs))


def make_jobs(
    missing: Sequence[tuple[Cell, tuple[int, ...]]], workers: int, seconds_a_run: Mapping[str, float]
) -> list[Job]:
    """Divides what is missing into jobs, the longest first.

    Cells whose algorithm trains a job's seeds as one batch stay whole, unless workers would idle, for lack of jobs or
    while the last ones take much longer than the rest; the others fall apart into single seeds. Many cells of few seeds
    that can train as rows of one batch share jobs.

    Args:
        seconds_a_run: estimate by cell folder.
    """
    jobs: list[Job] = []
    sharing: dict[str, list[Job]] = {}
    share = sum(seconds_a_run[cell.folder] * len(seeds) for cell, seeds in missing) / workers
    for cell, seeds in missing:
        each = seconds_a_run[cell.folder]
        blocks = [seeds] if cell.batches_seeds else [(seed,) for seed in seeds]
        own = [Job.of(cell, block, each * len(block)) for block in blocks]
        if cell.batch and len(seeds) <= FEW_SEEDS:
            sharing.setdefault(cell.batch, []).extend(own)
        else:
            jobs.extend(own)
    for small in sharing.values():
        jobs.extend(_joined(small, share) if len(small) >= MANY_CELLS else small)
    jobs = _divided(jobs, at_least=workers)
    even = _divided(jobs, longest=UNEVEN * share)
    sooner = last_end([], [job.seconds for job in even], workers) < SOONER * last_end(
        [], [job.seconds for job in jobs], workers
    )
    return even if sooner else jobs


def last_end(begun: Sequence[float], waiting: Iterable[float], workers: int) -> float:
    """Seconds until the last job ends, each that waits going in order to the worker that is free first.

    Args:
        begun: seconds left of each job under way.
        waiting: seconds of each further one.
    """
    free = [*begun, *[0.0] * (workers - len(begun))]
    heapq.heapify(free)
    for seconds in waiting:
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def _divided(jobs: Sequence[Job], *, at_least: int = 1, longest: float = math.inf) -> list[Job]:
    """So many jobs, of several runs none longer than `longest`, as far as they can be divided; the longest first."""
    made = list(jobs)
    while divisible := [job for job in made if len(job.runs) > 1]:
        largest = max(divisible, key=lambda job: job.seconds)
        if len(made) >= at_least and largest.seconds <= longest:
            break
        made.remove(largest)
        half = (len(largest.runs) + 1) // 2
        made.extend(largest.part(runs) for runs in (largest.runs[:half], largest.runs[half:]))
    return sorted(made, key=lambda job: -job.seconds)


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
