"""Dot-and-interval plots as HTML: a dot for the mean, a bar for its interval, a thin stroke for each seed.

Each row is a small SVG that stretches with the page, so that the plot needs no script and reads well on a phone.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

from haepo_bench.report.across_tables import STATISTIC_TITLES
from haepo_bench.report.document import AlgorithmResult, Estimate, SuiteResult, TaskResult
from haepo_bench.report.styles import Styles
from haepo_bench.report.tables import UNDEFINED, fixed, return_decimals, seeds_cell

#: Width of a row's drawing in its own units.
_WIDTH = 1000


class Row(NamedTuple):
    """One algorithm.

    Args:
        number: mean as text; `interval` in brackets; `runs` as n/N.
        value: to sort by.
        whisker, dot, rug: SVG paths in a box of 1000 x 24; empty where there is nothing to draw.
    """

    name: str
    runs: str
    colour: int
    number: str
    interval: str
    value: float
    whisker: str
    dot: str
    rug: str


class DotPlot(NamedTuple):
    """One measure.

    Args:
        button: short name; `label` with unit.
        ticks: (percent from the left, text).
        rules: SVG path of the vertical lines at the ticks.
    """

    button: str
    label: str
    ticks: list[tuple[float, str]]
    rules: str
    rows: list[Row]


class Interval(NamedTuple):
    """What a row shows: `values` of single seeds may be empty."""

    name: str
    runs: str
    mean: float | None
    low: float | None
    high: float | None
    values: Sequence[float]


_MEASURES = (
    ("final_score", "Final score", "final score, sampled policy (0: random, 1: solved)"),
    ("final_score_greedy", "Greedy", "final score, greedy policy (0: random, 1: solved)"),
    ("area", "Area", "area under the score curve (1: solved at once)"),
    ("final_return", "Final return", "final return, sampled policy"),
)


def interval_plots(task: TaskResult, styles: Styles) -> list[DotPlot]:
    """A task's measures; without references only the return. Empty where no run has a result."""
    plots = []
    for measure, button, label in _MEASURES:
        shown = [(result, estimate) for result in task.algorithms if (estimate := _estimate(result, measure))]
        if not shown:
            continue
        score = not measure.endswith("return")
        rows = [
            Interval(
                result.algorithm,
                seeds_cell(result).text,
                estimate.mean,
                estimate.low,
                estimate.high,
                [value for run in result.runs if (value := run.measures[measure]) is not None],
            )
            for result, estimate in shown
        ]
        decimals = 2 if score else return_decimals([estimate for _, estimate in shown])
        plots.append(_plot(button, label, rows, styles, decimals, (0.0, 1.0) if score else None))
    return plots


def aggregate_plots(suite: SuiteResult, styles: Styles) -> list[DotPlot]:
    """The statistics over all tasks, side by side."""
    plots = []
    for aggregate in suite.aggregates:
        rows = [
            Interval(each.algorithm, f"{each.runs.shown}/{each.runs.planned}", each.value, each.low, each.high, ())
            for each in aggregate.values
        ]
        title = STATISTIC_TITLES[aggregate.statistic]
        plots.append(_plot(title.split(" (")[0].split(":")[0], title, rows, styles, 2, (0.0, 1.0)))
    return plots


def _estimate(result: AlgorithmResult, measure: str) -> Estimate | None:
    estimate: Estimate | None = getattr(result, measure)
    return estimate if estimate is not None and estimate.mean is not None else None


def in_view(shown: Sequence[float], edges: Sequence[float], limits: tuple[float, float] | None) -> tuple[float, float]:
    """The part of an axis to show: means and limits whole, while wide intervals may leave it by half its length."""
    shown = [*shown, *(limits or ())]
    if not shown:
        return 0.0, 1.0
    low, high = min(shown), max(shown)
    reach = 0.5 * (high - low) or 0.5 * abs(high) or 0.5
    bottom, top = max(min([low, *edges]), low - reach), min(max([high, *edges]), high + reach)
    margin = 0.03 * (top - bottom) or 0.5
    return bottom - margin, top + margin


def _plot(
    button: str,
    label: str,
    rows: Sequence[Interval],
    styles: Styles,
    decimals: int,
    limits: tuple[float, float] | None,
) -> DotPlot:
    # Beyond some 1e300 differences overflow.
    shown = [_tame(v) for row in rows for v in (row.mean, *row.values) if v is not None]
    edges = [_tame(v) for row in rows for v in (row.low, row.high) if v is not None]
    low, high = in_view(shown, edges, limits)

    def place(value: float) -> int:
        return round(min(max((_tame(value) - low) / (high - low), 0.0), 1.0) * _WIDTH)

    ticks = [float(tick) for tick in MaxNLocator(5).tick_values(low, high) if low <= tick <= high]
    digits = next((d for d in range(6) if all(abs(tick - round(tick, d)) < 1e-9 * (high - low) for tick in ticks)), 6)
    return DotPlot(
        button=button,
        label=label,
        ticks=[(100 * (tick - low) / (high - low), fixed(tick, digits)) for tick in ticks],
        rules="".join(f"M{place(tick)} 0v24" for tick in ticks),
        rows=[_row(row, styles, place, decimals) for row in rows],
    )


def _row(row: Interval, styles: Styles, place: Callable[[float], int], decimals: int) -> Row:
    interval, whisker = "", ""
    if row.low is not None and row.high is not None:
        interval = f"[{fixed(row.low, decimals)}, {fixed(row.high, decimals)}]"
        whisker = f"M{place(row.low)} 12H{place(row.high)}"
    elif row.mean is not None:
        interval = "one seed" if len(row.values) == 1 else "no interval"
    seeds = sorted({place(value) for value in row.values}) if len(row.values) > 1 else []
    return Row(
        name=row.name,
        runs=row.runs,
        colour=styles.of(row.name).colour,
        number=UNDEFINED if row.mean is None else fixed(row.mean, decimals),
        interval=interval,
        value=-1e300 if row.mean is None else row.mean,
        whisker=whisker,
        dot="" if row.mean is None else f"M{place(row.mean)} 12h0",
        rug="".join(f"M{at} 4v16" for at in seeds),
    )


def _tame(value: float) -> float:
    return min(max(value, -1e100), 1e100)
