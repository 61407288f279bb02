"""TensorBoard event files."""

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.exchange.files import opened
from haepo_bench.exchange.points import Point, rows_of_points
from haepo_bench.exchange.rows import Rows

#: Under this key a run's facts, and with them its provenance, name the files that were read in part.
CUT_OFF = "cut_off"


class _Event(NamedTuple):
    """What an event says of scalars.

    Args:
        version: of the file's format; None where the event says none.
        restart: a SessionLog.START: whatever was logged from this step on, in any file, is orphaned.
        summary: whether it is one, of scalars or of something else.
        scalars: (tag, value).
    """

    step: int
    seconds: float
    version: float | None
    restart: bool
    summary: bool
    scalars: tuple[tuple[str, float], ...]


class _File(NamedTuple):
    """A file and what it holds.

    Args:
        first, last: seconds at which its first and last scalar was logged; its first and last event without scalars.
        tags: tag to its least step.
        records: how many events the loader read.
        run: task, algorithm and seed, of a run that `run --log tensorboard` logged; else empty.
    """

    path: Path
    events: list[_Event]
    first: float
    last: float
    tags: dict[str, int]
    records: int
    run: dict[str, str]


def read_event_files(paths: Sequence[Path], where: str) -> Rows:
    """Event files of one run in the order of their clocks: a column for each tag, and `step` and `wall_seconds`.

    Of runs that `run --log tensorboard` logged `task`, `algorithm` and `seed`, too.

    What a restart orphans is forgotten: everything from the step of a SessionLog.START on (SummaryWriter's
    `purge_step`), as TensorBoard's EventAccumulator does; and where a tag goes on in a later file, what earlier files
    hold of it from that step on. A file that is cut off or damaged is read up to there and named in the facts.

    Source: tensorboard.backend.event_processing.event_accumulator, `_MaybePurgeOrphanedData`.

    Raises:
        UserError: tensorboard is not installed, a file is none, two look like two runs, or there are no scalars.
    """
    files, damaged = [], []
    for path in paths:
        files.append(_read(path))
        # The loader ends at the first damaged event without a word.
        if files[-1].records != _records(path):
            damaged.append(f"{path}: cut off or damaged after {files[-1].records:,} events")
    files.sort(key=lambda file: file.first)
    _refuse_several_runs(files)
    points = _surviving(files)
    if not any(points.values()):
        raise UserError("holds no scalars", where=where, remedy="only scalars are curves")
    began = min(event.seconds for file in files for event in file.events)
    rows = rows_of_points({tag: own for tag, own in points.items() if own}, began, where)
    for name, value in files[0].run.items():
        rows.columns[name] = [value] * len(rows)
    if damaged:
        rows.facts[CUT_OFF] = damaged
    return rows


def _refuse_several_runs(files: Sequence[_File]) -> None:
    """Files that were written at the same time, or of which a later one leaves nothing of those before, unless it says
    that it is a restart.
    """
    for i, later in enumerate(files):
        if any(event.restart for event in later.events):
            continue
        for tag, least in later.tags.items():
            earlier = [file for file in files[:i] if tag in file.tags]
            at_once = [file.path.name for file in earlier if later.first < file.last]
            if at_once:
                says = f"was written at the same time as {at_once[0]}, and both log '{tag}'"
            elif earlier and least <= min(file.tags[tag] for file in earlier):
                says = f"logs '{tag}' from step {least:,} on, so that nothing of {earlier[0].path.name} is left"
            else:
                continue
            raise UserError(
                says,
                where=str(later.path),
                remedy="files of one folder are one run's: put each run into a folder of its own, tell them apart by a "
                "placeholder in the pattern of files, or leave one out; steps that begin again: `resumed: restarted`",
            )


def _surviving(files: Sequence[_File]) -> dict[str, list[Point]]:
    """Tag to its values that no restart has orphaned."""
    points: dict[str, list[Point]] = {}
    version: float | None = None
    latest = -1

    def forget(tag: str, step: int) -> None:
        points[tag] = [point for point in points[tag] if point.step < step]

    for file in files:
        for tag, least in file.tags.items():
            if tag in points:
                forget(tag, least)
        for event in file.events:
            version = event.version or version
            if version is not None and version >= 2:
                if event.restart:
                    for tag in points:
                        forget(tag, event.step)
            elif event.summary and event.step < latest:
                # Files from before SessionLog: a step back is a restart.
                for tag, _ in event.scalars:
                    if tag in points:
                        forget(tag, event.step)
            else:
                latest = event.step
            for tag, value in event.scalars:
                points.setdefault(tag, []).append(Point(event.step, event.seconds, value))
    return points


def _read(path: Path) -> _File:
    try:
        from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
        from tensorboard.util import tensor_util
    except ImportError:
        raise UserError(
            "TensorBoard's event files are read by tensorboard, which is not installed",
            where=str(path),
            remedy="pip install 'haepo-bench[tensorboard]'",
        ) from None
    opened(path).close()
    events: list[_Event] = []
    plugins: dict[str, str] = {}
    parameters: dict[str, str] = {}
    records = 0
    try:
        # The loader gives old and new kinds of summaries alike, as tensors.
        for event in EventFileLoader(str(path)).Load():
            # It gives a graph twice, the second time as a summary.
            records += not any(value.metadata.plugin_data.plugin_name == "graphs" for value in event.summary.value)
            scalars = []
            for value in event.summary.value:
                # A writer may say what a tag is with its first value only.
                plugin = plugins.setdefault(value.tag, value.metadata.plugin_data.plugin_name)
                if plugin == "hparams" and not parameters:
                    content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                    found = content.session_start_info.hparams
                    parameters = {key: found[key].string_value or f"{found[key].number_value:.0f}" for key in found}
                elif plugin == "scalars":
                    scalars.append((value.tag, float(tensor_util.make_ndarray(value.tensor).item())))
            version = re.fullmatch(r"brain\.Event:([0-9.]+)", event.file_version)
            restart = event.HasField("session_log") and event.session_log.status == SessionLog.START
            events.append(
                _Event(
                    event.step,
                    event.wall_time,
                    float(version[1]) if version else None,
                    restart,
                    event.HasField("summary"),
                    tuple(scalars),
                )
            )
    except Exception as error:  # the loader has no error of its own for a file that is none
        raise UserError(f"is not an event file: {type(error).__name__}: {error}", where=str(path)) from None
    times = [event.seconds for event in events if event.scalars] or [event.seconds for event in events] or [0.0]
    tags: dict[str, int] = {}
    for read in events:
        for tag, _ in read.scalars:
            tags[tag] = min(read.step, tags.get(tag, read.step))
    known = {name: parameters.get(f"run.{name}", "") for name in ("task", "algorithm", "seed")}
    run = known if all(known.values()) else {}
    return _File(path, events, min(times), max(times), tags, records, run)


def _records(path: Path) -> int:
    """Events that a file holds or begins; each is a length (uint64), 4 bytes, that many bytes, and 4 bytes."""
    found, place = 0, 0
    with opened(path) as file:
        size = file.seek(0, 2)
        while place < size:
            file.seek(place)
            header = file.read(8).ljust(8, b"\0")
            place += 16 + int(struct.unpack("<Q", header)[0])
            found += 1
    return found
