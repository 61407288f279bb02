"""Ctrl-C, SIGTERM and a closed terminal end the program in every phase alike: 130, one line, nothing half-written."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmark_scripts import load
from execution_support import ROOT, Workplace, members, wait_until

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Lets a test stop the program where a module is imported, as a slow disk would.
HOOK = """
import os, pathlib, sys, time

class Pause:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["PAUSE"]:
            pathlib.Path(os.environ["MARK"]).touch()
            for _ in range(1200):
                time.sleep(0.05)

if "PAUSE" in os.environ:
    sys.meta_path.insert(0, Pause())
"""


@pytest.fixture(autouse=True)
def hangup_as_usual() -> Iterator[None]:
    """Under `nohup` too: a signal that is handled here, not ignored, is the default's in the programs started."""
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HOOK)
    suite = {
        "name": "trial",
        "seeds": 1,
        "budget": {"env_steps": 100},
        "evaluation": {"every": 100},
        "tasks": ["bandit/10-arm"],
        "algorithms": ["reinforce"],
        "execution": {"workers": 1, "device": "cpu"},
    }
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    return tmp_path


def paused(place: Path, module: str, *command: str) -> "subprocess.Popen[str]":
    """A command that has come to the import of a module."""
    mark = place / "mark"
    mark.unlink(missing_ok=True)
    path = os.pathsep.join([str(place / "site"), str(ROOT)])
    process = subprocess.Popen(
        [sys.executable, "-m", "haepo_bench", *command],
        cwd=place,
        env={**os.environ, "PYTHONPATH": path, "PAUSE": module, "MARK": str(mark)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    wait_until(lambda: mark.exists() or process.poll() is not None, module, seconds=120)
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("haepo_bench.cli.main", ["--version"]),
        ("typer", ["report"]),
        ("pydantic", ["validate", "suite.yaml"]),
        ("torch", ["validate", "suite.yaml"]),
        ("haepo_bench.execution.session", ["run", "suite.yaml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_signal_while_the_program_is_loaded(
    place: Path, module: str, command: list[str], number: signal.Signals
) -> None:
    process = paused(place, module, *command)
    process.send_signal(number)
    assert process.communicate(timeout=30) == ("", "interrupted\n")
    assert process.returncode == 130
    assert not (place / "results").exists()


def test_a_signal_after_training(place: Path) -> None:
    """The runs are stored; what was to be printed is not."""
    process = paused(place, "rich.table", "run", "suite.yaml", "--quiet")
    assert [path.name for path in (place / "results").rglob("seed-*.json")] == ["seed-0.json"]
    os.killpg(process.pid, signal.SIGHUP)
    assert process.communicate(timeout=30) == ("", "interrupted\n")
    assert (process.returncode, members(process.pid)) == (130, [])


def test_a_signal_while_a_report_is_drawn(place: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "haepo_bench", "run", "suite.yaml", "--quiet"],
        cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0
    process = paused(place, "matplotlib", "report")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == ("", "interrupted\n")
    assert process.returncode == 130
    assert not (place / "results" / "report").exists()


def test_what_is_being_written_is_written_first(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from haepo_bench import interruption\n"
        "from haepo_bench.results import store\n"
        "interruption.catch()\n"
        "real = os.fsync\n"
        "def fsync(handle):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    real(handle)\n"
        "os.fsync = fsync\n"
        "with interruption.held():\n"
        "    store.write_atomically(Path('one.json'), 'whole')\n"
        "    store.write_atomically(Path('two.json'), 'whole')\n"
        "print('not reached')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"one.json": "whole", "two.json": "whole"}


def test_nohup_is_respected(place: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # inherited
    try:
        process = paused(place, "typer", "--version")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30) == ("", "interrupted\n")


def test_workers_are_deaf_from_their_first_moment(tmp_path: Path) -> None:
    """A terminal that closes tells every process: only the program itself may act on it."""
    workplace = Workplace(tmp_path)
    suite = workplace.suite([{"params": {"pause": 0.05}}], seeds=2)
    process = workplace.start(suite)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def workers() -> list[int]:
        found = [int(child) for child in children.read_text().split()]
        return [child for child in found if b"-c" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")]

    wait_until(workers, "a worker")
    for worker in workers():
        for number in NUMBERS:
            os.kill(worker, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert set(workplace.statuses().values()) == {"done"}


def test_the_campaign_finds_what_is_lost_or_half_written(tmp_path: Path) -> None:
    signals = load("signals")
    (tmp_path / "report.html").write_text("<html><p>cut")
    (tmp_path / "seed-0.json").write_text('{"curve": ')
    assert sorted(signals.broken(tmp_path)) == ["report.html is cut off", "seed-0.json is cut off"]
    (tmp_path / "report.html").write_text("<html></html>\n")
    (tmp_path / "seed-0.json").unlink()
    assert signals.broken(tmp_path) == []
    sleeper = subprocess.Popen(["sleep", "30"], process_group=0)
    try:
        assert signals.living(sleeper.pid, seconds=0.1) == [sleeper.pid]
    finally:
        sleeper.kill()
        sleeper.wait()
    assert signals.living(sleeper.pid, seconds=0.1) == []
