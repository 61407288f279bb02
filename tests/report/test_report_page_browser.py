"""The page in headless Chromium, as a reader meets it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import pytest
from browser_support import chromium
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from synthetic_runs import KINDS, overoptimised, put, put_plan, record, showcase

from haepo_bench.report.document import ReportDocument
from haepo_bench.report.numbers.build import build_report
from haepo_bench.report.page.html import to_html
from haepo_bench.results.store import Store

HOSTILE = "<script>window.hit=1</script> </script><img src=x onerror=window.hit=1> 😀 \"'& " + "very-long-name-" * 12
TASK = "gym/CartPole-v1"


pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> ReportDocument:
    return build_report(showcase(tmp_path_factory.mktemp("results") / "made-up", seeds=3, marks=11).root)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> ReportDocument:
    store = Store(tmp_path_factory.mktemp("results") / "hostile")
    information = KINDS["haepo-weighted"].model_copy(update={"label": HOSTILE, "footnote": HOSTILE})
    runs = [
        record(HOSTILE, name, seed, **({"status": "failed", "error": HOSTILE} if seed == 2 else {}))
        for name in ("haepo-weighted", "ppo")
        for seed in range(3)
    ]
    runs = [
        run.model_copy(update={"algorithm": HOSTILE, "information": information, "notes": [HOSTILE]})
        if run.algorithm == "haepo-weighted"
        else run
        for run in runs
    ]
    plan = put_plan(store, runs, [0, 1, 2], suite=HOSTILE, description=HOSTILE, source=f"name: x # {HOSTILE}\n")
    folders = {cell["folder"]: f"cell--{i}--x" for i, cell in enumerate(plan["cells"])}
    for cell in plan["cells"]:
        cell["folder"] = folders[cell["folder"]]
    (store.root / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    for run in runs:
        path = store.path("cell--1--x" if run.algorithm == "ppo" else "cell--0--x", run.seed)
        path.parent.mkdir(exist_ok=True)
        path.write_text(run.to_json(), encoding="utf-8")
    return build_report(store.root)


class Reader:
    """A browser with one page open."""

    def __init__(self, driver: webdriver.Chrome, folder: Path) -> None:
        self.driver = driver
        self.folder = folder

    def open(self, document: ReportDocument, *, width: int = 1200, dark: bool = False) -> None:
        page = self.folder / "report" / "report.html"  # as `report` puts it below the results folder
        page.parent.mkdir(exist_ok=True)
        page.write_text(to_html(document, [{} for _ in document.suites]), encoding="utf-8")
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def chart(self, title: str) -> WebElement:
        """The chart with that title, in view and drawn."""
        figures = self.driver.find_elements(By.CSS_SELECTOR, "figure.chart")
        (figure,) = [each for each in figures if each.find_element(By.TAG_NAME, "figcaption").text == title]
        self.run("arguments[0].scrollIntoView({block: 'start', behavior: 'instant'})", figure)
        # Charts are drawn when the browser says that they have come near.
        wait = "const done = arguments[1], look = () => arguments[0].querySelector('path.axis') ? done() : "
        self.driver.execute_async_script(wait + "requestAnimationFrame(look); look()", figure)
        return figure

    def point(self, chart: WebElement, share: float) -> tuple[WebElement, int, int]:
        """Where the pointer is to go, from the picture's middle, for a share of the x axis."""
        svg = chart.find_element(By.CSS_SELECTOR, ".plot > svg")
        box = "const s = arguments[0].getBoundingClientRect(), a = arguments[0].querySelector('path.axis')"
        x, y = self.run(
            box + ".getBoundingClientRect(); const x = a.left + arguments[1] * a.width;"
            "return [x - s.left - s.width / 2, a.top + a.height / 2 - s.top - s.height / 2]",
            svg,
            share,
        )
        return svg, round(x), round(y)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with chromium() as driver:
        driver.set_script_timeout(20)
        yield Reader(driver, tmp_path_factory.mktemp("page"))


def named(chart: WebElement, text: str) -> WebElement:
    (button,) = [each for each in chart.find_elements(By.TAG_NAME, "button") if each.text == text]
    return button


