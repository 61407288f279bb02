"""Whether two runs are the same in all that does not depend on the machine's clock, load or memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from haepo_bench.results.columns import COST_COLUMNS
from haepo_bench.results.declared_columns import clocks
from haepo_bench.results.hashing import canonical_json
from haepo_bench.results.record import RunRecord
from haepo_bench.results.selection import Run

#: Of a record's cost, what is equal in two runs of the same code: no clock, no memory.
COUNTS = tuple(name for name, column in COST_COLUMNS.items() if not column.clock)


def same_result(a: RunRecord, b: RunRecord) -> bool:
    """Whether status, curve, final evaluation and counts are equal, clock columns and provenance apart."""
    return canonical_json(_result(a)) == canonical_json(_result(b))


def _result(record: RunRecord) -> dict[str, Any]:
    clock = clocks(record.provenance)
    return {
        "status": record.status,
        "curve": {name: column for name, column in record.curve.items() if name not in clock},
        "final": {name: value for name, value in record.final.items() if name not in clock},
        "counts": {name: record.cost.get(name) for name in COUNTS},
    }


def shared_seeds(a: Sequence[Run], b: Sequence[Run]) -> tuple[int, int]:
    """Seeds with a result on both sides, and those among them whose runs are the same but for the clock."""
    other = {run.record.seed: run for run in b}
    pairs = [(run, other[run.record.seed]) for run in a if run.record.seed in other]
    return len(pairs), sum(_identical(*pair) for pair in pairs)


def _identical(a: Run, b: Run) -> bool:
    """Whether two runs have the same bytes in every column but the clock's."""
    names = _filled(a)
    return (
        a.record.status == b.record.status
        and names == _filled(b)
        and all(a.curve[name].tobytes() == b.curve[name].tobytes() for name in names)
    )


def _filled(run: Run) -> set[str]:
    """Columns that say something; one that is null throughout is as good as absent."""
    return {name for name in run.curve.keys() - clocks(run.record.provenance) if not np.isnan(run.curve[name]).all()}
