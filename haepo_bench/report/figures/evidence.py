"""The evidence on claims as a figure: a small plot per claim."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from haepo_bench.report.charts.evidence import EvidenceChart, EvidenceLine, EvidencePanel
from haepo_bench.report.figures.formats import PAGE, FigureStyle
from haepo_bench.report.figures.sheet import DOTS, grid_shape, line_style, panel_room, sheet, style_size
from haepo_bench.report.styles import COLOURS, INK, Look
from haepo_bench.text import shorten

_DECIDED = COLOURS[-1]
#: Of a panel with its labels, inches; the y title needs it.
_HEIGHT = 2.6
#: Power of ten up to which odds are written out.
_LARGEST = 6


def evidence_figure(chart: EvidenceChart, *, style: FigureStyle = PAGE) -> Figure:
    """Panels under the names of the claims."""
    rows, columns = grid_shape(len(chart.panels))
    figure, grid = sheet(chart, max(3.1 * columns, 5.0), _HEIGHT * rows, rows, columns, legend=True, style=style)
    room = style_size(style, 0.0, _HEIGHT * rows, rows, columns)[1] / rows
    looks = {algorithm.name: algorithm.look for algorithm in chart.algorithms}
    for i, axes in enumerate(grid):
        if i >= len(chart.panels):
            axes.set_visible(False)
            continue
        _draw(axes, chart.panels[i], looks)
        axes.set_title(shorten(chart.panels[i].title, 32), fontweight="bold")
        if i % columns == 0:
            _label_y(figure, axes, room, style)
        if i + columns >= len(chart.panels):
            axes.set_xlabel("seeds")
    return figure


def _odds(exponent: float) -> str:
    """Odds of 10 to that power, in few characters."""
    return f"{10**exponent:,.0f} : 1" if exponent < _LARGEST else f"1e{exponent:.0f} : 1"


def _label_y(figure: Figure, axes: Axes, height: float, style: FigureStyle) -> None:
    """Says which way is for and which against where a panel of `height` inches is high enough."""
    label = axes.set_ylabel("against   evidence   for")
    if label.get_window_extent().height > panel_room(figure, height, style):
        label.set_text("evidence")


def _draw(axes: Axes, panel: EvidencePanel, looks: dict[str, Look]) -> None:
    for line in panel.lines:
        _draw_line(axes, line, looks[line.algorithm], panel.y_view)
    axes.axhline(0, color=INK, linewidth=0.8, zorder=1)
    for height in panel.thresholds:
        axes.axhline(height, color=INK, linewidth=0.9, linestyle=DOTS, zorder=1)
    axes.set_xlim(0, max(panel.pairs, 1) * 1.02)
    axes.set_ylim(*panel.y_view)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    tops = panel.thresholds
    axes.yaxis.set_major_locator(FixedLocator(sorted({min(tops), 0.0, max(tops)})))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _odds(abs(value))))
    axes.grid(visible=False)


def _draw_line(axes: Axes, line: EvidenceLine, look: Look, view: tuple[float, float]) -> None:
    style = line_style(look)
    height = [min(max(value, view[0]), view[1]) for value in line.height]
    end = len(height) if line.decided_after is None else line.decided_after + 1
    every = max(1, len(height) // 4)
    axes.plot(range(end), height[:end], markevery=(every, every), **style)
    if end < len(height):
        grey = {**style, "color": _DECIDED, "marker": "none"}
        axes.plot(range(end - 1, len(height)), height[end - 1 :], alpha=0.6, zorder=1.5, **grey)
    if line.decided_after is not None:
        axes.plot([end - 1], [height[end - 1]], marker=style["marker"], color=style["color"], markersize=7)
