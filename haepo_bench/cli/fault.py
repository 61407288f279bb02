"""Whose fault an unexpected error is: the machine's, or ours, which goes into a file instead of a traceback."""

import errno
import os
import platform
import sys
import tempfile
import traceback

import haepo_bench
from haepo_bench.errors import UserError

#: What the operating system says only to a program that asks for something wrong.
_OURS = frozenset({errno.EBADF, errno.EINVAL, errno.EFAULT, errno.ENOTSOCK, errno.EDOM, errno.ERANGE})
_DEBUG = "--debug shows where that was"


def fault_of_the_machine(error: BaseException) -> UserError | None:
    """What a user can do about an error that the machine or its installation causes; None for any other.

    Everything that a command expects to fail has a message of its own. This is for the rest: no memory, no files to be
    opened, a folder that is gone, a library that cannot be loaded.
    """
    if isinstance(error, MemoryError):
        return UserError("there is not enough memory", remedy=f"close other programs, or raise `ulimit -v`; {_DEBUG}")
    if isinstance(error, ImportError) and not (error.name or "").startswith("haepo_bench"):
        return UserError(
            f"a library cannot be loaded: {_one_line(error)}",
            remedy=f"haepo-bench doctor checks the installation; is there enough memory? {_DEBUG}",
        )
    if isinstance(error, OSError) and error.errno not in {None, *_OURS}:
        said = error.strerror or _one_line(error)
        where = str(error.filename) if error.filename is not None else ""
        return UserError(f"the system refused: {said}", where=where, remedy=_DEBUG)
    return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]


def write_fault_report(error: BaseException) -> str:
    """Writes what a developer needs into the folder for temporary files; returns a sentence that says where."""
    text = "\n".join(
        [
            f"haepo-bench {haepo_bench.__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"command: {sys.argv}",
            "",
            *traceback.format_exception(error),
        ]
    )
    try:
        handle, path = tempfile.mkstemp(prefix="haepo-bench-fault-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as failure:
        return f"no report could be written ({failure}); run again with --debug to see the traceback"
    return f"a report for its developers is in {path}; --debug shows the traceback"
