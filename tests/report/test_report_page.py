"""The page's text, charts' data and figures, without a browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape
from synthetic_runs import FOOTNOTE, KINDS, put, put_plan, record, showcase

from haepo_bench.report.charts.building import end_of_training
from haepo_bench.report.charts.description import ChartAlgorithm, ChartAxis, ChartLine, LineChart, LinePanel, in_view
from haepo_bench.report.document import ReportDocument, TaskResult
from haepo_bench.report.document_numbers import Band
from haepo_bench.report.figures.suite import suite_pictures
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.numbers.singles import single_seeds
from haepo_bench.report.page.charts import assets, chart_fragment, script_json
from haepo_bench.report.page.dots import DotPlot, dot_plots
from haepo_bench.report.page.html import to_html
from haepo_bench.report.styles import COLOURS, DASHES, Look, Styles, suite_styles
from haepo_bench.report.tables.beating import pair_matrix, who_beats_whom
from haepo_bench.report.tables.in_short import glance, leaders, mishaps
from haepo_bench.results.store import Store

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 & ' \""


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> ReportDocument:
    return build_report(showcase(tmp_path_factory.mktemp("results") / "made-up", seeds=5, marks=5).root)


class Elements(HTMLParser):
    """The content of every script element, with its attributes, and the images inside noscript."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.fallbacks = 0
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag in ("script", "noscript"):
            self._inside.append(tag)
        self.fallbacks += tag == "img" and "noscript" in self._inside

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "noscript"):
            assert self._inside.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._inside[-1:] == ["script"]:
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)


def test_the_only_program_is_the_one_that_the_policy_names(document: ReportDocument) -> None:
    page = to_html(document, [{}])
    (program,) = [text for attributes, text in Elements(page).scripts if not attributes]
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert f"script-src &#39;sha256-{digest}&#39;" in policy
    assert policy.startswith("default-src &#39;none&#39;; img-src data:;")
    assert "http" not in assets().script.replace("http://www.w3.org/2000/svg", "")


def test_charts_hold_the_documents_numbers(document: ReportDocument) -> None:
    scripts = Elements(to_html(document, [{}])).scripts
    every = [json.loads(text) for attributes, text in scripts if attributes == {"type": "application/json"}]
    charts = [chart for chart in every if chart["title"].startswith("Learning curves")]
    (suite,) = document.suites
    assert [chart["title"] for chart in charts] == [f"Learning curves on {task.task}" for task in suite.tasks]
    for task, chart in zip(suite.tasks, charts, strict=True):
        axes = [axis["key"] for axis in chart["y"]]
        assert axes == (["score", "eval_return"] if task.references else ["eval_return"])
        assert [axis["key"] for axis in chart["x"]] == ["env_steps", "wall_seconds", "cpu_seconds"]
        for result, series in zip(task.algorithms, chart["series"], strict=True):
            assert result.curve is not None
            assert series["name"] == result.algorithm
            assert series["x"]["env_steps"] == result.curve.env_steps
            for name in ("wall_seconds", "cpu_seconds"):
                assert series["x"][name] == pytest.approx(getattr(result.curve, name), rel=1e-6)
            for key in axes:
                band = getattr(result.curve, key)
                for part in ("mean", "low", "high"):
                    held = np.array(getattr(band, part), dtype=float)
                    np.testing.assert_allclose(np.array(series["y"][key][part], dtype=float), held, rtol=1e-6)


def test_pictures_for_readers_without_a_script(document: ReportDocument) -> None:
    pictures = suite_pictures(document.suites[0], x_axes=("steps",))
    # One a task, and the profiles.
    assert Elements(to_html(document, [pictures])).fallbacks == 5
    page = to_html(document, [{}])
    assert Elements(page).fallbacks == 0
    assert page.count("Without JavaScript this chart is not shown") == 5


def test_hostile_text_cannot_leave_a_chart() -> None:
    band = Band(mean=[0.0, 1.0], low=[None, None], high=[None, None], n=[1, 1])
    algorithm = ChartAlgorithm(HOSTILE, Look(0, 0, 0), HOSTILE, HOSTILE, HOSTILE)
    x, y = (ChartAxis(key, HOSTILE, HOSTILE, HOSTILE) for key in "xy")
    panel = LinePanel(HOSTILE, (x,), (y,), (ChartLine(HOSTILE, {"x": [0.0, 1.0]}, {"y": band}),))
    fragment = chart_fragment(LineChart(HOSTILE, (algorithm,), (panel,), notes=(HOSTILE,)), group=HOSTILE)
    ((attributes, text),) = Elements(fragment).scripts
    assert attributes == {"type": "application/json"}
    assert "<" not in text
    assert json.loads(text)["series"][0]["name"] == HOSTILE
    assert "\u2028" not in script_json(HOSTILE)
    with pytest.raises(ValueError):
        script_json(float("nan"))


