"""Charts of dots with intervals as HTML: a dot for the mean, a bar for its interval, a thin stroke for each seed.

Each row is a small SVG that stretches with the page, so that the chart needs no script and reads well on a phone.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from haepo_bench.report.charts.description import ChartAlgorithm, IntervalChart, IntervalPanel, IntervalRow, tame
from haepo_bench.report.tables.per_task import UNDEFINED
from haepo_bench.wording import fixed

#: Width of a row's drawing in its own units.
_WIDTH = 1000


class DotRow(NamedTuple):
    """One algorithm.

    Args:
        label: name with its footnote's mark, or what else the row is called.
        number: mean as text; `interval` in brackets; `runs` as n/N.
        value: to sort by.
        whisker, dot, strokes: SVG paths in a box of 1000 x 24; empty where there is nothing to draw.
    """

    name: str
    label: str
    runs: str
    colour: int
    number: str
    interval: str
    value: float
    whisker: str
    dot: str
    strokes: str


class DotPlot(NamedTuple):
    """One panel.

    Args:
        button: short name; `label` with unit.
        ticks: (percent from the left, text).
        rules: SVG path of the vertical lines at the ticks; `guides` of the reference lines.
    """

    button: str
    label: str
    ticks: list[tuple[float, str]]
    rules: str
    guides: str
    rows: list[DotRow]


def dot_plots(chart: IntervalChart) -> list[DotPlot]:
    """A chart's panels."""
    algorithms = {each.name: each for each in chart.algorithms}
    return [_plot(panel, algorithms) for panel in chart.panels]


def _plot(panel: IntervalPanel, algorithms: dict[str, ChartAlgorithm]) -> DotPlot:
    low, high = panel.view

    def place(value: float) -> int:
        return round(min(max((tame(value) - low) / (high - low), 0.0), 1.0) * _WIDTH)

    ticks = [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    digits = next((d for d in range(6) if all(abs(tick - round(tick, d)) < 1e-9 * (high - low) for tick in ticks)), 6)
    return DotPlot(
        button=panel.axis.button,
        label=panel.axis.title,
        ticks=[(100 * (tick - low) / (high - low), fixed(tick, digits)) for tick in ticks],
        rules=_verticals(map(place, ticks), 0, 24),
        guides=_verticals(map(place, panel.axis.guides), 0, 24),
        rows=[_row(row, algorithms[row.algorithm], place, panel.axis.decimals or 0) for row in panel.rows],
    )


def _row(row: IntervalRow, algorithm: ChartAlgorithm, place: Callable[[float], int], decimals: int) -> DotRow:
    interval, whisker = "", ""
    if row.interval:
        low, high = row.interval
        interval = f"[{fixed(low, decimals)}, {fixed(high, decimals)}]"
        whisker = f"M{place(low)} 12H{place(high)}"
    elif row.mean is not None:
        interval = "one seed" if len(row.seeds) == 1 else "no interval"
    return DotRow(
        name=row.algorithm,
        label=row.label or row.algorithm + algorithm.mark,
        runs=row.counted,
        colour=algorithm.look.colour,
        number=UNDEFINED if row.mean is None else fixed(row.mean, decimals),
        interval=interval,
        value=-1e300 if row.mean is None else row.mean,
        whisker=whisker,
        dot="" if row.mean is None else f"M{place(row.mean)} 12h0",
        strokes=_verticals(sorted({place(value) for value in row.strokes}), 4, 16),
    )


def _verticals(places: Iterable[int], top: int, length: int) -> str:
    return "".join(f"M{at} {top}v{length}" for at in places)
