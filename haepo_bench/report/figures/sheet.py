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
from matplotlib.lines import Line2D

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
    # Dashes are given in points, whatever the line's width.
    "lines.scale_dashes": False,
    "legend.frameon": False,
    "legend.handlelength": 3.6,
    # The same figure gives the same bytes; its text stays text.
    "svg.hashsalt": "haepo-bench",
    "svg.fonttype": "none",
    # Outlines that editors and camera-ready checks accept.
    "pdf.fonttype": 42,
    "savefig.dpi": 150,
}

#: No dates and versions: the same figure gives the same bytes.
_METADATA: dict[FigureFormat, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}

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
                "lines.markersize": 1 + 3 * style.line / PAGE.line,
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
        "linestyle": (0, dashes) if dashes else "-",
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
    """
    width, height = style_size(style, width, height, rows, columns, by_text=not legend)
    scale = style.font / PAGE.font
    algorithms = chart.algorithms if legend else ()
    texts = [_label(algorithm, in_full=style.footnotes) for algorithm in algorithms]
    longest = max((len(line) for label in texts for line in label.split("\n")), default=0)
    column_width = 3.1 if style.footnotes else scale * (0.6 + 0.064 * longest)
    legend_columns = max(1, min(len(texts), int(width // column_width)))
    # The legend's columns are filled one after the other; lines and gaps in inches at 8 points.
    columns_of_labels = np.array_split(np.array(texts, dtype=object), legend_columns)
    legend_inches = scale * (
        0.15
        + max(
            (sum(0.135 * (label.count("\n") + 1) + 0.06 for label in column) for column in columns_of_labels), default=0
        )
    )
    notes = chart.notes if style.footnotes else ()
    lines = [part for line in notes for part in textwrap.wrap(line, int(width * 16 / scale))]
    caption_inches = scale * (0.135 * len(lines) + 0.08)
    if legend and not style.footnotes:
        height = max(height, 2.2 * (legend_inches + caption_inches))
    total = height + legend_inches + caption_inches
    edge = (legend_inches + caption_inches) / total
    figure = Figure(
        figsize=(width, total), layout=ConstrainedLayoutEngine(rect=(0.005, edge, 0.985, 1 - edge - 0.04 / total))
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    if algorithms:
        figure.legend(
            [Line2D([], [], **line_style(algorithm.look)) for algorithm in algorithms],
            texts,
            loc="upper left",
            bbox_to_anchor=(0, edge),
            ncols=legend_columns,
        ).set_in_layout(False)
    figure.text(0.12 / width, 0.06 / total, "\n".join(lines), ha="left", va="bottom", fontsize=style.font - 1.5)
    return figure, list(grid.flat)


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
