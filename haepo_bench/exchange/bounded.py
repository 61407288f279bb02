"""Compressed files of other people, unpacked only as far as a learning curve can be large."""

import gzip
import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.errors import UserError

#: Bytes that a file may unpack to. The numbers of a learning curve need some megabytes.
MAX_UNPACKED = 512 * 1024**2
_CHUNK = 1024**2
#: Characters of an array's header, which Python's parser reads: deep ones take all the memory that it has.
_MAX_HEADER = 1_000
#: Whatever zipfile and numpy raise for bytes that are not what they should be.
_DAMAGED = (
    *(ValueError, OSError, EOFError, OverflowError, RecursionError, SyntaxError, tokenize.TokenError, struct.error),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)


def gunzip(content: bytes, where: str, *, limit: int = MAX_UNPACKED) -> bytes:
    """The content of a gzip file of one or several members.

    Args:
        limit: bytes that may come out; no more than that is ever unpacked.

    Raises:
        UserError: not a gzip file, cut off, or larger than `limit`.
    """
    unpacked = io.BytesIO()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            while chunk := file.read(_CHUNK):
                if unpacked.tell() + len(chunk) > limit:
                    raise _too_large(where, limit)
                unpacked.write(chunk)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"is not a whole gzip file: {error}", where=where, remedy="was it cut off? copy it again, or unpack it"
        ) from None
    return unpacked.getvalue()


def load_npz(content: bytes, where: str, names: Iterable[str], *, limit: int = MAX_UNPACKED) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file that have one of `names`; pickled objects are never loaded.

    How large they are is read from the zip directory and from each array's header before anything is unpacked.

    Raises:
        UserError: not an npz file, damaged, or larger than `limit` bytes.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.getinfo(f"{name}.npy") for name in names if f"{name}.npy" in archive.namelist()}
            if sum(member.file_size for member in members.values()) > limit:
                raise _too_large(where, limit)
            return {name: _load_array(archive, member) for name, member in members.items()}
    except _DAMAGED as error:
        raise UserError(f"is not an npz file: {' '.join(str(error).split())}", where=where) from None


def _load_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file, max_header_size=_MAX_HEADER)
        if dtype.hasobject:
            raise ValueError(f"{member.filename} holds pickled objects, which are never loaded")
        # numpy makes room for what the header says before it reads, however little follows.
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{member.filename} is shorter than its header says")
    with archive.open(member) as file:
        return np.asarray(np.lib.format.read_array(file, allow_pickle=False, max_header_size=_MAX_HEADER))


def _too_large(where: str, limit: int) -> UserError:
    size = f"{limit // 1024**2} MiB" if limit >= 1024**2 else f"{limit} bytes"
    return UserError(f"unpacks to more than {size}", where=where, remedy="is this a learning curve? split the file")
