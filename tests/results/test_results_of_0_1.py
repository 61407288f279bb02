"""A results folder that version 0.1 wrote opens, and nothing in it is lost."""

import json
import shutil
from pathlib import Path

import pytest
from cli_support import ROOT, run_apart

WRITTEN = ROOT / "tests" / "data" / "results_0_1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(WRITTEN, tmp_path / "results")
    return tmp_path


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.json")}


def test_it_is_shown(folder: Path) -> None:
    done = run_apart("report", "results", "--format", "json", cwd=folder)
    assert done.code == 0, done.err
    (suite,) = json.loads(done.out)["suites"]
    assert (suite["runs_shown"], suite["runs_planned"], suite["damaged"]) == (2, 2, [])
    (algorithm,) = suite["tasks"][0]["algorithms"]
    finals = [json.loads(path.read_text())["final"]["eval_return"] for path in sorted(WRITTEN.rglob("seed-*.json"))]
    assert algorithm["final_return"]["mean"] == pytest.approx(sum(finals) / 2)
    for arguments in (["export", "results"], ["compare", "results", "results"], ["clean", "results/old"]):
        done = run_apart(*arguments, cwd=folder)
        assert done.code == 0, done.err


def test_its_runs_are_run_again_and_kept(folder: Path) -> None:
    before = contents(folder / "results" / "old")
    done = run_apart("run", "results/old.yaml", "--dry-run", cwd=folder)
    assert done.code == 0, done.err
    assert "2 runs to do" in done.out
    assert run_apart("run", "results/old.yaml", "--quiet", cwd=folder).code == 0
    after = contents(folder / "results" / "old")
    assert {name: after[name] for name in before if name != "plan.json"} == {
        name: text for name, text in before.items() if name != "plan.json"
    }
    assert len([name for name in after if "/seed-" in name]) == 4
