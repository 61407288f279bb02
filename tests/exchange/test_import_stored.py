"""What imports do to a results folder: a round trip changes no number, and nothing that is stored is overwritten."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome, run_apart, run_here
from import_support import TASK, stored, write_curve, write_mapping
from synthetic_runs import put, put_plan, record, showcase

from haepo_bench.results.store import Store


def numbers(report: str) -> dict[str, Any]:
    """The tasks of a report, less what says where the runs come from."""
    (suite,) = json.loads(report)["suites"]
    for task in suite["tasks"]:
        for result in task["algorithms"]:
            del result["footnote"], result["code_hash"]
            for run in result["runs"]:
                del run["record"], run["log"]
    kept = ("suite", "runs_planned", "runs_shown", "tasks", "aggregates", "profiles", "improvement")
    return {key: suite[key] for key in kept} | {"tasks": {task["task"]: task for task in suite["tasks"]}}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_round_trip_changes_no_number(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    store = showcase(tmp_path / "results" / "made-up", seeds=5, marks=6)
    put(store, record("bandit/10-arm", "ppo", 4, status="timed_out", error="too slow"))
    next(store.root.glob("gym*--grpo-*/seed-3.json")).unlink()
    run = (lambda *a: run_apart(*a, cwd=tmp_path)) if form == "csv" else (lambda *a: run_here(capsys, *a))
    here = "" if form == "csv" else f"{tmp_path}/"
    assert run("export", f"{here}results", "--format", form, "--out", f"{here}tables").code == 0
    done = run("import", f"{here}tables", "--results", f"{here}again")
    assert done.code == 0, done.err
    assert "grpo on random-walk/20, seed 1: diverged: the loss is not finite" in done.err
    reports = [run("report", f"{here}{name}/made-up", "--format", "json") for name in ("results", "again")]
    assert [report.code for report in reports] == [0, 0]
    before, after = (numbers(report.out) for report in reports)
    assert after == before
    assert before["runs_planned"] > before["runs_shown"] > 100
    compared = run("compare", f"{here}results/made-up", f"{here}again/made-up", "--format", "json")
    cells = json.loads(compared.out)["suites"][0]["cells"]
    assert len(cells) == 24
    assert {(cell["settings_same"], cell["final"]["outcome"]) for cell in cells} == {(True, "identical")}


def test_cells_without_a_run_stay_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "results" / "made-up")
    runs = [record(algorithm="grpo", seed=seed) for seed in range(2)]
    put_plan(store, [*runs, record(algorithm="ppo")], [0, 1])
    put(store, *runs)
    assert run_here(capsys, "export", str(store.root), "--out", str(tmp_path / "tables")).code == 0
    done = run_here(capsys, "import", str(tmp_path / "tables"), "--results", str(tmp_path / "again"))
    assert done.code == 0, done.err
    report = run_here(capsys, "report", str(tmp_path / "again"), "--format", "json")
    (suite,) = json.loads(report.out)["suites"]
    assert (suite["runs_shown"], suite["runs_planned"]) == (2, 4)
    ppo = next(each for each in suite["tasks"][0]["algorithms"] if each["algorithm"] == "ppo")
    assert [(run["seed"], run["status"]) for run in ppo["seeds"]["missing"]] == [(0, "missing"), (1, "missing")]
    # The same tables again change nothing.
    plan = (tmp_path / "again" / "made-up" / "plan.json").read_bytes()
    assert run_here(capsys, "import", str(tmp_path / "tables"), "--results", str(tmp_path / "again")).code == 0
    assert (tmp_path / "again" / "made-up" / "plan.json").read_bytes() == plan


def test_tables_that_were_changed_by_hand_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    showcase(tmp_path / "results" / "made-up", seeds=2, marks=4, only=("gym/CartPole-v1",))
    tables = tmp_path / "tables"
    assert run_here(capsys, "export", str(tmp_path / "results"), "--out", str(tables)).code == 0
    runs, curves = ((tables / f"{name}.csv").read_text() for name in ("runs", "curves"))

    def refused(new_runs: str, new_curves: str, says: str) -> None:
        (tables / "runs.csv").write_text(new_runs)
        (tables / "curves.csv").write_text(new_curves)
        done = run_here(capsys, "import", str(tables), "--results", str(tmp_path / "again"))
        assert (done.code, done.out) == (4, ""), says
        assert says in done.err, done.err
        assert "Traceback" not in done.err
        assert not (tmp_path / "again").exists()

    lines = curves.splitlines(keepends=True)
    refused(runs, "".join([lines[0], *lines[2:], lines[1]]), "do not increase")
    refused(runs, "".join([lines[0], *(line.replace("grpo", "gpro") for line in lines[1:])]), "not among the runs")
    refused(runs, curves[:-30], "curves.csv:")
    refused(runs.replace(",done,", ",finished,"), curves, "status")
    refused(runs.replace("settings_hash", "hash"), curves, "runs.csv")


def test_nothing_stored_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"

    def take() -> Outcome:
        return run_here(capsys, "import", str(tmp_path / "mapping.yaml"), "--results", str(results))

    source = {"files": "seed_{seed}.csv"}
    write_mapping(tmp_path, source)
    for seed in (0, 1):
        write_curve(tmp_path / f"seed_{seed}.csv", [(0, 1.0), (100, 3.0 + seed)])
    assert take().code == 0
    before = {path: path.read_bytes() for path in results.rglob("*.json")}
    assert "imported 0 runs" in take().out
    assert {path: path.read_bytes() for path in results.rglob("*.json")} == before
    # A new seed and a changed one: neither is stored.
    write_curve(tmp_path / "seed_1.csv", [(0, 1.0), (100, 9.0)])
    write_curve(tmp_path / "seed_2.csv", [(0, 1.0), (100, 5.0)])
    done = take()
    assert (done.code, done.out) == (4, "")
    assert "holds another run of theirs" in done.err
    assert "nothing was imported" in done.err
    assert {path: path.read_bytes() for path in results.rglob("*.json")} == before
    # Said to be of other code, they stand beside the old ones, and reports show the new ones.
    write_mapping(tmp_path, source, algorithms={"theirs": {"code": "second try"}})
    done = take()
    assert done.code == 0
    assert "reports now show the imported runs" in done.err
    assert all(path.read_bytes() == content for path, content in before.items() if path.name != "plan.json")
    report = run_here(capsys, "report", str(results), "--format", "json")
    (result,) = json.loads(report.out)["suites"][0]["tasks"][0]["algorithms"]
    assert result["seeds"]["shown"] == [0, 1, 2]
    assert result["final_return"]["mean"] == pytest.approx((3 + 9 + 5) / 3)


def test_a_longer_log_completes_an_interrupted_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping = write_mapping(tmp_path, {"files": "seed_{seed}.csv"})
    arguments = ["import", str(mapping), "--results", str(tmp_path / "results")]
    for end, status in ((50, "interrupted"), (100, "done")):
        write_curve(tmp_path / "seed_0.csv", [(step, float(step)) for step in range(0, end + 1, 25)])
        assert run_here(capsys, *arguments).code == 0
        assert stored(tmp_path / "results")["theirs", 0]["status"] == status


def test_imported_runs_stand_beside_our_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one suite's folder, its plan extended, the declared claims marked as exploratory."""
    store = Store(tmp_path / "results" / "elsewhere")
    own = [record(TASK, "haepo-weighted", seed, suite="elsewhere", references=(20.0, 120.0)) for seed in range(3)]
    put(store, *own)
    put_plan(store, own, [0, 1, 2], suite="elsewhere")
    for seed in (0, 1, 2):
        write_curve(tmp_path / f"seed_{seed}.csv", [(step, 1.0 + seed + step) for step in range(0, 101, 25)])
    mapping = write_mapping(tmp_path, {"files": "seed_{seed}.csv"})
    assert run_here(capsys, "import", str(mapping), "--results", str(tmp_path / "results")).code == 0
    (suite,) = json.loads(run_here(capsys, "report", str(store.root), "--format", "json").out)["suites"]
    assert suite["plan"]
    (task,) = suite["tasks"]
    assert {result["algorithm"]: len(result["seeds"]["shown"]) for result in task["algorithms"]} == {
        "haepo-weighted": 3,
        "theirs": 3,
    }
    assert suite["scorecard"]["baselines"] == ["theirs"]
    assert suite["scorecard"]["exploratory"]
    assert "name: made-up" in suite["source"]
    assert "files: seed_{seed}.csv" in suite["source"]


def test_a_plan_that_cannot_be_read_stops_an_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_curve(tmp_path / "seed_0.csv", [(0, 1.0), (100, 3.0)])
    mapping = write_mapping(tmp_path, {"files": "seed_{seed}.csv"})
    plan = tmp_path / "results" / "elsewhere" / "plan.json"
    plan.parent.mkdir(parents=True)
    newer = {"format_version": 99, "suite": "elsewhere", "cells": []}
    for text, says in [
        ("{", "cannot be read"),
        (json.dumps({**newer, "format_version": 1, "cells": [1]}), "cells.0"),
        (json.dumps(newer), "newer version"),
    ]:
        plan.write_text(text)
        done = run_here(capsys, "import", str(mapping), "--results", str(tmp_path / "results"))
        assert done.code == 4
        assert "plan.json" in done.err
        assert says in done.err, done.err
        assert [path.name for path in plan.parent.iterdir()] == ["plan.json"]
