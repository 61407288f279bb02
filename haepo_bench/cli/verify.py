"""`haepo-bench verify`."""

from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.errors import ExitCode
from haepo_bench.terminal import echo
from haepo_bench.wording import many


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `report --publish` has written.")],
    digest: Annotated[
        str | None, typer.Option(help="The digest that publishing printed, as a paper or a message gives it.")
    ] = None,
) -> None:
    """Check that a published folder is what was published."""
    from haepo_bench.publishing.digests import verify as compare

    found = compare(folder)
    for what, names in (("changed", found.changed), ("missing", found.missing), ("not published", found.added)):
        for name in names:
            echo(f"{what}: {name}")
    expected = digest is None or digest.strip().lower() == found.digest
    if not expected:
        echo(f"another publication: its digest is {found.digest}, not {digest}")
    if found.intact and expected:
        echo(f"as published: {many(found.files, 'file')}, digest {found.digest}")
    raise typer.Exit(ExitCode.OK if found.intact and expected else ExitCode.NOT_COMPARABLE)
