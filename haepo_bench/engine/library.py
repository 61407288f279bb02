"""The kernels' library: the one place that knows pointers.

Every array is checked before its address is taken: dtype, C order, size. It lives as long as the address.
"""

import ctypes
import hashlib
import os
import struct
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from haepo_bench.engine.build import PURE, TARGETS, pure, sources_hash
from haepo_bench.errors import UserError
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.finite.table import StateTable

#: The kernels' sources are part of what a run on this engine executes.
DATA = ("*.h", "*.cpp")

#: Rows of a seed are padded to a multiple of this.
GROUP = 16
#: Layers of a network, the last one included.
MAX_PRODUCTS = 9

_FOLDER = Path(__file__).parent


class Status(NamedTuple):
    """Whether the engine can be used here.

    Args:
        library: None where it cannot.
        reason: why it cannot; empty where it can.
        remedy: what to do about it.
    """

    library: "Library | None"
    reason: str
    remedy: str = ""


def libraries_for_this_processor() -> list[Path]:
    """The libraries that it can use, the fastest first."""
    flags = _processor_flags()
    return [_FOLDER / target.library for target in TARGETS if flags.issuperset(target.needed)]


@cache
def status() -> Status:
    """Looks for the library; a process looks once."""
    if pure():
        return Status(None, f"{PURE} is set", f"unset {PURE}")
    rebuild = "install the package again where a C++ compiler is (or run python -m haepo_bench.engine.build)"
    if not any((_FOLDER / target.library).is_file() for target in TARGETS):
        return Status(None, "the kernels were not compiled when the package was installed", rebuild)
    missing = [name for name in TARGETS[-1].needed if name not in _processor_flags()]
    if missing:
        return Status(None, f"the processor has no {' and no '.join(m.upper() for m in missing)}")
    path = next((each for each in libraries_for_this_processor() if each.is_file()), None)
    if path is None:
        return Status(None, "the kernels were compiled for other processors alone", rebuild)
    if not _whole(path):
        return Status(None, "the kernels' library is cut off", rebuild)
    try:
        library = Library(path)
    except (OSError, AttributeError) as error:
        return Status(None, f"the kernels' library cannot be opened: {error}", rebuild)
    if library.sources != sources_hash():
        return Status(None, "the kernels' library was compiled from other sources than are installed", rebuild)
    return Status(library, "")


def opened() -> "Library":
    """The library.

    Raises:
        UserError: it cannot be used here.
    """
    found = status()
    if found.library is None:
        raise UserError(f"the compiled engine cannot be used: {found.reason}", remedy=found.remedy)
    return found.library


def _whole(path: Path) -> bool:
    """Whether an ELF file reaches as far as its header says: opening one that does not ends the process (SIGBUS)."""
    content = path.read_bytes()
    if len(content) < 64 or content[:4] != b"\x7fELF":
        return False
    sections, size, number = struct.unpack_from("<Q", content, 0x28)[0], *struct.unpack_from("<HH", content, 0x3A)
    return bool(sections + size * number <= len(content))


def _processor_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.partition(":")[2] for line in lines if line.startswith("flags")), "").split())


class Library:
    """The opened library.

    Args:
        path: of the file.

    Attributes:
        sources: hash of the sources it was built from.
        built: target and compiler.
        digest: of the file.
        lanes: floats of a vector.

    Raises:
        OSError: it cannot be opened.
        AttributeError: it is another library.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(os.fspath(path))
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for name in ("engine_sources", "engine_built"):
            getattr(self._library, name).restype = ctypes.c_char_p
        self.sources = self._library.engine_sources().decode()
        self.built = self._library.engine_built().decode()
        self.lanes = int(self._library.engine_lanes())

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a kernel.

        Args:
            arguments: in its order; integers, floats, and addresses as `at` gives them.

        Raises:
            MemoryError: there was no memory left for what it computes in between.
        """
        if getattr(self._library, f"engine_{name}")(*arguments):
            raise MemoryError(f"no memory left for {name}")


class ArrayAddress(ctypes.c_void_p):
    """Where an array's first number is; holds the array, which so lives as long as its address."""

    array: Array | None


def at(array: Array | None, dtype: Any, *shape: int) -> ArrayAddress:
    """The address of an array's first number; null for None.

    Args:
        shape: what the array must have exactly.

    Raises:
        ValueError: another dtype or shape, or not one piece in C order: a mistake of the caller.
    """
    if array is None:
        return ArrayAddress(None)
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        order = "" if array.flags.c_contiguous else ", not in C order"
        raise ValueError(f"a kernel takes {np.dtype(dtype)} {shape}, got {array.dtype} {array.shape}{order}")
    address = ArrayAddress(array.__array_interface__["data"][0])
    address.array = array
    return address


def writable(array: Array | None, dtype: Any, *shape: int) -> ArrayAddress:
    """As `at`, of an array that the kernel changes."""
    if array is not None and not array.flags.writeable:
        raise ValueError("a kernel cannot write into an array that is read-only")
    return at(array, dtype, *shape)


class _TableFields(ctypes.Structure):
    """As `Table` of environments.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("features", "own_features", "actions", "states")),
        *((name, ctypes.c_void_p) for name in ("next_state", "reward", "terminal", "observations")),
        *((name, ctypes.c_double) for name in ("late", "horizon")),
    )


class TableAddress(ctypes.c_void_p):
    """Where a table's description stands; holds the table, which so lives as long as its address."""

    held: tuple[Any, ...]


@lru_cache(maxsize=8)
def table_at(table: StateTable) -> TableAddress:
    """The address of a finite task; the same for the same object.

    Raises:
        ValueError: as `at`, or a move leads to a state that there is not.
    """
    (S, A), F = table.next_state.shape, table.observations.shape[1]
    if table.next_state.min() < 0 or table.next_state.max() >= S:
        raise ValueError(f"a move leads out of the {S} states")
    parts = (
        at(table.next_state, np.int64, S, A),
        at(table.reward, np.float64, S, A),
        at(table.terminal, np.bool_, S),
        at(table.observations, np.float32, S, F),
    )
    shown = F + A if table.shows_action else F
    fields = _TableFields(shown, F, A, S, *(part.value for part in parts), table.late, table.horizon)
    address = TableAddress(ctypes.addressof(fields))
    address.held = (fields, *parts)
    return address


def long(value: int) -> ctypes.c_int64:
    """A number of 64 bits."""
    return ctypes.c_int64(value)


def single(value: float) -> ctypes.c_float:
    """A number in single precision."""
    return ctypes.c_float(value)
