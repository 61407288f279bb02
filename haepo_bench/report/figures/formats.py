"""In which files, sizes and fonts figures are drawn."""

from typing import Literal, NamedTuple, get_args

FigureFormat = Literal["pdf", "svg", "png"]
FORMATS: tuple[FigureFormat, ...] = get_args(FigureFormat)


class FigureStyle(NamedTuple):
    """Sizes and fonts of figures.

    Args:
        single: width of a figure of one panel, inches; None: the figure's own, for a page.
        full: width of a figure of several panels, inches; None as for `single`.
        font: size of its text, points; titles are one larger, ticks and legend one smaller.
        family: the font, one of those that come with matplotlib.
        line: width of its lines, points.
        dpi: dots per inch of PNG files.
        footnotes: whether notes are drawn below it, and the legend says what kind of algorithm each is.
    """

    single: float | None
    full: float | None
    font: float
    family: str
    line: float
    dpi: int
    footnotes: bool = False


#: As pictures on a page, with footnotes as such a picture stands alone.
PAGE = FigureStyle(None, None, 9, "DejaVu Sans", 1.7, 150, footnotes=True)

#: Under the names that `--style` takes. NeurIPS: one column of 5.5 in, in 10 point Times, half of it for one panel.
#: ICML: two columns of 3.25 in, 6.75 in together. STIX goes with Times. talk: slides of 13.3 x 7.5 in.
STYLES = {
    "page": PAGE._replace(footnotes=False),
    "neurips": FigureStyle(2.7, 5.5, 8, "STIXGeneral", 1.1, 300),
    "icml": FigureStyle(3.25, 6.75, 8, "STIXGeneral", 1.1, 300),
    "talk": FigureStyle(7.0, 12.0, 16, "DejaVu Sans", 2.6, 150),
}


class FigureRequest(NamedTuple):
    """Which figures a report comes with.

    Args:
        formats: of their files; None: what the report links to, which are PNG files for Markdown and none else.
    """

    formats: tuple[FigureFormat, ...] | None = None
    style: FigureStyle = STYLES["page"]

    def of(self, report: str) -> tuple[FigureFormat, ...]:
        """The formats for a report of some format."""
        if self.formats is not None:
            return self.formats
        return ("png",) if report == "md" else ()
