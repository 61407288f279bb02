"""Where the runs of a session come from: commit, processor, and how fast that is."""

import hashlib
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from haepo_bench import __version__

_GIT_SECONDS = 10.0
_REFERENCE_REPEATS = 5


def provenance(device: str) -> dict[str, Any]:
    """What all runs of one `run` have in common; versions depend on what each executes, and are in its record too.

    Args:
        device: device type that the runs use.
    """
    return {
        "package_version": __version__,
        "git": _git(),
        **here(),
        "device": device,
        "threads": 1,
    }


def here() -> dict[str, str]:
    """What a record says of the machine."""
    return {"node": platform.node(), "platform": platform.platform(), "cpu": cpu_model()}


def reference_seconds() -> float:
    """CPU seconds of a fixed job, the fastest of five: what costs of runs are divided by to compare sessions.

    Interpreted Python and products of small matrices, of which training small networks mostly consists. A few
    milliseconds; the fastest, because all that disturbs it makes it slower.
    """
    import numpy as np

    matrix = np.linspace(-1.0, 1.0, 64 * 64, dtype=np.float32).reshape(64, 64)

    def job() -> float:
        begun = time.process_time()
        values, total = matrix, 0
        for i in range(300):
            values = np.tanh(values @ matrix)
            for j in range(150):
                total += i ^ j
        return time.process_time() - begun

    return min(job() for _ in range(_REFERENCE_REPEATS))


def tree_state() -> str | None:
    """The current directory's repository in a few words: its commit, and a hash of what differs from it.

    Only tracked files count, as for `dirty`. None outside of a repository.
    """
    commit = _ask_git("rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git_output("diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv")
    return commit if not changes else f"{commit}+{hashlib.sha256(changes).hexdigest()[:16]}"


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _git() -> dict[str, Any] | None:
    """Commit of the current directory's repository and whether tracked files differ from it; None outside of one."""
    commit = _ask_git("rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _ask_git("status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _ask_git(*arguments: str) -> str | None:
    answer = _git_output(*arguments)
    try:
        return None if answer is None else answer.decode().strip()
    except UnicodeDecodeError:
        return None


def _git_output(*arguments: str) -> bytes | None:
    command = ["git", "--no-optional-locks", *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=_GIT_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
