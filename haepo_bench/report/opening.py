"""A results folder as a user names it: which suites lie in it, and what to say where there is nothing."""

from collections.abc import Sequence
from pathlib import Path

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.results.selection import Selection, find_suites, select
from haepo_bench.results.store import Store
from haepo_bench.text import plain


def open_results(results: Path, *, to: str = "report") -> list[Selection]:
    """Everything that lies in `results`: a suite's folder, or a folder of such; at least one run has a result.

    Args:
        to: what is to be done with it, for the message.

    Raises:
        UserError: no such folder, the folder of a cell, or nothing in it has a result (exit code 2).
    """
    if not results.exists():
        raise UserError(
            "there is no such folder",
            where=str(results),
            remedy="name the folder that `haepo-bench run` wrote to, or run a suite first",
        )
    if not results.is_dir():
        raise UserError(
            "this is no folder", where=str(results), remedy="name the folder that `haepo-bench run` wrote to"
        )
    if any(results.glob("seed-*.json")):
        raise UserError(
            "this is the folder of one algorithm on one task",
            where=str(results),
            remedy=f"name the suite's folder, where the plan lies: {results.resolve().parent}",
        )
    selections = [select(Store(folder)) for folder in find_suites(results)]
    if not any(cell.runs for selection in selections for cell in selection.cells):
        raise _nothing_left(results, selections, to)
    return selections


def _nothing_left(results: Path, selections: Sequence[Selection], to: str) -> UserError:
    lines = []
    for selection in selections:
        lines += [f"{selection.name}/{file.path}: {plain(file.reason)}" for file in selection.damaged]
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
    error.exit_code = ExitCode.RUN_FAILED
    return error
