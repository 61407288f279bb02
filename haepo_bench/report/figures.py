"""Learning curves as PNG and SVG: mean over seeds with a 95 % band, against env steps and against seconds."""

import io
import math
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from haepo_bench.report.document import AlgorithmResult, Band, SuiteResult, TaskResult
from haepo_bench.report.tables import Footnotes, kind
from haepo_bench.report.text import shorten

#: Colours that the colour-blind can tell apart (Okabe and Ito, 2008, without black and yellow), each with a line style
#: of its own; styles repeat later than colours, so that 35 algorithms differ in the pair.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
INK, FAINT = "#24292f", "#d0d7de"

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
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "legend.fontsize": 8,
    # The same figure gives the same bytes; its text stays text.
    "svg.hashsalt": "haepo-bench",
    "svg.fonttype": "none",
    "savefig.dpi": 150,
}

AXES = {"steps": "training env steps", "seconds": "training seconds (a seed's share of its job)"}


class Picture(NamedTuple):
    """A figure in both formats.

    Args:
        name: file name without its suffix.
        title: one line of text that says what it shows.
    """

    name: str
    title: str
    png: bytes
    svg: bytes


class Styles:
    """The same algorithm looks the same in every figure of a suite."""

    def __init__(self, suite: SuiteResult) -> None:
        names = dict.fromkeys(result.algorithm for task in suite.tasks for result in task.algorithms)
        self._number = {name: i for i, name in enumerate(names)}

    def of(self, result: AlgorithmResult) -> dict[str, Any]:
        """Colour and line style of an algorithm."""
        i = self._number[result.algorithm]
        return {"color": COLOURS[i % len(COLOURS)], "linestyle": LINES[i % len(LINES)]}


def suite_pictures(suite: SuiteResult, *, x_axes: Sequence[str] = tuple(AXES)) -> dict[str, list[Picture]]:
    """Every figure of a suite: under each task's name one an x axis, and under the empty name the overview."""
    styles = Styles(suite)
    tasks = [task for task in suite.tasks if any(result.curve for result in task.algorithms)]
    names = file_names([task.task for task in tasks])
    pictures: dict[str, list[Picture]] = {"": []}
    with mpl.rc_context(), warnings.catch_warnings():
        # Pictures are the same whatever the user's matplotlibrc says.
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        # A character that the font lacks is drawn as a box; the tables have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        if len(tasks) > 1:
            pictures[""] = [_overview(suite, tasks, styles, x) for x in x_axes if _drawable(tasks, x)]
        for task, name in zip(tasks, names, strict=True):
            pictures[task.task] = [_task(task, name, styles, x) for x in x_axes if _drawable([task], x)]
    return pictures


def file_names(texts: Sequence[str]) -> list[str]:
    """File names for some texts, all different also where case does not count."""
    taken: set[str] = {"overview"}
    names = []
    for text in texts:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:80].strip(".") or "_"
        name, n = stem, 2
        while name.lower() in taken:
            name, n = f"{stem}-{n}", n + 1
        taken.add(name.lower())
        names.append(name)
    return names


def _task(task: TaskResult, name: str, styles: Styles, x: str) -> Picture:
    results = [result for result in task.algorithms if result.curve]
    figure, grid = _sheet(6.6, 3.3, 1, 1, results, styles, n_of_seeds=True)
    axes = grid[0]
    _draw(axes, task, styles, x)
    axes.set_title(shorten(task.task, 60), fontweight="bold", pad=8)
    axes.set_xlabel(AXES[x])
    axes.set_ylabel(_y_label(task))
    return _save(figure, f"{name}-{x}", f"Learning curves on {task.task} against {AXES[x]}")


def _overview(suite: SuiteResult, tasks: Sequence[TaskResult], styles: Styles, x: str) -> Picture:
    results = list({r.algorithm: r for task in tasks for r in task.algorithms if r.curve}.values())
    columns = max(min(len(tasks), 2 if len(tasks) == 4 else 3), math.ceil(math.sqrt(len(tasks) / 4)))
    rows = math.ceil(len(tasks) / columns)
    figure, grid = _sheet(max(3.3 * columns, 6.6), 2.55 * rows, rows, columns, results, styles, n_of_seeds=False)
    for i, axes in enumerate(grid):
        if i >= len(tasks):
            axes.set_visible(False)
            continue
        _draw(axes, tasks[i], styles, x)
        axes.set_title(shorten(tasks[i].task, 32), fontweight="bold")
        axes.set_ylabel(_y_label(tasks[i], short=True))
        if i + columns >= len(tasks):
            axes.set_xlabel(f"training {'env steps' if x == 'steps' else x}")
    return _save(figure, f"overview-{x}", f"Learning curves of all tasks of {suite.suite} against {AXES[x]}")


