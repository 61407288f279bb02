"""`haepo-bench clean`."""

from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.terminal import echo


def clean(
    results: Annotated[
        Path,
        typer.Argument(metavar="RESULTS", help="A results folder, of one suite or of several.", show_default=False),
    ],
    obsolete: Annotated[
        bool,
        typer.Option(
            "--obsolete", help="Only runs of the plan's cells by other code or other settings: the history in reports."
        ),
    ] = False,
    damaged: Annotated[bool, typer.Option("--damaged", help="Only files that cannot be read as runs.")] = False,
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="Only checkpoints: their runs then start from the beginning.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Move what is listed to RESULTS/.trash.")] = False,
) -> None:
    """List what the results of the present plan do not need, with its size; with --yes, move it to RESULTS/.trash.

    Without options all three kinds. Finished runs of the present plan always stay, and nothing is deleted.
    """
    from haepo_bench.cli.layout import columns
    from haepo_bench.errors import UserError
    from haepo_bench.results.cleaning import KINDS, leftovers, move_away
    from haepo_bench.results.selection import TRASH_FOLDER
    from haepo_bench.text import plain
    from haepo_bench.wording import data_size, many

    if not results.is_dir():
        raise UserError(
            "there is no such folder", where=str(results), remedy="name the folder that `haepo-bench run` wrote to"
        )
    asked = tuple(kind for kind, wanted in zip(KINDS, (obsolete, damaged, checkpoints), strict=True) if wanted) or KINDS
    found = move_away(results, asked) if yes else leftovers(results, asked)
    if not found:
        echo("nothing to clean")
        return
    rows = []
    for one in found:
        runs = many(one.runs, "run") if one.kind == "obsolete" else ""
        shown = (one.suite / one.paths[0]).relative_to(results).as_posix()
        rows.append((one.kind, data_size(one.size), runs, plain(shown), plain(one.reason)))
    echo(columns(rows))
    total = data_size(sum(one.size for one in found))
    trash = plain(str(results / TRASH_FOLDER))
    echo(f"{total} moved to {trash}; delete that folder to free the space" if yes else f"{total} in all")
    if not yes:
        echo(f"--yes moves this to {trash}", err=True)
