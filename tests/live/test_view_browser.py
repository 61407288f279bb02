"""The view's page in headless Chromium."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser_support import chromium
from live_support import viewing
from synthetic_runs import put, put_plan, record

from haepo_bench.results.live_file import LIVE_FILE, LiveCurve, LiveFailure, LiveJob, LiveState
from haepo_bench.results.store import Store

pytest.importorskip("starlette", reason="starlette is not installed (extra: view)")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"
TASK = "bandit/10-arm"


def put_live(store: Store, points: int) -> None:
    curves = [
        LiveCurve(
            task=TASK, algorithm="grpo", seed=seed, ended=False,
            env_steps=[10 * i for i in range(points)], values=[seed + i / 10 for i in range(points)],
        )
        for seed in range(2)
    ]  # fmt: skip
    job = LiveJob(
        worker=1, task=TASK, algorithm="grpo", seeds=[0, 1], log="logs/x--y/seed-0.log", seconds=3.0,
        env_steps=20 * points, total=200, seconds_left=7.0,
    )  # fmt: skip
    failure = LiveFailure(
        task=TASK, algorithm=HOSTILE, seeds=[3], status="failed", type="WorkerDied", message=HOSTILE,
        remedy="give it more memory", log="", again=True,
    )  # fmt: skip
    state = LiveState(
        written=time.time(), host=HOSTILE, process=1, seconds=5.0, runs=4, finished=1, failed=1, waiting=1, workers=2,
        seconds_left=70.0, scored=[TASK], jobs=[job], curves=curves, curves_left_out=0, failures=[failure],
    )  # fmt: skip
    (store.root / "part").write_text(state.model_dump_json())
    (store.root / "part").replace(store.root / LIVE_FILE)


@pytest.fixture
def driver() -> Iterator[webdriver.Chrome]:
    with chromium() as found:
        yield found


def test_the_page_becomes_the_report_when_all_is_done(driver: webdriver.Chrome, tmp_path: Path) -> None:
    store = Store(tmp_path / "made")
    runs = [record(TASK, "grpo", 0), record(TASK, "grpo", 1, status="failed", error="unwell")]
    put_plan(store, runs[:1], [0, 1], suite="made")
    for run in runs:
        put(store, run)
    wait = WebDriverWait(driver, 120)
    with viewing(tmp_path) as viewer:
        driver.get(f"http://127.0.0.1:{viewer.port}/")
        # A failed run may be run again, so that the report so far stays within the page.
        wait.until(lambda _: driver.find_element(By.ID, "frame").is_displayed())
        driver.switch_to.frame("frame")
        wait.until(lambda _: driver.find_elements(By.CSS_SELECTOR, "figure"))
        driver.switch_to.default_content()
        assert driver.find_element(By.ID, "lead").text == "Nothing is running."
        (failed,) = store.root.glob("*/seed-1.json")
        failed.unlink()  # as `run` does: a file is replaced, never written to
        put(store, record(TASK, "grpo", 1))
        wait.until(lambda _: driver.current_url.endswith("/report/report.html"))
        assert driver.page_source.count("<figure") == 2
        driver.get(f"http://127.0.0.1:{viewer.port}/live")
        wait.until(lambda _: driver.find_element(By.ID, "lead").text == "All runs are done.")
        assert [each.get_attribute("title") for each in driver.find_elements(By.CSS_SELECTOR, ".runs button")] == [
            "seed 0: done",
            "seed 1: done",
        ]
        assert driver.get_log("browser") == []


def test_nothing_is_beyond_the_edge_of_a_phone(driver: webdriver.Chrome, tmp_path: Path) -> None:
    store = Store(tmp_path / "made")
    runs = [record(TASK, "grpo", 0, status="interrupted")]
    put_plan(store, runs, list(range(60)), suite="made")
    put_live(store, 3)
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    with viewing(tmp_path) as viewer:
        driver.get(f"http://127.0.0.1:{viewer.port}/")
        WebDriverWait(driver, 60).until(lambda _: len(driver.find_elements(By.CSS_SELECTOR, ".runs button")) == 60)
        script = (
            "return [...document.querySelectorAll('main *')].filter((each) => each.getBoundingClientRect().right > 360)"
        )
        assert driver.execute_script(script) == []


def test_the_page_follows(driver: webdriver.Chrome, tmp_path: Path) -> None:
    store = Store(tmp_path / "made")
    runs = [record(TASK, "ppo", 0, status="failed", error=HOSTILE), record(TASK, "grpo", 0, status="interrupted")]
    put_plan(store, runs, [0, 1], suite="made")
    for run in runs:
        put(store, run)
    (store.root / "logs" / "x--y").mkdir(parents=True)
    log = store.root / "logs" / "x--y" / "seed-0.log"
    log.write_text(f"epoch 1 {HOSTILE}\n")
    put_live(store, 3)
    wait = WebDriverWait(driver, 60)

    def drawn() -> list[str]:
        script = "return [...document.querySelectorAll('.curves path.seed')].map((path) => path.dataset.points)"
        found: list[str] = driver.execute_script(script)
        return found

    with viewing(tmp_path) as viewer:
        driver.get(f"http://127.0.0.1:{viewer.port}/")
        wait.until(lambda _: drawn() == ["3", "3"])
        assert len(driver.find_elements(By.CSS_SELECTOR, ".curves path.mean")) == 1
        assert "grpo: 0.7000 (2 seeds)" in driver.find_element(By.CSS_SELECTOR, ".legend-line").text
        put_live(store, 4)
        wait.until(lambda _: drawn() == ["4", "4"])
        wait.until(lambda _: len(driver.find_elements(By.CSS_SELECTOR, ".runs button")) == 4)
        squares = {each.get_attribute("title"): each for each in driver.find_elements(By.CSS_SELECTOR, ".runs button")}
        assert {"seed 0: failed", "seed 0: running", "seed 1: not run"} <= squares.keys()
        text = driver.find_element(By.TAG_NAME, "main").text
        assert "about 70 s left" in text
        assert "What to do: give it more memory" in text
        assert HOSTILE in text
        squares["seed 0: running"].click()
        lines = driver.find_element(By.ID, "detail-lines")
        wait.until(lambda _: lines.text.startswith("epoch 1"))
        assert lines.text == f"epoch 1 {HOSTILE}"
        # A long log is opened at its end, where a failure is.
        log.write_text("epoch\n" * 300)
        driver.execute_script("document.getElementById('detail').close()")
        squares["seed 0: running"].click()
        at_end = "const box = arguments[0]; return box.scrollHeight - box.clientHeight - box.scrollTop < 3"
        wait.until(lambda _: lines.text.count("epoch") == 300 and driver.execute_script(at_end, lines))
        assert driver.execute_script("return arguments[0].scrollTop", lines) > 100
        assert driver.execute_script("return window.hit ?? null") is None
        assert driver.find_elements(By.TAG_NAME, "img") == []
        assert [entry for entry in driver.get_log("browser") if "404" not in entry["message"]] == []
    wait.until(lambda _: "The view has ended" in driver.find_element(By.ID, "lead").text)
