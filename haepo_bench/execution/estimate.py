"""How long runs take, roughly: for the order of jobs and for `--dry-run`."""

import bisect
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import NamedTuple

from haepo_bench.execution.jobs import Job, last_end
from haepo_bench.execution.survey import seconds_of
from haepo_bench.results.index import Index
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store, read_record
from haepo_bench.suite.plan import Cell
from haepo_bench.suite.shards import STEPS_A_SECOND_BATCHED, STEPS_A_SECOND_SINGLE

#: Starting a worker and importing torch.
START_SECONDS = 3.0
#: Cells that are named one by one.
_SHOWN = 4


class Estimate(NamedTuple):
    """How long one run of a cell takes.

    Args:
        measured: whether from stored runs of the same settings (else from the rough rates above).
    """

    seconds: float
    measured: bool


def estimate_runs(cells: Iterable[Cell], store: Store) -> dict[str, Estimate]:
    """Seconds per run of each cell, by its folder.

    The mean of stored runs with the same settings, of this code if there are any, else a guess.
    """
    # Listed and opened once: a search has thousands of cells.
    names = sorted(folder.name for folder in store.folders())
    with Index(store.root) as index:
        return {cell.folder: _estimate(cell, store, names, index) for cell in cells}


def _estimate(cell: Cell, store: Store, names: Sequence[str], index: Index) -> Estimate:
    for folders in ({cell.folder} & set(beginning(names, cell.folder)), _of_any_code(cell, names)):
        taken = _stored_seconds(store, folders, index)
        if taken:
            return Estimate(fmean(taken), measured=True)
    rate = STEPS_A_SECOND_BATCHED if cell.batches_seeds else STEPS_A_SECOND_SINGLE
    return Estimate(cell.budget / rate, measured=False)


def total_seconds(jobs: Sequence[Job], workers: int) -> float:
    """When the last job ends if each goes, in order, to the worker that is free first."""
    return last_end([START_SECONDS] * workers, [job.seconds for job in jobs], workers) if jobs else 0.0


def without_checkpoints(jobs: Sequence[Job], seconds: float) -> str:
    """Which jobs start from the beginning when they are stopped, and take longer than `seconds`; empty for none."""
    cells = dict.fromkeys(
        f"{job.cell.algorithm} on {job.cell.task}" for job in jobs if not job.cell.resumes and job.seconds > seconds
    )
    if not cells:
        return ""
    shown = list(cells)[:_SHOWN]
    more = f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else ""
    return f"no checkpoints, so that what is stopped starts from the beginning: {', '.join(shown)}{more}"


def _of_any_code(cell: Cell, names: Sequence[str]) -> set[str]:
    """Names of the folders with runs of the same settings."""
    return set(beginning(names, cell.folder.removesuffix(cell.code_hash[:8])))


def beginning(names: Sequence[str], prefix: str) -> Sequence[str]:
    """Those of the sorted names that begin with a prefix."""
    first = last = bisect.bisect_left(names, prefix)
    while last < len(names) and names[last].startswith(prefix):
        last += 1
    return names[first:last]


def _stored_seconds(store: Store, folders: Iterable[str], index: Index) -> list[float]:
    found = (seconds_of(record) for record in _records(store, folders, index) if record.status == "done")
    return [seconds for seconds in found if seconds is not None]


def _records(store: Store, folders: Iterable[str], index: Index) -> Iterator[RunRecord]:
    for folder in sorted(folders):
        indexed = index.folder(folder, curves=False)
        for file in store.files(store.root / folder):
            if file.name.startswith("seed-") and file.suffix == ".json":
                entry = indexed.get(file.name)
                record = read_record(file) if entry is None else entry.record
                if isinstance(record, RunRecord):
                    yield record
