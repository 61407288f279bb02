"""The side of a tool's process:

    python -m haepo_bench.loggers.serving NAME FOLDER SUITE

It reads a line of JSON for each thing that is logged, ends with its input, and writes one line where it fails. Runs
that are open when its input ends, as when the program that logs was killed, are marked as interrupted.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.loggers.choice import logger_for
from haepo_bench.loggers.logger import LoggedCurve, Logger
from haepo_bench.loggers.process import RUN


def serve(lines: Iterable[bytes], logger: Logger) -> None:
    """Hands on what is logged, until there is no more."""
    curves: dict[int, LoggedCurve] = {}
    for line in lines:
        if not line.endswith(b"\n"):  # cut off with the process that wrote it
            break
        match json.loads(line):
            case ["begin", number, run]:
                curves[number] = logger.begin(RUN.validate_python(run))
            case ["log", number, env_steps, values]:
                curves[number].log(env_steps, values)
            case ["finish", number, status, provenance]:
                curves.pop(number).finish(status, provenance)
    for curve in curves.values():
        curve.finish("interrupted", {})
    logger.close()


def main() -> int:
    """The tool's side; 1 where it failed."""
    channel = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print is no message
    name, folder, suite = sys.argv[1:]
    try:
        serve(sys.stdin.buffer, logger_for(name, Path(folder), suite))
    except UserError as error:
        problem = f"{error.located} ({error.remedy})" if error.remedy else error.located
    except Exception as error:  # whatever a library raises
        problem = f"{type(error).__name__}: {error}"
    else:
        return 0
    os.write(channel, " ".join(problem.split())[:2000].encode())
    return 1


if __name__ == "__main__":
    sys.exit(main())
