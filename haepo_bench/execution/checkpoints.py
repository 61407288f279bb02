"""Checkpoints of a job's runs on disk: what a run that was killed goes on from; sealed, because disks forget."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.files import read_regular, reason_of
from haepo_bench.results.sealing import BrokenSeal, seal, unseal
from haepo_bench.results.store import put_aside, unreadable
from haepo_bench.results.writing import write_atomically
from haepo_bench.training.recorder import BadCheckpoint

#: Where a checkpoint takes long to write, at most this fraction of the time is spent on it.
_MOST_OF_THE_TIME = 0.05


class FileCheckpoints:
    """Keeps one checkpoint per seed, in place of the one before; kept no more often than asked for.

    Args:
        paths: of each seed's checkpoint, by what the recorder calls the seed.
        identities: of each run: a checkpoint of any other settings or code is not one of it.
        every_seconds: between the checkpoints of seeds that are trained together and their next ones.
        check: called before anything is kept; what it raises ends the job.
    """

    def __init__(
        self,
        paths: Mapping[int, Path],
        identities: Mapping[int, str],
        every_seconds: float,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._paths, self._identities, self._every, self._check = dict(paths), identities, every_seconds, check
        self._next = time.monotonic() + every_seconds

    def due(self) -> bool:
        return time.monotonic() >= self._next

    def write(self, seeds: Sequence[int], state: Callable[[int], bytes]) -> None:
        started = time.monotonic()
        self._check()
        try:
            for seed in seeds:
                write_atomically(self._paths[seed], seal(self._title(seed), state(seed)))
        except UserError as error:  # the runs themselves are well
            print(f"no checkpoint: {error}", file=sys.stderr)
        ended = time.monotonic()
        self._next = ended + max(self._every, (ended - started) / _MOST_OF_THE_TIME)

    def read(self, seed: int) -> bytes | None:
        path = self._paths[seed]
        try:
            data = read_regular(path, most=None)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(path, reason_of(error)) from None
        try:
            return unseal(self._title(seed), data)
        except BrokenSeal as error:
            raise BadCheckpoint(str(error)) from None

    def put_aside(self, seed: int) -> str:
        return put_aside(self._paths[seed]).name

    def _title(self, seed: int) -> str:
        return f"haepo-bench checkpoint 2 {self._identities[seed]}"
