"""`haepo-bench gate` and the pytest fixture, on scripted algorithms and on a real one with a planted fault."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from execution_support import ROOT, Workplace, wait_until

from haepo_bench.execution import gate as gating
from haepo_bench.regression.baseline import load_baseline
from haepo_bench.regression.check import CellVerdict
from haepo_bench.regression.seeds import fresh_seeds
from haepo_bench.regression.verdict import DEFAULT_RULE, Mark
from haepo_bench.suite.plan import Plan

SEEDS = 20
ONE, TWO = {"name": "one"}, {"name": "two", "params": {"batched": True}}


class Gatehouse(Workplace):
    """A workplace in a git repository, with a baseline of its suite."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sick.unlink()
        self.script = folder / "site" / "scripted.py"
        self.healthy = self.script.read_text()
        (folder / ".gitignore").write_text("results\ngates\n__pycache__\n.pytest_cache\n")
        self.trial = self.suite([ONE, TWO], seeds=SEEDS)
        self.git("init", "--quiet")
        self.commit()
        assert self.run(self.trial, "--quiet").returncode == 0
        self.baseline = folder / "baseline.json"
        done = self.program(
            "baseline", "results/trial", "--out", "baseline.json", "--reason", "first", "--min-seeds", "20"
        )
        assert done.returncode == 0, done.stderr
        self.commit()

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=somebody", "-c", "user.email=s@example.org", *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "as it is")
        return self.git("rev-parse", "HEAD")

    def program(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "haepo_bench", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def gate(self, name: str, *more: str, suite: Path | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
        """Exit code and cells by algorithm; runs go to `gates/<name>`."""
        command = ("--baseline", "baseline.json", "--results", f"gates/{name}", "--format", "json", *more)
        done = self.program("gate", str(suite or self.trial), *command)
        assert done.stdout, done.stderr
        document = json.loads(done.stdout)
        self.notes: list[str] = document["notes"]
        return done.returncode, {cell["algorithm"]: cell for cell in document["cells"]}

    def seeds(self, name: str, stage: str, algorithm: str) -> set[int]:
        files = (self.folder / "gates" / name / "trial" / stage).glob(f"*--{algorithm}--*/seed-*.json")
        return {json.loads(file.read_bytes())["seed"] for file in files}

    def plant(self, fault: str) -> None:
        """Changes every return by an expression in `seed`, `mean` (the right value) and `parameters`."""
        at = self.healthy.index("                recorder.evaluated(")
        lines = (
            f"                parameters, mean = self.parameters, float(generator.random())\n"
            f"                recorder.evaluated(due, Evaluation({fault}, 0.0, 1.0, 5))\n"
        )
        end = self.healthy.index("\n", at) + 1
        self.script.write_text(self.healthy[:at] + lines + self.healthy[end:])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gatehouse]:
    made = Gatehouse(tmp_path_factory.mktemp("house"))
    yield made
    made.close()


@pytest.fixture
def healthy(house: Gatehouse) -> Iterator[Gatehouse]:
    commit = house.git("rev-parse", "HEAD")
    yield house
    house.sick.unlink(missing_ok=True)
    house.environment.pop("UNLUCKY", None)
    house.git("reset", "--quiet", "--hard", commit)


def test_unchanged_code_is_green_after_two_known_seeds(healthy: Gatehouse) -> None:
    code, cells = healthy.gate("unchanged")
    assert code == 0
    assert healthy.notes == []
    assert [cells[name]["mark"] for name in ("one", "two")] == ["=", "="]
    assert healthy.seeds("unchanged", "identity", "one") == {0, 1}
    assert [path.name for path in (healthy.folder / "gates" / "unchanged" / "trial").iterdir()] == ["identity"]


def test_a_planted_fault_is_found_confirmed_and_found_again(healthy: Gatehouse) -> None:
    healthy.plant("mean - 0.6 * parameters['batched']")
    code, cells = healthy.gate("fault")
    assert (code, cells["one"]["mark"], cells["two"]["mark"]) == (1, "=", "-")
    two = cells["two"]
    assert two["test"]["current_seeds"] == two["confirmation"]["current_seeds"] == 10
    assert two["test"]["baseline_seeds"] == SEEDS
    assert two["test"]["effect"] < -0.1
    assert two["confirmation"]["effect"] < -0.1
    fresh, again = (healthy.seeds("fault", stage, "two") for stage in ("fresh", "confirmation"))
    assert len(fresh | again | set(range(SEEDS))) == 10 + 10 + SEEDS
    assert healthy.seeds("fault", "fresh", "one") == set()
    # The tree differs from its commit, so it has other seeds.
    assert fresh.isdisjoint(fresh_seeds(healthy.git("rev-parse", "HEAD"), 0, 10, set(range(SEEDS))))
    # Once more: everything is there and said to be, and the verdict is the same.
    files = {file: file.stat().st_mtime_ns for file in (healthy.folder / "gates" / "fault").rglob("seed-*.json")}
    assert healthy.gate("fault") == (code, cells)
    assert {file: file.stat().st_mtime_ns for file in files} == files
    (note,) = healthy.notes
    assert note.startswith("24 of 24 runs had been made before")


def test_shards_of_a_gate_leave_nothing_to_run(healthy: Gatehouse) -> None:
    """Each measures its cells through all stages; the verdict is that of the whole, from their runs."""
    healthy.plant("mean - 0.6 * parameters['batched']")
    command = ("gate", str(healthy.trial), "--baseline", "baseline.json", "--results", "gates/shards", "--quiet")
    measured = []
    for shard in ("1/2", "2/2"):
        done = healthy.program(*command, "--shard", shard)
        assert done.returncode == 0, done.stderr
        assert f"shard {shard}: 1 cell measured; the verdict is that of all shards together" in done.stdout
        root = healthy.folder / "gates" / "shards" / "trial" / "shards" / shard.replace("/", "-of-")
        measured.append({file.parent.name.split("--")[1] for file in root.rglob("seed-*.json")})
    assert sorted(measured, key=sorted) == [{"one"}, {"two"}]
    refused = healthy.program(*command, "--shard", "1/2", "--format", "json")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "a shard does not give a verdict" in refused.stderr
    merged = healthy.program("merge", "gates/shards/trial/shards", "--into", "gates/shards/trial")
    assert merged.returncode == 0, merged.stderr
    code, cells = healthy.gate("shards")
    assert (code, cells["one"]["mark"], cells["two"]["mark"]) == (1, "=", "-")
    (note,) = healthy.notes
    assert note.startswith("24 of 24 runs had been made before")


def test_a_drop_that_other_seeds_do_not_show_is_none(healthy: Gatehouse) -> None:
    """Only the first batch of fresh seeds is bad; the seeds follow from the commit."""
    # Close around the baseline's mean: what is seen must not hang on which seeds a commit means.
    level = float(np.mean([run.area for run in load_baseline(healthy.baseline).cells[0].runs]))
    unlucky_now = "str(seed) in os.environ.get('UNLUCKY', '').split()"
    healthy.plant(f"{level!r} + 0.01 * (mean - 0.5) - 0.6 * ({unlucky_now})")
    commit = healthy.commit()
    unlucky = fresh_seeds(commit, 0, 10, set(range(SEEDS)))
    healthy.environment["UNLUCKY"] = " ".join(map(str, unlucky))
    code, cells = healthy.gate("unlucky")
    assert (code, cells["one"]["mark"]) == (0, "~")
    assert cells["one"]["test"]["adjusted_p_worse"] <= 0.01
    assert cells["one"]["test"]["effect"] < -0.1
    assert cells["one"]["confirmation"]["effect"] > -0.1
    for name in ("one", "two"):
        assert healthy.seeds("unlucky", "fresh", name) == set(unlucky)
        assert healthy.seeds("unlucky", "confirmation", name) == set(
            fresh_seeds(commit, 1, 10, set(range(SEEDS)) | set(unlucky))
        )


def test_what_cannot_be_compared_is_not_run(healthy: Gatehouse) -> None:
    changed = healthy.folder / "changed.yaml"
    document = json.loads(healthy.trial.read_text())
    renamed = {"use": "scripted", **TWO, "name": "renamed"}
    document["algorithms"] = [{"use": "scripted", "name": "one", "params": {"batched": True}}, renamed]
    changed.write_text(json.dumps(document))
    code, cells = healthy.gate("changed", suite=changed)
    assert code == 2
    assert cells["one"]["mark"] == "x"
    assert cells["one"]["remark"] == "algorithm.parameters.batched: false -> true"
    assert cells["two"]["mark"] == "!"
    assert cells["two"]["remark"].startswith("missing: the suite has no such cell; renamed on random-walk/20 has its")
    assert not (healthy.folder / "gates" / "changed").exists()
    document["algorithms"].append({"use": "scripted", **TWO})
    changed.write_text(json.dumps(document))
    code, cells = healthy.gate("changed", suite=changed)
    assert (code, cells["two"]["mark"]) == (3, "=")
    changed.write_text(json.dumps({**document, "name": "another"}))
    done = healthy.program("gate", "changed.yaml", "--baseline", "baseline.json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "the baseline is of the suite 'trial', this is 'another'" in done.stderr


def test_a_cell_that_crashes_is_red_and_run_again_next_time(healthy: Gatehouse) -> None:
    healthy.plant("mean if not (Path(os.environ['SICK']).exists() and parameters['batched']) else 1 / 0")
    healthy.sick.touch()
    code, cells = healthy.gate("crash")
    assert (code, cells["one"]["mark"], cells["two"]["mark"]) == (2, "=", "!")
    assert "ZeroDivisionError" in cells["two"]["remark"]
    healthy.sick.unlink()
    assert healthy.gate("crash")[0] == 0


def test_an_interrupted_gate_says_so_and_goes_on(healthy: Gatehouse) -> None:
    healthy.plant("mean if not (Path(os.environ['SICK']).exists() and parameters['batched']) else time.sleep(3600)")
    healthy.sick.touch()
    command = [sys.executable, "-m", "haepo_bench", "gate", str(healthy.trial), "--baseline", "baseline.json"]
    process = subprocess.Popen(
        [*command, "--results", "gates/stop"],
        cwd=healthy.folder, env=healthy.environment, text=True, process_group=0,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    healthy._started.append(process)
    wait_until(lambda: healthy.seeds("stop", "identity", "one") == {0, 1}, "the healthy cell")
    logs = healthy.folder / "gates" / "stop" / "trial" / "identity" / "logs"
    wait_until(lambda: any(logs.glob("*--two--*/*.log")), "the cell that hangs")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: not everything was measured" in out
    assert "not measured: the gate was interrupted" in out
    again = "identity: 2 of 4 runs finished and kept; the same command starts 2 runs from the beginning"
    assert again in err.splitlines()
    assert err.endswith("\ninterrupted\n")
    healthy.sick.unlink()
    before = {file: file.stat().st_mtime_ns for file in logs.parent.glob("*--one--*/seed-*.json")}
    assert healthy.gate("stop")[0] == 0
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_what_no_second_batch_confirmed_is_not_called_worse(
    healthy: Gatehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal came while the confirmation ran."""

    def judge(self: gating._Gate) -> None:
        for old in self._baseline.cells:
            self._settle(CellVerdict(old.key, Mark.WORSE))
        raise gating._Interrupted

    monkeypatch.setattr(gating._Gate, "_judge", judge)
    plan = SimpleNamespace(suite="trial", cells=(), unselected=())
    verdict = gating.gate(cast("Plan", plan), load_baseline(healthy.baseline), healthy.folder / "gates")
    assert verdict.exit_code == 130
    assert {cell.mark for cell in verdict.cells} == {Mark.FAILED}
    assert "the gate was interrupted before a second batch" in verdict.cells[0].remark
    assert verdict.rule == DEFAULT_RULE


PYTEST = """
def test_learning_curves(assert_no_regression):
    assert_no_regression("suite.yaml", baseline="baseline.json", seeds=10, alpha=0.01, min_effect=0.1)

def test_there_is_no_such_baseline(assert_no_regression):
    assert_no_regression("suite.yaml", baseline="nowhere.json")
"""


@pytest.mark.slow
def test_one_line_in_another_test_suite(healthy: Gatehouse) -> None:
    """The fixture arrives through the entry point that pyproject.toml declares."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    information = healthy.folder / "site" / "plugged-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    points = "".join(f"{name} = {target}\n" for name, target in project["entry-points"]["pytest11"].items())
    (information / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    (healthy.folder / "test_curves.py").write_text(PYTEST)

    def tests(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pytest", "test_curves.py", "--rootdir", ".", "-p", "no:xdist", *more],
            cwd=healthy.folder, env=healthy.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    done = tests()
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "the gate could not start (exit code 4)" in done.stdout
    assert "nowhere.json: there is no such file" in done.stdout
    assert (healthy.folder / ".pytest_cache" / "d" / "haepo-bench" / "trial" / "identity").is_dir()
    healthy.plant("mean - 0.6 * parameters['batched']")
    done = tests("-k", "learning_curves")
    assert "1 failed, 1 deselected" in done.stdout
    assert "learning curves got worse (exit code 1)" in done.stdout
    assert "regression: 1 worse, 1 identical" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_a_real_algorithm_with_a_fault_in_its_source(tmp_path: Path) -> None:
    """GRPO and REINFORCE on a bandit; then the same program with the sign of GRPO's loss flipped."""
    suite = {
        "name": "bandit",
        "seeds": 12,
        "evaluation": {"every": 100, "episodes": 5},
        "tasks": [{"id": "bandit/10-arm", "budget": {"env_steps": 400}}],
        "algorithms": [{"use": name, "params": {"learning_rate": 0.03}} for name in ("grpo", "reinforce")],
        "execution": {"workers": 1, "device": "cpu"},
    }
    (tmp_path / "suite.yaml").write_text(json.dumps(suite))
    faulty = tmp_path / "faulty"
    shutil.copytree(ROOT / "haepo_bench", faulty / "haepo_bench", ignore=shutil.ignore_patterns("__pycache__"))
    source = faulty / "haepo_bench" / "objectives" / "grpo.py"
    text = source.read_text()
    right, wrong = "dual_clipped(clipped_loss(bounded,", "dual_clipped(-clipped_loss(bounded,"
    assert text.count(right) == 1
    source.write_text(text.replace(right, wrong))

    def program(*arguments: str, package: Path = ROOT) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "haepo_bench", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(package)}, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip

    assert program("run", "suite.yaml", "--quiet").returncode == 0
    done = program("baseline", "results/bandit", "--out", "b.json", "--reason", "first", "--min-seeds", "12")
    assert done.returncode == 0, done.stderr
    assert "learns so little" not in done.stdout
    done = program("gate", "suite.yaml", "--baseline", "b.json", "--quiet", package=faulty)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "confirmed by a second batch" in done.stdout
    assert done.stdout.splitlines()[-1] == "regression: 1 worse, 1 identical"
