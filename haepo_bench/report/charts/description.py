"""Charts as data: what a reader sees of a chart, apart from its layout, which is left to what draws it.

`chart_building` makes charts from the report's document; the page (`charts`, `dots`) and the figures (`line_figures`,
`interval_figures`) draw them, and decide nothing that is said here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from haepo_bench.report.document import AlgorithmResult
from haepo_bench.report.document_numbers import Band
from haepo_bench.report.styles import Look

Limits = tuple[float, float]


@dataclass(frozen=True)
class ChartAxis:
    """What can be drawn along an axis.

    Args:
        key: under which lines hold it.
        title: quantity with its unit.
        short: the same for small panels.
        button: one or two words for a switch between axes.
        decimals: of its numbers when they are read off; None: as many as distinguish them.
        guides: levels that get a reference line.
        limits: what is always in view; None: what the data need.
        from_zero: of an x axis: it starts at 0, whatever the data.
        log: of an x axis: it may be shown logarithmically, without what is not above 0.
    """

    key: str
    title: str
    short: str
    button: str
    decimals: int | None = None
    guides: tuple[float, ...] = ()
    limits: Limits | None = None
    from_zero: bool = False
    log: bool = False


@dataclass(frozen=True)
class ChartAlgorithm:
    """One entry of a chart's legend.

    Args:
        mark: points to one of the chart's notes; may be empty.
        kind: what kind of algorithm it is; empty where the name says it.
        counted: on how many seeds or runs it rests (`3/5 seeds`); may be empty.
    """

    name: str
    look: Look
    mark: str = ""
    kind: str = ""
    counted: str = ""


@dataclass(frozen=True)
class ChartLine:
    """One algorithm's line with its band.

    Args:
        x: for each x axis that it has, its position at every evaluation point; None where undefined.
        y: for each y axis that it has, its mean and interval at every evaluation point.
        result: what the page's script shows of single seeds and settings; None where there are none.
    """

    algorithm: str
    x: Mapping[str, Sequence[float | None]]
    y: Mapping[str, Band]
    result: AlgorithmResult | None = None


@dataclass(frozen=True)
class LinePanel:
    """Lines along one x and one y axis, of those that they have; the first ones are shown first."""

    title: str
    x: tuple[ChartAxis, ...]
    y: tuple[ChartAxis, ...]
    lines: tuple[ChartLine, ...]

    def x_axis(self, key: str) -> ChartAxis | None:
        """The x axis of that key; None where no line has it."""
        return next((axis for axis in self.x if axis.key == key), None)

    def x_view(self, axis: ChartAxis) -> Limits:
        """What is in view of an x axis: every position."""
        values = _tamed(value for line in self.lines for value in line.x.get(axis.key, ()))
        if axis.from_zero:
            values.append(0.0)
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        return low, high if high > low else low + 1

    def y_view(self, axis: ChartAxis) -> Limits:
        """What is in view of a y axis, whichever x axis is shown."""
        bands = [line.y[axis.key] for line in self.lines if axis.key in line.y]
        edges = (value for band in bands for value in (*band.low, *band.high))
        shown = (value for band in bands for values in (band.mean, *band.seeds) for value in values)
        return in_view(shown, edges, axis.limits)


@dataclass(frozen=True)
class IntervalRow:
    """One algorithm's mean with its interval.

    Args:
        mean: None where it is undefined; `low` and `high` where there is no interval.
        seeds: values of the single seeds; may be empty.
        counted: on how many of how many runs it rests (`3/5`).
        label: what the row is called; empty for the algorithm's name.
    """

    algorithm: str
    mean: float | None
    low: float | None
    high: float | None
    seeds: tuple[float, ...] = ()
    counted: str = ""
    label: str = ""

    @property
    def strokes(self) -> tuple[float, ...]:
        """The seeds that are drawn: a single one is the mean."""
        return self.seeds if len(self.seeds) > 1 else ()

    @property
    def interval(self) -> Limits | None:
        """Both ends; None where there is no interval."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class IntervalPanel:
    """A dot with its interval for each algorithm, along one axis."""

    title: str
    axis: ChartAxis
    rows: tuple[IntervalRow, ...]

    @property
    def view(self) -> Limits:
        """What is in view of the axis."""
        shown = (value for row in self.rows for value in (row.mean, *row.strokes))
        edges = (value for row in self.rows if row.interval for value in row.interval)
        return in_view(shown, edges, self.axis.limits)


@dataclass(frozen=True)
class LineChart:
    """Lines with bands.

    Args:
        title: one line that says what it shows.
        notes: lines below it.
        end_labels: whether the lines' right ends carry their names; no help where all lines end at one place, or far
            from the right edge.
    """

    title: str
    algorithms: tuple[ChartAlgorithm, ...]
    panels: tuple[LinePanel, ...]
    notes: tuple[str, ...] = ()
    end_labels: bool = True


@dataclass(frozen=True)
class IntervalChart:
    """Dots with intervals; `title` and `notes` as in `LineChart`."""

    title: str
    algorithms: tuple[ChartAlgorithm, ...]
    panels: tuple[IntervalPanel, ...]
    notes: tuple[str, ...] = ()


#: Of the view's length, what is left free at either end; the page's script leaves as much when lines are hidden.
MARGIN = 0.03


def in_view(shown: Iterable[float | None], edges: Iterable[float | None], limits: Limits | None) -> Limits:
    """The part of an axis to show: means and limits whole, and intervals as long as the rest is not squeezed."""
    whole = [*_tamed(shown), *(limits or ())]
    if not whole:
        return 0.0, 1.0
    low, high = min(whole), max(whole)
    reach = (high - low) or 0.5 * abs(high) or 0.5
    ends = [low, high, *_tamed(edges)]
    bottom, top = max(min(ends), low - reach), min(max(ends), high + reach)
    margin = MARGIN * (top - bottom) or 0.5
    return bottom - margin, top + margin


def tame(value: float) -> float:
    """The value as far as it can be drawn: beyond some 1e300 differences overflow."""
    return min(max(value, -1e100), 1e100)


def _tamed(values: Iterable[float | None]) -> list[float]:
    return [tame(value) for value in values if value is not None]
