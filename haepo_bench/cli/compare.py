"""`haepo-bench compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.errors import ExitCode
from haepo_bench.terminal import echo, print_document


class CompareFormat(StrEnum):
    """What `--format` takes."""

    text = "text"
    md = "md"
    json = "json"
    html = "html"


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A results folder: before.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another: after.", show_default=False)],
    form: Annotated[
        CompareFormat, typer.Option("--format", help="md fits a pull request; html shows curves and is a file.")
    ] = CompareFormat.text,
    out: Annotated[
        Path | None, typer.Option(help="File to write to; ./compare.html for html, standard output for the others.")
    ] = None,
) -> None:
    """Compare two results folders: another commit, another setting. Differences are B minus A."""
    from haepo_bench.cli.omissions import conclude
    from haepo_bench.compare.build import compare_results
    from haepo_bench.compare.files import HTML_FILE, render
    from haepo_bench.results.writing import write_atomically

    document = compare_results(a, b)
    text = render(document, form.value)
    file = Path(HTML_FILE) if out is None and form is CompareFormat.html else out
    if file is None:
        print_document(text)
    else:
        write_atomically(file, text, option="--out")
        echo(f"wrote {file}")
    damaged = [("A", file) for suite in document.suites for file in suite.damaged_a]
    damaged += [("B", file) for suite in document.suites for file in suite.damaged_b]
    damaged += [("A", file) for file in document.damaged_only_a] + [("B", file) for file in document.damaged_only_b]
    raise typer.Exit(conclude(ExitCode.OK, damaged))
