"""Finished runs to a tool, as `run --log` would have logged them."""

import math
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from haepo_bench.errors import UserError
from haepo_bench.loggers.logger import LoggedCurve, LoggedRun, provenance_of
from haepo_bench.loggers.process import ToolProcess, tool
from haepo_bench.results.opening import open_results
from haepo_bench.results.selection import Run, Selection
from haepo_bench.results.writing import translate_os_errors


class LoggedStore(NamedTuple):
    """What was logged.

    Args:
        places: a suite's folder of the tool to its number of runs.
    """

    places: dict[Path, int]
    selections: list[Selection]


def log_stored(name: str, results: Path, out: Path, *, force: bool = False) -> LoggedStore:
    """Logs the runs that have a result.

    Args:
        name: of the tool.
        out: where the folder of each suite goes in which the tool keeps what it sends nowhere.
        force: log to such folders that are there; what they hold of the same runs gives way or goes on.

    Raises:
        UserError: nothing to export, a folder is there already, the tool is not installed or fails.
    """
    option = f"--format {name}"
    selections = open_results(results, to="export")
    places = {}
    for selection in selections:
        folder = out / quote(selection.name, safe="")
        with translate_os_errors(folder, option="--out"):
            there = (folder / name).exists()
        if there and not force:
            raise UserError(
                "is there already",
                where=str(folder / name),
                remedy="log to it with --force, or name another --out folder",
            )
        process = tool(name, folder, selection.name, option)
        places[folder / name] = sum(len(cell.runs) for cell in selection.cells)
        try:
            _log(process, selection)
        except RuntimeError as error:
            raise UserError(f"{name} failed: {error}", where=option) from None
    return LoggedStore(places, selections)


def _log(process: ToolProcess, selection: Selection) -> None:
    for cell in selection.cells:
        for run in cell.runs:
            logged = LoggedRun.stored(selection.name, run.record)
            curve = process.begin(logged)
            _log_curve(curve, logged, run)
            curve.finish(run.record.status, provenance_of(run.record))
    process.close()


def _log_curve(curve: LoggedCurve, logged: LoggedRun, run: Run) -> None:
    for i, env_steps in enumerate(run.curve["env_steps"].tolist()):
        row = {name: column[i].item() for name, column in run.curve.items()}
        known = {name: None if math.isnan(value) else value for name, value in row.items()}
        curve.log(int(env_steps), logged.values(known))
