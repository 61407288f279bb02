"""The way to standard output and standard error: nothing else in the program prints.

Text comes from suites, stored runs, file names and other programs' errors as well, so all of it passes
`haepo_bench.text.visible` here; styling is added afterwards. Standard output that cannot be written is an error of its
own, but for a pipe that nobody reads any more; where standard error cannot be written there is nowhere to say so.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from haepo_bench.errors import UserError
from haepo_bench.text import visible

if TYPE_CHECKING:
    from rich.console import Console

#: Without a terminal nothing is gained by breaking lines at 80 columns.
_WIDE = 200
#: Narrower than that no table can be shown, whatever COLUMNS says.
NARROW = 40
_ELSEWHERE = "send it to a file with room for it, or to /dev/null where it is not wanted"


class OutputError(UserError):
    """Standard output is closed or full."""


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Prints text.

    Args:
        err: to standard error.
        nl: ends it with an end of line.

    Raises:
        OutputError: standard output cannot be written.
        BrokenPipeError: nobody reads standard output any more.
    """
    _write(visible(text) + ("\n" if nl else ""), err=err)


def print_document(text: str) -> None:
    """Prints a document for other programs: in UTF-8 and as it is, unless standard output is a terminal.

    Raises:
        OutputError: standard output cannot be written.
        BrokenPipeError: nobody reads standard output any more.
    """
    if is_terminal() or not hasattr(sys.stdout, "buffer"):
        _write(visible(text), err=False)
        return
    with _checked():
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", errors="replace"))
        sys.stdout.flush()


def console(*, err: bool = False) -> "Console":
    """A rich console that shows the text of its renderables as `echo` does."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Visible(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                text, style, control = segment
                yield segment if control or text.isprintable() else Segment(visible(text), style, control)

    # Rich takes any object with `write` and `flush`.
    stream: Any = _Stream(err=err)
    made = Visible(file=stream, width=None if is_terminal(err=err) else _WIDE)
    made.width = max(made.width, NARROW)
    return made


def is_terminal(*, err: bool = False) -> bool:
    """Whether standard output (or standard error) is a terminal."""
    return (sys.stderr if err else sys.stdout).isatty()


def prepare() -> None:
    """Makes sure of the three standard streams; call it before any file is opened.

    A descriptor that was closed would become that of the next file that is opened, and what libraries print would go
    into it.

    Raises:
        OutputError: standard output is closed.
    """
    closed = [name for name in ("stdin", "stdout", "stderr") if getattr(sys, name) is None]
    for name in closed:
        # The lowest free descriptor is taken, which is the one that was closed.
        setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115
    # A terminal that cannot show a character is not a reason to fail.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if "stdout" in closed:
        raise OutputError("standard output is closed", remedy=_ELSEWHERE)


def silence(*, err: bool = False) -> None:
    """Sends standard output (or standard error) to nowhere: it cannot be written, and will be flushed at the end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (sys.stderr if err else sys.stdout).fileno())
        os.close(nowhere)


def settle() -> None:
    """Flushes both streams for the last time; what cannot be written any more is dropped without a word."""
    for err in (False, True):
        try:
            (sys.stderr if err else sys.stdout).flush()
        except OSError:
            silence(err=err)


class _Stream:
    """Standard output or standard error, whatever it is when something is written."""

    def __init__(self, *, err: bool) -> None:
        self._err = err

    def write(self, text: str) -> int:
        _write(text, err=self._err)
        return len(text)

    def flush(self) -> None:
        """Every write is flushed."""

    def isatty(self) -> bool:
        return is_terminal(err=self._err)

    def fileno(self) -> int:
        return (sys.stderr if self._err else sys.stdout).fileno()

    @property
    def encoding(self) -> str:
        return getattr(sys.stderr if self._err else sys.stdout, "encoding", None) or "utf-8"


def _write(text: str, *, err: bool) -> None:
    if not err:
        with _checked():
            _write_all(sys.stdout, text)
        return
    try:
        _write_all(sys.stderr, text)
    except OSError:
        silence(err=True)


def _write_all(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


@contextlib.contextmanager
def _checked() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        silence()
        raise OutputError(f"standard output cannot be written: {error.strerror}", remedy=_ELSEWHERE) from error
