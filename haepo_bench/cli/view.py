"""`haepo-bench view`."""

import shlex
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.results.presence import names_in
from haepo_bench.terminal import echo

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
) -> None:
    """Show the runs in RESULTS as they happen, in a browser, until Ctrl-C; nothing in RESULTS is changed."""
    names_in(results)
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UserError(
            "view needs the extra 'view' (starlette and uvicorn)", remedy="pip install 'haepo-bench[view]'"
        ) from None
    import logging

    from haepo_bench import interruption
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
            if not no_open:
                webbrowser.open(address)
            try:
                server.run(sockets=[bound])
            finally:
                watched.stop()
    raise typer.Exit(ExitCode.INTERRUPTED)


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
