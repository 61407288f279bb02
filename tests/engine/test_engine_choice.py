"""Which engine computes a run: what the suite and the machine say, what is stored of it, and what follows from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from execution_support import ROOT
from synthetic_runs import showcase

from haepo_bench.engine import library
from haepo_bench.engine.build import TARGETS
from haepo_bench.errors import UserError
from haepo_bench.regression.baseline import load_baseline, save_baseline
from haepo_bench.regression.check import check
from haepo_bench.regression.recording import record_baseline
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store
from haepo_bench.suite.resolve import load_plan

SUITE = """
name: small
seeds: 2
budget: {env_steps: 64}
evaluation: {episodes: 2}
tasks: [random-walk/20]
algorithms: [reinforce, ppo]
execution: {workers: 1}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def pure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HAEPO_BENCH_PURE", "1")
    library.status.cache_clear()
    yield
    monkeypatch.undo()
    library.status.cache_clear()


def program(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "haepo_bench", *arguments], capture_output=True, text=True, cwd=folder, timeout=300,
        check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_the_engine_is_code_and_never_a_setting(suite):
    plans = {engine: load_plan(suite, engine=engine) for engine in ("torch", "compiled", "auto")}
    torch, compiled, auto = ({cell.algorithm: cell for cell in plan.cells} for plan in plans.values())
    assert torch["reinforce"].settings_hash == compiled["reinforce"].settings_hash
    assert torch["reinforce"].code_hash != compiled["reinforce"].code_hash
    # Where it computes nothing it changes nothing.
    assert torch["ppo"] == compiled["ppo"]
    assert auto == compiled
    assert plans["auto"].execution.engine_open
    assert not plans["compiled"].execution.engine_open
    code = compiled["reinforce"].code
    assert {"engine compiled", "module haepo_bench.engine.library", "data haepo_bench.engine.library/heads.h"} <= set(
        code
    )
    assert {
        f"data haepo_bench.engine.library/{path.name}" for path in (ROOT / "haepo_bench/engine").glob("*.cpp")
    } <= set(code)
    assert not [key for key in torch["reinforce"].code if "engine." in key.replace("episodes.engine", "")]
    assert load_plan(suite, ["execution.engine=torch"]).cells == plans["torch"].cells


@pytest.mark.usefixtures("pure")
def test_without_the_library_auto_is_torch_and_says_why(suite):
    plan = load_plan(suite)
    assert plan.execution.engine == "torch"
    assert "HAEPO_BENCH_PURE" in plan.execution.engine_reason
    with pytest.raises(UserError, match="cannot be used here: HAEPO_BENCH_PURE is set") as found:
        load_plan(suite, engine="compiled")
    assert "--engine torch" in found.value.remedy
    with pytest.raises(UserError, match=r"engine.*HAEPO_BENCH_PURE is set"):
        load_plan(suite, ["execution.engine=compiled"])


def test_a_library_of_other_sources_is_not_used(monkeypatch):
    monkeypatch.setattr(library, "sources_hash", lambda: "0" * 16)
    library.status.cache_clear()
    found = library.status()
    library.status.cache_clear()
    assert found.library is None
    assert "other sources" in found.reason
    assert "haepo_bench.engine.build" in found.remedy


def test_a_processor_without_the_instructions_uses_torch(monkeypatch):
    monkeypatch.setattr(library, "_processor_flags", lambda: frozenset({"sse2", "avx2"}))
    library.status.cache_clear()
    found = library.status()
    library.status.cache_clear()
    assert found == (None, "the processor has no FMA", "")


@pytest.mark.parametrize(("wide", "level"), [(True, "x86-64-v4"), (False, "x86-64-v3")])
def test_a_processor_takes_the_widest_vectors_that_it_has(wide, level, monkeypatch):
    widest, narrowest = TARGETS[0], TARGETS[-1]
    if wide and not library._processor_flags().issuperset(widest.needed):
        pytest.skip("the processor has no AVX-512")
    has = {*narrowest.needed, *(widest.needed if wide else widest.needed[1:])}
    monkeypatch.setattr(library, "_processor_flags", lambda: frozenset(has))
    library.status.cache_clear()
    found = library.status()
    library.status.cache_clear()
    assert found.library is not None
    assert found.library.built.startswith(f"{level}; ")


def test_runs_of_one_folder_are_of_one_engine(suite):
    folder = suite.parent
    first = program("run", str(suite), folder=folder)
    assert first.returncode == 0, first.stderr
    assert "engine compiled and torch (kernels for x86-64-v" in first.stderr
    root = folder / "results" / "small"
    records = [json.loads(path.read_text()) for path in root.glob("*--reinforce--*/seed-*.json")]
    assert [record["provenance"]["engine"]["name"] for record in records] == ["compiled"] * 2
    assert set(records[0]["provenance"]["engine"]) == {"name", "target", "compiler", "library"}
    (other,) = {
        json.dumps(json.loads(path.read_text())["provenance"].get("engine")) for path in root.glob("*--ppo--*/seed-*")
    }
    assert other == "null"
    assert json.loads((root / "plan.json").read_text())["engine"] == "compiled"

    stopped = program("run", str(suite), folder=folder, HAEPO_BENCH_PURE="1")
    assert stopped.returncode == 4
    assert "the plan in results/small says so" in stopped.stderr
    assert "--engine torch" in stopped.stderr

    torch = program("run", str(suite), "--engine", "torch", folder=folder)
    assert torch.returncode == 0, torch.stderr
    assert json.loads((root / "plan.json").read_text())["engine"] == "torch"
    again = program("run", str(suite), "--dry-run", folder=folder)
    assert "0 runs to do" in again.stdout
    assert "has the engine" not in again.stderr


def test_a_baseline_says_which_engine_it_is_of(tmp_path):
    showcase(tmp_path / "made", seeds=2, only=("bandit/10-arm",))
    selection = select(Store(tmp_path / "made"))
    made = record_baseline(selection, reason="first", min_seeds=2, allow_dirty=True)
    assert made.engine == "torch"
    save_baseline(tmp_path / "torch.json", made)
    assert '"engine"' not in (tmp_path / "torch.json").read_text()
    save_baseline(tmp_path / "compiled.json", made.model_copy(update={"engine": "compiled"}))
    found = load_baseline(tmp_path / "compiled.json")
    assert found.engine == "compiled"
    assert load_baseline(tmp_path / "torch.json").engine == "torch"
    (note,) = check(selection, found).notes
    assert "--engine compiled" in note
    assert not check(selection, made).notes
