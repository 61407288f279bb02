"""One description, two renderings: the page's data and the figures' artists hold the same numbers and words."""

import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from synthetic_runs import overoptimised, put, record, showcase

from haepo_bench.report.charts import building as chart_building
from haepo_bench.report.charts.description import (
    MARGIN,
    ChartAlgorithm,
    ChartAxis,
    ChartLine,
    IntervalChart,
    LineChart,
    LinePanel,
)
from haepo_bench.report.charts.evidence import EvidenceChart, EvidenceLine, EvidencePanel
from haepo_bench.report.document import SuiteResult, TaskResult
from haepo_bench.report.document_numbers import Band
from haepo_bench.report.figures.evidence import evidence_figure
from haepo_bench.report.figures.formats import PAGE, STYLES, FigureStyle
from haepo_bench.report.figures.intervals import diagnostics_figure, results_figure
from haepo_bench.report.figures.lines import line_figure, overview_figure
from haepo_bench.report.figures.sheet import drawing
from haepo_bench.report.figures.suite import suite_figures
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.page.charts import chart_data
from haepo_bench.report.page.dots import dot_plots
from haepo_bench.report.styles import COLOURS, Look, Styles, suite_styles

LANGUAGE = "lm/synthetic-summary"


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> SuiteResult:
    """Scored and unscored tasks, a diverged and a failed run, over-optimisation, and one seed alone without a clock."""
    store = showcase(tmp_path_factory.mktemp("results") / "made-up", seeds=3, marks=7)
    put(store, *(overoptimised(name, seed) for name in ("haepo-weighted", "grpo") for seed in range(3)))
    put(store, overoptimised("reinforce", 0), overoptimised("reinforce", 1, alive=5))
    alone = record("bandit/alone", "ppo", returns=[0.0, 1e150, -1e150, 0.5, 1.0])
    put(store, alone.model_copy(update={"curve": {**alone.curve, "wall_seconds": [None] * 5}}))
    (store.root / "plan.json").unlink()
    return build_report(store.root).suites[0]


@pytest.fixture(autouse=True)
def looks() -> Iterator[None]:
    with drawing():
        yield


def lines_of(axes: Axes) -> list[Line2D]:
    """Without reference lines and the dots of single seeds."""
    return [line for line in axes.lines if line.get_marker() not in (None, "None", "", ".")]


def tamed(values: Any) -> Any:
    return np.clip(np.array(values, dtype=float), -1e100, 1e100)


def inside(figure: Figure) -> set[str]:
    return {" ".join(text.get_text().split()) for text in (*figure.texts, *figure.legends[0].texts)}


def same_lines(chart: LineChart, figure: Figure, x_key: str, y_keys: list[str]) -> None:
    """The page's JSON of a chart of one panel, and the figure of it."""
    data = chart_data(chart)
    x = next(axis for axis in data["x"] if axis["key"] == x_key)
    shown = [each for each in data["series"] if x_key in each["x"]]
    for axes, y_key in zip(figure.axes, y_keys, strict=True):
        y = next(axis for axis in data["y"] if axis["key"] == y_key)
        assert (axes.get_xlabel(), axes.get_ylabel()) == (x["label"], y["label"])
        assert axes.get_xlim() == pytest.approx(x["view"])
        assert axes.get_ylim() == pytest.approx(y["view"])
        drawn = lines_of(axes)
        guides = [np.asarray(line.get_ydata())[0] for line in axes.lines if line.get_marker() in (None, "None", "")]
        assert guides == y["guides"]
        bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
        series = [each for each in shown if y_key in each["y"]]
        assert len(drawn) == len(bands) == len(series) > 0
        for line, band, each in zip(drawn, bands, series, strict=True):
            own = each["y"][y_key]
            # The page has seven digits.
            np.testing.assert_allclose(tamed(line.get_xdata()), tamed(each["x"][x_key]), rtol=1e-6)
            np.testing.assert_allclose(tamed(line.get_ydata()), tamed(own["mean"]), rtol=1e-6)
            assert line.get_color() == COLOURS[each["colour"]]
            corners = np.concatenate([np.empty((0, 2)), *(path.vertices for path in band.get_paths())])
            places = tamed(each["x"][x_key])
            known = np.isfinite(tamed(own["low"])) & np.isfinite(places)
            assert bool(len(corners)) == bool(known.any())
            for edge in ("low", "high"):
                for point in zip(places[known], tamed(own[edge])[known], strict=True):
                    assert np.isclose(corners, point, rtol=1e-6).all(1).any()
    said = inside(figure)
    for each in data["series"]:
        (label,) = [text for text in said if text.startswith(f"{each['name']}{each['mark']} (")]
        counted = each["detail"].split(", ")[-1]
        assert f"({counted})" in label
        assert each["detail"].removesuffix(counted).removesuffix(", ") in label
    assert " ".join(chart.notes) in said


