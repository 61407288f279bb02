"""What all figures share: their looks, a sheet with legend and footnotes, and saving as PNG and SVG."""

import io
import textwrap
import warnings
from collections.abc import Iterator
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
from haepo_bench.report.styles import COLOURS, DASHES, FAINT, INK, MARKERS, Look
from haepo_bench.text import shorten

_SHAPES = dict(zip(MARKERS, ("o", "s", "^", "D", "P"), strict=True))

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INK,
    # Text of others may hold dollar signs.
    "text.parse_math": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
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
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "lines.linewidth": 1.7,
    "lines.markersize": 4,
    # Dashes are given in points, whatever the line's width.
    "lines.scale_dashes": False,
    "legend.frameon": False,
    "legend.handlelength": 3.6,
    "legend.fontsize": 8,
    # The same figure gives the same bytes; its text stays text.
    "svg.hashsalt": "haepo-bench",
    "svg.fonttype": "none",
    "savefig.dpi": 150,
}


class SavedFigure(NamedTuple):
    """A figure in both formats.

    Args:
        name: file name without its suffix.
        title: one line of text that says what it shows.
    """

    name: str
    title: str
    png: bytes
    svg: bytes


@contextmanager
def drawing() -> Iterator[None]:
    """Figures drawn within look the same whatever the user's matplotlibrc says."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
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


def sheet(
    chart: LineChart | IntervalChart | EvidenceChart,
    width: float,
    height: float,
    rows: int,
    columns: int,
    *,
    legend: bool,
) -> tuple[Figure, list[Axes]]:
    """A figure with rows x columns axes of `width` x `height` inches in all, the legend and the chart's notes below."""
    algorithms = chart.algorithms if legend else ()
    texts = [_label(algorithm) for algorithm in algorithms]
    legend_columns = max(1, min(len(texts), int(width // 3.1)))
    # The legend's columns are filled one after the other; lines and gaps in inches at 8 points.
    columns_of_labels = np.array_split(np.array(texts, dtype=object), legend_columns)
    legend_inches = 0.15 + max(
        (sum(0.135 * (label.count("\n") + 1) + 0.06 for label in column) for column in columns_of_labels), default=0
    )
    lines = [part for line in chart.notes for part in textwrap.wrap(line, int(width * 16))]
    caption_inches = 0.135 * len(lines) + 0.08
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
    figure.text(0.12 / width, 0.06 / total, "\n".join(lines), ha="left", va="bottom", fontsize=7.5)
    return figure, list(grid.flat)


def _label(algorithm: ChartAlgorithm) -> str:
    """Name, what it rests on and kind, as the legend has them."""
    first = shorten(algorithm.name, 34) + algorithm.mark
    first += f"  ({algorithm.counted})" if algorithm.counted else ""
    return "\n".join([first, *textwrap.wrap(shorten(algorithm.kind, 80), 40)])


def grid_shape(n: int) -> tuple[int, int]:
    """Rows and columns for n small figures: as wide as a page while they are few, square when they are many."""
    columns = max(min(n, 2 if n == 4 else 3), int(np.ceil(np.sqrt(n / 4))))
    return -(-n // columns), columns


def save(figure: Figure, name: str, title: str) -> SavedFigure:
    """The figure in both formats."""
    FigureCanvasAgg(figure)
    # Lay it out once, not again for each format. The layout's solver is not exact to the last bit: rounded, the same
    # figure gives the same bytes.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(value, 4) for value in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    figure.savefig(
        svg,
        format="svg",
        bbox_inches="tight",
        pad_inches=0.12,
        transparent=True,
        metadata={"Date": None, "Creator": None},
    )
    return SavedFigure(name, title, png.getvalue(), svg.getvalue())
