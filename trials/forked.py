"""One command of the program in a forked process: as fast as in this one, and as harmless as in its own."""

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_LIBC = ctypes.CDLL(None, use_errno=True)
_DROP_FROM_BOUNDING_SET = 24
_CAPABILITIES_VERSION_3 = 0x20080522
_PASS_BY_PERMISSIONS = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class Ended(NamedTuple):
    """How a command ended; `code` is None where it did not, within the time that it had."""

    code: int | None
    out: str
    err: str


def run(
    arguments: Sequence[str], folder: Path, *, seconds: float = 60.0, files: int | None = None,
    before: Callable[[], None] = lambda: None,
) -> Ended:  # fmt: skip
    """Runs `haepo-bench ARGUMENTS`, held by permissions as any user is.

    Args:
        folder: for its two output files; another one for each command.
        files: that it may open at a time, beyond those that are open already.
        before: called in the forked process first.
    """
    out, err = folder / "out.txt", folder / "err.txt"
    child = os.fork()
    if child == 0:
        code = 99
        with contextlib.suppress(BaseException):
            os.setpgid(0, 0)
            for path, handle in ((out, 1), (err, 2)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), handle)
            before()
            hold_root_to_permissions()
            if files is not None:
                highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
                resource.setrlimit(resource.RLIMIT_NOFILE, (highest + files, highest + files))
            from haepo_bench.cli.main import program

            code = program(arguments)
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
    ended = _wait(child, seconds)
    return Ended(ended, out.read_text(errors="replace"), err.read_text(errors="replace"))


def hold_root_to_permissions() -> None:
    """Takes from root the right to pass by what files' modes say, here and in all processes that follow."""
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    if _LIBC.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for capability in _PASS_BY_PERMISSIONS:
        _LIBC.prctl(_DROP_FROM_BOUNDING_SET, capability)
        for i in range(3):
            sets[i] &= ~(1 << capability)
    if _LIBC.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _wait(child: int, seconds: float) -> int | None:
    handle = os.pidfd_open(child)
    try:
        done, _, _ = select.select([handle], [], [], seconds)
    finally:
        os.close(handle)
    if not done:
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if done else None
