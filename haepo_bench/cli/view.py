"""`haepo-bench view`."""

import contextlib
import importlib.util
import os
import shlex
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench import interruption
from haepo_bench.errors import ExitCode, UserError
from haepo_bench.results.presence import names_in
from haepo_bench.results.writing import translate_os_errors
from haepo_bench.terminal import echo, is_terminal

if TYPE_CHECKING:
    import socket

#: Taken where it is free and none is asked for.
_USUAL_PORT = 8765


def view(
    results: Annotated[Path, typer.Argument(help="A results folder, of one suite or of several.")] = Path("results"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help=f"Port on 127.0.0.1; 0 for any that is free. {_USUAL_PORT} if left out, or any where that is taken.",
        ),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
    until_closed: Annotated[bool, typer.Option("--until-closed", hidden=True)] = False,
) -> None:
    """Show the runs in RESULTS as they happen, in a browser, until Ctrl-C; nothing in RESULTS is changed."""
    names_in(results)
    check_installed()
    import logging
    import threading

    from haepo_bench.live.server import server_of
    from haepo_bench.live.watching import Watched

    # Of the server's own messages none concerns a reader of the page.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="haepo-bench-view-") as scratch, _socket(port) as bound:
        watched = Watched(results, Path(scratch))
        server = server_of(watched)

        def stop() -> None:
            server.should_exit = True

        with interruption.listening(stop):
            address = f"http://127.0.0.1:{bound.getsockname()[1]}/"
            echo(f"{address} shows {shlex.quote(str(results))} (Ctrl-C ends it)")
            watched.start()
            if until_closed:
                threading.Thread(target=_wait_for_end, args=[stop], daemon=True).start()
            if not no_open and _has_display():
                # Apart: a browser that starts up waits for the page, and some return only at their end.
                threading.Thread(target=_open, args=[address], daemon=True).start()
            try:
                server.run(sockets=[bound])
            finally:
                watched.stop()
    raise typer.Exit(ExitCode.INTERRUPTED)


def check_installed() -> None:
    """Whether there is a server.

    Raises:
        UserError: the extra is not installed.
    """
    for name in ("starlette", "uvicorn"):
        if importlib.util.find_spec(name) is None:
            raise UserError(
                "a view needs the extra 'view' (starlette and uvicorn)", remedy="pip install 'haepo-bench[view]'"
            )


class ViewBeside:
    """A view in a process of its own while something else is done here, which it never holds up.

    On a terminal it stays until Ctrl-C, where `stays` says so; it is gone when this process is.

    Args:
        results: made where it is not there.
    """

    def __init__(self, results: Path) -> None:
        check_installed()
        self.stays = False
        with translate_os_errors(results):
            results.mkdir(parents=True, exist_ok=True)
        # Of its own session: Ctrl-C is the run's, and the view ends when its standard input does.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "haepo_bench", "view", str(results), "--until-closed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def __enter__(self) -> "ViewBeside":
        # Its address, before a display of progress has the terminal. Where it could not start, it has said why.
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if line:
            echo(line.rstrip(), err=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self.stays and is_terminal(err=True) and self._process.poll() is None:
            echo("the view stays until Ctrl-C", err=True)
            with interruption.listening(self._close):
                self._process.wait()
        self._close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _close(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


def _wait_for_end(stop: Callable[[], None]) -> None:
    """Calls `stop` once the other end of standard input is closed."""
    while os.read(0, 1024):
        pass
    stop()


def _open(address: str) -> None:
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(address)


def _has_display() -> bool:
    """Whether a browser would have a window: a text browser would take the terminal away."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _socket(port: int | None) -> "socket.socket":
    from haepo_bench.live.server import listen

    try:
        return listen(_USUAL_PORT if port is None else port)
    except OSError as error:
        if port is None:
            return listen(0)
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot listen on port {port}: {reason}", where="--port", remedy="--port 0 takes any that is free"
        ) from None
