"""`haepo-bench merge`."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench.errors import ExitCode
from haepo_bench.terminal import echo
from haepo_bench.text import plain
from haepo_bench.wording import many

if TYPE_CHECKING:
    from haepo_bench.results.merging import Conflict, Merged

_NAMED = 20
#: Of what differs between the code of two folders.
_CHANGES_NAMED = 8
#: What to do about cells that the plans of two folders name differently, by what differs.
_REMEDIES = {
    "settings": "run the same suite, with the same --set, on all machines",
    "engine": "name one engine on all machines: --engine torch, or --engine compiled where all can use it",
    "files": "run one of the two again, with the same files",
    "code": "install the same versions on all machines",
}


def merge(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...", help="Results folders of one suite, or a folder of its shards.", show_default=False
        ),
    ],
    into: Annotated[Path, typer.Option(metavar="DIR", help="The suite's folder that they are merged into.")],
    prefer: Annotated[
        Path | None,
        typer.Option(metavar="RESULTS", help="One of the folders: where two results are unequal, keep its result."),
    ] = None,
) -> None:
    """Merge the results of shards, or of several machines, into one folder.

    The folders themselves are left as they are, and merging again changes nothing. Where two machines came to unequal
    results of the same run, both are kept, the second under DIR/conflicts, and the exit code is 3.
    """
    from haepo_bench.results.merging import merge as merge_folders

    merged = merge_folders(sources, into, prefer=prefer)
    for one in merged:
        _say(one)
    echo(f"next: haepo-bench report {shlex.quote(str(into))}")
    unsettled = any(one.disagreements or not all(conflict.chosen for conflict in one.conflicts) for one in merged)
    raise typer.Exit(ExitCode.NOT_COMPARABLE if unsettled else ExitCode.OK)


def say_conflicts(conflicts: "Sequence[Conflict]", root: Path) -> None:
    """Names unequal results of one run.

    Args:
        root: the suite's folder.
    """
    for conflict in conflicts[:_NAMED]:
        aside = plain(str(conflict.path.relative_to(root)))
        echo(
            f"unequal results: {plain(str(conflict.cell))}, seed {conflict.seed}: kept that of {plain(conflict.kept)}; "
            f"that of {plain(conflict.aside)} is in {aside}",
            err=True,
        )
    if len(conflicts) > _NAMED:
        echo(f"... and {len(conflicts) - _NAMED} more", err=True)
    if any(not conflict.chosen for conflict in conflicts):
        echo("  nothing says which is right: --prefer RESULTS keeps the results of one folder", err=True)


def _say(merged: "Merged") -> None:
    where = plain(str(merged.root))
    counts = [(merged.added, "added"), (merged.completed, "completed"), (merged.same, "there already")]
    said = [f"{many(n, 'run')} {what}" for n, what in counts if n]
    if merged.missing:
        said.append(f"{many(merged.missing, 'run')} of the plan still missing")
    echo(f"{where}: {', '.join(said) or 'nothing to merge'}")
    say_conflicts(merged.conflicts, merged.root)
    for each in merged.disagreements[:_NAMED]:
        more = len(each.changed) - _CHANGES_NAMED
        changed = ", ".join(each.changed[:_CHANGES_NAMED]) + (f" and {more} more" if more > 0 else "")
        line = (
            f"other {each.what}: {each.algorithm} on {', '.join(each.tasks)}: the runs of {each.other} are kept, and "
            f"not shown with those of {each.kept}{f'; they differ in: {changed}' if changed else ''}"
        )
        echo(plain(line), err=True)
    if len(merged.disagreements) > _NAMED:
        echo(f"... and {len(merged.disagreements) - _NAMED} more", err=True)
    for what in dict.fromkeys(each.what for each in merged.disagreements):
        echo(f"  {_REMEDIES[what]}, or merge these folders apart", err=True)
    for file in merged.left[:_NAMED]:
        echo(f"left where it is: {plain(str(file.path))}: {file.state}: {plain(file.reason)}", err=True)
