"""Signals that end the program: Ctrl-C, SIGTERM and a closed terminal.

A signal ends the program at once, except while something is `held`: then as soon as that is over. Nothing is raised,
because what is raised in the middle of an import is swallowed or printed by libraries, and what is written is written
whole or not at all (results/store.py). While workers run, `run` listens to the same signals and ends with its books in
order.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

#: Those that end the program: Ctrl-C, `kill`, and the end of the terminal.
NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: What a shell reports for a program that Ctrl-C ended; errors.py has all codes.
INTERRUPTED = 128 + signal.SIGINT

_depth = 0
_came = False


def catch() -> None:
    """Ends the program from now on when one of the signals comes."""
    for number in caught():
        signal.signal(number, _end)


def caught() -> list[signal.Signals]:
    """The signals that are listened to: not the end of the terminal where `nohup` says so."""
    return [number for number in NUMBERS if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]


def die_with_parent() -> None:
    """Asks Linux for SIGKILL at the parent's death: a thread alone is deaf while a library holds the interpreter."""
    if sys.platform == "linux":
        import ctypes  # only where it is needed: the command line begins with this module

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def ignore() -> None:
    """Ignores the signals from now on: the program ends anyway."""
    for number in NUMBERS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Puts a signal off while files are written that belong together."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if _came and not _depth:
            _leave()


@contextlib.contextmanager
def listening(stop: Callable[[], None]) -> Iterator[list[str]]:
    """Calls something instead of ending the program; yields the names of the signals that came.

    Args:
        stop: is called in the signal handler.
    """
    came: list[str] = []

    def take(number: int, _frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)
        stop()

    before = {number: signal.signal(number, take) for number in caught()}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    global _came
    _came = True
    if not _depth:
        _leave()


def _leave() -> NoReturn:
    # Not through the interpreter: libraries that are half imported must not be asked for anything.
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
