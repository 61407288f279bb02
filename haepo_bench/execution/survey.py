"""What is stored of a plan, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from haepo_bench.errors import UserError
from haepo_bench.results.index import Index
from haepo_bench.results.record import FAILED, FINISHED, Failure, Number, RunRecord, Status
from haepo_bench.results.store import FileState, Store, Unusable
from haepo_bench.suite.plan import Cell, Plan, RunKey


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
