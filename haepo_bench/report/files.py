"""Which files a report consists of, and writing them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from haepo_bench import interruption
from haepo_bench.report.document import ReportDocument, SuiteResult
from haepo_bench.report.figures.formats import FigureFormat, FigureRequest
from haepo_bench.results.writing import write_atomically

if TYPE_CHECKING:
    from haepo_bench.report.figures.sheet import SavedFigure

Format = Literal["html", "md", "csv", "json", "latex"]

FIGURE_FOLDER = "figures"
CAPTIONS_FILE = "captions.txt"

_FILES: dict[Format, str] = {
    "html": "report.html",
    "md": "report.md",
    "csv": "report.csv",
    "json": "report.json",
    "latex": "report.tex",
}


#: What Markdown can show, the best first.
_LINKED: tuple[FigureFormat, ...] = ("png", "svg")


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


def write_report(
    document: ReportDocument, form: Format, out: Path, figures: FigureRequest | None = None, *, runs: str | None = None
) -> list[Path]:
    """Writes the report and the figures asked for below `out`; returns the files, the report first.

    The page holds what it shows and needs none. As CSV the report comes with further tables. What figures without
    footnotes do not say is in captions.txt next to them.

    Args:
        runs: as `to_html` takes it.

    Raises:
        UserError: the folder cannot be written or the disk is full.
    """
    from haepo_bench.report import csv_files, writers
    from haepo_bench.report.figures import suite as suite_figures
    from haepo_bench.report.page import html as page

    asked = figures if figures is not None else FigureRequest()
    formats = asked.of(form)
    folders = dict(
        zip(map(id, document.suites), suite_figures.file_names([s.suite for s in document.suites]), strict=True)
    )
    pictures = [
        suite_figures.suite_pictures(suite, formats, style=asked.style) if formats else {} for suite in document.suites
    ]
    by_suite = dict(zip(folders, pictures, strict=True))

    def folder(suite: SuiteResult) -> str:
        return f"{FIGURE_FOLDER}/{folders[id(suite)]}"

    def links(suite: SuiteResult, task: str) -> list[writers.Link]:
        own: Mapping[str, Sequence[SavedFigure]] = by_suite[id(suite)]
        linked = next((suffix for suffix in _LINKED if suffix in formats), None)
        return [(each.title, f"{folder(suite)}/{each.name}.{linked}") for each in own.get(task, []) if linked]

    if form == "html":
        text = page.to_html(document, [suite_figures.page_pictures(suite) for suite in document.suites], runs)
    elif form == "md":
        text = writers.to_markdown(document, links)
    else:
        text = render(document, form)
    files: dict[Path, str | bytes] = {out / _FILES[form]: text}
    for suite, own in zip(document.suites, pictures, strict=True):
        every = [picture for group in own.values() for picture in group]
        for picture in every:
            files |= {out / folder(suite) / f"{picture.name}.{suffix}": data for suffix, data in picture.files.items()}
        if every and not asked.style.footnotes:
            files[out / folder(suite) / CAPTIONS_FILE] = "".join(map(_caption, every))
    if form == "csv":
        files |= {out / name: more for name, more in csv_files.more_csv(document).items()}
    # Together: a report does not show pictures of another one.
    with interruption.held():
        for path, content in files.items():
            write_atomically(path, content, option="--out")
    return list(files)


def _caption(picture: "SavedFigure") -> str:
    return "\n".join([picture.name, f"  {picture.title}", *(f"  {note}" for note in picture.notes)]) + "\n"
