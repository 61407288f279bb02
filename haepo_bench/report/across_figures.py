"""Figures of the end of training: intervals of the final results, task by task, and performance profiles."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from haepo_bench.report.document import SuiteResult, TaskResult
from haepo_bench.report.dots import in_view
from haepo_bench.report.figure_sheet import (
    Picture,
    draw_band,
    grid_shape,
    legend_labels,
    line_style,
    save,
    seed_counts,
    sheet,
)
from haepo_bench.report.styles import INK, Styles
from haepo_bench.report.tables import Footnotes
from haepo_bench.text import shorten


def interval_figure(suite: SuiteResult, tasks: Sequence[TaskResult], styles: Styles) -> Picture:
    """For each task the algorithms' final results: the mean, its interval, and each seed."""
    names = list(dict.fromkeys(result.algorithm for task in tasks for result in task.algorithms))
    rows, columns = grid_shape(len(tasks))
    results = {result.algorithm: result for task in tasks for result in task.algorithms}
    footnotes = Footnotes(results.values())
    caption = [
        "Sampled policy at the end of training. Marker: mean over seeds. Bar: 95 % skewness-corrected t interval (none "
        "for one seed). Thin strokes: single seeds.",
        seed_counts([result for task in tasks for result in task.algorithms]),
        *footnotes.lines,
    ]
    # Names stand beside the first column only.
    width, height = 1.5 + 2.3 * columns, (0.75 + 0.17 * len(names)) * rows
    figure, grid = sheet(max(width, 5.0), height, rows, columns, {}, caption, styles)
    for i, axes in enumerate(grid):
        if i >= len(tasks):
            axes.set_visible(False)
            continue
        _intervals(axes, tasks[i], names, styles)
        axes.set_title(shorten(tasks[i].task, 26), fontweight="bold")
        axes.set_yticks(range(len(names)))
        labels = [shorten(name, 26) + footnotes.marker(results[name]) for name in names] if i % columns == 0 else []
        axes.set_yticklabels(labels or [""] * len(names))
        axes.set_xlabel("final score" if tasks[i].references is not None else "final return")
    return save(figure, "intervals", f"Final results on all tasks of {suite.suite}, with intervals over seeds")


def _intervals(axes: Axes, task: TaskResult, names: Sequence[str], styles: Styles) -> None:
    scored = task.references is not None
    shown: list[float] = []
    edges: list[float] = []
    for result in task.algorithms:
        estimate = result.final_score if scored else result.final_return
        if estimate is None or estimate.mean is None:
            continue
        row = names.index(result.algorithm)
        style = line_style(styles, result.algorithm)
        measure = "final_score" if scored else "final_return"
        seeds = np.clip([v for run in result.runs if (v := run.measures[measure]) is not None], -1e100, 1e100)
        mean = float(np.clip(estimate.mean, -1e100, 1e100))
        axes.plot(seeds, [row] * len(seeds), "|", color=style["color"], alpha=0.45, markersize=7, markeredgewidth=0.7)
        if estimate.low is not None and estimate.high is not None:
            low, high = np.clip([estimate.low, estimate.high], -1e100, 1e100)
            axes.plot([low, high], [row, row], color=style["color"], linewidth=2.6, alpha=0.75)
            edges += [float(low), float(high)]
        axes.plot([mean], [row], linestyle="none", marker=style["marker"], color=style["color"], markersize=5)
        shown += [mean, *map(float, seeds)]
    if scored:
        for level in (0.0, 1.0):
            axes.axvline(level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    axes.set_xlim(*in_view(shown, edges, (0.0, 1.0) if scored else None))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def profile_figure(suite: SuiteResult, styles: Styles) -> Picture:
    """The share of runs whose final score is above each threshold."""
    results = {result.algorithm: result for task in suite.tasks for result in task.algorithms}
    own = [results[profile.algorithm] for profile in suite.profiles]
    names, tasks = (suite.basis.algorithms, suite.basis.tasks) if suite.basis else ([], [])
    footnotes = Footnotes(own)
    caption = [
        "Share of all runs whose final score is above the threshold, tasks weighted by family. Band: pointwise 95 % "
        "interval (Wilson's, combined over tasks).",
        seed_counts([r for task in suite.tasks if task.task in tasks for r in task.algorithms if r.algorithm in names]),
        *footnotes.lines,
    ]
    labels = legend_labels(own, footnotes, n_of_seeds=False)
    figure, (axes,) = sheet(6.6, 3.3, 1, 1, labels, caption, styles)
    for number, profile in enumerate(suite.profiles):
        draw_band(axes, profile.thresholds, profile.band, line_style(styles, profile.algorithm), number)
    axes.set_title(f"Performance profiles: {shorten(suite.suite, 50)}", fontweight="bold", pad=8)
    axes.set_xlabel("final score τ (0: random, 1: solved)")
    axes.set_ylabel("share of runs above τ")
    axes.set_ylim(-0.03, 1.03)
    axes.margins(x=0)
    return save(figure, "profiles", f"Performance profiles of {suite.suite}")
