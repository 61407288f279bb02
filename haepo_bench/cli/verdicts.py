"""What `check` and `gate` share: their options, and how a verdict is printed."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from haepo_bench.errors import ExitCode
from haepo_bench.files import refuse_special
from haepo_bench.terminal import echo, print_document

if TYPE_CHECKING:
    from haepo_bench.regression.check import Verdict
    from haepo_bench.regression.verdict import Rule


class VerdictFormat(StrEnum):
    """What `--format` takes."""

    text = "text"
    markdown = "markdown"
    json = "json"
    junit = "junit"
    github = "github"


class Requirement(StrEnum):
    """What `--require` takes."""

    noninferiority = "noninferiority"


BaselineOption = Annotated[
    Path, typer.Option("--baseline", metavar="FILE", help="The baseline, as `haepo-bench baseline` wrote it.")
]
AlphaOption = Annotated[
    float,
    typer.Option(
        "--alpha",
        min=1e-6,
        max=0.5,
        help="Chance that any cell is called worse although none changed; corrected for the number of cells.",
    ),
]
MinEffectOption = Annotated[
    float,
    typer.Option(
        "--min-effect",
        min=0.0,
        max=10.0,
        help="A smaller drop of the area under the curve does not matter; 1: from random to solved.",
    ),
]
RequireOption = Annotated[
    Requirement | None,
    typer.Option("--require", help="noninferiority: a cell is green only where a drop of --min-effect is ruled out."),
]
FormatOption = Annotated[VerdictFormat, typer.Option("--format", help="What is printed on standard output.")]
WriteOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--write",
        metavar="FILE",
        help="Write the verdict to a file too; .txt, .md, .json or .xml (JUnit) says in which format; repeatable.",
    ),
]


def rule_of(alpha: float, min_effect: float, require: Requirement | None) -> "Rule":
    """The options as a rule."""
    from haepo_bench.regression.verdict import Rule

    return Rule(alpha=alpha, min_effect=min_effect, noninferiority=require is not None)


def check_writable(files: Sequence[Path] | None) -> list[tuple[Path, str]]:
    """The files with their formats; before anything is measured, so that a wrong name costs nothing.

    Raises:
        UserError: no format is known for a file's name, or it cannot be written.
    """
    from haepo_bench.regression.formats import format_of
    from haepo_bench.results.writing import translate_os_errors

    found = [(file, format_of(file.suffix, f"--write {file}")) for file in files or ()]
    for file, _ in found:
        with translate_os_errors(file, option="--write"):
            file.parent.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=file.parent).close()
            refuse_special(file)
    return found


def deliver(verdict: "Verdict", form: str, files: Sequence[tuple[Path, str]]) -> ExitCode:
    """Writes and prints a verdict; its exit code."""
    from haepo_bench.regression.formats import render
    from haepo_bench.regression.present import headline
    from haepo_bench.results.writing import write_atomically

    print_document(render(verdict, form))
    for path, each in files:
        write_atomically(path, render(verdict, each), option="--write")
    if form != "text":
        echo(headline(verdict), err=True)
    return verdict.exit_code
