"""TensorBoard event files."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.exchange.rows import Rows


def read_event_files(paths: Sequence[Path], where: str) -> Rows:
    """Event files of one run, oldest first: a column for each scalar's tag, and `step` and `wall_seconds`.

    Where a step comes again, as after a restart from a checkpoint, what was logged before from that step on is
    forgotten, as TensorBoard does.

    Raises:
        UserError: tensorboard is not installed, a file is none, or there are no scalars.
    """
    scalars, began = _scalars(paths)
    if not scalars:
        raise UserError("holds no scalars", where=where, remedy="only scalars are curves")
    steps = sorted({step for points in scalars.values() for step, _, _ in points})
    index = {step: i for i, step in enumerate(steps)}
    columns: dict[str, list[Any]] = {tag: [None] * len(steps) for tag in scalars}
    clock: list[float] = [0.0] * len(steps)
    for tag, points in scalars.items():
        for step, wall, value in points:
            columns[tag][index[step]] = value
            clock[index[step]] = max(clock[index[step]], wall - began)
    return Rows(
        {"step": list(steps), "wall_seconds": list(clock), **columns},
        [f"{where}: step {step}" for step in steps],
        {"started": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds")},
    )


def _scalars(paths: Sequence[Path]) -> tuple[dict[str, list[tuple[int, float, float]]], float]:
    """Tag to (step, wall time, value) in the order of steps, and the wall time of the first event."""
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.util import tensor_util
    except ImportError:
        raise UserError(
            "TensorBoard's event files are read by tensorboard, which is not installed",
            where=str(paths[0]),
            remedy="pip install 'haepo-bench[tensorboard]'",
        ) from None
    scalars: dict[str, list[tuple[int, float, float]]] = {}
    times: list[float] = []
    for path in paths:
        try:
            # The loader gives old and new kinds of summaries alike, as tensors.
            for event in EventFileLoader(str(path)).Load():
                times.append(event.wall_time)
                for value in event.summary.value:
                    if value.metadata.plugin_data.plugin_name != "scalars":
                        continue
                    points = scalars.setdefault(value.tag, [])
                    while points and points[-1][0] >= event.step:
                        points.pop()
                    points.append((event.step, event.wall_time, float(tensor_util.make_ndarray(value.tensor).item())))
        except Exception as error:  # the loader has no error of its own for a file that is none
            raise UserError(f"is no event file: {type(error).__name__}: {error}", where=str(path)) from None
    return scalars, min(times, default=0.0)
