"""Learning curves as figures: mean over seeds with a 95 % band, against env steps and against seconds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from haepo_bench.report.document import AlgorithmResult, Band, SuiteResult, TaskResult
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
from haepo_bench.report.tables import Footnotes, heading
from haepo_bench.text import shorten

AXES = {"steps": "training env steps", "seconds": "training seconds (a seed's share of its job)"}


def task_figure(task: TaskResult, name: str, styles: Styles, x: str) -> Picture:
    """One task's curves."""
    results = [result for result in task.algorithms if result.curve]
    footnotes = Footnotes(results)
    labels = legend_labels(results, footnotes, n_of_seeds=True)
    figure, (axes,) = sheet(6.6, 3.3, 1, 1, labels, [band_line(results), *footnotes.lines], styles)
    _draw(axes, task, styles, x)
    axes.set_title(shorten(heading(task), 60), fontweight="bold", pad=8)
    axes.set_xlabel(AXES[x])
    axes.set_ylabel(_y_label(task))
    return save(figure, f"{name}-{x}", f"Learning curves on {task.task} against {AXES[x]}")


def overview_figure(suite: SuiteResult, tasks: Sequence[TaskResult], styles: Styles, x: str) -> Picture:
    """The curves of all tasks, a small figure each."""
    drawn = [result for task in tasks for result in task.algorithms if result.curve]
    results = list({result.algorithm: result for result in drawn}.values())
    rows, columns = grid_shape(len(tasks))
    footnotes = Footnotes(results)
    labels = legend_labels(results, footnotes, n_of_seeds=False)
    caption = [band_line(results), seed_counts(drawn), *footnotes.lines]
    figure, grid = sheet(max(3.3 * columns, 6.6), 2.55 * rows, rows, columns, labels, caption, styles)
    for i, axes in enumerate(grid):
        if i >= len(tasks):
            axes.set_visible(False)
            continue
        _draw(axes, tasks[i], styles, x)
        axes.set_title(shorten(tasks[i].task, 32), fontweight="bold")
        axes.set_ylabel(_y_label(tasks[i], short=True))
        if i + columns >= len(tasks):
            axes.set_xlabel(f"training {'env steps' if x == 'steps' else x}")
    return save(figure, f"overview-{x}", f"Learning curves of all tasks of {suite.suite} against {AXES[x]}")


def drawable(tasks: Sequence[TaskResult], x: str) -> bool:
    """Whether anything can be drawn against that axis."""
    return any(_x(result, x) is not None for task in tasks for result in task.algorithms)


def _draw(axes: Axes, task: TaskResult, styles: Styles, x: str) -> None:
    scored = task.references is not None
    reached = 0.0
    shown: list[float] = []
    edges: list[float] = []
    for number, result in enumerate(task.algorithms):
        position = _x(result, x)
        if position is None:
            continue
        reached = max(reached, float(np.nanmax(position)))
        drawn = draw_band(axes, position, _y(result, scored), line_style(styles, result.algorithm), number)
        shown += drawn.shown
        edges += drawn.edges
    if scored:
        for level in (0.0, 1.0):
            axes.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    axes.set_ylim(*in_view(shown, edges, (0.0, 1.0) if scored else None))
    axes.set_xlim(0, (reached or 1) * (1.0 if x == "steps" else 1.02))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    if x == "steps":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _x(result: AlgorithmResult, x: str) -> np.ndarray[Any, Any] | None:
    """[mark], or None where the algorithm cannot be drawn against that axis."""
    if result.curve is None:
        return None
    values = np.array(result.curve.env_steps if x == "steps" else result.curve.wall_seconds, dtype=float)
    return values if np.isfinite(values).any() else None


def _y(result: AlgorithmResult, scored: bool) -> Band:
    assert result.curve is not None
    return result.curve.score if scored and result.curve.score is not None else result.curve.eval_return


def _y_label(task: TaskResult, *, short: bool = False) -> str:
    if task.references is None:
        return "return" if short else "evaluation return"
    return "score" if short else "score (0 random, 1 solved)"


def band_line(results: Sequence[AlgorithmResult]) -> str:
    """What the caption says of lines and bands."""
    counts = {len(result.seeds.shown) for result in results}
    if counts == {1}:
        return "Sampled policy. One seed each: no interval can be drawn."
    single = " (none for one seed)" if 1 in counts else ""
    return f"Sampled policy. Line: mean over seeds. Band: 95 % skewness-corrected t interval at each mark{single}."
