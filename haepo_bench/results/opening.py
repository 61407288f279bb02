"""A results folder as a user names it: which suites are in it, and what to say where there is nothing."""

import os
from collections.abc import Sequence
from pathlib import Path

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.files import list_folder
from haepo_bench.results.presence import names_in
from haepo_bench.results.selection import TRASH_FOLDER, Selection, select
from haepo_bench.results.store import PLAN_FILE, REPORT_FOLDER, Store
from haepo_bench.text import plain


def open_results(results: Path, *, to: str = "report") -> list[Selection]:
    """Everything in `results`: a suite's folder, or a folder of such; at least one run has a result.

    Args:
        to: what is to be done with it, for the message.

    Raises:
        UserError: no such folder, one that cannot be read, the folder of a cell, or nothing in it has a result (exit
            code 2; 4 where something in it could not be read).
    """
    names = names_in(results)
    if any(name.startswith("seed-") and name.endswith(".json") for name in names):
        raise UserError(
            "this is the folder of one algorithm on one task",
            where=str(results),
            remedy=f"name the suite's folder, where the plan is: {results.resolve().parent}",
        )
    selections = [select(Store(folder)) for folder in find_suites(results)]
    if not any(cell.runs for selection in selections for cell in selection.cells):
        raise _nothing_left(results, selections, to)
    return selections


def find_suites(results: Path) -> list[Path]:
    """The suite folders that `results` means: itself where it holds a plan or cells, else all folders in it.

    Folders that cannot be listed, and links to folders that are not there, are among them: each may be a suite. The
    trash of `clean` is not.

    Raises:
        OSError: `results` cannot be listed.
    """
    if is_suite(results):
        return [results]
    return [results / entry.name for entry in list_folder(results) if _may_be_suite(results / entry.name)]


def is_suite(folder: Path) -> bool:
    """Whether a folder holds a plan or runs of a suite."""
    return os.path.lexists(folder / PLAN_FILE) or any(folder.glob("*--*/seed-*.json"))


def _may_be_suite(path: Path) -> bool:
    """Whether a folder, or a link to one, is to be named: a suite, out of reach, empty, or with JSON but no run."""
    if path.name == TRASH_FOLDER:
        return False
    try:
        if not path.is_dir() and not (path.is_symlink() and not path.exists()):
            return False
        entries = list_folder(path)
    except OSError:
        return not path.name.startswith(".") and path.name != REPORT_FOLDER
    if is_suite(path):
        return True
    return not path.name.startswith(".") and (any(path.glob("*/*.json")) or not entries)


def _nothing_left(results: Path, selections: Sequence[Selection], to: str) -> UserError:
    lines = []
    for selection in selections:
        lines += [plain(f"{selection.name}/{file.path}: {file.state}: {file.reason}") for file in selection.damaged]
        lines += [
            f"{cell.algorithm} on {cell.task}, seed {run.seed}: {run.status.replace('_', ' ')} ({plain(run.reason)})"
            for cell in selection.cells
            for run in cell.absent
        ]
    more = f"\n  ... and {len(lines) - 10} more" if len(lines) > 10 else ""
    error = UserError(
        f"nothing to {to}: no run here has a result",
        where=str(results),
        remedy="\n  ".join(lines[:10]) + more if lines else "run a suite first: haepo-bench run SUITE",
    )
    unreadable = any(selection.unreadable for selection in selections)
    error.exit_code = ExitCode.USAGE if unreadable else ExitCode.RUN_FAILED
    return error
