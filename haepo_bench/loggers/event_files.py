"""TensorBoard event files: TASK/ALGORITHM/seed-N, so that its list of runs is grouped."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from haepo_bench.loggers.logger import LoggedRun, markdown_cell, markdown_table
from haepo_bench.results.writing import translate_os_errors

#: How TensorBoard and `import` know an event file.
_PREFIX = "events.out.tfevents."


class EventFiles:
    """Writes an event file for each run; one that is there from before, of the same seed, gives way.

    Args:
        root: what `tensorboard --logdir` is to be given.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def begin(self, run: LoggedRun) -> "_EventFile":
        """Begins a file."""
        folder = self._root.joinpath(*run.folders)
        with translate_os_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for before in folder.glob(f"{_PREFIX}*"):
                before.unlink()
        return _EventFile(folder / f"{_PREFIX}{int(time.time())}.{run.suite}", run)

    def close(self) -> None:
        """Every event is in its file already."""


class _EventFile:
    """A file is opened for each event: as many runs as one likes are under way, and none keeps a file open."""

    def __init__(self, path: Path, run: LoggedRun) -> None:
        self._path, self._run = path, run
        self._begun = False

    def log(self, env_steps: int, values: Mapping[str, float | int]) -> None:
        if not self._begun:  # a file without scalars would be none to those who read it
            self._begun = True
            self._write(Event(file_version="brain.Event:2"))
            self._write(Event(summary=hparams_pb(_flat(self._run.config), trial_id=self._run.name)))
            self._text("run", self._run.config)
        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(Event(step=env_steps, summary=Summary(value=scalars)))

    def finish(self, status: str, provenance: Mapping[str, Any]) -> None:
        if self._begun:
            self._text("provenance", {"status": status, **provenance})

    def _text(self, tag: str, document: Mapping[str, Any]) -> None:
        """A tab of TensorBoard shows it as Markdown."""
        tensor = TensorProto(dtype=DT_STRING, string_val=[markdown_table(document).encode("utf-8", errors="replace")])
        metadata = create_summary_metadata(display_name=None, description=None)
        self._write(Event(summary=Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)])))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        with translate_os_errors(self._path), self._path.open("ab") as file:
            RecordWriter(file).write(event.SerializeToString())


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters as its dashboard takes them: numbers, truth values and texts."""
    return {
        key: value if isinstance(value, bool | int | float | str) else markdown_cell(value)
        for key, value in config.items()
    }
