"""What a command leaves out of what it was given, said on standard error, and its exit code where it could not read."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from haepo_bench.errors import ExitCode

if TYPE_CHECKING:
    from haepo_bench.report.document import DamagedFile
    from haepo_bench.results.selection import Selection

_NAMED = 20


def name_omissions(selections: Iterable["Selection"], *, label: str = "") -> None:
    """Runs without a result as a number, files that are no good and folders left out by name.

    What could not be read is not among them: `conclude` names it.

    Args:
        label: what stands before each line.
    """
    from haepo_bench.report.text import plain

    for selection in selections:
        suite = label + plain(selection.name)
        absent = sum(len(cell.absent) for cell in selection.cells)
        planned = sum(len(cell.seeds) for cell in selection.cells)
        if absent:
            typer.echo(f"{suite}: no result: {absent} of {planned} runs", err=True)
        for file in (file for file in selection.damaged if file not in selection.unreadable):
            typer.echo(f"{suite}: {file.state}: {plain(str(file.path))}: {plain(file.reason)}", err=True)
        for left in selection.not_shown:
            many = f"{left.runs} run{'' if left.runs == 1 else 's'}"
            typer.echo(f"{suite}: left out: {plain(left.folder)}: {many}: {plain(left.reason)}", err=True)


def conclude(code: ExitCode, files: Iterable[tuple[str, "DamagedFile"]]) -> ExitCode:
    """How a command ends that only reads: with 4 where something could not be read, which it names, else with `code`.

    Args:
        files: suite and file of all that cannot be used, whatever its state.
    """
    unreadable = [(suite, file) for suite, file in files if file.state == "unreadable"]
    if not unreadable:
        return code
    for suite, file in unreadable[:_NAMED]:
        typer.echo(f"{suite}: unreadable: {file.file}: {file.reason}", err=True)
    if len(unreadable) > _NAMED:
        typer.echo(f"... and {len(unreadable) - _NAMED} more", err=True)
    typer.echo(
        "what is in them is not known; all else is shown. Make them readable, or move them out of the results folder",
        err=True,
    )
    return ExitCode.USAGE
