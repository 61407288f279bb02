"""Line charts for pages, which static/chart.js draws: data as JSON beside a picture for readers without a script.

A chart is told everything here; it fetches nothing. Charts of one group share which series are shown and which axes.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from haepo_bench.report.document import AlgorithmResult, Band, SuiteResult, TaskResult
from haepo_bench.report.styles import COLOURS, DARK_COLOURS, DASHES, MARKERS, Look, Styles
from haepo_bench.report.tables import Footnotes, kind, return_decimals

BAND = "95 % skewness-corrected t interval at each mark (none for one seed)"

_SCRIPTS = ("scales.js", "drawing.js", "group.js", "picture.js", "chart.js", "page.js")
_SHEETS = ("page.css", "chart.css")


class Axis(NamedTuple):
    """What can be drawn along an axis.

    Args:
        key: under which series hold it.
        button: one or two words for the switch between axes.
        label: with unit.
        decimals: of its numbers when they are read off; None: as many as distinguish them.
        guides: levels that get a line.
        limits: what is always in view; None: what the series need.
        log: of an x axis: it starts at 0, and may be shown logarithmically without what lies there.
    """

    key: str
    button: str
    label: str
    decimals: int | None = None
    guides: Sequence[float] = ()
    limits: tuple[float, float] | None = None
    log: bool = False


class Series(NamedTuple):
    """One line with its band.

    Args:
        name: in legend and labels, there followed by `mark`, which points to one of the chart's notes.
        detail: what else the legend says of it.
        x: for each x axis that it has, its position at every mark; None where undefined.
        y: for each y axis that it has, its mean and interval at every mark.
    """

    name: str
    detail: str
    look: Look
    x: Mapping[str, Sequence[float | None]]
    y: Mapping[str, Band]
    mark: str = ""


class LineChart(NamedTuple):
    """A chart; the first x and y axis are shown first.

    Args:
        notes: lines below it.
        ends: whether the lines' right ends carry their names; no help where all lines end at one place, or far from
            the right edge.
    """

    title: str
    x: Sequence[Axis]
    y: Sequence[Axis]
    series: Sequence[Series]
    notes: Sequence[str] = ()
    ends: bool = True


def curve_chart(task: TaskResult, styles: Styles) -> LineChart | None:
    """Learning curves of all algorithms on a task; None where no run has a result."""
    results = [(result, result.curve) for result in task.algorithms if result.curve]
    if not results:
        return None
    footnotes = Footnotes(result for result, _ in results)
    series = []
    for result, curve in results:
        times: dict[str, Sequence[float | None]] = {
            "env_steps": curve.env_steps,
            "wall_seconds": curve.wall_seconds,
            "cpu_seconds": curve.cpu_seconds,
        }
        bands = {"score": curve.score, "eval_return": curve.eval_return}
        series.append(
            Series(
                name=result.algorithm,
                detail=kind_and_seeds(result),
                look=styles.of(result.algorithm),
                x={key: values for key, values in times.items() if any(value is not None for value in values)},
                y={key: band for key, band in bands.items() if band is not None},
                mark=footnotes.marker(result),
            )
        )
    decimals = return_decimals([result.final_return for result, _ in results])
    x_axes = [
        Axis("env_steps", "Env steps", "training env steps a seed", 0, log=True),
        Axis("wall_seconds", "Wall seconds", "wall-clock seconds of training a seed", log=True),
        Axis("cpu_seconds", "CPU seconds", "CPU seconds of training a seed", log=True),
    ]
    y_axes = [
        Axis("score", "Score", "score (0: random, 1: solved)", 3, (0, 1), (0, 1)),
        Axis("eval_return", "Return", "evaluation return", decimals),
    ]
    return LineChart(
        title=f"Learning curves on {task.task}",
        x=[axis for axis in x_axes if any(axis.key in each.x for each in series)],
        y=[axis for axis in y_axes if any(axis.key in each.y for each in series)],
        series=series,
        notes=[f"Sampled policy. Line: mean over seeds. Band: {BAND}.", *footnotes.lines],
    )


def kind_and_seeds(result: AlgorithmResult) -> str:
    """What the legend says of an algorithm on a task beside its name."""
    seeds = f"{len(result.seeds.shown)}/{len(result.seeds.planned)} seeds"
    return ", ".join(filter(None, (kind(result), seeds)))


def profile_chart(suite: SuiteResult, styles: Styles) -> LineChart | None:
    """Performance profiles of all algorithms over a suite's tasks; None where there are none."""
    if not suite.profiles:
        return None
    results = {result.algorithm: result for task in suite.tasks for result in task.algorithms}
    footnotes = Footnotes(results[profile.algorithm] for profile in suite.profiles)
    series = [
        Series(
            name=profile.algorithm,
            detail=f"{profile.runs.shown}/{profile.runs.planned} runs",
            look=styles.of(profile.algorithm),
            x={"threshold": profile.thresholds},
            y={"share": profile.band},
            mark=footnotes.marker(results[profile.algorithm]),
        )
        for profile in suite.profiles
    ]
    return LineChart(
        title="Performance profiles: the share of runs whose final score is above each threshold",
        x=[Axis("threshold", "Score", "final score τ (0: random, 1: solved)", 2)],
        y=[Axis("share", "Share", "share of runs with a final score above τ", 3, limits=(0, 1))],
        series=series,
        notes=[
            "Tasks weighted by family. Band: pointwise 95 % interval (Wilson's, combined over tasks).",
            *footnotes.lines,
        ],
        ends=False,
    )


