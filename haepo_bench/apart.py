"""A command in a child process, so that other people's code which ends the process does not pass for success.

Imports nothing that takes time: the command line begins here.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType

from haepo_bench import interruption

#: errors.ExitCode.USAGE, as where a suite's code ends the process.
_FAILED = 4
_REMEDY = "code of one's own must not end the process: raise an exception in its place"


def go_on_apart() -> Callable[[], None]:
    """Returns in a child process; this one waits for it, and ends as it ends.

    Returns:
        to be called where the command has come to its end: what ends the process before that is a failure, which this
        process says.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        interruption.die_with_parent()

        def say_ended() -> None:
            os.write(writer, b".")

        return say_ended
    os.close(writer)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in interruption.caught():
        signal.signal(number, pass_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    # Other people's processes may hold the other end.
    os.set_blocking(reader, False)
    try:
        ended = bool(os.read(reader, 1))
    except BlockingIOError:
        ended = False
    if ended or code == interruption.INTERRUPTED:
        os._exit(code)
    how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    text = f"error: the process {how} in the middle of the command\n  {_REMEDY}\n"
    os.write(2, text.encode())
    os._exit(_FAILED)
