"""Values that were logged one by one, each with a step and a time, as rows: event files and MLflow's metric files."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from haepo_bench.exchange.rows import Rows


class Point(NamedTuple):
    """One value.

    Args:
        seconds: when it was logged, since 1970.
    """

    step: int
    seconds: float
    value: float


def rows_of_points(points: Mapping[str, Sequence[Point]], began: float, where: str) -> Rows:
    """A column for each name, and `step` and `wall_seconds`, in the order of steps.

    A step has as many rows as a name has values there, in their order.

    Args:
        points: name to its values in the order in which they were logged.
        began: seconds since 1970 from which wall_seconds count.
    """
    indexed: list[tuple[int, int, str, float]] = []
    clock: dict[int, float] = {}
    for name, own in points.items():
        times: Counter[int] = Counter()
        for step, seconds, value in own:
            indexed.append((step, times[step], name, value))
            times[step] += 1
            clock[step] = max(clock.get(step, 0.0), seconds - began)
    keys = sorted({(step, time) for step, time, _, _ in indexed})
    index = {key: i for i, key in enumerate(keys)}
    columns: dict[str, list[Any]] = {name: [None] * len(keys) for name in points}
    for step, time, name, value in indexed:
        columns[name][index[step, time]] = value
    return Rows(
        {"step": [step for step, _ in keys], "wall_seconds": [clock[step] for step, _ in keys], **columns},
        [f"{where}: step {step}" for step, _ in keys],
        started(began),
    )


def started(seconds: float) -> dict[str, str]:
    """Seconds since 1970 as the fact `started`; nothing where no calendar has that moment."""
    try:
        return {"started": datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")}
    except (ValueError, OverflowError, OSError):
        return {}
