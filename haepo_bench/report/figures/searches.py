"""What was tried: the score of every configuration against each hyper-parameter."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from haepo_bench.report.document_searches import SearchedAlgorithm
from haepo_bench.report.figures.formats import PAGE, FigureStyle
from haepo_bench.report.figures.sheet import grid_shape, style_size
from haepo_bench.report.styles import COLOURS, Look
from haepo_bench.text import shorten

#: A range as wide as this is drawn logarithmically.
_WIDE = 50.0


def tried_parameters(own: SearchedAlgorithm) -> list[str]:
    """Which hyper-parameters have a panel; none where nothing has a score."""
    return next((list(point.parameters) for point in own.trials if point.score is not None), [])


def tried_figure(own: SearchedAlgorithm, look: Look, *, style: FigureStyle = PAGE) -> Figure:
    """A panel per hyper-parameter, of which there has to be one."""
    points = [point for point in own.trials if point.score is not None]
    keys = tried_parameters(own)
    rows, columns = grid_shape(len(keys))
    size = style_size(style, max(2.6 * columns, 3.4), 2.3 * rows, rows, columns)
    figure = Figure(figsize=size, layout="constrained")
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


def _numbers(values: list[float | int | str | bool | None]) -> list[float] | None:
    """The values as numbers; None where one of them is something else."""
    found = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return found if len(found) == len(values) else None


def _positions(values: list[float | int | str | bool | None]) -> list[float]:
    """Numbers as they are, anything else by its place among all."""
    names = sorted({str(value) for value in values})
    return _numbers(values) or [float(names.index(str(value))) for value in values]


def _place(axes: Axes, values: list[float | int | str | bool | None]) -> None:
    """The scale: logarithmic for wide ranges, with room for 0; names where there are no numbers."""
    numbers = _numbers(values)
    if numbers is None:
        names = sorted({str(value) for value in values})
        axes.set_xticks(range(len(names)), names)
        return
    above = [value for value in numbers if value > 0]
    if above and min(numbers) >= 0 and max(above) > _WIDE * min(above):
        if len(above) < len(numbers):
            axes.set_xscale("symlog", linthresh=min(above))
        else:
            axes.set_xscale("log")
