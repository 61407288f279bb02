"""Whether two runs are the same in all that does not depend on the machine's clock, load or memory."""

from typing import Any

from haepo_bench.results.columns import COST_COLUMNS
from haepo_bench.results.declared_columns import clocks
from haepo_bench.results.hashing import canonical_json
from haepo_bench.results.record import RunRecord

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