LINE_CHARTS: dict[str, tuple[Callable[[TaskResult, Styles], LineChart | None], list[str]]] = {
    "learning curves": (chart_building.learning_curves, ["env_steps", "wall_seconds", "cpu_seconds"]),
    "over-optimisation": (chart_building.overoptimisation, ["sqrt_kl", "env_steps"]),
}


@pytest.mark.parametrize("kind", LINE_CHARTS)
def test_lines_are_the_same(suite: SuiteResult, kind: str) -> None:
    make, keys = LINE_CHARTS[kind]
    found = [chart for task in suite.tasks if (chart := make(task, suite_styles(suite)))]
    assert len(found) == (6 if kind == "learning curves" else 1)
    for chart in found:
        (panel,) = chart.panels
        assert {axis.key for axis in panel.x} <= set(keys)
        for x in panel.x:
            for together in range(1, len(panel.y) + 1):
                figure = line_figure(chart, x, together=together)
                same_lines(chart, figure, x.key, [y.key for y in panel.y[:together]])
                assert figure.axes[0].get_title(loc="left") == panel.title


def test_profiles_are_the_same(suite: SuiteResult) -> None:
    chart = chart_building.performance_profiles(suite, suite_styles(suite))
    assert chart is not None
    same_lines(chart, line_figure(chart, chart.panels[0].x[0]), "threshold", ["share"])


def test_the_overview_has_each_tasks_lines(suite: SuiteResult) -> None:
    styles = suite_styles(suite)
    chart = chart_building.overview(suite, styles)
    for x in (chart_building.ENV_STEPS, chart_building.WALL_SECONDS):
        figure = overview_figure(chart, x)
        for axes, task in zip(figure.axes, suite.tasks, strict=True):
            alone = chart_building.learning_curves(task, styles)
            assert alone is not None
            data = chart_data(alone)
            assert axes.get_title(loc="left") == task.task
            assert axes.get_ylabel() == alone.panels[0].y[0].short
            assert axes.get_ylim() == pytest.approx(data["y"][0]["view"])
            series = [each for each in data["series"] if x.key in each["x"]]
            assert bool(series) == (task.task != "bandit/alone" or x.key == "env_steps")
            for line, each in zip(lines_of(axes), series, strict=True):
                np.testing.assert_allclose(tamed(line.get_xdata()), tamed(each["x"][x.key]), rtol=1e-6)
                own = each["y"][data["y"][0]["key"]]["mean"]
                np.testing.assert_allclose(tamed(line.get_ydata()), tamed(own), rtol=1e-6)


def read_off(view: tuple[float, float], place: str) -> float:
    """The value at a place of a row's drawing."""
    return view[0] + float(place) / 1000 * (view[1] - view[0])


