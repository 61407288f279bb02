"""Opening files: regular ones only.

A named pipe stops its reader until another process writes to it, a device may do anything, a folder holds no content.
Every file that the program reads passes through here (tests/results/test_files.py), and every one that it writes
to in place.
Symbolic links are followed. What cannot be opened raises OSError; FileNotFoundError only where there is nothing of that
name, so that "absent" and "out of reach" are never confused.
"""

import contextlib
import errno
import io
import os
import stat
from pathlib import Path

#: Run records, plans and tables are far smaller; a file beyond this is not read into memory.
MOST_BYTES = 1 << 30

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


_HINTS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "raise `ulimit -f`",
    errno.EMFILE: "raise `ulimit -n`",
    errno.ENFILE: "close other programs",
    errno.ENOMEM: "close other programs, or raise `ulimit -v`",
    errno.EAGAIN: "raise `ulimit -u`",
}


class NotRegular(OSError):
    """Something stands under that name, and it is not a regular file."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EINVAL, reason)


def open_regular(path: Path) -> io.BufferedReader:
    """Opens a file for reading; never waits.

    Raises:
        FileNotFoundError: there is nothing of that name.
        OSError: it is not a regular file, or cannot be opened.
    """
    return os.fdopen(_open(path, os.O_RDONLY), "rb")


def read_regular(path: Path, *, most: int | None = MOST_BYTES) -> bytes:
    """The whole content of a file.

    Args:
        most: bytes; a larger file is not read; None for any size.

    Raises:
        FileNotFoundError: there is nothing of that name.
        OSError: it is not a regular file, cannot be read, or is too large.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it is larger than {most / 2**30:g} GiB")
        try:
            return file.read()
        except (MemoryError, OverflowError):
            raise OSError(errno.ENOMEM, "there is not enough memory for it") from None


def open_in_place(path: Path) -> io.FileIO:
    """Opens a file for reading and for writing at its end, and makes it where there is none.

    Raises:
        OSError: it is not a regular file, or cannot be opened.
    """
    return os.fdopen(_open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "r+b", buffering=0)


def open_new(path: Path) -> io.FileIO:
    """Opens a new file for writing; what stands under its name is removed, never written to or followed.

    Raises:
        OSError: that cannot be removed, or the file cannot be made.
    """
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o644), "wb", buffering=0)


def list_folder(path: Path) -> list[os.DirEntry[str]]:
    """What a folder holds, by name.

    Raises:
        FileNotFoundError: there is nothing of that name.
        OSError: it is not a folder, or cannot be listed.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except FileNotFoundError as error:
        raise _absent(path, error) from None
    except ValueError as error:
        raise NotRegular(str(error)) from None


def files_below(folder: Path) -> list[Path]:
    """All that a folder and the folders in it hold, folders apart, in the order of their paths.

    Raises:
        OSError: one of the folders cannot be listed: what is in it would be left out without a word.
    """

    def refuse(error: OSError) -> None:
        raise error

    walked = os.walk(folder, onerror=refuse)
    return sorted(Path(place, name) for place, _, names in walked for name in names)


def refuse_special(path: Path) -> None:
    """Refuses all but a regular file, a link to one, or nothing at all, before it is replaced or left to a library.

    Raises:
        OSError: something else stands under that name.
    """
    with contextlib.suppress(FileNotFoundError):
        _check(path.stat().st_mode)


def reason_of(error: OSError) -> str:
    """Why a file cannot be opened, without its name."""
    return error.strerror or str(error) or type(error).__name__


def hint_for(error: OSError) -> str:
    """What to do where a limit of the system was reached; empty for any other error."""
    return _HINTS.get(error.errno or 0, "")


def _open(path: Path, flags: int) -> int:
    try:
        try:
            # Looked at first: opening a device may already do something.
            _check(path.stat().st_mode)
        except FileNotFoundError as error:
            if not flags & os.O_CREAT:
                raise _absent(path, error) from None
        handle = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY, 0o644)
    except ValueError as error:  # a name that no file can have
        raise NotRegular(str(error)) from None
    try:
        # Looked at again: it may have been replaced in between, which O_NONBLOCK keeps from hanging us.
        _check(os.fstat(handle).st_mode)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise NotRegular(f"it is {_KINDS.get(stat.S_IFMT(mode), 'something else')}, not a regular file")


def _absent(path: Path, error: FileNotFoundError) -> OSError:
    """The error, unless a link leads nowhere: what it stands for may be on a disk that is not mounted."""
    link = next((place for place in (path, *path.parents) if os.path.lexists(place)), None)
    if link is not None and not os.path.exists(link):  # noqa: PTH110  # Path.exists raises
        name = "it" if link == path else f"'{link.name}'"
        return NotRegular(f"{name} is a link to something that is not there")
    return error
