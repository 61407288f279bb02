"""The page of a comparison, as text and in a browser."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import run_here
from synthetic_runs import put, record, showcase


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sides of which B learns faster; one algorithm is the same, one name is hostile."""
    root = tmp_path_factory.mktemp("pages")
    for name, more in (("a", 0.0), ("b", 0.4)):
        store = showcase(root / name, seeds=3, marks=5, only=("random-walk/20",))
        evil = "<script>alert(1)</script>"
        put(store, *(record(evil, seed=seed, returns=[0.1, 0.2 + more, 0.3, 0.4 + seed, 1.0]) for seed in range(3)))
        (store.root / "plan.json").unlink()
    return root


@pytest.fixture(scope="module")
def page(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from haepo_bench.cli.main import program

    out = tmp_path_factory.mktemp("out") / "compare.html"
    assert program(["compare", str(folders / "a"), str(folders / "b"), "--format", "html", "--out", str(out)]) == 0
    return out


def test_it_needs_nothing_else(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)[^"']*""", text)
    assert "<script>alert" not in text
    assert text.count('<figure class="chart"') == 1
    assert "all runs are identical on both sides: not drawn" in text


def test_where_it_goes_unless_told(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_here(capsys, "compare", str(folders / "a"), str(folders / "b"), "--format", "html")
    assert (done.code, done.out) == (0, "wrote compare.html\n")
    assert (tmp_path / "compare.html").stat().st_size > 20_000


@pytest.fixture
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driven = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    yield driven
    driven.quit()


def test_in_a_browser(page: Path, browser: Any) -> None:
    for width in (420, 1200):
        browser.set_window_size(width, 900)
        browser.get(page.as_uri())
        assert browser.get_log("browser") == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= max(width, 500)
    (chart,) = browser.find_elements("css selector", "figure.chart")
    browser.execute_script("arguments[0].scrollIntoView()", chart)
    names = [button.text for button in chart.find_elements("css selector", ".legend button") if "(" in button.text]
    assert [name.strip() for name in names] == ["reinforce (A)", "reinforce (B)"]
    assert chart.find_elements("css selector", "svg path")