def drawn(chart: WebElement) -> dict[str, str]:
    """The path of each line, by algorithm."""
    script = (
        "return Object.fromEntries([...arguments[0].querySelectorAll('g.series')].flatMap((group) => "
        "[...group.querySelectorAll('path.line')].map((line) => [group.dataset.series, line.getAttribute('d')])))"
    )
    found: dict[str, str] = chart.parent.execute_script(script, chart)
    return found


def x_ticks(chart: WebElement) -> list[str]:
    # At once: a chart that is drawn anew in between has other elements.
    ticks = "return [...arguments[0].querySelectorAll('.tick[text-anchor=middle]')].map((tick) => tick.textContent)"
    found: list[str] = chart.parent.execute_script(ticks, chart)
    return found


def label(chart: WebElement, axis: str) -> str:
    return chart.find_element(By.CSS_SELECTOR, f".{axis}-label").text


def test_nothing_is_fetched_and_nothing_is_wrong(reader: Reader, document: ReportDocument) -> None:
    reader.open(document)
    reader.chart(f"Learning curves on {TASK}")
    assert reader.driver.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in reader.driver.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in events if each["method"] == "Network.requestWillBeSent"]
    assert asked[0].startswith("file://")
    assert [address for address in asked[1:] if not address.startswith("data:")] == []


def test_axes_are_switched_in_all_charts(reader: Reader, document: ReportDocument) -> None:
    reader.open(document)
    chart = reader.chart(f"Learning curves on {TASK}")
    steps = drawn(chart)
    assert set(steps) == set(KINDS)
    assert label(chart, "x") == "training env steps per seed"
    seen = [x_ticks(chart)]
    for button, text in (("Wall seconds", "wall clock"), ("CPU seconds", "CPU seconds")):
        named(chart, button).click()
        assert named(chart, button).get_attribute("aria-pressed") == "true"
        assert named(chart, "Env steps").get_attribute("aria-pressed") == "false"
        assert text in label(chart, "x")
        ticks = x_ticks(chart)
        assert ticks not in seen
        seen.append(ticks)
        assert drawn(chart) != steps
    assert label(chart, "y").startswith("score")
    y_ticks = "return [...arguments[0].querySelectorAll('.tick[text-anchor=end]')].map((tick) => tick.textContent)"
    assert float(reader.run(y_ticks, chart)[-1]) < 3
    named(chart, "Return").click()
    assert label(chart, "y") == "evaluation return"
    assert float(reader.run(y_ticks, chart)[-1]) >= 400
    before = drawn(chart)
    named(chart, "Log").click()
    # Mark 0 has no place there: every line has one point less.
    assert {path.count("L") for path in drawn(chart).values()} == {path.count("L") - 1 for path in before.values()}
    assert "CPU seconds" in label(reader.chart("Learning curves on bandit/10-arm"), "x")


def test_the_whole_view_is_that_of_the_data(reader: Reader, document: ReportDocument) -> None:
    """The reference lines at 0 and 1 and the lines' ends are where the figures' limits put them as well."""
    reader.open(document)
    chart = reader.chart(f"Learning curves on {TASK}")
    data = json.loads(reader.run("return arguments[0].querySelector('script').textContent", chart))
    (left, right), (bottom, top) = data["x"][0]["view"], data["y"][0]["view"]
    paths = "return [...arguments[0].querySelectorAll(arguments[1])].map((path) => path.getAttribute('d'))"
    (axis,) = reader.run(paths, chart, "path.axis")
    (x0, y1, y0, x1) = map(float, re.fullmatch(r"M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)", axis).groups())  # type: ignore[union-attr]
    guides = [float(path.split("H")[0].split()[1]) for path in reader.run(paths, chart, "path.guide")]
    assert guides == pytest.approx([y0 - (level - bottom) / (top - bottom) * (y0 - y1) for level in (0, 1)], abs=0.1)
    ends = [float(path.split("L")[-1].split()[0]) for path in drawn(chart).values()]
    assert ends == pytest.approx([x0 + (50_000 - left) / (right - left) * (x1 - x0)] * len(KINDS), abs=0.1)


