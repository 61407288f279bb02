"""The program, as the console script and as `python -m haepo_bench`.

Imports nothing that takes time: the first thing to be done is to listen to signals.
"""

import os
import sys
import threading
import time

from haepo_bench import interruption
from haepo_bench.apart import go_on_apart

#: Commands that run other people's code in their own process, not in a worker.
_RUN_CODE_HERE = {"describe", "references", "test"}
#: How long to wait for threads that other people's code left running, in seconds.
_PATIENCE = 5.0


def main() -> None:
    """Runs one command line and ends with its exit code."""
    interruption.catch()
    command = next((each for each in sys.argv[1:] if not each.startswith("-")), "")
    say_ended = go_on_apart() if command in _RUN_CODE_HERE else None
    from haepo_bench.cli.quiet import quiet_libraries

    quiet_libraries()
    from haepo_bench.cli.main import program

    code = program(sys.argv[1:])
    interruption.ignore()
    if say_ended is not None:
        say_ended()
    if _threads_left():
        # Python would wait for them for ever; all of ours have ended, and the streams are flushed.
        os._exit(code)
    sys.exit(code)


def _threads_left() -> bool:
    """Whether threads go on, such as those of an environment, that Python waits for at its end."""
    until = time.monotonic() + _PATIENCE
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                return True
    return False


if __name__ == "__main__":
    main()