def test_variants_share_a_colour_and_differ_in_dashes() -> None:
    algorithms = [("a", "haepo-weighted"), ("b", "haepo-weighted"), ("c", "ppo-batched"), ("d", "ppo"), ("e", "grpo")]
    styles = Styles(algorithms)
    looks = {name: styles.of(name) for name, _ in algorithms}
    assert looks["a"].colour == looks["b"].colour
    assert looks["c"].colour == looks["d"].colour
    assert len({looks[name].colour for name in "ace"}) == 3
    many = [(f"variant-{i}", f"kind {i}") for i in range(len(COLOURS) * len(DASHES))]
    styles = Styles(many)
    assert len({styles.of(name) for name, _ in many}) == len(many)


def test_wide_intervals_may_leave_the_picture() -> None:
    assert in_view([0.0, 1.0], [-100.0, 100.0], None) == pytest.approx((-1.09, 2.09))
    low, high = in_view([0.2], [0.1, 0.3], (0.0, 1.0))
    assert low < 0 < 1 < high
    assert in_view([], [], None) == (0.0, 1.0)
    low, high = in_view([5.0], [], None)
    assert low < 5 < high


def dots(document: ReportDocument, task: TaskResult) -> list[DotPlot]:
    chart = end_of_training(task, suite_styles(document.suites[0]))
    assert chart is not None
    return dot_plots(chart)


def test_dots_lie_where_the_numbers_say(document: ReportDocument) -> None:
    task = document.suites[0].tasks[0]
    plot = dots(document, task)[0]
    ((at_zero, _), (at_one, _)) = [tick for tick in plot.ticks if float(tick[1]) in (0.0, 1.0)]
    for row, result in zip(plot.rows, task.algorithms, strict=True):
        estimate = result.final_score
        assert estimate is not None
        assert estimate.mean is not None
        assert row.number == f"{estimate.mean:.2f}"
        expected = 10 * (at_zero + estimate.mean * (at_one - at_zero))
        assert float(row.dot.removeprefix("M").split()[0]) == pytest.approx(expected, abs=0.51)
        assert row.strokes.count("M") == len({run.measures["final_score"] for run in result.runs})
    unscored = next(task for task in document.suites[0].tasks if task.references is None)
    assert [plot.button for plot in dots(document, unscored)] == ["Final return"]


def test_who_beats_whom_is_what_all_pairs_decide(document: ReportDocument) -> None:
    (suite,) = document.suites
    assert suite.pairwise is not None
    first, *others = suite.pairwise.comparisons
    shown = first.model_copy(update={"decided": True, "low": 0.05, "difference": 0.2})
    back = [
        each.model_copy(update={"difference": -0.2})
        if (each.algorithm, each.other) == (first.other, first.algorithm)
        else each.model_copy(update={"decided": False})
        for each in others
    ]
    suite = suite.model_copy(update={"pairwise": suite.pairwise.model_copy(update={"comparisons": [shown, *back]})})
    pairs = len(KINDS) * (len(KINDS) - 1) // 2
    assert who_beats_whom(suite) == [
        f"{first.algorithm} is above {first.other}, by at least +0.05.",
        f"Not decided: {pairs - 1} of {pairs} pairs.",
    ]
    matrix = pair_matrix(suite)
    assert matrix is not None
    cells = {(name, other): cell for name, row in matrix.rows for other, cell in zip(matrix.names, row, strict=True)}
    assert cells[first.algorithm, first.algorithm] is None
    states = {pair: cell.state for pair, cell in cells.items() if cell is not None}
    assert states[first.algorithm, first.other] == "above"
    assert states[first.other, first.algorithm] == "below"
    assert sorted(states.values()).count("above") == sorted(states.values()).count("below") == 1
    page = to_html(document.model_copy(update={"suites": [suite]}), [{}])
    assert suite.scorecard is not None
    assert f"{suite.scorecard.status.capitalize()}. Mean final score of the row" in page
    assert page.index("by at least +0.05") < page.index("Learning curves on")