def test_algorithms_are_hidden_and_singled_out(reader: Reader, document: ReportDocument) -> None:
    reader.open(document)
    chart = reader.chart(f"Learning curves on {TASK}")
    (button,) = chart.find_elements(By.CSS_SELECTOR, '.legend button[data-series="ppo"]')
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert set(drawn(chart)) == set(KINDS) - {"ppo"}
    assert "ppo" not in drawn(reader.chart("Learning curves on bandit/10-arm"))
    hidden = "return [...document.querySelectorAll('.dots li[data-series]')].filter((row) => row.hidden)"
    rows = reader.run(f"{hidden}.map((row) => [row.closest('.dots').dataset.group, row.dataset.series])")
    assert {tuple(row) for row in rows} == {("s1", "ppo")}
    chart = reader.chart(f"Learning curves on {TASK}")
    ActionChains(reader.driver).double_click(button).perform()
    assert set(drawn(chart)) == {"ppo"}
    bands = "return arguments[0].querySelectorAll('path.band').length"
    assert reader.run(bands, chart) == 1
    named(chart, "Bands").click()
    assert reader.run(bands, chart) == 0
    # A click on the only line shows all again.
    named(chart, "None").click()
    assert drawn(chart) == {}
    named(chart, "All").click()
    assert set(drawn(chart)) == set(KINDS)


def test_the_read_out_has_the_documents_numbers(reader: Reader, document: ReportDocument) -> None:
    reader.open(document)
    chart = reader.chart(f"Learning curves on {TASK}")
    svg, x, y = reader.point(chart, 0.4)
    ActionChains(reader.driver).move_to_element_with_offset(svg, x, y).perform()
    (task,) = [task for task in document.suites[0].tasks if task.task == TASK]
    rows = [row.text.split() for row in chart.find_elements(By.CSS_SELECTOR, ".readout tr")]
    assert chart.find_element(By.CSS_SELECTOR, ".readout caption").text == "20,000 training env steps per seed"
    expected = []
    for result in task.algorithms:
        assert result.curve is not None
        band = result.curve.score
        assert band is not None
        mark = result.curve.env_steps.index(20_000)
        mean, low, high = band.mean[mark], band.low[mark], band.high[mark]
        assert mean is not None
        interval = ["no", "interval"] if low is None else [f"[{low:.3f},", f"{high:.3f}]"]
        expected.append((-mean, [result.algorithm, f"{mean:.3f}", *interval]))
    assert rows == [row for _, row in sorted(expected)]


def test_zoom_by_dragging_and_by_keys(reader: Reader, document: ReportDocument) -> None:
    reader.open(document)
    chart = reader.chart(f"Learning curves on {TASK}")
    whole = drawn(chart)
    assert x_ticks(chart)[-1] == "50k"
    svg, x, y = reader.point(chart, 0.2)
    _, to, _ = reader.point(chart, 0.5)
    drag = ActionChains(reader.driver).move_to_element_with_offset(svg, x, y).click_and_hold()
    drag.move_by_offset(to - x, 0).release().perform()
    values = [float(text.removesuffix("k")) for text in x_ticks(chart)]
    assert 9.9 <= values[0] < values[-1] <= 25.1
    named(chart, "Reset").click()
    assert drawn(chart) == whole
    plot = chart.find_element(By.CSS_SELECTOR, ".plot")
    reader.run("arguments[0].focus()", plot)
    plot.send_keys("+")
    assert x_ticks(chart)[-1] != "50k"
    plot.send_keys("0")
    assert drawn(chart) == whole
    plot.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert chart.find_element(By.CSS_SELECTOR, ".readout caption").text.startswith("5,000 training env steps")


