"""The lock on a results folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.files import open_in_place
from haepo_bench.results.writing import translate_os_errors

LOCK_FILE = ".lock"


class Held:
    """A results folder that this process has locked.

    Args:
        root: its path.
        handle: the folder, open: while it is, no other can have its inode number.
    """

    def __init__(self, root: Path, handle: int) -> None:
        self._root, self._handle = root, handle

    def check(self) -> None:
        """Whether the path still leads to the folder that was locked.

        Raises:
            UserError: the folder was deleted, moved or replaced.
        """
        try:
            here = os.path.samestat(self._root.stat(), os.fstat(self._handle))
        except (FileNotFoundError, NotADirectoryError):
            here = False
        except OSError:  # a file server that does not answer just now
            here = True
        if not here:
            raise UserError(
                "the results folder was deleted, moved or replaced while this run was writing to it",
                where=str(self._root),
                remedy="what had been stored went with it: put it back, or begin again with the same command",
            )


@contextmanager
def hold(root: Path) -> Iterator[Held]:
    """Locks a folder, which is made where there is none.

    Raises:
        UserError: another process holds it, or it cannot be written.
    """
    path = root / LOCK_FILE
    with translate_os_errors(path):
        root.mkdir(parents=True, exist_ok=True)
        file = open_in_place(path)
    with file:
        with translate_os_errors(path):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read(20).decode("ascii", errors="replace").strip()
                raise UserError(
                    f"another run is writing to this folder (process {holder if holder.isdigit() else 'unknown'})",
                    where=str(root),
                    remedy="wait for it, or choose another folder with --results",
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield Held(root, folder)
        finally:
            os.close(folder)
