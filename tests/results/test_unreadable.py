"""Stored files that cannot be read: commands that only read show the rest and end with 4; damaged files end with 0."""

import errno
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from cli_support import Outcome, run_here
from special_files import KINDS, make, within, without_rights
from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.results.selection import select
from haepo_bench.results.store import FileState, Store, Unusable, read_record

FOLDER = folder_of(record())
CLEAN = {"commit": "c0ffee" * 6 + "c0ff", "dirty": False}


def runs(algorithm: str, seeds: int = 4) -> list[Any]:
    fields = {"started": "2026-01-01T00:00:00+00:00", "git": CLEAN, "seeds": list(range(seeds)), "versions": {}}
    return [record(algorithm=algorithm, seed=seed, provenance=fields) for seed in range(seeds)]


def suite(root: Path, name: str = "made-up") -> Store:
    """Two cells with four runs each."""
    store = Store(root / name)
    put(store, *runs("reinforce"), *runs("grpo"))
    put_plan(store, [record(), record(algorithm="grpo")], list(range(4)), suite=name)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return suite(tmp_path / "results")


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from haepo_bench.cli.main import program

    folder = tmp_path_factory.mktemp("baseline")
    suite(folder)
    out = folder / "baseline.json"
    arguments = ["baseline", str(folder / "made-up"), "--out", str(out), "--reason", "why", "--min-seeds", "4"]
    assert program(arguments) == 0
    return out


def readers(results: Path, out: Path, baseline: Path) -> dict[str, list[str]]:
    """Every command that only reads results."""
    return {
        "report": ["report", str(results), "--format", "md"],
        "compare": ["compare", str(results), str(results)],
        "export": ["export", str(results), "--out", str(out)],
        "check": ["check", str(results), "--baseline", str(baseline)],
    }


def run_all(capsys: pytest.CaptureFixture[str], results: Path, tmp_path: Path, baseline: Path) -> dict[str, Outcome]:
    done = {}
    for name, arguments in readers(results, tmp_path / "out", baseline).items():
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        with within(60):
            done[name] = run_here(capsys, *arguments)
    return done


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_no_file_is_unreadable(store: Store, kind: str) -> None:
    make(store.path(FOLDER, 2), kind)
    with within(5):
        found = read_record(store.path(FOLDER, 2))
    assert isinstance(found, Unusable)
    assert (found.state, found.reason) == (FileState.UNREADABLE, KINDS[kind])
    absent = [(run.seed, run.status, run.reason) for cell in select(store).cells for run in cell.absent]
    assert absent == [(2, "unreadable", KINDS[kind])]


@pytest.mark.parametrize("kind", ["fifo", "loop"])
def test_a_run_that_cannot_be_read_is_named_and_the_rest_is_shown(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], baseline: Path, kind: str
) -> None:
    make(store.path(FOLDER, 2), kind)
    done = run_all(capsys, store.root, tmp_path, baseline)
    for name, outcome in done.items():
        assert outcome.code == 4, (name, outcome.err)
        assert f"unreadable: {FOLDER}/seed-2.json: {KINDS[kind]}" in outcome.err, name
        assert "Traceback" not in outcome.err
    assert "3/4" in done["report"].out
    assert f"seed 2: unreadable ({KINDS[kind]})" in done["report"].out
    # Bounded like a missing run.
    assert "reinforce: had the missing seeds been the lowest or the highest seen on their tasks" in done["report"].out
    assert "= bandit/10-arm grpo" in re.sub(r" +", " ", done["check"].out)
    assert "seed 2 unreadable" in done["check"].out


