"""Pipes in place of every file that a command line or a suite names: said, and never waited for."""

import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import ROOT, run_here
from language_support import Vowels, small_model
from special_files import make, within
from synthetic_runs import put, put_plan, record

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.results.store import Store
from haepo_bench.tasks.lm.reward_model import RewardModel

PIPE = "it is a named pipe, not a regular file"
SAID = ["--suite", "s", "--task", "t", "--algorithm", "a", "--seed", "0"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "results" / "made-up")
    put(store, record())
    put_plan(store, [record()], [0])
    return tmp_path


INPUTS = {
    "suite": ("p.yaml", ["validate", "p.yaml"]),
    "suite to run": ("p.yaml", ["run", "p.yaml"]),
    "baseline": ("p.json", ["check", "results", "--baseline", "p.json"]),
    "baseline to extend": ("p.json", ["baseline", "results", "--reason", "why", "--out", "p.json"]),
    "mapping": ("p.yaml", ["import", "p.yaml"]),
    "csv": ("p.csv", ["import", "p.csv", *SAID]),
    "json lines": ("p.jsonl", ["import", "p.jsonl", *SAID]),
    "trainer state": ("trainer_state.json", ["import", "trainer_state.json", *SAID]),
    "evaluations": ("evaluations.npz", ["import", "evaluations.npz", *SAID]),
    "monitor": ("x.monitor.csv", ["import", "x.monitor.csv", *SAID]),
    "event file": ("events.out.tfevents.1", ["import", "events.out.tfevents.1", *SAID]),
    "in a folder": ("runs/seed_0/monitor.csv", ["import", "runs", *SAID]),
    "verdict": ("out.json", ["check", "results", "--baseline", "none", "--write", "out.json"]),
    "comparison": ("out.md", ["compare", "results", "results", "--format", "md", "--out", "out.md"]),
}


@pytest.mark.parametrize("what", INPUTS)
def test_a_pipe_in_its_place(here: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    name, arguments = INPUTS[what]
    path = make(here / name, "fifo")
    with within(60):
        done = run_here(capsys, *arguments)
    assert done.code == 4, done.err
    assert name in done.err
    assert PIPE in done.err
    assert path.is_fifo()


def test_a_pipe_that_a_mapping_names(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(here / "runs" / "seed_1.csv", "fifo")
    (here / "runs" / "seed_0.csv").write_text("step,eval_return\n0,1\n10,2\n")
    source = {"files": "runs/seed_{seed}.csv", "task": "t", "algorithm": "a"}
    (here / "mapping.yaml").write_text(f"suite: s\nsources: [{source}]\n")
    with within(60):
        done = run_here(capsys, "import", "mapping.yaml")
    assert done.code == 4
    assert PIPE in done.err
    assert not (here / "results" / "s").exists()


def test_an_exported_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_here(capsys, "export", "results", "--out", "tables").code == 0
    make(here / "tables" / "curves.csv", "fifo")
    with within(60):
        done = run_here(capsys, "import", "tables/runs.csv", "--results", "copy")
    assert done.code == 4, done.err


@pytest.mark.slow
def test_standard_input_is_taken_from_a_file_alone(here: Path) -> None:
    """A suite is kept with its results, and files that it names lie beside it."""
    suite = Path(ROOT / "suites" / "quickstart.yaml")
    command = [sys.executable, "-m", "haepo_bench", "validate", "/dev/stdin"]
    piped = subprocess.run(command, input=suite.read_bytes(), capture_output=True, timeout=120, check=False)
    assert piped.returncode == 4
    assert f"/dev/stdin: cannot be read: {PIPE}\n  save it as a file first".encode() in piped.stderr
    with suite.open() as file:
        redirected = subprocess.run(command, stdin=file, capture_output=True, timeout=120, check=False)
    assert redirected.returncode == 0, redirected.stderr


def test_a_model_folder(here: Path) -> None:
    small_model().save_pretrained(here / "model")
    make(here / "model" / "tokenizer.json", "fifo")
    task = Vowels()
    task.model = str(here / "model")
    with within(60), pytest.raises(TaskError, match=rf"tokenizer\.json: {PIPE}"):
        catalogue.algorithm_on(task, "grpo").configure({}, task)
    make(here / "reward" / "model.safetensors", "fifo")
    with within(60), pytest.raises(TaskError, match=rf"model\.safetensors: {PIPE}"):
        RewardModel(str(here / "reward"))


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.parquet"])
def test_preferences(here: Path, name: str) -> None:
    from haepo_bench.tasks.lm import preference_data

    make(here / name, "fifo")
    with within(60), pytest.raises(TaskError, match="named pipe"):
        list(preference_data._values(str(here / name)))
