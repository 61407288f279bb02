"""The tools by their names, each loaded only where it is asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from haepo_bench.errors import UserError
from haepo_bench.loggers.live import LiveLogger
from haepo_bench.loggers.logger import Logger
from haepo_bench.suite.execution_keys import LoggerName


def logger_for(name: str, folder: Path, suite: str) -> Logger:
    """The tool of a name.

    Args:
        folder: of the suite's results; what is kept on this machine goes below it.

    Raises:
        UserError: it is not installed.
    """
    match name:
        case "tensorboard":
            from haepo_bench.loggers.event_files import EventFiles

            return EventFiles(folder / "tensorboard")
    raise ValueError(f"no logger is called {name}; there are {', '.join(get_args(LoggerName))}")


def observers_for(names: Sequence[str], folder: Path, suite: str) -> list[LiveLogger]:
    """What tells the tools of a session's runs, in the order of their names.

    Raises:
        UserError: one of them is not installed.
    """
    loggers = []
    for name in dict.fromkeys(names):
        try:
            loggers.append(LiveLogger(f"--log {name}", suite, logger_for(name, folder, suite)))
        except UserError as error:
            raise UserError(error.problem, where=f"--log {name}", remedy=error.remedy) from None
    return loggers
