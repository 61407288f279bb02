"""A plan cut into chunks: shards that take one job each.

How many there are follows from the plan and the built-in rate alone, like the shards themselves, so that the same
command finds the folders of the one before.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from haepo_bench.execution.survey import Survey
from haepo_bench.files import read_regular
from haepo_bench.results.hashing import digest
from haepo_bench.results.record import FINISHED, RunRecord
from haepo_bench.results.store import Store
from haepo_bench.results.writing import write_atomically
from haepo_bench.suite.plan import Plan, RunKey
from haepo_bench.suite.shards import MOST_SHARDS, Shard, rated_seconds, shard_numbers
from haepo_bench.suite.slurm_keys import SlurmOptions

#: Single tasks lie a factor of three to both sides of the built-in rate (suite/shards.py).
_MARGIN = 3.0
_LEAST_LIMIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Chunks:
    """All chunks of a plan.

    Args:
        plan: hash of the plan and of how it is cut: jobs of another one are of no use to this one.
        runs: of each chunk, by its number, from 1 on.
        longest_run: seconds that the longest run should take.
        longest: seconds that the longest chunk should take.
    """

    plan: str
    runs: dict[int, tuple[RunKey, ...]]
    longest_run: float
    longest: float

    def shard(self, number: int) -> Shard:
        """The shard that a chunk is."""
        return Shard(number, len(self.runs))

    def store(self, suite: Store, number: int) -> Store:
        """Where a chunk's results are."""
        return Store(suite.root / self.shard(number).folder)

    def lacking(self, survey: Survey, *, failed: bool = False) -> dict[int, tuple[RunKey, ...]]:
        """The runs that a survey misses, by chunk; chunks that miss none are left out.

        Args:
            failed: count those that only `--retry-failed` runs again.
        """
        missing = {RunKey(cell.folder, seed) for cell, seeds in survey.missing for seed in seeds}
        missing |= set(survey.waiting) if failed else set()
        lacking = ((number, tuple(key for key in runs if key in missing)) for number, runs in self.runs.items())
        return {number: keys for number, keys in lacking if keys}


def cut(plan: Plan, options: SlurmOptions) -> Chunks:
    """Cuts a plan."""
    seconds = {cell.key: rated_seconds(cell) for cell in plan.cells}
    whole = sum(seconds[cell.key] * len(cell.seeds) for cell in plan.cells)
    count = max(1, min(math.ceil(whole / (options.chunk * options.cpus)), plan.runs, MOST_SHARDS))
    folders = {cell.key: cell.folder for cell in plan.cells}
    runs: dict[int, list[RunKey]] = {number: [] for number in range(1, count + 1)}
    loads = dict.fromkeys(runs, 0.0)
    for (key, seed), number in shard_numbers(plan, count).items():
        runs[number].append(RunKey(folders[key], seed))
        loads[number] += seconds[key] / options.cpus
    longest_run = max(seconds.values(), default=0.0)
    return Chunks(
        plan=digest([count, [[cell.folder, list(cell.seeds)] for cell in plan.cells]])[:16],
        runs={number: tuple(keys) for number, keys in runs.items()},
        longest_run=longest_run,
        longest=max(longest_run, *loads.values()),
    )


def time_limit(chunks: Chunks, options: SlurmOptions) -> int:
    """Minutes after which a chunk's job is ended and queued again."""
    seconds = options.time or max(_LEAST_LIMIT_SECONDS, _MARGIN * chunks.longest)
    return math.ceil(seconds / 60)


def hand_over(suite: Store, chunk: Store, runs: Iterable[RunKey]) -> None:
    """Gives a chunk what the suite's folder has of its runs, checkpoints too, so that nothing is made twice.

    Raises:
        UserError: the chunk's folder cannot be written.
    """
    for key in runs:
        there = chunk.read(*key)
        if not (isinstance(there, RunRecord) and there.status in FINISHED):
            _copy(suite.path(*key), chunk.path(*key))
            _copy(suite.checkpoint_path(*key), chunk.checkpoint_path(*key))


def _copy(source: Path, target: Path) -> None:
    try:
        content = read_regular(source, most=None)
    except OSError:  # not there, or not to be read: then the chunk makes it
        return
    write_atomically(target, content)
