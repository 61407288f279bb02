"""Makes the figures of the documentation again: python tools/figures.py [NAME ...], or nox -s figures -- [NAME ...].

Without names all of them, which trains for hours; finished runs in results/figures are kept and used again. After it,
write the commit into docs/explanation/figures.md.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "results" / "figures"


class Figure(NamedTuple):
    """One image of docs/images.

    Attributes:
        suite: shipped suite whose runs it shows; empty where a script makes its own.
        script: with its arguments; `RUNS` stands for the suite's results folder, `OUT` for the image. Empty where the
            report has it.
        of_report: file that `haepo-bench report` writes among its figures, or `page` for a picture of its first screen.
    """

    suite: str = ""
    script: Sequence[str] = ()
    of_report: str = ""


FIGURES = {
    "quickstart.png": Figure("quickstart", of_report="overview-steps.png"),
    "report.png": Figure("quickstart", of_report="page"),
    "paper.png": Figure("paper", ("studies/findings.py", "RUNS", "--heatmap", "OUT")),
    "exploration.png": Figure("exploration", ("studies/findings.py", "RUNS", "--heatmap", "OUT")),
    "neighbours.png": Figure("neighbours", ("studies/neighbours.py", "RUNS", "--map", "OUT")),
    "neighbours-cartpole.png": Figure(
        "neighbours", ("studies/neighbours.py", "RUNS", "--curves", "gym/CartPole-v1", "--curves-out", "OUT")
    ),
    "overoptimisation.png": Figure("language", of_report="lm_synthetic-summary-kl.png"),
    "searches.png": Figure(script=("studies/search_figure.py", "--out", "OUT")),
    "corridors.png": Figure(script=("studies/corridor_predictions.py", "--out", "OUT")),
    "pi-squared.png": Figure(script=("studies/predictions.py", "--out", "OUT")),
    "page-grouped.png": Figure(script=("tools/screenshots.py", "grouped", "OUT")),
    "page-history.png": Figure(script=("tools/screenshots.py", "history", "OUT")),
    "view-running.png": Figure(script=("tools/screenshots.py", "running", "OUT")),
    "view-failed.png": Figure(script=("tools/screenshots.py", "failed", "OUT")),
    "credit.png": Figure(script=("studies/credit.py", "--out", "OUT")),
}


def make(name: str) -> None:
    """Makes one figure and puts it into docs/images.

    Raises:
        SystemExit: a command failed, or the report did not write the figure.
    """
    figure, out = FIGURES[name], IMAGES / name
    runs = RESULTS / figure.suite
    if figure.suite:
        call("-m", "haepo_bench", "run", figure.suite, "--results", str(RESULTS))
    if figure.script:
        places = {"RUNS": str(runs), "OUT": str(out)}
        call(*(places.get(argument, argument) for argument in figure.script))
        return
    with tempfile.TemporaryDirectory() as folder:
        call("-m", "haepo_bench", "report", str(runs), "--out", folder, "--figures", "png", "--footnotes")
        if figure.of_report == "page":
            photograph(Path(folder) / "report.html", out)
            return
        found = sorted(Path(folder).rglob(figure.of_report))
        if not found:
            sys.exit(f"the report of {runs} has no figure {figure.of_report}")
        shutil.copyfile(found[0], out)


def photograph(page: Path, out: Path) -> None:
    """A picture of the first screen of the report's page."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    driver = shutil.which("chromedriver")
    if driver is None:
        sys.exit("chromedriver is not installed (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1180,900"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options, Service(driver))
    try:
        browser.get(page.as_uri())
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 1280, "height": 760, "deviceScaleFactor": 1, "mobile": False},
        )
        browser.save_screenshot(str(out))
    finally:
        browser.quit()


def call(*arguments: str) -> None:
    """Runs this Python; ends the program where it fails."""
    print("+ python", *arguments, flush=True)
    code = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    names = sys.argv[1:] or list(FIGURES)
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        sys.exit(f"no figure is called {unknown[0]}; there are {', '.join(FIGURES)}")
    for name in names:
        make(name)