def test_lines_that_go_back_are_read_and_zoomed(reader: Reader, tmp_path: Path) -> None:
    """From 0 to 1 to 3, back to 1 with far less gold, and on: nothing of that is cut off or out of reach."""
    store = Store(tmp_path)
    for seed in range(2):
        run = overoptimised("grpo", seed)
        more = {"eval_return": [0.2, 0.6, 0.6, -1.0, *[0.6] * 5], "kl_initial": [0, 1, 9, 1, *[16] * 5]}
        run = run.model_copy(update={"curve": {**run.curve, **more}})
        put(store, run)
    reader.open(build_report(tmp_path))
    chart = reader.chart("Gold and proxy reward by distance from the initial policy on lm/synthetic-summary")
    assert label(chart, "x").startswith("√KL")
    points = [pair.split() for pair in drawn(chart)["grpo"].replace("M", "").split("L")]
    place = [(float(x), float(y)) for x, y in points]
    assert place[3][0] == place[1][0] < place[2][0]
    # Half way along the stretch that goes back.
    x, y = ((place[2][i] + place[3][i]) / 2 for i in (0, 1))
    svg = chart.find_element(By.CSS_SELECTOR, ".plot > svg")
    size = svg.size
    ActionChains(reader.driver).move_to_element_with_offset(
        svg, round(x - size["width"] / 2), round(y - size["height"] / 2)
    ).perform()
    assert reader.run("return arguments[0].querySelectorAll('g.series.on').length", chart) > 0
    # Zoomed onto where it comes back to: its height is in view, though the marks beside it lie beyond the edges.
    plot = chart.find_element(By.CSS_SELECTOR, ".plot")
    ticks = "return [...arguments[0].querySelectorAll('.tick[text-anchor=end]')].map((each) => each.textContent)"
    reader.run("arguments[0].focus()", plot)
    plot.send_keys(Keys.ARROW_LEFT, "+", "+")
    assert 0.5 < float(x_ticks(chart)[0]) <= 1 < float(x_ticks(chart)[-1]) < 3
    assert float(reader.run(ticks, chart)[0].replace("−", "-")) <= -0.9
    named(chart, "Proxy").click()
    assert label(chart, "y").startswith("proxy reward")
    assert reader.driver.get_log("browser") == []


def test_dots_and_tables_are_switched_and_sorted(reader: Reader, document: ReportDocument) -> None:
    reader.open(document)
    rows = (
        "return [...document.querySelectorAll('.dots .dot-panel:not([hidden]) ul')[1].children]"
        ".map((row) => Number(row.dataset.value))"
    )
    before = reader.run(rows)
    box = reader.driver.find_elements(By.CSS_SELECTOR, ".dots")[1]
    reader.run("arguments[0].scrollIntoView()", box)
    named(box, "Sort by value").click()
    assert reader.run(rows) == sorted(before, reverse=True) != before
    named(box, "Area").click()
    assert reader.run(rows) != sorted(before, reverse=True)
    head = reader.driver.find_elements(By.CSS_SELECTOR, ".heat thead button")[1]
    column = (
        "return [...document.querySelectorAll('.heat tbody tr')].map((row) => Number(row.cells[1].firstChild.data))"
    )
    for order in (-1, 1):
        reader.run("arguments[0].click()", head)
        found = reader.run(column)
        assert [order * value for value in found] == sorted(order * value for value in found)


