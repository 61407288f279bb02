"""Other people's files, opened: every reader gets its bytes here."""

import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO

from haepo_bench.errors import UserError
from haepo_bench.exchange.bounded import gunzip
from haepo_bench.files import open_regular, read_regular, reason_of

#: Larger files are not learning curves: reading one into memory helps nobody.
MAX_BYTES = 2 * 1024**3
_GZIP = b"\x1f\x8b"


def opened(path: Path) -> BinaryIO:
    """A file to read from.

    Raises:
        UserError: not readable, or not a regular file.
    """
    try:
        return open_regular(path)
    except OSError as error:
        raise _unreadable(path, error) from None


def read_stored(path: Path) -> bytes:
    """A whole file as it is stored.

    Raises:
        UserError: not readable, or beyond what a learning curve can be.
    """
    try:
        return read_regular(path, most=MAX_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from None


def read_bytes(path: Path) -> bytes:
    """A whole file, unpacked where it is a gzip file.

    Raises:
        UserError: not readable, or beyond what a learning curve can be.
    """
    content = read_stored(path)
    return gunzip(content, str(path)) if content.startswith(_GZIP) else content


def read_start(path: Path, size: int = 4096) -> bytes:
    """How a file begins, unpacked where it is a gzip file.

    Raises:
        UserError: not readable.
    """
    with opened(path) as file:
        try:
            start = file.read(size)
            # More than enough of the packed bytes for the first unpacked ones.
            packed = start + file.read(16 * size) if start.startswith(_GZIP) else b""
        except OSError as error:
            raise _unreadable(path, error) from None
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(packed)).read1(size) if packed else start
    except (OSError, EOFError, zlib.error):
        return b""


def without_gz(path: Path) -> str:
    """A file's name in lower case, without what says that it is packed."""
    return path.name.lower().removesuffix(".gz")


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"cannot be read: {reason_of(error)}", where=str(path))
