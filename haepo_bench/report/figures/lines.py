"""Line charts as figures: learning curves, over-optimisation, performance profiles."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from haepo_bench.report.charts.description import ChartAxis, LineChart, LinePanel, tame
from haepo_bench.report.document_numbers import Band
from haepo_bench.report.figures.formats import PAGE, FigureStyle
from haepo_bench.report.figures.sheet import DOTS, grid_shape, label_y, line_style, sheet, style_size
from haepo_bench.report.styles import INK, Look
from haepo_bench.text import shorten


def line_figure(chart: LineChart, x: ChartAxis, *, together: int = 1, style: FigureStyle = PAGE) -> Figure:
    """A chart of one panel against one of its x axes, the first `together` y axes side by side."""
    (panel,) = chart.panels
    width = 6.6 if together == 1 else 4.3 * together
    figure, grid = sheet(chart, width, 3.3, 1, together, legend=True, style=style)
    _, high = style_size(style, width, 3.3, 1, together)
    for axes, y in zip(grid, panel.y[:together], strict=True):
        _draw(axes, chart, panel, x, y)
        axes.set_xlabel(x.title)
        label_y(figure, axes, y.title, high, style)
    grid[0].set_title(shorten(panel.title, 60), fontweight="bold", pad=8)
    return figure


def overview_figure(chart: LineChart, x: ChartAxis, *, style: FigureStyle = PAGE) -> Figure:
    """A chart of many panels against an x axis that not all of them need have, each with its first y axis."""
    rows, columns = grid_shape(len(chart.panels))
    figure, grid = sheet(chart, max(3.3 * columns, 6.6), 2.55 * rows, rows, columns, legend=True, style=style)
    for i, axes in enumerate(grid):
        if i >= len(chart.panels):
            axes.set_visible(False)
            continue
        panel = chart.panels[i]
        _draw(axes, chart, panel, x, panel.y[0])
        axes.set_title(shorten(panel.title, 32), fontweight="bold")
        axes.set_ylabel(panel.y[0].short)
        if i + columns >= len(chart.panels):
            axes.set_xlabel(x.short)
    return figure


def _draw(axes: Axes, chart: LineChart, panel: LinePanel, x: ChartAxis, y: ChartAxis) -> None:
    looks = {algorithm.name: algorithm.look for algorithm in chart.algorithms}
    for number, line in enumerate(panel.lines):
        if x.key in line.x and y.key in line.y:
            _draw_line(axes, line.x[x.key], line.y[y.key], looks[line.algorithm], number)
    for level in y.guides:
        axes.axhline(level, color=INK, linewidth=0.8, linestyle=DOTS, zorder=1)
    axes.set_xlim(*panel.x_view(x))
    axes.set_ylim(*panel.y_view(y))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=x.decimals == 0))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    if x.decimals == 0:
        # Counts, which may be large: thousands as k, millions as M.
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_line(axes: Axes, x: Sequence[float | None], band: Band, look: Look, number: int) -> None:
    """A line with its band; of the `number`-th one the markers stand elsewhere than those of the others."""
    position, mean, low, high = (
        np.array([math.nan if value is None else tame(value) for value in values])
        for values in (x, band.mean, band.low, band.high)
    )
    style = line_style(look)
    every = max(1, len(position) // 5)
    axes.plot(position, mean, markevery=(number % every, every), **style)
    axes.fill_between(position, low, high, color=style["color"], alpha=0.13, linewidth=0)
    for seed in band.seeds:
        values = np.array([math.nan if value is None else tame(value) for value in seed])
        axes.plot(
            position, values, ".", color=style["color"], alpha=0.45, markersize=3.5, markeredgewidth=0, zorder=1.8
        )
