"""The store: whole files or none, nothing finished overwritten, nobody else let in."""

import errno
import os
from pathlib import Path

import pytest
from synthetic_runs import folder_of, put, record

from haepo_bench.errors import UserError
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import FileState, Store, Unusable, read_record
from haepo_bench.results.writing import write_atomically


def test_written_runs_are_read_back(tmp_path: Path) -> None:
    store, run = Store(tmp_path / "suite"), record(seed=3)
    assert store.read(folder_of(run), 3) is None
    path = store.write(folder_of(run), run)
    assert path == tmp_path / "suite" / folder_of(run) / "seed-3.json"
    assert store.read(folder_of(run), 3) == run
    assert [found for _, found in store.records()] == [run]
    assert [file.name for file in path.parent.iterdir()] == ["seed-3.json"]


@pytest.mark.parametrize("status", ["done", "diverged"])
def test_finished_runs_are_never_replaced(tmp_path: Path, status: str) -> None:
    store, run = Store(tmp_path), record(status=status)
    path = store.write("cell", run)
    before = path.read_bytes()
    with pytest.raises(FileExistsError):
        store.write("cell", record(status="failed", error="later"))
    assert path.read_bytes() == before


@pytest.mark.parametrize("status", ["failed", "timed_out", "interrupted"])
def test_unfinished_runs_are(tmp_path: Path, status: str) -> None:
    store = Store(tmp_path)
    store.write("cell", record(status=status, error="first"))
    store.write("cell", record())
    found = store.read("cell", 0)
    assert isinstance(found, RunRecord)
    assert found.status == "done"


def test_damaged_files_are_kept_beside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for text in ("first damage", "second damage"):
        path = store.path("cell", 0)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        store.write("cell", record())
        path.rename(tmp_path / "aside")
    kept = sorted(file.read_text() for file in (tmp_path / "cell").glob("*.damaged*"))
    assert kept == ["first damage", "second damage"]
    assert list(store.records()) == []


def test_a_file_that_holds_another_seed_is_damaged(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, record(seed=1))
    path = store.path(folder_of(record()), 1)
    path.rename(path.with_name("seed-2.json"))
    found = read_record(path.with_name("seed-2.json"))
    assert isinstance(found, Unusable)
    assert found.state is FileState.DAMAGED
    assert "seed 1" in found.reason


def test_reports_are_not_taken_for_runs(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "report.json").write_text("{}")
    assert list(Store(tmp_path).records()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unwritable_place_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write.*\n.*--out"):
        write_atomically(tmp_path / "file" / "inside", "text", option="--out")


def test_text_that_utf8_cannot_hold_is_stored(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", "a\udc80b")
    assert (tmp_path / "file").read_text() == "a?b"


def test_a_second_run_is_kept_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "suite")
    with store.lock(), pytest.raises(UserError, match=f"process {os.getpid()}"), Store(tmp_path / "suite").lock():
        pass
    with store.lock():
        pass


def test_plans(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.read_plan() is None
    plan = PlanFile(format_version=1, suite="made-up", cells=[])
    store.write_plan(plan)
    assert store.read_plan() == plan
    for damage in ('{"cells"', "[]", '{"cells": 3}', "[" * 100_000):
        (tmp_path / "plan.json").write_text(damage)
        assert isinstance(store.read_plan(), Unusable)
