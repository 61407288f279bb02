"""From a seed on the page to its record and log: the links work, or there are none."""

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
from browser_support import chromium
from cli_support import run_here
from selenium import webdriver
from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.results.store import Store

pytestmark = pytest.mark.browser

SUITE = "made up & 100% #1 – ü"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two seeds, one of which has lost its log."""
    store = Store(tmp_path / "results" / SUITE)
    runs = []
    for seed in range(2):
        log = f"logs/{folder_of(record())}/seed-{seed}.log"
        runs.append(record(seed=seed, suite=SUITE, provenance={"log": log, "started": "2026-01-01T00:00:00+00:00"}))
    put(store, *runs)
    put_plan(store, runs[:1], [0, 1], suite=SUITE, tuned="d" * 64, tuned_source="suite: made-up\n")
    log = store.root / "logs" / folder_of(record()) / "seed-0.log"
    log.parent.mkdir(parents=True)
    log.write_text("it went well\n")
    return store.root.parent


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def files_of(driver: webdriver.Chrome, address: str, seed: int) -> tuple[str, list[str]]:
    """What the page says of the files of a seed, and what it links."""
    driver.get("about:blank")
    driver.get(f'{address}#?s1.look=seeds&chart0.run=["reinforce","{seed}"]')
    paragraph = "document.querySelector('.run p + p')"
    text = driver.execute_script(f"return {paragraph}.textContent")
    links = driver.execute_script(f"return [...{paragraph}.querySelectorAll('a')].map((link) => link.href)")
    return text, links


def test_links_work_or_are_absent(
    driver: webdriver.Chrome, results: Path, served: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ((), ("--out", str(tmp_path / "elsewhere" / "report")), ("--publish", str(tmp_path / "site"))):
        assert run_here(capsys, "report", str(results), *arguments).code == 0
    assert run_here(capsys, "report", str(results), "--publish", str(tmp_path / "logs"), "--with-logs").code == 0
    for page, has_log in (("results/report/report.html", True), ("logs/", True), ("logs/index.html", True),
                          ("site/", False), ("site/index.html", False)):  # fmt: skip
        text, links = files_of(driver, f"{served}/{page}", 0)
        assert len(links) == 1 + has_log, page
        assert ("Log:" in text) == has_log
        found = [urlopen(link).read() for link in links]
        assert b'"seed": 0' in found[0]
        assert found[1:] == [b"it went well\n"] * has_log
        # Of the other seed the log is gone.
        text, links = files_of(driver, f"{served}/{page}", 1)
        assert "Log:" not in text
        assert b'"seed": 1' in urlopen(*links).read()
    # Beside nothing of the results, nothing is linked, and the files are named.
    text, links = files_of(driver, f"{served}/elsewhere/report/report.html", 0)
    assert links == []
    assert f"{SUITE}/{folder_of(record())}/seed-0.json" in text
    assert "favicon" not in str(driver.get_log("browser"))
    assert run_here(capsys, "verify", str(tmp_path / "site")).code == 0
    assert (tmp_path / "site" / "suites" / f"{SUITE}.tuned.yaml").read_text() == "suite: made-up\n"
