"""Which files a report consists of, and writing them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from haepo_bench import interruption
from haepo_bench.report.document import ReportDocument, SuiteResult
from haepo_bench.results.writing import write_atomically

Format = Literal["html", "md", "csv", "json", "latex"]

FIGURE_FOLDER = "figures"

_FILES: dict[Format, str] = {
    "html": "report.html",
    "md": "report.md",
    "csv": "report.csv",
    "json": "report.json",
    "latex": "report.tex",
}


def render(document: ReportDocument, form: Format) -> str:
    """The report as text; without pictures in formats that would link to them."""
    if form == "json":
        return document.model_dump_json(indent=1) + "\n"
    from haepo_bench.report import csv_files, writers

    if form == "md":
        return writers.to_markdown(document, lambda *_: [])
    if form == "csv":
        return csv_files.to_csv(document)
    if form == "latex":
        return writers.to_latex(document)
    raise ValueError(f"a report as {form} consists of files: use write_report")


def write_report(document: ReportDocument, form: Format, out: Path) -> list[Path]:
    """Writes the report and every figure as PNG and SVG below `out`; returns the files, the report first.

    As CSV it comes with further tables.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    from haepo_bench.report import csv_files, writers
    from haepo_bench.report.figures import suite as figures
    from haepo_bench.report.figures.sheet import SavedFigure
    from haepo_bench.report.page import html as page

    folders = dict(zip(map(id, document.suites), figures.file_names([s.suite for s in document.suites]), strict=True))
    pictures = [figures.suite_pictures(suite) for suite in document.suites]
    by_suite = dict(zip(folders, pictures, strict=True))

    def address(suite: SuiteResult, picture: SavedFigure, suffix: str) -> str:
        return f"{FIGURE_FOLDER}/{folders[id(suite)]}/{picture.name}.{suffix}"

    def links(suite: SuiteResult, task: str) -> list[writers.Link]:
        own: Mapping[str, Sequence[SavedFigure]] = by_suite[id(suite)]
        return [(picture.title, address(suite, picture, "png")) for picture in own.get(task, [])]

    if form == "html":
        text = page.to_html(document, pictures)
    elif form == "md":
        text = writers.to_markdown(document, links)
    else:
        text = render(document, form)
    files: dict[Path, str | bytes] = {out / _FILES[form]: text}
    for suite, own in zip(document.suites, pictures, strict=True):
        for picture in (picture for group in own.values() for picture in group):
            files[out / address(suite, picture, "png")] = picture.png
            files[out / address(suite, picture, "svg")] = picture.svg
    if form == "csv":
        files |= {out / name: more for name, more in csv_files.more_csv(document).items()}
    # Together: a report does not show pictures of another one.
    with interruption.held():
        for path, content in files.items():
            write_atomically(path, content, option="--out")
    return list(files)
