"""Things that stand in a file's place and cannot be read; and the program as somebody without rights."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli_support import ROOT, Outcome

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


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that a user without rights can reach and owns; pytest's own are closed to all others."""
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)


def without_rights(folder: Path, *arguments: str) -> Outcome:
    """The program in `folder` as a user whom permissions hold for, which they do not for root."""
    someone: dict[str, Any] = {}
    if os.geteuid() == 0:
        someone = {"user": 65534, "group": 65534, "extra_groups": []}
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
    done = subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False, **someone,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "MPLCONFIGDIR": str(folder)},
    )  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)