def test_filters_columns_and_sorting_are_in_the_address(reader: Reader, document: ReportDocument) -> None:
    reader.open(document, width=1280)
    chart = reader.chart(f"Learning curves on {TASK}")
    named(chart, "Return").click()
    named(chart, "Bands").click()
    wide = "return [...document.querySelectorAll('section[data-task] .table > .scroll')].filter((box) => "
    assert reader.run(wide + "box.offsetParent && box.scrollWidth > box.clientWidth + 1).length") == 0
    columns = "return document.querySelectorAll('section[data-task] table')[0].rows[0].innerText"
    assert "Greedy".lower() not in reader.run(columns).lower()
    for field, text in (("algorithms", "ppo grpo"), ("tasks", "cart")):
        reader.driver.find_element(By.ID, f"filter-{field}").send_keys(text)
    switch = "document.querySelectorAll('section[data-task]:not([hidden]) .all-columns input')[0].click()"
    reader.run(switch)
    head = reader.run("return document.querySelectorAll('section[data-task]:not([hidden]) thead button')[2]")
    head.send_keys(Keys.ENTER)
    seen = (
        "return {tasks: [...document.querySelectorAll('section[data-task]')].filter((each) => !each.hidden)"
        ".map((each) => each.dataset.task), rows: [...document.querySelectorAll('section[data-task]:not([hidden]) "
        ".table')[0].querySelectorAll('tbody tr')].filter((row) => !row.hidden).map((row) => row.innerText), "
        "glance: [...document.querySelectorAll('.heat thead th')].filter((cell) => !cell.hidden).length, "
        "filtered: document.querySelector('.filters output').textContent}"
    )
    found = reader.run(seen)
    assert found["tasks"] == [TASK]
    assert found["glance"] == 2
    assert {row.split()[0] for row in found["rows"]} == {"ppo", "grpo"}
    assert found["filtered"] == f"2 of {len(KINDS)} algorithms, 1 of 4 tasks"
    address = reader.driver.current_url
    assert reader.run("return document.querySelectorAll('[aria-sort]').length") == 1

    reader.driver.get("about:blank")
    reader.driver.get(address)
    chart = reader.chart(f"Learning curves on {TASK}")
    assert reader.run(seen) == found
    assert label(chart, "y") == "evaluation return"
    assert set(drawn(chart)) == {"ppo", "grpo"}
    assert reader.run("return document.querySelectorAll('path.band').length") == 0
    # A step to a section keeps the view; a plain address has none of it.
    reader.run("document.querySelector('.contents a[href=\"#s1-glance\"]').click()")
    reader.driver.execute_async_script("setTimeout(arguments[0], 100)")
    assert "at=s1-glance" in reader.driver.current_url
    assert "tasks=cart" in reader.driver.current_url
    reader.run("location.hash = '#?algorithms='")
    reader.driver.execute_async_script("setTimeout(arguments[0], 100)")
    assert reader.run(seen)["tasks"] != [TASK]
    assert reader.run("return document.querySelectorAll('[aria-sort]').length") == 0
    assert reader.driver.get_log("browser") == []


def test_zoom_folds_and_dots_are_in_the_address(reader: Reader, document: ReportDocument) -> None:
    reader.open(document, width=1280)
    chart = reader.chart(f"Learning curves on {TASK}")
    whole = drawn(chart)
    svg, x, y = reader.point(chart, 0.3)
    _, to, _ = reader.point(chart, 0.6)
    for down in (0, 60):  # along x alone, then in both directions
        start = ActionChains(reader.driver).move_to_element_with_offset(svg, x, y).click_and_hold()
        start.move_by_offset(to - x, down).release().perform()
        assert len(parse_qs(reader.driver.current_url.split("#?")[1])["chart2.zoom"][0].split()) == (4 if down else 2)
        svg, x, y = reader.point(chart, 0.3)
        _, to, _ = reader.point(chart, 0.6)
    folds = "return [...document.querySelectorAll('main details')].map((fold) => fold.open)"
    before = reader.run(folds)
    reader.run(
        "[...document.querySelectorAll('main details')].slice(1, 3).forEach((fold) => { fold.open = !fold.open; })"
    )
    box = reader.driver.find_elements(By.CSS_SELECTOR, ".dots")[1]
    reader.run("arguments[0].scrollIntoView()", box)
    named(box, "Area").click()
    named(box, "Sort by value").click()
    rows = "return [...arguments[0].querySelectorAll('.dot-panel:not([hidden]) li')].map((row) => row.innerText)"
    chart = reader.chart(f"Learning curves on {TASK}")
    seen = drawn(chart), x_ticks(chart), reader.run(folds), reader.run(rows, box)
    assert seen[0] != whole
    assert [a != b for a, b in zip(before, seen[2], strict=True)][:4] == [False, True, True, False]
    address = reader.driver.current_url

    def reopened(address: str) -> tuple[object, ...]:
        reader.driver.get("about:blank")
        reader.driver.get(address)
        chart = reader.chart(f"Learning curves on {TASK}")
        box = reader.driver.find_elements(By.CSS_SELECTOR, ".dots")[1]
        return drawn(chart), x_ticks(chart), reader.run(folds), reader.run(rows, box)

    again = reopened(address)
    # The address has seven digits of the zoom.
    assert [path.count("L") for path in again[0].values()] == [path.count("L") for path in seen[0].values()]  # type: ignore[attr-defined]
    assert again[1:] == seen[1:]
    assert reader.driver.current_url == address
    # Another axis ends the zoom, also in the address, and what nobody could have zoomed to is the whole.
    named(reader.chart(f"Learning curves on {TASK}"), "Wall seconds").click()
    assert "zoom" not in reader.driver.current_url
    for zoom in ("", "1", "a b", "5 3", "1 2 3", "NaN 4", "1e999 2e999", "0 1e9", "10000 20000 5 1"):
        assert reopened(f"{address.split('#')[0]}#?chart2.zoom={zoom}")[0] == whole
    assert reader.driver.get_log("browser") == []


