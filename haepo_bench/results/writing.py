"""Writing files: whole or not at all, and what the operating system says about it in words for the user."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from haepo_bench import interruption
from haepo_bench.errors import UserError
from haepo_bench.files import hint_for, reason_of, refuse_special


def write_atomically(path: Path, content: str | bytes, *, option: str = "--results") -> None:
    """Writes a whole file or none: after a crash `path` holds the old content or the new one, never a part.

    Text is stored as UTF-8; what UTF-8 cannot hold (halves of surrogate pairs, as in undecodable file names) as `?`.

    Args:
        option: the command's option that names another folder.

    Raises:
        UserError: the folder cannot be written, the disk is full, or `path` is a folder, a device or a named pipe.
    """
    data = content if isinstance(content, bytes) else content.encode("utf-8", errors="replace")
    with interruption.held(), translate_os_errors(path, option=option):
        refuse_special(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def translate_os_errors(path: Path, *, option: str = "--results") -> Iterator[None]:
    """Turns what the operating system says about a path that we write into a message for the user."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                "the disk is full", where=str(path), remedy="free some space and run again: finished runs are kept"
            ) from error
        remedy = hint_for(error) or f"choose another folder with {option}"
        raise UserError(f"cannot write: {reason_of(error)}", where=str(path), remedy=remedy) from error