def chart_fragment(chart: LineChart, *, group: str, fallback: Markup | None = None) -> Markup:
    """A chart as a piece of a page that holds `assets()` too; `fallback` is shown where no script runs."""
    title = escape(chart.title)
    notes = Markup("").join(Markup("<li>{}</li>").format(note) for note in chart.notes)
    return Markup(
        f'<figure class="chart" data-group="{escape(group)}"><figcaption>{title}</figcaption>'
        f'<script type="application/json">{script_json(chart_data(chart))}</script>'
        f"<noscript>{fallback or ''}</noscript>"
        f'<ul class="notes">{notes}</ul></figure>'
    )


def chart_data(chart: LineChart) -> dict[str, Any]:
    """What the script is told: axes, and for each series its look, positions and [mean, low, high, n] by axis."""
    return {
        "title": chart.title,
        "ends": chart.ends,
        "x": [_axis(axis) for axis in chart.x],
        "y": [_axis(axis) for axis in chart.y],
        "series": [
            {
                "name": each.name,
                "mark": each.mark,
                "detail": each.detail,
                "colour": each.look.colour,
                "dash": DASHES[each.look.dash],
                "marker": MARKERS[each.look.marker],
                "x": {key: _rounded(values) for key, values in each.x.items()},
                "y": {
                    key: {
                        "mean": _rounded(band.mean),
                        "low": _rounded(band.low),
                        "high": _rounded(band.high),
                        "n": list(band.n),
                    }
                    for key, band in each.y.items()
                },
            }
            for each in chart.series
        ],
    }


def _axis(axis: Axis) -> dict[str, Any]:
    return {
        "key": axis.key,
        "button": axis.button,
        "label": axis.label,
        "decimals": axis.decimals,
        "guides": list(axis.guides),
        "limits": axis.limits,
        "log": axis.log,
    }


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    """To seven digits: more than can be read off, and half the bytes."""
    return [None if value is None else float(f"{value:.7g}") for value in values]


def script_json(data: Any) -> Markup:
    """JSON that may stand in a script element: nothing in it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


class Assets(NamedTuple):
    """What a page with charts needs in its head and at its end.

    Args:
        style: the style sheet.
        script: the program, to stand in one script element behind all charts.
        policy: content security policy under which this script alone runs and nothing is fetched.
    """

    style: Markup
    script: Markup
    policy: str


def assets() -> Assets:
    """Style sheet and program of a page with charts."""
    folder = files("haepo_bench.report") / "static"
    style = _palette() + "".join((folder / name).read_text(encoding="utf-8") for name in _SHEETS)
    script = "".join((folder / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return Assets(Markup(style), Markup(script), policy)


def _palette() -> str:
    light, dark = (
        "".join(f"--c{i}: {colour}; " for i, colour in enumerate(colours)) for colours in (COLOURS, DARK_COLOURS)
    )
    return f":root {{ {light}}}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