def test_who_leads_in_words(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seed in range(3):
        wobble = 0.01 * seed
        put(
            store,
            record("t/clear", "ppo", seed, returns=[0, 0.5, 1, 1, 1.8 + wobble]),
            record("t/clear", "grpo", seed, returns=[0, 0.5, 1, 1, 1.0 + wobble]),
            record("t/level", "ppo", seed, returns=[0, 0.5, 1, 1, 1.8 + wobble]),
            record("t/level", "grpo", seed, returns=[0, 0.5, 1, 1, 1.79 + wobble]),
            record("t/hopeless", "ppo", seed, returns=[0, 0, 0, 0, wobble]),
            record("t/hopeless", "grpo", seed, returns=[0, 0, 0, 0, 0.0]),
        )
    (suite,) = build_report(tmp_path).suites
    clear, level, hopeless = leaders(suite)
    assert clear == (
        "t/clear: ppo has the highest mean final score, 0.91 (3/3 seeds); higher than grpo by 0.40, not decided."
    )
    assert level.endswith("higher than grpo by 0.01, not decided.")
    assert hopeless == "No algorithm reaches a mean final score of 0.1 on t/hopeless."


def test_leads_on_many_tasks_are_counted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for task in range(9):
        for seed in range(2):
            best = {"ppo": 1.5, "grpo": 1.4 if task == 8 else 0.5}
            for name, end in best.items():
                put(store, record(f"t/{task}", name, seed, returns=[0, 0, 0, 0, end + 0.1 * seed * (task == 8)]))
    (suite,) = build_report(tmp_path).suites
    (line,) = leaders(suite)
    assert line.startswith("Highest mean at the end of training, on 9 tasks: ppo on 9.")


def test_every_mishap_is_listed_once(document: ReportDocument) -> None:
    found = {(each.task, each.algorithm, each.seeds, each.status, each.reason) for each in mishaps(document.suites[0])}
    assert ("random-walk/20", "grpo", "seed 1", "diverged", "the loss is not finite") in found
    assert any(row[:4] == ("gym/CartPole-v1", "dpo", "seed 1", "failed") for row in found)
    assert any(row[:4] == ("bandit/10-arm", "ppo", "seed 4", "missing") for row in found)
    assert len(found) == 3


def test_everything_at_a_glance(document: ReportDocument) -> None:
    (suite,) = document.suites
    grid = glance(suite)
    assert [name for name, _ in grid.rows] == list(KINDS)
    for name, cells in grid.rows:
        for task, (text, detail, shade) in zip(suite.tasks, cells, strict=True):
            result = next(each for each in task.algorithms if each.algorithm == name)
            assert detail.endswith(f"{len(result.seeds.shown)}/{len(result.seeds.planned)}")
            if task.references is None:
                assert shade is None
            else:
                assert result.final_score is not None
                assert result.final_score.mean is not None
                assert text == f"{result.final_score.mean:.2f}"
                assert shade == min(max(result.final_score.mean, 0), 1)


def test_one_seed_and_no_result_at_all_are_said(tmp_path: Path) -> None:
    store = Store(tmp_path)
    runs = [record(algorithm="ppo"), record(algorithm="grpo", status="failed", error="out of luck")]
    put_plan(store, runs, [0])
    put(store, *runs)
    page = to_html(build_report(tmp_path), [{}])
    assert "one seed" in page
    assert "out of luck" in page
    assert "1 missing, each named below its table" in page


def test_footnotes_stand_at_every_chart(document: ReportDocument) -> None:
    page = to_html(document, [{}])
    for part in re.findall(r'<figure class="chart".*?</figure>', page, flags=re.DOTALL):
        assert escape(f"* {FOOTNOTE}") in part


def test_single_seeds_are_thinned() -> None:
    returns = np.arange(30 * 1001, dtype=float).reshape(30, 1001) / 7
    returns[3, -1] = np.nan
    few = single_seeds(range(100, 130), returns, 30)
    assert few.seeds == list(range(100, 120))
    assert (len(few.places), few.places[0], few.places[-1]) == (41, 0, 1000)
    for seed, row in enumerate(few.eval_return):
        for place, value in zip(few.places, row, strict=True):
            if (seed, place) == (3, 1000):
                assert value is None
            else:
                assert value == pytest.approx(returns[seed, place], rel=5e-5)
    assert len(single_seeds([0], returns[:1], 20_000).places) == 20
    assert single_seeds([0], returns[:1], 10**7).places == [0, 1000]
    assert single_seeds([4, 5], returns[:2, :3], 2).places == [0, 1, 2]
