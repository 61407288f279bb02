"""Whose fault an unexpected error is: the machine's, or ours, which goes into a file instead of a traceback."""

import errno
import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

import haepo_bench
from haepo_bench.errors import UserError
from haepo_bench.files import hint_for

#: What the operating system says only to a program that asks for something wrong.
_OURS = frozenset({errno.EBADF, errno.EINVAL, errno.EFAULT, errno.ENOTSOCK, errno.EDOM, errno.ERANGE})
_PACKAGE = f"{Path(haepo_bench.__file__).parent}{os.sep}"
_DEBUG = "--debug shows where that was"


def fault_of_the_machine(error: BaseException) -> UserError | None:
    """What a user can do about an error that the machine or its installation causes; None for any other.

    Everything that a command expects to fail has a message of its own. This is for the rest: no memory, no files to be
    opened, a folder that is gone, a library that cannot be loaded.
    """
    if isinstance(error, MemoryError):
        return UserError("there is not enough memory", remedy=f"close other programs, or raise `ulimit -v`; {_DEBUG}")
    if isinstance(error, OSError) and error.errno not in {None, *_OURS}:
        where = str(error.filename) if error.filename is not None else ""
        said, hint = error.strerror or _one_line(error), hint_for(error)
        return UserError(f"the system refused: {said}", where=where, remedy=f"{hint}; {_DEBUG}" if hint else _DEBUG)
    if isinstance(error, ImportError) or _while_loading(error):
        return UserError(
            f"a library cannot be loaded: {_one_line(error)}",
            remedy=f"haepo-bench doctor checks the installation; are its own settings broken? {_DEBUG}",
        )
    return None


def _while_loading(error: BaseException) -> bool:
    """Whether the body of another library's module failed, which runs while the module is imported."""
    codes = [frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [i for i, code in enumerate(codes) if code.co_filename.startswith(_PACKAGE)]
    return bool(ours) and any(code.co_name == "<module>" for code in codes[ours[-1] + 1 :])


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


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
