"""What was tried: the score of every configuration against each hyper-parameter."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from haepo_bench.report.document_searches import SearchedAlgorithm
from haepo_bench.report.figures.sheet import grid_shape
from haepo_bench.report.styles import COLOURS, Look
from haepo_bench.text import shorten

#: A range as wide as this is drawn logarithmically.
_WIDE = 50.0


def tried_figure(own: SearchedAlgorithm, look: Look) -> Figure | None:
    """A panel per hyper-parameter; None where nothing has a score."""
    points = [point for point in own.trials if point.score is not None]
    keys = list(points[0].parameters) if points else []
    if not keys:
        return None
    rows, columns = grid_shape(len(keys))
    figure = Figure(figsize=(max(2.6 * columns, 3.4), 2.3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    scores = [point.score for point in points]
    for i, axes in enumerate(grid.flat):
        if i >= len(keys):
            axes.set_visible(False)
            continue
        values = [point.parameters.get(keys[i]) for point in points]
        _place(axes, values)
        axes.plot(_positions(values), scores, ".", color=COLOURS[look.colour], alpha=0.6, markersize=4)
        axes.set_xlabel(shorten(keys[i], 30))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if i % columns == 0:
            axes.set_ylabel("mean score")
    return figure


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positions(values: list[float | int | str | bool | None]) -> list[float]:
    """Numbers as they are, anything else by its place among all."""
    if all(_is_number(value) for value in values):
        return [float(value) for value in values]  # type: ignore[arg-type]
    names = sorted({str(value) for value in values})
    return [float(names.index(str(value))) for value in values]


def _place(axes: Axes, values: list[float | int | str | bool | None]) -> None:
    """The scale: logarithmic for wide ranges, with room for 0; names where there are no numbers."""
    if not all(_is_number(value) for value in values):
        names = sorted({str(value) for value in values})
        axes.set_xticks(range(len(names)), names)
        return
    numbers = _positions(values)
    above = [value for value in numbers if value > 0]
    if above and min(numbers) >= 0 and max(above) > _WIDE * min(above):
        if len(above) < len(numbers):
            axes.set_xscale("symlog", linthresh=min(above))
        else:
            axes.set_xscale("log")
