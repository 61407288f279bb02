"""Claims through the real program: changed after a look, seeds added, and decided with interruptions."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_support import run_apart

SUITE = """\
name: small
seeds: 3
budget: {env_steps: 64}
evaluation: {every: 32}
tasks: [corridor/8]
algorithms:
  - {use: rloo, name: mine, params: {learning_rate: 0.05}}
  - {use: reinforce, name: base, params: {learning_rate: 0.000001}}
claims: {candidate: mine, made: [converges fast]}
execution: {workers: 1}
"""
pytestmark = pytest.mark.slow


def run(folder: Path, *arguments: str) -> str:
    done = run_apart("run", "small.yaml", *arguments, cwd=folder)
    assert done.code == 0, done.err
    return done.out


def card(folder: Path) -> dict[str, Any]:
    document = json.loads(run_apart("report", "--format", "json", cwd=folder).out)
    found: dict[str, Any] = document["suites"][0]["scorecard"]
    return found


def exploratory(folder: Path) -> dict[str, list[int]]:
    document = json.loads(run_apart("report", "--format", "json", cwd=folder).out)
    results = document["suites"][0]["tasks"][0]["algorithms"]
    return {result["algorithm"]: result["seeds"]["exploratory"] for result in results}


def test_settings_changed_after_a_look_are_another_declaration_and_old_runs_do_not_confirm_it(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    run(tmp_path)
    first = card(tmp_path)
    assert (first["declaration"], first["exploratory"]) == (1, "")
    # More seeds of the same order are the same declaration.
    run(tmp_path, "--set", "seeds=4")
    assert (card(tmp_path)["declaration"], card(tmp_path)["exploratory"]) == (1, "")
    # Another setting of the candidate: the second one, which the runs of the baseline precede.
    run(tmp_path, "--set", "algorithms[0].params.learning_rate=0.06", "--set", "seeds=4")
    second = card(tmp_path)
    assert second["declaration"] == 2
    assert "changed after" in second["exploratory"]
    assert exploratory(tmp_path) == {"mine": [], "base": [0, 1, 2, 3]}
    assert any("mine on corridor/8: 1" in each for each in second["siblings"])
    lines = (tmp_path / "results" / "small" / "declarations.jsonl").read_text().splitlines()
    assert [json.loads(line)["claims"]["candidates"] for line in lines] == [["mine"], ["mine"]]
    # Fresh seeds of both confirm it; back to the first settings is the first declaration again.
    run(tmp_path, "--set", "algorithms[0].params.learning_rate=0.06", "--set", "seeds=[10, 11, 12]")
    assert exploratory(tmp_path) == {"mine": [], "base": []}
    run(tmp_path)
    assert (card(tmp_path)["declaration"], exploratory(tmp_path)) == (1, {"mine": [], "base": []})
    assert len((tmp_path / "results" / "small" / "declarations.jsonl").read_text().splitlines()) == 3


def until_decided(folder: Path, results: str) -> list[str]:
    return [sys.executable, "-m", "haepo_bench", "run", "small.yaml", "--until-decided", "--max-seeds", "15",
            "--results", str(folder / results)]  # fmt: skip


def decided(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("converges fast")]


def test_until_decided_decides_the_same_after_being_killed(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    whole = subprocess.run(until_decided(tmp_path, "whole"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert whole.returncode == 0, whole.stderr
    (line,) = decided(whole.stdout)
    assert " after " in line
    moments = random.Random(3)
    for _ in range(2):
        process = subprocess.Popen(
            until_decided(tmp_path, "killed"), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(moments.uniform(2, 8))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = subprocess.run(until_decided(tmp_path, "killed"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (last.returncode, decided(last.stdout)) == (0, [line]), last.stderr
    runs = [
        {p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("seed-*.json")} for name in ("whole", "killed")
    ]
    assert runs[0] == runs[1]


def test_until_decided_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SUITE)
    for arguments, says in (
        (["--only", "mine"], "leave --only out"),
        (["--shard", "1/2"], "leave --shard out"),
        (["--set", "claims.rule=fixed"], "looks once"),
        (["--set", "claims={}"], "claims nothing"),
    ):
        done = run_apart("run", "small.yaml", "--until-decided", *arguments, cwd=tmp_path)
        assert done.code == 4, done.out
        assert says in done.err
    alone = run_apart("run", "small.yaml", "--max-seeds", "3", cwd=tmp_path)
    assert (alone.code, "--max-seeds: needs --until-decided" in alone.err) == (4, True)
    assert not (tmp_path / "results").exists()
