"""The curves of runs that are under way, point by point: what is kept of those that end without a result."""

from haepo_bench.results.record import Number
from haepo_bench.suite.plan import RunKey


class PartialCurves:
    """The evaluation points that each run has reached."""

    def __init__(self) -> None:
        self._rows: dict[RunKey, list[dict[str, Number]]] = {}

    def add(self, key: RunKey, row: dict[str, Number]) -> None:
        """Adds a point; an earlier report of it, and of those after it, gives way: the run goes on from before them."""
        rows = self._rows.setdefault(key, [])
        while rows and _steps(rows[-1]) >= _steps(row):
            rows.pop()
        rows.append(row)

    def rows(self, key: RunKey) -> list[dict[str, Number]]:
        """The run's points so far, which stay."""
        return self._rows.get(key, [])

    def take(self, key: RunKey) -> dict[str, list[Number]]:
        """The run's curve so far, which is forgotten here: named columns, null where a point lacks one."""
        rows = self._rows.pop(key, [])
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}


def _steps(row: dict[str, Number]) -> float:
    return row["env_steps"] or 0
