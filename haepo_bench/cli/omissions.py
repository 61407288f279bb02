"""What a command leaves out of what it was given, said on standard error."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from haepo_bench.terminal import echo
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.results.selection import Selection


def name_omissions(selections: Iterable["Selection"], *, label: str = "") -> None:
    """Runs without a result as a number, damaged files and folders left out by name.

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
        for file in selection.damaged:
            echo(f"{suite}: not readable: {plain(str(file.path))}: {plain(file.reason)}", err=True)
        for left in selection.not_shown:
            echo(f"{suite}: left out: {plain(left.folder)}: {many(left.runs, 'run')}: {plain(left.reason)}", err=True)