def test_from_a_seed_to_its_record(reader: Reader, document: ReportDocument) -> None:
    reader.open(document, width=1280)
    chart = reader.chart(f"Learning curves on {TASK}")
    count = "return arguments[0].querySelectorAll('path.one').length"
    assert reader.run(count, chart) == 0
    named(chart, "Seeds").click()
    (task,) = [task for task in document.suites[0].tasks if task.task == TASK]
    assert reader.run(count, chart) == sum(len(each.runs) for each in task.algorithms)
    (ppo,) = [each for each in task.algorithms if each.algorithm == "ppo"]
    run = ppo.runs[1]
    button = chart.find_element(By.CSS_SELECTOR, f'[aria-label="Seeds of ppo"] [data-seed="{run.seed}"]')
    button.send_keys(Keys.ENTER)
    about = chart.find_element(By.CSS_SELECTOR, ".run")
    score = run.measures["final_score"]
    assert f"ppo, seed {run.seed}: done, final score {score:.3f}, final return" in about.text
    assert reader.run("return document.activeElement.dataset.seed") == str(run.seed)
    link = reader.run("return decodeURIComponent(arguments[0].querySelector('a').href)", about)
    assert link == (reader.folder / run.record).as_uri().replace("%25", "%")
    assert "learning_rate" in reader.run("return arguments[0].querySelector('details').textContent", about)
    reader.run("arguments[0].querySelector('details').open = true", about)
    # All of it is in the address, and a click on a curve chooses its seed.
    named(chart, "None").click()
    chart.find_element(By.CSS_SELECTOR, '.legend button[data-series="ppo"]').click()
    reader.run("document.activeElement.blur()")
    address = reader.driver.current_url
    reader.driver.get("about:blank")
    reader.driver.get(address)
    chart = reader.chart(f"Learning curves on {TASK}")
    assert f"ppo, seed {run.seed}" in chart.find_element(By.CSS_SELECTOR, ".run").text
    assert "learning_rate" in chart.find_element(By.CSS_SELECTOR, ".run details").text
    assert reader.run(count, chart) == len(ppo.runs)
    svg = chart.find_element(By.CSS_SELECTOR, ".plot > svg")
    other = reader.run(
        "const path = arguments[0].querySelector('path.one:not(.on)'); return [Number(path.dataset.seed), "
        "...path.getAttribute('d').slice(1).split('L').at(-1).split(' ').map(Number)]",
        chart,
    )
    at = round(other[1] - svg.size["width"] / 2), round(other[2] - svg.size["height"] / 2)
    ActionChains(reader.driver).move_to_element_with_offset(svg, *at).click().perform()
    assert f"ppo, seed {other[0]}" in chart.find_element(By.CSS_SELECTOR, ".run").text
    assert reader.driver.get_log("browser") == []


