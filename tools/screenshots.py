"""Pictures of the report's page and of the view, of a small suite that is run for them in a folder of its own.

python tools/screenshots.py grouped|history|running|failed OUT; needs chromium, chromedriver and git. tools/figures.py
calls it.
"""

import io
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COLOURS = 256
MOST_SECONDS = 300

LOSS = '''from haepo_bench.api import Objective, ObjectiveOutput, TrajectoryBatch, hyper


class MedianBaseline(Objective):
    """Policy gradient with the group's median return as baseline.

    loss = - 1/K sum_k (R_k - median R) L_k - alpha H,   L_k = sum_t log pi(a_t|s_t)
    """

    entropy: float = hyper(0.01, "alpha: weight of the entropy bonus", ge=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        advantages = batch.returns - batch.returns.median(-1, keepdim=True).values
        likelihood = batch.masked_sum(batch.log_probs)
        loss = -(advantages.to(batch.dtype) * likelihood).mean((-1, -2))
        return ObjectiveOutput(loss - self.entropy * batch.token_mean(batch.entropy), {})
'''
NO_BASELINE = LOSS.replace("- batch.returns.median", "- 0 * batch.returns.median")
NO_ENTROPY = LOSS.replace("- self.entropy *", "- 0 * self.entropy *")
BROKEN = LOSS.replace(
    "        adv", '        if batch.returns.max() > 60:\n            raise ValueError("too good")\n        adv'
)
OTHERS = "\n  - reinforce\n  - {use: reinforce, name: reinforce-fast, params: {learning_rate: 0.01}}\n  - grpo"
SUITE = """name: median
description: "A loss of our own against REINFORCE and GRPO"
seeds: 6
budget: {{env_steps: 20000}}
evaluation: {{every: 1000}}
tasks: [gym/CartPole-v1, random-walk/20]
algorithms:
  - ./median.py
  - {{use: ./median.py, name: fast, params: {{learning_rate: 0.01}}}}{others}
"""


class Workplace:
    """A folder with the suite, and a browser."""

    def __init__(self, folder: Path, others: str) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        self.folder = folder
        self.width = 1100
        (folder / "median.yaml").write_text(SUITE.format(others=others))
        (folder / ".gitignore").write_text("results\n")
        options = webdriver.ChromeOptions()
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
            options.add_argument(argument)
        driver = shutil.which("chromedriver")
        if driver is None:
            sys.exit("chromedriver is not installed (Debian: chromium, chromium-driver)")
        self.browser = webdriver.Chrome(options, Service(driver))

    def write(self, loss: str, *, commit: bool = False) -> None:
        """The loss's file, and a commit of it."""
        (self.folder / "median.py").write_text(loss)
        if commit:
            names = ("-c", "user.name=figures", "-c", "user.email=figures@localhost")
            for command in (("init", "-q"), ("add", "-A"), (*names, "commit", "-q", "-m", "a version of the loss")):
                subprocess.run(["git", *command], cwd=self.folder, check=True)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """The program, in the background."""
        command = [sys.executable, "-m", "haepo_bench", *arguments]
        return subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, env={"PYTHONPATH": str(ROOT)})

    def run(self, *arguments: str) -> int:
        """The program, to its end."""
        return self.start(*arguments).wait(MOST_SECONDS)

    def size(self, height: int = 800) -> None:
        """Sets what the browser shows."""
        shape = {"width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", shape)

    def wait(self, ready: Callable[[], Any]) -> None:
        """Until something is so."""
        end = time.monotonic() + MOST_SECONDS
        while not ready():
            if time.monotonic() > end:
                sys.exit(f"not so after {MOST_SECONDS} s")
            time.sleep(0.2)

    def part(self, page: str, selector: str) -> bytes:
        """A picture of a part of the report's page."""
        self.size()
        self.browser.get((self.folder / "results/median/report/report.html").as_uri() + page)
        find = f"const part = document.querySelector({selector!r}); part.scrollIntoView();"
        self.browser.execute_script(find)
        time.sleep(1)  # charts are drawn when they come near
        box = self.browser.execute_script(find + "return part.getBoundingClientRect().height")
        self.size(round(box) + 70)
        self.browser.execute_script(find)
        time.sleep(1)
        (image,) = self.browser.find_elements("css selector", selector)[:1]
        return bytes(image.screenshot_as_png)

    def screen(self, height: int) -> bytes:
        """A picture of the first screen, which does not name this machine."""
        self.size(height)
        hide = "for (const line of document.querySelectorAll('.facts'))"
        hide += " line.textContent = line.textContent.replace(arguments[0], '')"
        self.browser.execute_script(hide, f"; on {socket.gethostname()}")
        return bytes(self.browser.get_screenshot_as_png())


def grouped(place: Workplace) -> bytes:
    """Learning curves, grouped by learning rate, with single seeds."""
    place.write(LOSS)
    place.run("run", "median.yaml", "--quiet", "--set", "tasks=[gym/CartPole-v1]")
    place.run("report", "results/median")
    return place.part("#?group=learning_rate&s1.look=seeds", "section[data-task] figure.chart")


def history(place: Workplace) -> bytes:
    """The history of a loss, of which three versions were run."""
    place.width = 1280
    for loss in (NO_BASELINE, NO_ENTROPY, LOSS):
        place.write(loss, commit=True)
        place.run("run", "median.yaml", "--quiet", "--set", "tasks=[gym/CartPole-v1]")
    place.run("report", "results/median")
    return place.part("", "section:has(> h2#s1-history) section")


def running(place: Workplace) -> bytes:
    """The view with some of the runs ended."""
    place.write(LOSS)
    run, view = place.start("run", "median.yaml", "--quiet"), None
    try:
        place.wait(lambda: (place.folder / "results/median").is_dir())
        view = place.start("view", "results", "--no-open", "--port", "8799")
        place.wait(lambda: len(list((place.folder / "results/median").glob("*/seed-*.json"))) >= 24)
        return shown(place, 800)
    finally:
        for process in filter(None, (run, view)):
            process.terminate()
            process.wait()


def failed(place: Workplace) -> bytes:
    """The view of a suite with failed runs."""
    place.write(LOSS)
    (place.folder / "broken.py").write_text(BROKEN)
    arguments = ("--set", "seeds=3", "--set", "budget.env_steps=4000", "--set", "algorithms=[./median.py, ./broken.py]")
    place.run("run", "median.yaml", "--quiet", *arguments)
    view = place.start("view", "results", "--no-open", "--port", "8799")
    try:
        return shown(place, 560)
    finally:
        view.terminate()
        view.wait()


def shown(place: Workplace, height: int) -> bytes:
    """The view's page, when it has something to show."""
    place.size(height)

    def there() -> bool:
        try:
            place.browser.get("http://127.0.0.1:8799/live")
        except Exception:  # it does not listen yet
            return False
        return bool(place.browser.find_elements("css selector", ".cells"))

    place.wait(there)
    time.sleep(1.5)
    return place.screen(height)


def save(picture: bytes, out: Path) -> None:
    """In few colours, as they are flat."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(out, optimize=True)


PICTURES = {made.__name__: made for made in (grouped, history, running, failed)}

if __name__ == "__main__":
    name, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), "" if name == "history" else OTHERS)
        try:
            save(PICTURES[name](place), Path(out))
        finally:
            place.browser.quit()
