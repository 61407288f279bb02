"""TensorBoard event files."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.exchange.rows import Rows, check_regular
from haepo_bench.files import open_regular

#: Under this key a run's facts, and with them its provenance, name the files that were read in part.
CUT_OFF = "cut_off"


def read_event_files(paths: Sequence[Path], where: str) -> Rows:
    """Event files of one run, oldest first: a column for each scalar's tag, and `step` and `wall_seconds`.

    Where a step comes again, as after a restart from a checkpoint, what was logged before from that step on is
    forgotten, as TensorBoard does. A file that is cut off or damaged is read up to there and named in the facts.

    Raises:
        UserError: tensorboard is not installed, a file is none, or there are no scalars.
    """
    scalars, began, damaged = _scalars(paths)
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
        {
            "started": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
            **({CUT_OFF: damaged} if damaged else {}),
        },
    )


def _scalars(paths: Sequence[Path]) -> tuple[dict[str, list[tuple[int, float, float]]], float, list[str]]:
    """Tag to (step, wall time, value) in the order of steps, the wall time of the first event, and damaged files."""
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
    damaged = []
    for path in paths:
        before = len(times)
        check_regular(path)  # the loader opens it itself
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
        # The loader ends at the first damaged event without a word.
        if len(times) - before != _records(path):
            damaged.append(f"{path}: cut off or damaged after {len(times) - before:,} events")
    return scalars, min(times, default=0.0), damaged


def _records(path: Path) -> int:
    """Events that a file holds or begins; each is a length (uint64), 4 bytes, that many bytes, and 4 bytes."""
    found, place, size = 0, 0, path.stat().st_size
    with open_regular(path) as file:
        while place < size:
            file.seek(place)
            header = file.read(8).ljust(8, b"\0")
            place += 16 + int(struct.unpack("<Q", header)[0])
            found += 1
    return found