def same_dots(chart: IntervalChart, figure: Figure) -> None:
    """The page's rows, whose places are whole thousandths of the view, and the figure's marks."""
    names = [algorithm.name for algorithm in chart.algorithms]
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == [algorithm.name + algorithm.mark for algorithm in chart.algorithms]
    assert [" ".join(text.get_text().split()) for text in figure.texts] == [" ".join(chart.notes)]
    for plot, panel, axes in zip(dot_plots(chart), chart.panels, figure.axes, strict=False):
        view = axes.get_xlim()
        step = (view[1] - view[0]) / 1000
        guides = [np.asarray(line.get_xdata())[0] for line in axes.lines if line.get_linestyle() == "--"]
        assert guides == list(panel.axis.guides)
        for at, text in plot.ticks:
            shown = float(text.replace(",", "").replace("−", "-"))
            assert read_off(view, str(10 * at)) == pytest.approx(shown, abs=step)
        drawn: dict[str, dict[str, Line2D]] = {}
        for line in axes.lines:
            if line.get_linestyle() != "--":
                part = {"|": "strokes", "None": "bar"}.get(str(line.get_marker()), "dot")
                drawn.setdefault(names[round(float(np.asarray(line.get_ydata())[0]))], {})[part] = line
        assert list(drawn) == [row.name for row in plot.rows if row.dot]
        for row in (row for row in plot.rows if row.dot):
            own = {part: np.array(line.get_xdata(), dtype=float) for part, line in drawn[row.name].items()}
            assert own["dot"] == tamed([row.value])
            assert drawn[row.name]["dot"].get_color() == COLOURS[row.colour]
            assert row.label == row.name + chart.algorithms[names.index(row.name)].mark
            assert read_off(view, row.dot[1:].split()[0]) == pytest.approx(np.clip(own["dot"], *view)[0], abs=step)
            assert ("bar" in own, "strokes" in own) == (bool(row.whisker), bool(row.strokes))
            if "bar" in own:
                ends = [read_off(view, end) for end in row.whisker[1:].replace(" 12H", " ").split()]
                assert ends == pytest.approx(np.clip(own["bar"], *view), abs=step)
            if "strokes" in own:
                strokes = [read_off(view, part.split()[0]) for part in row.strokes.split("M")[1:]]
                seeds = np.clip(own["strokes"], *view).tolist()
                # Seeds at one place are one stroke.
                for one, others in ((strokes, seeds), (seeds, strokes)):
                    assert all(min(abs(a - b) for b in others) <= step for a in one)


def test_final_results_are_the_same(suite: SuiteResult) -> None:
    chart = chart_building.final_results(suite, suite_styles(suite))
    figure = results_figure(chart)
    same_dots(chart, figure)
    for axes, panel, task in zip(figure.axes, chart.panels, suite.tasks, strict=False):
        assert (axes.get_title(loc="left"), axes.get_xlabel()) == (task.task, panel.axis.short)
        # The page shows that panel among the task's measures.
        own = chart_building.end_of_training(task, suite_styles(suite))
        assert own is not None
        (again,) = [each for each in own.panels if each.axis.key == panel.axis.key]
        assert (again.rows, again.view) == (panel.rows, panel.view)


@pytest.mark.parametrize("make", [chart_building.end_of_training, chart_building.diagnostics])
def test_intervals_of_a_task_are_the_same(
    suite: SuiteResult, make: Callable[[TaskResult, Styles], IntervalChart | None]
) -> None:
    found = [chart for task in suite.tasks if (chart := make(task, suite_styles(suite)))]
    assert len(found) >= 5
    for chart in found:
        figure = diagnostics_figure(chart)
        same_dots(chart, figure)
        titles = [" ".join(axes.get_title(loc="left").split()) for axes in figure.axes[: len(chart.panels)]]
        assert titles == [panel.title for panel in chart.panels]


def test_aggregates_are_the_same(suite: SuiteResult) -> None:
    chart = chart_building.aggregates(suite, suite_styles(suite))
    assert chart is not None
    assert len(chart.panels) == 5
    same_dots(chart, results_figure(chart))


def test_every_figure_of_a_report_is_of_a_chart(suite: SuiteResult) -> None:
    names = [(figure.task, figure.name) for figure in suite_figures(suite)]
    assert len(set(names)) == len(names)
    assert {(LANGUAGE, "lm_synthetic-summary-kl"), ("", "intervals"), ("", "profiles"), ("", "overview-steps")} <= set(
        names
    )
    # No clock was recorded there.
    assert [name for task, name in names if task == "bandit/alone"] == ["bandit_alone-steps"]


