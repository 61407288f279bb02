"""Checkpoints of a job's runs on disk: what a run that was killed goes on from."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.results.store import write_atomically

#: Where a checkpoint takes long to write, at most this fraction of the time is spent on it.
_MOST_OF_THE_TIME = 0.05


class FileCheckpoints:
    """Keeps one checkpoint a seed, in place of the one before; kept no more often than asked for.

    Args:
        paths: of each seed's checkpoint.
        identity: of the runs: a checkpoint of any other settings or code is none of theirs.
        every_seconds: between two checkpoints of a seed.
    """

    def __init__(self, paths: Mapping[int, Path], identity: str, every_seconds: float) -> None:
        self._paths, self._every = dict(paths), every_seconds
        self._head = f"haepo-bench checkpoint 1 {identity}\n".encode()
        self._next = dict.fromkeys(self._paths, time.monotonic() + every_seconds)

    def due(self, seed: int) -> bool:
        return time.monotonic() >= self._next[seed]

    def write(self, seed: int, state: bytes) -> None:
        started = time.monotonic()
        try:
            write_atomically(self._paths[seed], self._head + state)
        except UserError as error:  # the run itself is well
            print(f"no checkpoint: {error}", file=sys.stderr)
        ended = time.monotonic()
        self._next[seed] = ended + max(self._every, (ended - started) / _MOST_OF_THE_TIME)

    def read(self, seed: int) -> bytes | None:
        try:
            data = self._paths[seed].read_bytes()
        except OSError:
            return None
        return data[len(self._head) :] if data.startswith(self._head) else None
