"""Things that stand in a file's place and cannot be read; and the program as somebody without rights."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli_support import ROOT, Outcome

_LIBC = ctypes.CDLL(None)

#: Kind: what must be said of it.
KINDS = {
    "fifo": "it is a named pipe, not a regular file",
    "socket": "it is a socket, not a regular file",
    "folder": "it is a folder, not a regular file",
    "device": "it is a device, not a regular file",
    "loop": "Too many levels of symbolic links",
    "dangling": "it is a link to something that is not there",
}


def make(path: Path, kind: str) -> Path:
    """Puts something special at `path`, in place of a file that may be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may have 107 characters
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
        finally:
            os.chdir(here)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("unmounted/file")
    else:
        raise ValueError(kind)
    return path


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fails what hangs."""

    def late(*_: Any) -> None:
        raise AssertionError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def without_rights(folder: Path, *arguments: str, environment: dict[str, str] | None = None) -> Outcome:
    """The program in `folder`, held by permissions as any user is and root is not."""
    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        preexec_fn=hold_root_to_permissions,  # nothing but two system calls
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def hold_root_to_permissions() -> None:
    """Takes from root, for the program that is executed next, the right to pass by what files' modes say."""
    if os.geteuid() == 0:
        drop_from_bounding_set = 24
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if _LIBC.prctl(drop_from_bounding_set, capability):
                raise OSError("root's rights cannot be given up")
