"""The report of a fault of ours: a file instead of a traceback."""

import os
import platform
import sys
import tempfile
import traceback

import haepo_bench


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
