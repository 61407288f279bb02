"""What all figures share: their looks, a sheet with legend and footnotes, and saving."""

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text

from haepo_bench.report.charts.description import ChartAlgorithm, IntervalChart, LineChart
from haepo_bench.report.charts.evidence import EvidenceChart
from haepo_bench.report.figures.formats import PAGE, FigureFormat, FigureStyle
from haepo_bench.report.styles import COLOURS, DASHES, FAINT, INK, MARKERS, Look
from haepo_bench.text import shorten

_SHAPES = dict(zip(MARKERS, ("o", "s", "^", "D", "P"), strict=True))

_STYLE: Any = {
    "text.color": INK,
    # Text of others may hold dollar signs.
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.handlelength": 3.6,
    # The same figure gives the same bytes; its text stays text.
    "svg.hashsalt": "haepo-bench",
    "svg.fonttype": "none",
    # Outlines that editors and camera-ready checks accept.
    "pdf.fonttype": 42,
}

#: No dates and versions: the same figure gives the same bytes.
_METADATA: dict[FigureFormat, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

#: The line of a reference level: dots, in its widths.
DOTS = (0, (1.2, 2.5))

#: Left free at the edges, and above and below notes, inches.
_MARGIN = 0.04

#: Height of a panel with its labels, in widths, in styles with sizes of their own.
_PROPORTION = 0.7


class SavedFigure(NamedTuple):
    """A figure as files.

    Args:
        name: file name without its suffix.
        title: one line of text that says what it shows.
        notes: how to read it.
        files: content, under the suffix.
    """

    name: str
    title: str
    notes: tuple[str, ...]
    files: Mapping[FigureFormat, bytes]


@contextmanager
def drawing(style: FigureStyle = PAGE) -> Iterator[None]:
    """Figures drawn within look the same whatever the user's matplotlibrc says."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        mpl.rcParams.update(
            {
                "font.family": style.family,
                "font.size": style.font,
                "axes.titlesize": style.font + 1,
                "xtick.labelsize": style.font - 1,
                "ytick.labelsize": style.font - 1,
                "legend.fontsize": style.font - 1,
                "lines.linewidth": style.line,
                # Large enough to tell shapes apart in print.
                "lines.markersize": 0.44 * style.font,
                "savefig.dpi": style.dpi,
            }
        )
        # A character that the font lacks is drawn as a box; the tables have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def line_style(look: Look) -> dict[str, Any]:
    """Colour, dashes and marker of an algorithm's line."""
    dashes = DASHES[look.dash]
    return {
        "color": COLOURS[look.colour],
        # Matplotlib counts in widths of the line.
        "linestyle": (0, tuple(length / PAGE.line for length in dashes)) if dashes else "-",
        "marker": _SHAPES[MARKERS[look.marker]],
        "markeredgecolor": "none",
    }


def style_size(
    style: FigureStyle, width: float, height: float, rows: int, columns: int, *, by_text: bool = False
) -> tuple[float, float]:
    """Inches of a figure without its legend.

    Args:
        width: of the figure on a page, as `height`.
        by_text: whether lines of text make the height, not the curves' proportions.
    """
    own = style.full if rows * columns > 1 or by_text else style.single
    if own is None:
        return width, height
    return own, height * style.font / PAGE.font if by_text else _PROPORTION * own / columns * rows


def sheet(
    chart: LineChart | IntervalChart | EvidenceChart,
    width: float,
    height: float,
    rows: int,
    columns: int,
    *,
    legend: bool,
    style: FigureStyle,
) -> tuple[Figure, list[Axes]]:
    """A figure with rows x columns axes of `width` x `height` inches in all, the legend and the chart's notes below.

    In styles that have sizes of their own these two give way; charts without a legend are as high as their text needs.
    Legend and notes take as much as they measure, and the figure is as much higher.
    """
    width, height = style_size(style, width, height, rows, columns, by_text=not legend)
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine())
    FigureCanvasAgg(figure)
    below = 0.0
    if chart.notes and style.footnotes:
        letters = int(width * 16 * PAGE.font / style.font)
        lines = [part for line in chart.notes for part in textwrap.wrap(line, letters)]
        notes = figure.text(0.12 / width, 0, "\n".join(lines), ha="left", va="bottom", fontsize=style.font - 1.5)
        below += notes.get_window_extent().height / figure.dpi + 2 * _MARGIN
    key = _legend(figure, chart.algorithms, style) if legend and chart.algorithms else None
    if key:
        below += key.get_window_extent().height / figure.dpi + key.borderaxespad * style.font / 72
        if not style.footnotes:
            height = max(height, 2.2 * below)
    total = height + below
    figure.set_size_inches(width, total)
    edge = below / total
    # What is left for the panels: left, bottom, width, height.
    left, top = _MARGIN / width, 1 - _MARGIN / total
    figure.set_layout_engine(ConstrainedLayoutEngine(rect=(left, edge, 1 - 2 * left, top - edge)))
    grid = figure.subplots(rows, columns, squeeze=False)
    if key:
        key.set_bbox_to_anchor((0, edge), figure.transFigure)
    for text in figure.texts:
        text.set_y(_MARGIN / total)
    return figure, list(grid.flat)


