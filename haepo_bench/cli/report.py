"""`haepo-bench report`."""

import os
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from haepo_bench.errors import ExitCode, UserError
from haepo_bench.report.figures.formats import FORMATS, STYLES, FigureFormat, FigureRequest
from haepo_bench.results.presence import names_in
from haepo_bench.terminal import echo, print_document
from haepo_bench.wording import many


class ReportFormat(StrEnum):
    """What `--format` takes."""

    html = "html"
    md = "md"
    csv = "csv"
    json = "json"
    latex = "latex"


class StyleName(StrEnum):
    """What `--style` takes."""

    page = "page"
    neurips = "neurips"
    icml = "icml"
    talk = "talk"


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            help="A results folder, of one suite or of several; ./results by default. Several are shown side by side, "
            "as the commits of a history.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files. html writes to RESULTS/report without it, the others print only."),
    ] = None,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="All but html are printed on standard output.")
    ] = ReportFormat.html,
    figures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="pdf|svg|png",
            help="Write every figure to the folder figures, too; repeat it, or separate formats by commas. Without it "
            "html has its pictures inside, and md with --out comes with PNG files.",
        ),
    ] = None,
    style: Annotated[StyleName, typer.Option(help="Sizes and fonts of the figures.")] = StyleName.page,
    footnotes: Annotated[
        bool, typer.Option("--footnotes", help="Draw notes into the figures; else captions.txt has them.")
    ] = False,
    importance: Annotated[
        bool,
        typer.Option(
            "--importance",
            help="Of searches also which hyper-parameters matter, by a random forest (extra `importance`).",
        ),
    ] = False,
    publish: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a folder for any static host instead: page, tables, figures, suites and runs, without host "
            "names, user names and absolute paths.",
        ),
    ] = None,
    with_logs: Annotated[bool, typer.Option("--with-logs", help="Publish the logs of runs, too.")] = False,
    licence: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Terms of use of what is published; copied as LICENSE.")
    ] = None,
) -> None:
    """Write tables and learning curves of the runs in RESULTS."""
    first, *others = folders = results or [Path("results")]
    for each in folders:
        names_in(each)  # before imports that take longer than to say that nothing is there
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a results folder is named twice", remedy="name each once")
    if others and publish is not None:
        raise UserError("--publish takes one results folder", remedy="publish each in a folder of its own")
    if others and out is None and form is ReportFormat.html:
        raise UserError(
            "a page on several results folders belongs to none of them", remedy="name a folder for it with --out"
        )
    if importance and find_spec("sklearn") is None:
        raise UserError(
            "--importance needs scikit-learn, which is not installed",
            remedy="install the extra: pip install 'haepo-bench[importance]'",
        )
    if publish is not None:
        drawn = figures or style is not StyleName.page or footnotes
        if out is not None or form is not ReportFormat.html or drawn or importance:
            raise UserError(
                "--publish writes every format",
                remedy="leave out --out and --format, and --figures, --style, --footnotes and --importance",
            )
        _publish(first, publish, with_logs=with_logs, licence=licence)
        return
    if with_logs or licence is not None:
        raise UserError("--with-logs and --licence say what is published", remedy="name the folder with --publish DIR")

    asked = _asked(figures, style, footnotes=footnotes)
    printed = form is not ReportFormat.html
    if printed and out is None and (figures or asked != FigureRequest()):
        raise UserError(f"{form.value} is printed, without figures", remedy="name a folder for both with --out")
    if not asked.of(form.value) and asked != FigureRequest():
        raise UserError("--style and --footnotes say how figures are drawn", remedy="say which with --figures pdf")

    from haepo_bench.cli.omissions import conclude
    from haepo_bench.report.files import render, write_report
    from haepo_bench.report.numbers.build import build_report
    from haepo_bench.results.store import REPORT_FOLDER

    document = build_report(*folders, importance=importance)
    if printed:
        print_document(render(document, form.value))
    if out is not None or not printed:
        own = first / REPORT_FOLDER
        # A page in a folder of that name looks for the runs in the one above it.
        elsewhere = out is not None and out.resolve().name == REPORT_FOLDER and out.resolve() != own.resolve()
        files = write_report(document, form.value, out or own, asked, runs="" if elsewhere else None)
        echo(f"wrote {files[0]}", err=printed)
        written = [file for file in files if file.suffix[1:] in FORMATS]
        if written:
            folder = os.path.commonpath([file.parent for file in written])
            kinds = " and ".join(name.upper() for name in asked.of(form.value))
            count = len({file.with_suffix("") for file in written})
            echo(f"wrote {many(count, 'figure')} as {kinds} to {folder}", err=printed)
    for suite in document.suites:
        missing = suite.runs_planned - suite.runs_shown
        if missing:
            echo(
                f"{suite.suite}: no result: {missing} of {many(suite.runs_planned, 'run')}; the report says why",
                err=True,
            )
        for file in (file for file in suite.damaged if file.state != "unreadable"):
            echo(f"{suite.suite}: {file.state}: {file.file}: {file.reason}", err=True)
    raise typer.Exit(
        conclude(ExitCode.OK, ((suite.suite, file) for suite in document.suites for file in suite.damaged))
    )


def _asked(formats: list[str] | None, style: StyleName, *, footnotes: bool) -> FigureRequest:
    found: list[FigureFormat] = []
    for name in (part.strip() for each in formats or [] for part in each.split(",")):
        known = next((form for form in FORMATS if form == name.lower()), None)
        if known is None:
            raise UserError(
                f"there is no figure format {name!r}", where="--figures", remedy="name " + ", ".join(FORMATS)
            )
        if known not in found:
            found.append(known)
    return FigureRequest(tuple(found) or None, STYLES[style.value]._replace(footnotes=footnotes))


def _publish(results: Path, out: Path, *, with_logs: bool, licence: Path | None) -> None:
    from haepo_bench.publishing.publish import publish

    found = publish(results, out, with_logs=with_logs, licence=licence)
    echo(f"published {many(found.runs, 'run')} in {many(found.files, 'file')}: {out / 'index.html'}")
    echo(f"digest {found.digest}")
    echo(f"next: haepo-bench verify {out}")