def _sheet(
    width: float,
    height: float,
    rows: int,
    columns: int,
    results: Sequence[AlgorithmResult],
    styles: Styles,
    *,
    n_of_seeds: bool,
) -> tuple[Figure, list[Axes]]:
    """A figure with rows x columns axes of `width` x `height` inches in all, the legend and the footnotes below."""
    footnotes = Footnotes(results)
    labels = [_legend_label(result, footnotes, n_of_seeds=n_of_seeds) for result in results]
    legend_columns = max(1, min(len(results), int(width // 3.1)))
    # The legend's columns are filled one after the other; lines and gaps in inches at 8 points.
    columns_of_labels = np.array_split(np.array(labels, dtype=object), legend_columns)
    legend_inches = 0.15 + max(
        sum(0.135 * (label.count("\n") + 1) + 0.06 for label in column) for column in columns_of_labels
    )
    caption = [
        part for line in (_band_line(results), *footnotes.lines) for part in textwrap.wrap(line, int(width * 16))
    ]
    caption_inches = 0.135 * len(caption) + 0.08
    total = height + legend_inches + caption_inches
    edge = (legend_inches + caption_inches) / total
    figure = Figure(
        figsize=(width, total), layout=ConstrainedLayoutEngine(rect=(0.005, edge, 0.985, 1 - edge - 0.04 / total))
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.legend(
        [Line2D([], [], **styles.of(result)) for result in results],
        labels,
        loc="upper left",
        bbox_to_anchor=(0, edge),
        ncols=legend_columns,
    ).set_in_layout(False)
    figure.text(0.12 / width, 0.06 / total, "\n".join(caption), ha="left", va="bottom", fontsize=7.5)
    return figure, list(grid.flat)


def _draw(axes: Axes, task: TaskResult, styles: Styles, x: str) -> None:
    scored = task.references is not None
    reached = 0.0
    shown: list[float] = [0.0, 1.0] if scored else []
    edges: list[float] = []
    for result in task.algorithms:
        position = _x(result, x)
        if position is None:
            continue
        band = _y(result, scored)
        # Beyond some 1e300 matplotlib overflows.
        mean, low, high = (np.clip(np.array(v, dtype=float), -1e100, 1e100) for v in (band.mean, band.low, band.high))
        reached = max(reached, float(np.nanmax(position)))
        style = styles.of(result)
        # All marks at one place make no line: a run whose first iteration took the whole budget, against seconds.
        marker = "o" if np.nanmin(position) == np.nanmax(position) else None
        axes.plot(position, mean, marker=marker, markersize=4, **style)
        axes.fill_between(position, low, high, color=style["color"], alpha=0.16, linewidth=0)
        shown += mean[np.isfinite(mean)].tolist()
        edges += [*low[np.isfinite(low)].tolist(), *high[np.isfinite(high)].tolist()]
    if scored:
        for level in (0.0, 1.0):
            axes.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    if shown:
        # The interval of two seeds can be ten times as wide as what they differ by: it may leave the picture.
        low_end, high_end = min(shown), max(shown)
        reach = 0.5 * (high_end - low_end) or 0.5 * abs(high_end) or 0.5
        bottom = max(min([low_end, *edges]), low_end - reach)
        top = min(max([high_end, *edges]), high_end + reach)
        margin = 0.05 * (top - bottom) or 0.5
        axes.set_ylim(bottom - margin, top + margin)
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


def _drawable(tasks: Sequence[TaskResult], x: str) -> bool:
    return any(_x(result, x) is not None for task in tasks for result in task.algorithms)


def _y_label(task: TaskResult, *, short: bool = False) -> str:
    if task.references is None:
        return "return" if short else "evaluation return"
    return "score" if short else "score (0 random, 1 solved)"


def _legend_label(result: AlgorithmResult, footnotes: Footnotes, *, n_of_seeds: bool) -> str:
    first = shorten(result.algorithm, 34) + footnotes.marker(result)
    if n_of_seeds:
        first += f"  (n = {len(result.seeds.shown)} of {len(result.seeds.planned)})"
    return "\n".join([first, *textwrap.wrap(shorten(kind(result), 80), 40)])


def _band_line(results: Sequence[AlgorithmResult]) -> str:
    counts = {len(result.seeds.shown) for result in results}
    if counts == {1}:
        return "Sampled policy. One seed each: no interval can be drawn."
    single = " (none for one seed)" if 1 in counts else ""
    return f"Sampled policy. Line: mean over seeds. Band: 95 % skewness-corrected t interval at each mark{single}."


def _save(figure: Figure, name: str, title: str) -> Picture:
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
    return Picture(name, title, png.getvalue(), svg.getvalue())