def test_grouped_by_a_hyper_parameter(reader: Reader, document: ReportDocument) -> None:
    rates = {name: "0.1" if i % 2 else "0.01" for i, name in enumerate(KINDS)}
    (suite,) = document.suites
    tasks = [
        task.model_copy(
            update={
                "algorithms": [
                    each.model_copy(update={"parameters": {"rate": rates[each.algorithm], "same": "1"}})
                    for each in task.algorithms
                ]
            }
        )
        for task in suite.tasks
    ]
    reader.open(document.model_copy(update={"suites": [suite.model_copy(update={"tasks": tasks})]}), width=1280)
    chart = reader.chart(f"Learning curves on {TASK}")
    choice = reader.driver.find_element(By.ID, "group-by")
    assert [each.text for each in choice.find_elements(By.TAG_NAME, "option")] == ["algorithm", "rate"]
    before = drawn(chart)
    choice.send_keys("r")
    assert set(drawn(chart)) == {"rate = 0.01", "rate = 0.1"}
    assert reader.run("return arguments[0].querySelectorAll('path.member').length", chart) == len(KINDS)
    # The last point: the mean of the members' ends.
    height = {name: float(path.split(" ")[-1]) for name, path in before.items()}
    (task,) = [task for task in tasks if task.task == TASK]
    ends = {each.algorithm: each.curve.score.mean[-1] for each in task.algorithms if each.curve and each.curve.score}
    scale = np.polyfit([float(ends[name] or 0) for name in height], list(height.values()), 1)
    named(chart, "Bands").click()
    named(chart, "Bands").click()
    for value in ("0.01", "0.1"):
        mean = np.mean([ends[name] for name in KINDS if rates[name] == value])
        path = drawn(chart)[f"rate = {value}"]
        assert float(path.split(" ")[-1]) == pytest.approx(float(np.polyval(scale, mean)), abs=0.3)
    column = (
        "return [...arguments[0].closest('section').querySelector('table.sortable').querySelectorAll('td.by')]"
        ".map((each) => each.textContent)"
    )
    assert reader.run(column, chart) == ["0.01"] * 3 + ["0.1"] * 3
    assert "group=rate" in reader.driver.current_url
    choice.send_keys("a")
    assert drawn(chart) == before
    assert reader.run(column, chart) == []


def test_dark_and_narrow(reader: Reader, document: ReportDocument, hostile: ReportDocument) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    stroke = "return getComputedStyle(document.querySelector('.plot .line')).stroke"
    reader.open(document)
    reader.chart(f"Learning curves on {TASK}")
    light = reader.run(ground), reader.run(stroke)
    reader.open(document, dark=True)
    reader.chart(f"Learning curves on {TASK}")
    assert (light[0], reader.run(ground)) == ("rgb(255, 255, 255)", "rgb(13, 17, 23)")
    assert reader.run(stroke) != light[1]
    for each in (document, hostile):
        reader.open(each, width=360)
        reader.run("document.querySelectorAll('details').forEach((box) => { box.open = true; })")
        for figure in reader.driver.find_elements(By.CSS_SELECTOR, "figure.chart figcaption"):
            chart = reader.chart(figure.text)
            assert chart.size["width"] <= 360
        assert reader.run("return document.documentElement.scrollWidth") <= 360


def test_on_paper(reader: Reader, document: ReportDocument) -> None:
    """On an A4 page across, no table is wider than the paper, names stay in one piece, and folds stay shut."""
    reader.open(document, width=1030)
    reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    reader.run("window.dispatchEvent(new Event('beforeprint'))")
    charts = reader.driver.find_elements(By.CSS_SELECTOR, "figure.chart")
    assert charts
    assert all(drawn(chart) for chart in charts)
    wide = (
        "return [...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1).length"
    )
    assert reader.run(wide) == 0
    tall = "return Math.max(...[...document.querySelectorAll('tbody tr')].map((row) => row.offsetHeight))"
    assert reader.run(tall) < 120
    assert reader.run("return document.querySelectorAll('details[open]').length") <= 1
    reader.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_hostile_text_is_text(reader: Reader, hostile: ReportDocument) -> None:
    reader.open(hostile)
    name = hostile.suites[0].tasks[0].task
    assert name.startswith("<script>window.hit=1</script>")
    chart = reader.chart(f"Learning curves on {name}")
    (button,) = [
        each
        for each in chart.find_elements(By.CSS_SELECTOR, ".legend button")
        if each.get_attribute("data-series") == name
    ]
    button.click()
    assert set(drawn(chart)) == {"ppo"}
    named(chart, "All").click()
    assert set(drawn(chart)) == {"ppo", name}
    assert reader.driver.find_element(By.TAG_NAME, "h1").text == name
    assert reader.run("return window.hit ?? null") is None
    assert reader.run("return document.querySelectorAll('img').length") == 0
    assert [entry for entry in reader.driver.get_log("browser") if "favicon" not in entry["message"]] == []
