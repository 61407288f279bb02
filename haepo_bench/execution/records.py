"""Run records made from what became of a seed: a result, or a reason why there is none."""

import platform
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.results.code import packages_of
from haepo_bench.results.record import OTHER_CODE, OUT_OF_MEMORY, Failure, Number, RunRecord, Status
from haepo_bench.suite.plan import Cell, PlannedRun
from haepo_bench.training.recorder import SeedResult

_TRACEBACK_LINES = 30
_MESSAGE_CHARACTERS = 2_000


def utc_now() -> str:
    """Now as ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def failure_of(error: BaseException, started: str) -> Failure:
    """What a record keeps of an exception: type, message, the remedy where it has one, and the traceback's tail."""
    summary = traceback.TracebackException.from_exception(error)
    message, remedy = (error.located, error.remedy) if isinstance(error, UserError) else (str(summary), "")
    lines = "".join(summary.format()).splitlines()[-_TRACEBACK_LINES:]
    return Failure(
        status="failed",
        type=_type_of(error),
        message=_storable(message)[:_MESSAGE_CHARACTERS],
        remedy=_storable(remedy)[:_MESSAGE_CHARACTERS],
        traceback=_storable("\n".join(lines)),
        started=started,
    )


def result_record(suite: str, cell: Cell, result: SeedResult, provenance: Mapping[str, Any]) -> RunRecord:
    """The record of a seed that is done or diverged.

    Raises:
        ValueError: the algorithm reported something that no record can hold.
    """
    final: dict[str, Number] = dict(result.final)
    if cell.references is not None:
        for name, source in (("score", "eval_return"), ("score_greedy", "eval_return_greedy")):
            value = final.get(source)
            final[name] = None if value is None else cell.references.score(value)
    error = None
    if result.status != "done":
        error = Failure(
            status=result.status,
            type="Diverged",
            message=_storable(result.reason),
            started=str(provenance.get("started", "")),
        )
    return _record(suite, cell, result.seed, result.status, provenance, result.curve, final, dict(result.cost), error)


def failure_record(
    suite: str,
    cell: Cell,
    seed: int,
    failure: Failure,
    provenance: Mapping[str, Any],
    curve: dict[str, list[Number]] | None = None,
) -> RunRecord:
    """The record of a seed that has no result.

    Args:
        curve: of the evaluation points that it reached.
    """
    return _record(suite, cell, seed, failure.status, provenance, curve or {}, {}, {}, failure)


def shared_with(run: PlannedRun, runs: Sequence[PlannedRun]) -> dict[str, Any]:
    """What a run's provenance says of its job: the seeds of its cell in it."""
    return {"seeds": [other.seed for other in runs if other.cell.folder == run.cell.folder]}


class OtherCode(UserError):
    """The code here is not the one that the run is of."""


def _type_of(error: BaseException) -> str:
    """The exception's type, but for those that the machine is to blame for."""
    if isinstance(error, OtherCode):
        return OTHER_CODE
    # Torch's are RuntimeErrors; that of the processor has a text alone.
    lost = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if lost or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)):
        return OUT_OF_MEMORY
    return type(error).__name__


def _record(
    suite: str,
    cell: Cell,
    seed: int,
    status: Status,
    provenance: Mapping[str, Any],
    curve: dict[str, list[Number]],
    final: dict[str, Number],
    cost: dict[str, Number],
    error: Failure | None,
) -> RunRecord:
    return RunRecord(
        status=status,
        suite=suite,
        task=cell.task,
        algorithm=cell.algorithm,
        uses=cell.uses,
        seed=seed,
        settings_hash=cell.settings_hash,
        code_hash=cell.code_hash,
        settings=cell.settings,
        parameters=cell.parameters,
        references=cell.references,
        information=cell.information,
        curve=curve,
        final=final,
        cost=cost,
        notes=list(cell.notes),
        provenance={**provenance, "versions": {"python": platform.python_version(), **packages_of(cell.code)}},
        error=error,
    )


def _storable(text: str) -> str:
    """`text` without lone surrogates, which no UTF-8 file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
