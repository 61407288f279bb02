"""`haepo-bench baseline`: what it records, refuses and never loses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import Outcome, run_here
from synthetic_runs import MARKS, put, put_plan, record

from haepo_bench.regression.baseline import load_baseline
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store

CLEAN = {"commit": "c0ffee" * 6 + "c0ff", "dirty": False}
TASK = "bandit/10-arm"


def runs(
    algorithm: str = "reinforce", seeds: int = 6, shift: float = 0.0, task: str = TASK, **fields: Any
) -> list[RunRecord]:
    """Runs of one cell that differ from seed to seed; references 0 and 2, so that `shift` is half of it in score."""
    made = []
    provenance = {
        "started": "2026-01-01T00:00:00+00:00",
        "cpu": "made up",
        "git": CLEAN,
        "seeds": list(range(seeds)),
        "versions": {"torch": "2.13.0"},
        "reference_seconds": 0.01,
        **fields.pop("provenance", {}),
    }
    for seed in range(seeds):
        level = 1.5 + shift + 0.01234567891 * ((7 * seed) % 10)
        returns = [0.0, level / 3, level, level, level]
        made.append(record(task, algorithm, seed, returns=returns, provenance=provenance, **fields))
    return made


def results(root: Path, *cells: list[RunRecord]) -> Path:
    """A complete results folder: the plan asks of each cell for the seeds that it has."""
    every = [run for cell in cells for run in cell]
    store = Store(root / "made-up")
    plan = put_plan(store, every, [])
    for planned, cell in zip(plan["cells"], cells, strict=True):
        planned["seeds"] = [run.seed for run in cell]
    store.write_plan(PlanFile.model_validate(plan))
    put(store, *every)
    return store.root


def baseline(capsys: pytest.CaptureFixture[str], folder: Path, out: Path, *more: str, reason: str = "first") -> Outcome:
    return run_here(capsys, "baseline", str(folder), "--out", str(out), "--reason", reason, "--min-seeds", "6", *more)


def test_what_it_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path, runs("reinforce"), runs("grpo", task="random-walk/20"))
    out = tmp_path / "baselines" / "made-up.json"
    done = baseline(capsys, folder, out, reason=" the \n first ")
    assert done.code == 0, done.err
    text = out.read_text()
    document = json.loads(text)
    assert [(cell["task"], cell["algorithm"]) for cell in document["cells"]] == [
        (TASK, "reinforce"),
        ("random-walk/20", "grpo"),
    ]
    assert [run["seed"] for run in document["cells"][0]["runs"]] == list(range(6))
    # One line a run, so that a pull request shows which run changed.
    assert sum('"digest"' in line for line in text.splitlines()) == 12
    (entry,) = document["history"]
    assert entry["reason"] == "the first"
    assert entry["commits"] == [CLEAN["commit"]]
    assert entry["dirty"] is False
    assert entry["cells"] == 2
    assert entry["runs"] == 12
    assert entry["versions"] == {"torch": ["2.13.0"]}
    assert document["digits"] == {"area": 9, "other": 5}
    stored = runs("reinforce")[3]
    line = document["cells"][0]["runs"][3]
    returns = stored.curve["eval_return"]
    assert line["area"] == float(f"{np.mean(returns[:-1]):.9g}")
    assert line["curve"] == [float(f"{value:.5g}") for value in returns]
    assert line["relative_cost"] == 200.0
    assert document["cells"][0]["marks"] == MARKS
    assert document["cells"][0]["settings"] == {"task": TASK}
    first = document["first"][0]
    areas = [run["area"] for run in document["cells"][0]["runs"]]
    assert first["mean"] == pytest.approx(np.mean(areas), rel=1e-8)
    assert first["sd"] == pytest.approx(np.std(areas, ddof=1), rel=1e-8)
    assert f"{np.mean(areas) / 2:.3f}" in done.out


def test_recording_twice_changes_only_the_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path, runs())
    out = tmp_path / "b.json"
    assert baseline(capsys, folder, out).code == 0
    before = out.read_text().splitlines()
    assert baseline(capsys, folder, out, reason="second").code == 0
    after = out.read_text().splitlines()
    assert len(after) == len(before) + 1
    assert [line for line in after if line not in before and '"reason"' not in line] == []


def test_the_first_recording_is_kept_while_the_baseline_sinks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "b.json"
    for step, shift in enumerate((0.0, -0.1, -0.25)):
        folder = results(tmp_path / str(step), runs("reinforce", shift=shift), runs("grpo"))
        done = baseline(capsys, folder, out, reason=f"step {step}")
        assert done.code == 0, done.err
    document = json.loads(out.read_text())
    assert [entry["reason"] for entry in document["history"]] == ["step 0", "step 1", "step 2"]
    first = {entry["algorithm"]: entry for entry in document["first"]}
    assert first["reinforce"]["mean"] == pytest.approx(np.mean([np.mean(r.curve["eval_return"][:-1]) for r in runs()]))
    # 0.25 less return on three of four marks (a third on one) is a drop of 7/12 * 0.125.
    assert "warning" not in done.out
    folder = results(tmp_path / "3", runs("reinforce", shift=-0.4), runs("grpo"))
    done = baseline(capsys, folder, out, reason="step 3")
    assert f"warning: reinforce on {TASK} is {0.4 / 2 * 7 / 12:.3f} below its first recording" in done.out
    checked = run_here(capsys, "check", str(folder), "--baseline", str(out))
    assert checked.code == 0
    assert "below the first recording of this cell" in checked.out
    assert checked.out.count("first recording") == 1


def test_other_settings_begin_a_first_value_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b.json"
    assert baseline(capsys, results(tmp_path / "0", runs()), out).code == 0
    other = runs(shift=-1.0, settings_hash="6" * 64)
    assert baseline(capsys, results(tmp_path / "1", other), out).code == 0
    loaded = load_baseline(out)
    assert [entry.settings_hash[0] for entry in loaded.first] == ["5", "6"]
    assert loaded.first_of(loaded.cells[0]) == loaded.first[1]


def test_a_task_without_references_gets_a_scale_that_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "b.json"
    assert baseline(capsys, results(tmp_path / "0", runs(references=None)), out).code == 0
    scale = load_baseline(out).cells[0].scale
    level = np.mean([run.curve["eval_return"][-1] for run in runs()])
    assert (scale.source, scale.zero, scale.one) == ("learned", 0.0, float(f"{level:.5g}"))
    assert baseline(capsys, results(tmp_path / "1", runs(references=None, shift=0.5)), out).code == 0
    assert load_baseline(out).cells[0].scale == scale


def test_a_diverged_run_counts_as_the_random_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = runs(references=(0.2, 2.0))
    cell[2] = record(
        TASK, "reinforce", 2, status="diverged", returns=[0.1, 1.0, None, None, None], references=(0.2, 2.0),
        provenance=cell[0].provenance,
    )  # fmt: skip
    out = tmp_path / "b.json"
    assert baseline(capsys, results(tmp_path, cell), out).code == 0
    run = load_baseline(out).cells[0].runs[2]
    assert run.status == "diverged"
    assert run.area == pytest.approx((0.1 + 1.0 + 0.2 + 0.2) / 4)
    assert run.curve == [0.1, 1.0, None, None, None]


def test_a_cell_that_learns_nothing_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = baseline(capsys, results(tmp_path, runs(shift=-1.5)), tmp_path / "b.json")
    assert done.code == 0
    assert "learns so little" in done.out


def dirty(value: Any) -> list[RunRecord]:
    return runs(provenance={"git": value})


def all_diverged() -> list[RunRecord]:
    return [
        record(TASK, seed=seed, returns=[0.5, *[None] * 4], references=None, status="diverged") for seed in range(6)
    ]


REFUSED = {
    "diverged": (all_diverged(), "why", 2, "every run diverged"),
    "reason": (runs(), " \t", 4, "no reason"),
    "dirty": (dirty({"commit": "c0ffee", "dirty": True}), "why", 4, "--allow-dirty"),
    "unknown": (dirty({"commit": "c0ffee", "dirty": None}), "why", 4, "--allow-dirty"),
    "seeds": (runs(seeds=5), "why", 4, "--set seeds=6"),
    "failed": (
        [*runs()[:5], record(TASK, "reinforce", 5, status="failed", error="un\nwell")],
        "why",
        2,
        "reinforce on bandit/10-arm, seed 5: failed (RuntimeError: un well)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_refuses(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell, reason, code, message = REFUSED[case]
    out = tmp_path / "b.json"
    done = baseline(capsys, results(tmp_path, cell), out, reason=reason)
    assert (done.code, out.exists()) == (code, False)
    assert message in done.err


def test_missing_runs_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path, runs())
    next(folder.glob("*/seed-4.json")).unlink()
    done = baseline(capsys, folder, tmp_path / "b.json")
    assert done.code == 2
    assert "seed 4: missing" in done.err


def test_told_otherwise_it_takes_a_dirty_tree_and_runs_made_outside_of_a_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = dirty({"commit": "c0ffee", "dirty": True})
    assert baseline(capsys, results(tmp_path / "0", changed), tmp_path / "0.json", "--allow-dirty").code == 0
    assert load_baseline(tmp_path / "0.json").history[0].dirty is True
    done = baseline(capsys, results(tmp_path / "1", dirty(None)), tmp_path / "1.json")
    assert done.code == 0
    assert "warning: the runs name no commit" in done.out
    assert load_baseline(tmp_path / "1.json").history[0].dirty is None


def test_fifty_seeds_are_the_default(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = results(tmp_path, runs(seeds=49))
    done = run_here(capsys, "baseline", str(folder), "--out", str(tmp_path / "b.json"), "--reason", "why")
    assert done.code == 4
    assert "49 seeds, 50 are asked for" in done.err


def damage(text: str, case: str) -> str:
    document = json.loads(text)
    match case:
        case "empty":
            return " \n"
        case "cut":
            return text[: len(text) // 2]
        case "foreign":
            return json.dumps({"some": "thing"})
        case "run":
            return runs()[0].to_json()
        case "newer":
            return json.dumps({**document, "format_version": 3, "strange": 1})
        case "version":
            return json.dumps({**document, "format_version": "one"})
        case "field":
            document["cells"][0]["runs"][1]["area"] = "high"
        case "curve":
            document["cells"][0]["runs"][1]["curve"].pop()
        case "columns":
            document["cells"][0]["columns"].pop()
        case "order":
            document["cells"][0]["runs"].reverse()
        case "twice":
            document["cells"] *= 2
        case "nan":
            return text.replace('"area": ', '"area": NaN, "x": ', 1)
        case "deep":
            return "[" * 100_000
    return json.dumps(document)


DAMAGED = {
    "empty": (4, "is empty"),
    "cut": (4, "damaged or cut off"),
    "foreign": (4, "not a baseline of haepo-bench"),
    "run": (4, "it is a run"),
    "newer": (3, "written by a newer version of haepo-bench (format 3"),
    "version": (4, "format_version is not a version"),
    "field": (4, "cells.0.runs.1.area"),
    "curve": (4, "a curve has not as many values as there are evaluation points"),
    "columns": (4, "a run has not as many digests as there are columns"),
    "order": (4, "not in the order of their seeds"),
    "twice": (4, "is there twice"),
    "nan": (4, "NaN"),
    "deep": (4, "nested too deeply"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_file_that_is_no_good_baseline_is_named_and_never_overwritten(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = results(tmp_path, runs()), tmp_path / "b.json"
    assert baseline(capsys, folder, out).code == 0
    out.write_text(damage(out.read_text(), case))
    kept = out.read_bytes()
    code, message = DAMAGED[case]
    for outcome in (
        run_here(capsys, "check", str(folder), "--baseline", str(out)),
        run_here(capsys, "gate", "quickstart", "--baseline", str(out)),
        baseline(capsys, folder, out),
    ):
        assert outcome.code == code, outcome.err
        assert message in outcome.err
        assert str(out) in outcome.err
        assert "Traceback" not in outcome.err
    assert out.read_bytes() == kept


def test_the_baseline_of_another_suite_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = results(tmp_path, runs()), tmp_path / "b.json"
    assert baseline(capsys, folder, out).code == 0
    out.write_text(out.read_text().replace('"suite": "made-up"', '"suite": "another"'))
    kept = out.read_bytes()
    done = baseline(capsys, folder, out)
    assert done.code == 4
    assert "the baseline of the suite 'another', not of 'made-up'" in done.err
    assert out.read_bytes() == kept
    assert run_here(capsys, "check", str(folder), "--baseline", str(out)).code == 3


def test_no_results_no_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nothing").mkdir()
    assert baseline(capsys, tmp_path / "nowhere", tmp_path / "b.json").code == 4
    done = baseline(capsys, tmp_path / "nothing", tmp_path / "b.json")
    assert done.code == 2
    assert "nothing to record: no run here has a result" in done.err


def test_returns_beyond_all_bounds_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cell = [record(TASK, "reinforce", seed, returns=[1.7e308] * 5) for seed in range(6)]
    done = baseline(capsys, results(tmp_path, cell), tmp_path / "b.json")
    assert done.code == 4
    assert "cannot be recorded" in done.err
