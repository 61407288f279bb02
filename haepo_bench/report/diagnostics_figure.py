"""A task's diagnostics at the end of training, one small plot each: the mean of every algorithm and its interval."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from haepo_bench.report.document import DiagnosticColumn, TaskResult
from haepo_bench.report.dots import in_view
from haepo_bench.report.figure_sheet import Picture, grid_shape, line_style, save, seed_counts, sheet
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables import Footnotes, column_heading
from haepo_bench.text import shorten


def diagnostics_figure(task: TaskResult, name: str, styles: Styles) -> Picture:
    """Every diagnostic that any algorithm of the task has."""
    results = [result for result in task.algorithms if result.diagnostics]
    names = [result.algorithm for result in results]
    rows, columns = grid_shape(len(task.diagnostic_columns))
    footnotes = Footnotes(results)
    caption = [
        "Diagnostics at the end of training. Marker: mean over the seeds that are done. Bar: 95 % skewness-corrected t "
        "interval (none for one seed).",
        seed_counts(results),
        *footnotes.lines,
    ]
    # Names stand beside the first column only.
    width, height = 1.5 + 2.3 * columns, (0.9 + 0.15 * len(names)) * rows
    figure, grid = sheet(max(width, 5.0), height, rows, columns, {}, caption, styles)
    for i, axes in enumerate(grid):
        if i >= len(task.diagnostic_columns):
            axes.set_visible(False)
            continue
        _estimates(axes, task.diagnostic_columns[i], task, names, styles)
        if i % columns:
            axes.set_yticks([])
        else:
            axes.set_yticks(
                range(len(names)), [shorten(result.algorithm, 26) + footnotes.marker(result) for result in results]
            )
    return save(figure, f"{name}-diagnostics", f"{task.task}: diagnostics at the end of training")


def _estimates(axes: Axes, column: DiagnosticColumn, task: TaskResult, names: list[str], styles: Styles) -> None:
    shown: list[float] = []
    edges: list[float] = []
    for result in task.algorithms:
        estimate = result.diagnostics.get(column.name)
        if estimate is None or estimate.mean is None:
            continue
        row, style = names.index(result.algorithm), line_style(styles, result.algorithm)
        # Beyond some 1e300 matplotlib overflows.
        mean = float(np.clip(estimate.mean, -1e100, 1e100))
        if estimate.low is not None and estimate.high is not None:
            low, high = np.clip([estimate.low, estimate.high], -1e100, 1e100)
            axes.plot([low, high], [row, row], color=style["color"], linewidth=2.2, alpha=0.75)
            edges += [float(low), float(high)]
        axes.plot([mean], [row], linestyle="none", marker=style["marker"], color=style["color"], markersize=5)
        shown.append(mean)
    axes.set_xlim(*in_view(shown, edges, None))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_title("\n".join(textwrap.wrap(shorten(column_heading(column), 80), 30)), fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
