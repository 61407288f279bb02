"""`haepo-bench compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.terminal import echo, print_document


class CompareFormat(StrEnum):
    """What `--format` takes."""

    text = "text"
    md = "md"
    json = "json"
    html = "html"


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A results folder: before.", show_default=False)],
    b: Annotated[
        Path | None, typer.Argument(metavar="[B]", help="Another: after; not with --algorithms.", show_default=False)
    ] = None,
    algorithms: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="NAME NAME",
            help="Compare two algorithms of A instead: is either above the other in mean final score?",
            show_default=False,
        ),
    ] = None,
    form: Annotated[
        CompareFormat, typer.Option("--format", help="md fits a pull request; html shows curves and is a file.")
    ] = CompareFormat.text,
    out: Annotated[
        Path | None, typer.Option(help="File to write to; ./compare.html for html, standard output for the others.")
    ] = None,
) -> None:
    """Compare two results folders (another commit, another setting; B minus A), or two algorithms of one."""
    from haepo_bench.cli.omissions import conclude
    from haepo_bench.compare.build import compare_results
    from haepo_bench.compare.files import HTML_FILE, render
    from haepo_bench.results.writing import write_atomically

    if algorithms is not None:
        raise typer.Exit(_two_algorithms(a, b, algorithms, form, out))
    if b is None:
        raise UserError(
            "compare needs a second results folder",
            remedy="name it, or two algorithms of the first: --algorithms grpo ppo",
        )
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


def _two_algorithms(
    results: Path, other: Path | None, names: tuple[str, str], form: CompareFormat, out: Path | None
) -> ExitCode:
    """Prints or writes the comparison of two algorithms of one folder."""
    from haepo_bench.compare.algorithms import compare_algorithms, render_algorithms
    from haepo_bench.results.writing import write_atomically

    if other is not None or form is CompareFormat.html:
        what = "two results folders" if other is not None else "--format html"
        raise UserError(f"--algorithms does not go with {what}", remedy="name one folder, and text, md or json")
    text = render_algorithms(compare_algorithms(results, names), form.value)
    if out is None:
        print_document(text)
    else:
        write_atomically(out, text, option="--out")
        echo(f"wrote {out}")
    return ExitCode.OK
