"""Charts of dots with intervals as figures: final results task by task, diagnostics."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from haepo_bench.report.charts.description import IntervalChart, IntervalPanel, tame
from haepo_bench.report.figures.formats import PAGE, FigureStyle
from haepo_bench.report.figures.sheet import DOTS, grid_shape, line_style, sheet
from haepo_bench.report.styles import INK
from haepo_bench.text import shorten


def results_figure(chart: IntervalChart, *, style: FigureStyle = PAGE) -> Figure:
    """Panels under the names of tasks, each with its axis's title."""
    figure, panels = _grid(chart, 0.75 + 0.17 * len(chart.algorithms), style)
    for axes, panel in panels:
        axes.set_title(shorten(panel.title, 26), fontweight="bold")
        axes.set_xlabel(panel.axis.short)
    return figure


def diagnostics_figure(chart: IntervalChart, *, style: FigureStyle = PAGE) -> Figure:
    """Panels under the names of their quantities."""
    figure, panels = _grid(chart, 0.9 + 0.15 * len(chart.algorithms), style)
    for axes, panel in panels:
        axes.set_title("\n".join(textwrap.wrap(shorten(panel.title, 80), 30)), fontsize="small")
    return figure


def _grid(chart: IntervalChart, height: float, style: FigureStyle) -> tuple[Figure, list[tuple[Axes, IntervalPanel]]]:
    """The figure with all panels drawn.

    Args:
        height: inches of a row of panels at 9 points.
    """
    rows, columns = grid_shape(len(chart.panels))
    # Names stand beside the first column only.
    figure, grid = sheet(chart, max(1.5 + 2.3 * columns, 5.0), height * rows, rows, columns, legend=False, style=style)
    names = [
        shorten(algorithm.name, 26) + (algorithm.mark if style.footnotes else "") for algorithm in chart.algorithms
    ]
    drawn = list(zip(grid, chart.panels, strict=False))
    for i, (axes, panel) in enumerate(drawn):
        _draw(axes, chart, panel, style.font / PAGE.font)
        axes.set_yticks(range(len(names)), names if i % columns == 0 else [""] * len(names))
    for axes in grid[len(drawn) :]:
        axes.set_visible(False)
    return figure, drawn


def _draw(axes: Axes, chart: IntervalChart, panel: IntervalPanel, scale: float) -> None:
    places = {algorithm.name: i for i, algorithm in enumerate(chart.algorithms)}
    for row in panel.rows:
        if row.mean is None:
            continue
        place = places[row.algorithm]
        style = line_style(chart.algorithms[place].look)
        colour = style["color"]
        if row.strokes:
            seeds = [tame(value) for value in row.strokes]
            (strokes,) = axes.plot(seeds, [place] * len(seeds), "|", color=colour, alpha=0.45, markersize=7 * scale)
            strokes.set_markeredgewidth(0.7 * scale)
        if row.interval:
            axes.plot([*map(tame, row.interval)], [place, place], color=colour, linewidth=2.6 * scale, alpha=0.75)
        mean = [tame(row.mean)]
        axes.plot(mean, [place], linestyle="none", marker=style["marker"], color=colour, markersize=5 * scale)
    for level in panel.axis.guides:
        axes.axvline(level, color=INK, linewidth=0.8, linestyle=DOTS, zorder=1)
    axes.set_xlim(*panel.view)
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
