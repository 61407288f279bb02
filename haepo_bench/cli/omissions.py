"""What a command leaves out of what it was given, said on standard error, and its exit code where it could not read."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from haepo_bench.errors import ExitCode
from haepo_bench.terminal import echo
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.report.document import DamagedFile
    from haepo_bench.results.selection import Selection

_NAMED = 20


def name_omissions(selections: Iterable["Selection"], *, label: str = "") -> None:
    """Runs without a result as a number, unusable files and folders left out by name.

    What could not be read is not among them: `conclude` names it.

    Args:
        label: what stands before each line.
    """
    from haepo_bench.text import plain

    for selection in selections:
        suite = label + plain(selection.name)
        absent = sum(len(cell.absent) for cell in selection.cells)
        planned = sum(len(cell.seeds) for cell in selection.cells)
        if absent:
            echo(f"{suite}: no result: {absent} of {many(planned, 'run')}", err=True)
        for file in (file for file in selection.damaged if file not in selection.unreadable):
            echo(f"{suite}: {file.state}: {plain(str(file.path))}: {plain(file.reason)}", err=True)
        for left in selection.not_shown:
            echo(f"{suite}: left out: {plain(left.folder)}: {many(left.runs, 'run')}: {plain(left.reason)}", err=True)


def conclude(code: ExitCode, files: Iterable[tuple[str, "DamagedFile"]]) -> ExitCode:
    """How a command ends that only reads: with 4 where something could not be read, which it names, else with `code`.

    Args:
        files: suite and file of all that cannot be used, whatever its state.
    """
    unreadable = [(suite, file) for suite, file in files if file.state == "unreadable"]
    if not unreadable:
        return code
    for suite, file in unreadable[:_NAMED]:
        echo(f"{suite}: unreadable: {file.file}: {file.reason}", err=True)
    if len(unreadable) > _NAMED:
        echo(f"... and {len(unreadable) - _NAMED} more", err=True)
    echo(
        "what is in them is not known; all else is shown. Make them readable, or move them out of the results folder",
        err=True,
    )
    return ExitCode.USAGE