def _legend(figure: Figure, algorithms: Sequence[ChartAlgorithm], style: FigureStyle) -> Legend:
    """The legend in as few rows as the figure's width allows, and no more columns than those rows need."""
    handles = [Line2D([], [], **line_style(algorithm.look)) for algorithm in algorithms]
    texts = [_label(algorithm, in_full=style.footnotes) for algorithm in algorithms]
    for rows in range(1, len(texts) + 1):
        columns = -(-len(texts) // rows)
        legend = figure.legend(handles, texts, loc="upper left", bbox_to_anchor=(0, 1), ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width - 2 * _MARGIN * figure.dpi:
            break
        legend.remove()
    legend.set_in_layout(False)
    return legend


def panel_room(figure: Figure, height: float, style: FigureStyle) -> float:
    """Pixels that are left for the axes of a panel of `height` inches by its title, ticks and x title."""
    return figure.dpi * (height - 4.5 * style.font / 72)


def label_y(figure: Figure, axes: Axes, title: str, height: float, style: FigureStyle) -> None:
    """Names the y axis, in two lines where the title is longer than the axes.

    Args:
        height: of the axes' panel, inches; a title of one line, ticks and an x title take some of it.
    """
    label = axes.set_ylabel(title)
    if label.get_window_extent().height > panel_room(figure, height, style):
        # Two lines of about the same length.
        label.set_text("\n".join(textwrap.wrap(title, max(len(title) // 2 + 4, 8))))


def _label(algorithm: ChartAlgorithm, *, in_full: bool) -> str:
    """Name and what it rests on, as the legend has them; `in_full` with what kind of algorithm it is.

    Otherwise only runs that lack some of those asked for say so.
    """
    first = shorten(algorithm.name, 34)
    if not in_full:
        shown, _, planned = algorithm.counted.partition(" ")[0].partition("/")
        return f"{first}  ({algorithm.counted})" if shown != planned and planned else first
    first += algorithm.mark
    first += f"  ({algorithm.counted})" if algorithm.counted else ""
    return "\n".join([first, *textwrap.wrap(shorten(algorithm.kind, 80), 40)])


def grid_shape(n: int) -> tuple[int, int]:
    """Rows and columns for n small figures: as wide as a page while they are few, square when they are many."""
    columns = max(min(n, 2 if n == 4 else 3), int(np.ceil(np.sqrt(n / 4))))
    return -(-n // columns), columns


def save(figure: Figure, formats: Sequence[FigureFormat], *, tight: bool) -> dict[FigureFormat, bytes]:
    """The figure as files; `tight`: an SVG of it without margins."""
    FigureCanvasAgg(figure)
    # Lay it out once, not again for each format. The layout's solver is not exact to the last bit: rounded, the same
    # figure gives the same bytes.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(value, 4) for value in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))
    _fit_titles([axes for axes in figure.axes if axes.get_visible()], figure)
    files: dict[FigureFormat, bytes] = {}
    for form in formats:
        out = io.BytesIO()
        options: dict[str, Any] = {"metadata": _METADATA[form]}
        if form == "svg":
            options["transparent"] = True
            if tight:
                options |= {"bbox_inches": "tight", "pad_inches": 0.12}
        figure.savefig(out, format=form, **options)
        files[form] = out.getvalue()
    return files


def _fit_titles(every: Sequence[Axes], figure: Figure) -> None:
    """Shortens titles of one line that would reach into those of the panels to their right."""
    starts = [axes.get_position().x0 for axes in every]
    for axes, start in zip(every, starts, strict=True):
        end = min((other for other in starts if other > start + 0.01), default=1.0)
        room = (end - start) * figure.bbox.width - _MARGIN * figure.dpi
        text = axes.get_title(loc="left")
        for title in (each for each in axes.get_children() if isinstance(each, Text) and each.get_text() == text != ""):
            for length in range(len(text) - 1, 8, -1):
                if "\n" in text or title.get_window_extent().width <= room:
                    break
                title.set_text(shorten(text, length))