def test_a_positions_view() -> None:
    """By hand: the axis from zero, and that of the thresholds, which starts where they do."""

    def panel(values: list[float | None], *, from_zero: bool) -> tuple[float, float]:
        axis = ChartAxis("x", "x", "x", "x", from_zero=from_zero)
        return LinePanel("", (axis,), (), (ChartLine("a", {"x": values}, {}),)).x_view(axis)

    assert panel([2.0, None, 5.0], from_zero=True) == (0, 5)
    assert panel([2.0, None, 5.0], from_zero=False) == (2, 5)
    assert panel([3.0], from_zero=False) == (3, 4)
    assert panel([], from_zero=False) == (0, 1)


def test_the_script_leaves_the_same_margin() -> None:
    """Where lines are hidden the page's script computes the view again."""
    script = (files("haepo_bench.report.page") / "static" / "scales.js").read_text(encoding="utf-8")
    (margin,) = re.findall(r"const margin = ([\d.]+) \*", script)
    assert float(margin) == MARGIN


def of_scales(calls: str) -> list[Any]:
    """What the page's own functions return, called in node."""
    script = (files("haepo_bench.report.page") / "static" / "scales.js").read_text(encoding="utf-8")
    done = subprocess.run(
        ["node", "-e", f"{script}\nconsole.log(JSON.stringify({calls}))"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_ticks_end_whatever_the_numbers() -> None:
    calls = "[ticks(0, 1, 5), ticks(-1, 1, 4), ticks(1e17, 1e17 + 64, 5).length, ticks(0, 1e308, 5).length,"
    calls += " ticks(-1e308, 1e308, 5), logTicks(0, 10, 3).length, logTicks(1, Infinity, 3).length]"
    first, second, *hostile = of_scales(calls)
    np.testing.assert_allclose(first, [0, 0.2, 0.4, 0.6, 0.8, 1])
    np.testing.assert_allclose(second, [-1, -0.5, 0, 0.5, 1])
    assert max(len(each) if isinstance(each, list) else each for each in hostile) < 1000


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_ticks_of_the_page_count_in_whole_numbers() -> None:
    found = of_scales("[ticks(1, 8, 4, true), ticks(1, 2, 6, true), ticks(1, 1.05, 6, true), ticks(0, 9, 4, true)]")
    assert found == [[2, 4, 6, 8], [1, 2], [1], [0, 5]]


@pytest.mark.parametrize("most", [1, 2, 4, 8, 30])
def test_ticks_of_figures_count_in_whole_numbers(most: int) -> None:
    axis = ChartAxis("trials", "trials", "trials", "trials", 0)
    counts = [float(number + 1) for number in range(most)]
    band = Band(mean=counts, low=counts, high=counts, n=[3] * most, seeds=[])
    panel = LinePanel("", (axis,), (ChartAxis("y", "y", "y", "y"),), (ChartLine("a", {"trials": counts}, {"y": band}),))
    figure = line_figure(LineChart("", (ChartAlgorithm("a", Look(0, 0, 0)),), (panel,)), axis)
    ticks = figure.axes[0].get_xticks()
    assert ticks.tolist() == [round(tick) for tick in ticks]


@pytest.mark.parametrize("style", [PAGE, *STYLES.values()], ids=["as drawn for the page", *STYLES])
@pytest.mark.parametrize("needed", [1.3, 48.0])
def test_evidence_has_room_whatever_the_odds(style: FigureStyle, needed: float) -> None:
    """Odds of 1e48 : 1, which a late declaration asks for, leave no less room than those of 20 : 1."""
    line = EvidenceLine("mine", (0.0, 0.4, 0.9, 1.2), needed, None)
    panels = tuple(EvidencePanel(f"claim {i}", (line,)) for i in range(3))
    chart = EvidenceChart("evidence", (ChartAlgorithm("mine", Look(0, 0, 0)),), panels)
    with drawing(style), warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = evidence_figure(chart, style=style)
        figure.draw_without_rendering()
        (first, *_) = figure.axes
        assert first.get_position().width > 0.15
        assert first.yaxis.label.get_window_extent().height <= figure.bbox.height
        assert max(len(label.get_text()) for label in first.get_yticklabels()) <= 8
