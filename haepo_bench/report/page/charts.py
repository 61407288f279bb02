"""Line charts for pages, which static/chart.js draws: data as JSON beside a picture for readers without a script.

The script gets everything here and fetches nothing. Charts of one group share which lines are shown and which axes.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from haepo_bench.report.charts.description import ChartAxis, Limits, LineChart
from haepo_bench.report.document import AlgorithmResult, Curve, RunRow
from haepo_bench.report.styles import COLOURS, DARK_COLOURS, DASHES, MARKERS

_SCRIPTS = (
    "scales.js",
    "drawing.js",
    "state.js",
    "grouping.js",
    "runs.js",
    "group.js",
    "picture.js",
    "chart.js",
    "tables.js",
    "filters.js",
    "page.js",
)
_SHEETS = ("page.css", "chart.css")


def chart_fragment(
    chart: LineChart, *, group: str, fallback: Markup | None = None, more: Mapping[str, Any] | None = None
) -> Markup:
    """A chart as a piece of a page that holds `assets()` too.

    Args:
        fallback: shown where no script runs.
        more: for the script: `folder` (the suite's) and `references` (random and solved return) of learning curves.
    """
    title = escape(chart.title)
    notes = Markup("").join(Markup("<li>{}</li>").format(note) for note in chart.notes)
    return Markup(
        f'<figure class="chart" data-group="{escape(group)}"><figcaption>{title}</figcaption>'
        f'<script type="application/json">{script_json({**chart_data(chart), **(more or {})})}</script>'
        f"<noscript>{fallback or ''}</noscript>"
        f'<ul class="notes">{notes}</ul></figure>'
    )


def chart_data(chart: LineChart) -> dict[str, Any]:
    """What the script gets for a chart of one panel: axes, and each line's look, positions and [mean, low, high, n]."""
    (panel,) = chart.panels
    algorithms = {each.name: each for each in chart.algorithms}
    series = []
    for line in panel.lines:
        result = line.result
        algorithm = algorithms[line.algorithm]
        series.append(
            {
                "name": algorithm.name,
                "mark": algorithm.mark,
                "detail": ", ".join(filter(None, (algorithm.kind, algorithm.counted))),
                "colour": algorithm.look.colour,
                "dash": DASHES[algorithm.look.dash],
                "marker": MARKERS[algorithm.look.marker],
                "x": {key: _rounded(values) for key, values in line.x.items()},
                "y": {
                    key: {
                        "mean": _rounded(band.mean),
                        "low": _rounded(band.low),
                        "high": _rounded(band.high),
                        "n": list(band.n),
                        "seeds": [_rounded(seed) for seed in band.seeds],
                    }
                    for key, band in line.y.items()
                },
                **(_single_runs(result, result.curve) if result is not None and result.curve is not None else {}),
            }
        )
    return {
        "title": chart.title,
        "ends": chart.end_labels,
        "x": [_axis(axis, panel.x_view(axis)) for axis in panel.x],
        "y": [_axis(axis, panel.y_view(axis)) for axis in panel.y],
        "series": series,
    }


def _single_runs(result: AlgorithmResult, curve: Curve) -> dict[str, Any]:
    """Settings, the thinned curves of single seeds, and for each run what is shown of it on a click."""
    return {
        "parameters": result.parameters,
        "single": curve.single.model_dump(),
        "runs": [[run.seed, run.status, run.record, run.log, _digits(run)] for run in result.runs],
    }


def _digits(run: RunRow) -> list[float | None]:
    """Final score and return."""
    return _rounded([run.measures["final_score"], run.measures["final_return"]])


def _axis(axis: ChartAxis, view: Limits) -> dict[str, Any]:
    return {
        "key": axis.key,
        "button": axis.button,
        "label": axis.title,
        "decimals": axis.decimals,
        "guides": list(axis.guides),
        "limits": axis.limits,
        "view": view,
        "log": axis.log,
    }


def _rounded(values: Sequence[float | None]) -> list[float | None]:
    """To seven digits: more than can be read off, and half the bytes."""
    return [None if value is None else float(f"{value:.7g}") for value in values]


def script_json(data: Any) -> Markup:
    """JSON that is safe in a script element: nothing in it can end the element or open a comment."""
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
    folder = files("haepo_bench.report.page") / "static"
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