@pytest.mark.parametrize("kind", KINDS)
def test_so_is_a_plan(store: Store, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    make(store.plan_path, kind)
    with within(60):
        done = run_here(capsys, "compare", str(store.root), str(store.root))
    assert done.code == 4, done.err
    assert f"A: unreadable: plan.json: {KINDS[kind]}" in done.err
    assert f"B: unreadable: plan.json: {KINDS[kind]}" in done.err
    assert [len(cell.runs) for cell in select(store).cells] == [4, 4]


def test_what_was_read_and_is_wrong_is_damaged_and_ends_with_0(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], baseline: Path
) -> None:
    store.path(FOLDER, 2).write_text("{")
    for name, outcome in run_all(capsys, store.root, tmp_path, baseline).items():
        assert outcome.code == (2 if name == "check" else 0), (name, outcome.err)
        assert "unreadable" not in outcome.err


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE, errno.EACCES, errno.ENFILE, errno.ENOTCONN])
def test_whatever_the_system_refuses_is_unreadable(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, baseline: Path, number: int
) -> None:
    refused = str(store.path(FOLDER, 1))
    true_open = os.open

    def refusing(path: Any, *arguments: Any, **options: Any) -> int:
        if str(path) == refused:
            raise OSError(number, os.strerror(number), refused)
        return true_open(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    with within(60):
        done = run_here(capsys, "check", str(store.root), "--baseline", str(baseline))
    assert done.code == 4, done.err
    assert f"made-up: unreadable: {FOLDER}/seed-1.json: {os.strerror(number)}" in done.err
    with pytest.raises(Exception, match="cannot be read"):
        store.write(FOLDER, record(seed=1))
    monkeypatch.undo()
    assert store.read(FOLDER, 1) == runs("reinforce")[1]


def test_a_baseline_is_not_recorded_without_the_runs_that_cannot_be_read(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(store.path(FOLDER, 2), "loop")
    arguments = ["baseline", str(store.root), "--out", str(tmp_path / "b.json"), "--reason", "why", "--min-seeds", "3"]
    done = run_here(capsys, *arguments)
    assert done.code == 4
    assert "seed 2: unreadable (Too many levels of symbolic links)" in done.err
    assert not (tmp_path / "b.json").exists()


def test_nothing_left_but_what_cannot_be_read_ends_with_4(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in store.root.glob("*--*"):
        shutil.rmtree(folder)
        make(folder, "loop")
    done = run_here(capsys, "report", str(store.root))
    assert done.code == 4
    assert "nothing to report" in done.err
    assert f"{FOLDER}: unreadable: Too many levels" in done.err


@pytest.mark.parametrize("kind", ["loop", "dangling"])
def test_a_suite_out_of_reach_hides_no_other(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], baseline: Path, kind: str
) -> None:
    results = store.root.parent
    make(results / "elsewhere", kind)
    make(results / "pipe", "fifo")  # no folder, so no suite
    for name, outcome in run_all(capsys, results, tmp_path, baseline).items():
        assert outcome.code == 4, (name, outcome.err)
        assert "unreadable: " in outcome.err
        assert "pipe" not in outcome.err
    done = run_here(capsys, "report", str(results), "--format", "json")
    shown = {
        one["suite"]: (one["runs_shown"], [file["state"] for file in one["damaged"]])
        for one in json.loads(done.out)["suites"]
    }
    assert shown == {"made-up": (8, []), "elsewhere": (0, ["unreadable"])}


def test_a_cell_out_of_reach_is_named_once_and_its_runs_are_unreadable(store: Store) -> None:
    shutil.rmtree(store.root / FOLDER)
    (store.root / FOLDER).write_text("a file in the place of a folder")
    selection = select(store)
    by_name = {cell.algorithm: cell for cell in selection.cells}
    assert [(run.seed, run.status, run.reason) for run in by_name["reinforce"].absent] == [
        (seed, "unreadable", "Not a directory") for seed in range(4)
    ]
    assert len(by_name["grpo"].runs) == 4
    assert [(str(file.path), file.reason) for file in selection.unreadable] == [(FOLDER, "Not a directory")]


def test_a_plan_cannot_point_out_of_its_store(store: Store) -> None:
    put(Store(store.root.parent / "other"), record(seed=9))
    document = json.loads(store.plan_path.read_text())
    document["cells"][0] |= {"folder": f"../other/{FOLDER}", "seeds": [9]}
    store.plan_path.write_text(json.dumps(document))
    absent = [(run.status, run.reason) for cell in select(store).cells for run in cell.absent]
    assert absent == [("missing", "no file")]


def test_permissions(tmp_path: Path) -> None:
    """As a user whom they hold for."""
    store, other = suite(tmp_path / "results"), suite(tmp_path / "results", "other")
    store.path(folder_of(record(algorithm="grpo")), 3).chmod(0)
    (store.root / FOLDER).chmod(0)
    other.root.chmod(0)
    done = without_rights(tmp_path, "report", "results", "--format", "json")
    assert done.code == 4, done.err
    found, shown = json.loads(done.out)["suites"]
    if found["suite"] != "other":
        found, shown = shown, found
    assert (found["runs_shown"], {file["state"] for file in found["damaged"]}) == (0, {"unreadable"})
    assert shown["runs_shown"] == 3
    states = [[run["status"] for run in result["seeds"]["missing"]] for result in shown["tasks"][0]["algorithms"]]
    assert states == [["unreadable"] * 4, ["unreadable"]]
    assert f"made-up: unreadable: {FOLDER}: Permission denied" in done.err
    assert "no file" not in done.out


def test_an_import_leaves_out_no_folder_that_it_cannot_read(tmp_path: Path) -> None:
    for seed in range(2):
        (tmp_path / "runs" / f"seed_{seed}").mkdir(parents=True)
        (tmp_path / "runs" / f"seed_{seed}" / "run.csv").write_text("step,eval_return\n0,1\n10,2\n")
    (tmp_path / "runs" / "seed_1").chmod(0)
    said = ["--suite", "s", "--task", "t", "--algorithm", "a"]
    for path in ("runs", "runs/seed_1/run.csv"):
        done = without_rights(tmp_path, "import", path, *said)
        assert done.code == 4, done.err
        assert "runs/seed_1" in done.err
        assert "Permission denied" in done.err or "does not exist" in done.err
    assert not (tmp_path / "results").exists()


def test_an_import_stops_at_what_it_cannot_compare_with(store: Store, tmp_path: Path) -> None:
    tables = str(tmp_path / "tables")
    assert without_rights(tmp_path, "export", str(store.root), "--out", tables).code == 0
    imported = ["import", f"{tables}/runs.csv", "--results", "copy"]
    assert without_rights(tmp_path, *imported).code == 0
    (again,) = (tmp_path / "copy").glob(f"made-up/{FOLDER.rpartition('--')[0]}--*/seed-1.json")
    make(again, "loop")
    done = without_rights(tmp_path, *imported)
    assert done.code == 4, done.err
    assert "seed-1.json: cannot be read: Too many levels of symbolic links" in done.err
    assert again.is_symlink()


def test_a_results_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    suite(tmp_path / "results")
    (tmp_path / "results").chmod(0)
    for command in (["report", "results"], ["export", "results", "--out", "o"], ["compare", "results", "results"]):
        done = without_rights(tmp_path, *command)
        assert done.code == 4, done.err
        assert "readable" in done.err
