"""The index of a results folder: what is read through it is what the records say, whatever happens behind its back."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import run_here
from special_files import KINDS, make, within
from synthetic_runs import folder_of, overoptimised, put, put_plan, record, showcase

from haepo_bench.results.index import INDEX_FILE, Index, refresh
from haepo_bench.results.packed_runs import SharedParts, pack, unpack
from haepo_bench.results.record import Failure, RunRecord
from haepo_bench.results.selection import Run, select
from haepo_bench.results.store import Store, read_record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A suite with everything in it, and its index."""
    made = showcase(tmp_path / "made-up", seeds=3, marks=5)
    with made.lock():
        refresh(made)
    assert (made.root / INDEX_FILE).is_file()
    return made


def without_index(store: Store, place: Path) -> Store:
    """A copy of the records alone, with their times."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(store.root, place / store.root.name, ignore=shutil.ignore_patterns(".index*"))
    return Store(place / store.root.name)


def seen(store: Store) -> list[Any]:
    """All that is selected of a store, as plain data."""
    selection = select(Store(store.root))
    runs = [run for cell in selection.cells for run in (*cell.runs, *cell.unfinished)]
    return [
        [(str(run.path), json.loads(run.record.to_json()), columns_of(run)) for run in runs],
        [(cell.key, cell.absent, cell.information) for cell in selection.cells],
        [(file.path, file.reason, file.state) for file in selection.damaged],
        selection.not_shown,
    ]


def columns_of(run: Run) -> dict[str, tuple[str, bytes]]:
    return {name: (str(column.dtype), column.tobytes()) for name, column in run.curve.items()}


def entries(store: Store) -> int:
    """How many records need not be read."""
    with Index(store.root) as index:
        return sum(len(index.folder(folder.name, curves=True)) for folder in store.folders())


def files(store: Store) -> list[Path]:
    return sorted(store.root.glob("*--*/seed-*.json"))


def test_what_is_read_through_it_is_what_is_read_without(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert seen(store) == seen(without_index(store, tmp_path / "copy"))
    assert entries(store) == len(files(store)) == 72
    # And no record is read.
    monkeypatch.setattr("haepo_bench.results.selection.read_record", lambda path: pytest.fail(f"read {path}"))
    select(Store(store.root))


@pytest.mark.parametrize(
    "run",
    [
        record(),
        record(references=None),
        record(returns=[0.0, 1e-300, None, None, None], status="diverged", error="nan"),
        record(status="failed", error="went \u00fc \x00 away", curve={"env_steps": [0], "eval_return": [1.0]}),
        record(
            attempts=[Failure(status="failed", type="A", message="b", started="c")],
            notes=["one", "two"],
            provenance={"started": "x", "seeds": [1, 2], "git": None, "resumed": [{"at": "y"}], "columns": {"a": {}}},
            cost={"env_steps_collected": 2**60 + 1, "wall_seconds": 0.1},
        ),
        overoptimised("grpo", 3),
    ],
)
def test_a_record_that_is_packed_and_unpacked_is_the_same(run: RunRecord) -> None:
    packed = pack(run)
    shared = SharedParts({0: packed.cell, 1: packed.session})
    found = unpack(shared, 0, 1, packed.own.encode())
    assert found == run.model_copy(update={"curve": {}})
    # To the type of each number, of which JSON knows two.
    assert json.loads(found.to_json()) == {**json.loads(run.to_json()), "curve": {}}
    assert repr(sorted(found.cost.items())) == repr(sorted(run.cost.items()))
    table = np.frombuffer(packed.curve, dtype="<f8").reshape(max(1, len(json.loads(packed.columns))), -1)
    if run.status in ("done", "diverged"):
        for name, column in zip(json.loads(packed.columns), table, strict=True):
            assert column.tobytes() == np.array(run.curve[name], dtype=float).tobytes()
    else:
        assert packed.curve == b""


def changed(store: Store, path: Path) -> None:
    document = json.loads(path.read_text())
    document["final"]["eval_return"] = 0.123456789012345
    path.write_text(json.dumps(document))


def same_size(store: Store, path: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace('"learning_rate": 0.003', '"learning_rate": 0.004'))
    assert path.read_text() != text
    assert len(path.read_text()) == len(text)


def cut_off(store: Store, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def deleted(store: Store, path: Path) -> None:
    path.unlink()


def added(store: Store, path: Path) -> None:
    run = RunRecord.from_json(path.read_bytes())
    put(store, run.model_copy(update={"seed": 77}))


def replaced(store: Store, path: Path) -> None:
    """By the run of another seed, with all that a copy keeps."""
    shutil.copy2(path.with_name("seed-1.json"), path)


def renamed(store: Store, path: Path) -> None:
    path.rename(path.with_name("seed-5.json"))


def folder_gone(store: Store, path: Path) -> None:
    shutil.rmtree(path.parent)


def folder_renamed(store: Store, path: Path) -> None:
    path.parent.rename(path.parent.with_name(path.parent.name.replace("c" * 8, "d" * 8)))


def nothing(store: Store, path: Path) -> None:
    pass


CHANGES: list[Callable[[Store, Path], None]] = [
    nothing, changed, same_size, cut_off, deleted, added, replaced, renamed, folder_gone, folder_renamed,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_behind_its_back_is_seen(
    store: Store, tmp_path: Path, change: Callable[[Store, Path], None]
) -> None:
    path = files(store)[0]
    kept = path.read_bytes(), path.stat()
    folder = tmp_path / "kept"
    shutil.copytree(path.parent, folder)
    before = seen(store)
    change(store, path)
    bare = tmp_path / "bare"
    after = seen(store)
    assert after == seen(without_index(store, bare))
    assert (after == before) == (change is nothing)
    with store.lock():
        refresh(store)
    assert seen(store) == after
    readable = sum(isinstance(read_record(file), RunRecord) for file in files(store))
    assert entries(store) == readable
    # Restored, with the time that it had.
    for run in files(store):
        if run.parent.name.endswith("d" * 8) or run.name in ("seed-77.json", "seed-5.json"):
            run.unlink()
    shutil.copytree(folder, path.parent, dirs_exist_ok=True)
    path.write_bytes(kept[0])
    os.utime(path, ns=(kept[1].st_atime_ns, kept[1].st_mtime_ns))
    assert seen(store) == seen(without_index(store, bare)) == before
    with store.lock():
        refresh(store)
    assert seen(store) == before


def test_what_cannot_be_read_is_not_read_from_the_index(store: Store) -> None:
    path = files(store)[0]
    for kind in KINDS:
        kept = path.rename(path.with_name("kept"))
        make(path, kind)
        with within(10):
            assert path.name in {file.path.name for file in select(Store(store.root)).damaged}, kind
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        kept.rename(path)


def write_garbage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def other_version(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def other_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE runs")
    connection.close()


def foreign_values(path: Path) -> None:
    """As somebody might write who wants to be believed; the sums do not match."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE runs SET own = '{}', curve = X'00'")
    connection.close()


def foreign_texts(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE texts SET text = '[1]'")
    connection.close()


@pytest.mark.parametrize(
    "harm",
    [write_garbage, cut_in_half, other_version, other_tables, foreign_values, foreign_texts, *KINDS],
    ids=lambda harm: getattr(harm, "__name__", harm),
)
def test_a_damaged_index_costs_time_and_nothing_else(store: Store, harm: Callable[[Path], None] | str) -> None:
    before, path = seen(store), store.root / INDEX_FILE
    if isinstance(harm, str):
        path.unlink()
        make(path, harm)
    else:
        harm(path)
    with within(30):
        assert seen(store) == before
        with store.lock():
            refresh(store)
        assert seen(store) == before


def test_flipped_bits_are_never_believed(store: Store) -> None:
    before, path = seen(store), store.root / INDEX_FILE
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), 20):
            data[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(data)
        assert seen(store) == before


def test_it_is_written_by_run_and_merge_and_by_no_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        "name: trial\nseeds: 2\nevaluation: {every: 20, episodes: 2}\n"
        "tasks: [{id: bandit/pi-squared, budget: {env_steps: 40}}]\n"
        "algorithms: [{use: reinforce, params: {trajectories: 4, hidden: [8]}}]\nexecution: {workers: 1}\n"
    )
    results = tmp_path / "results"
    assert run_here(capsys, "run", str(suite), "--results", str(results), "--quiet").code == 0
    root = results / "trial"
    assert entries(Store(root)) == 2
    assert run_here(capsys, "merge", str(root), "--into", str(tmp_path / "merged")).code == 0
    assert entries(Store(tmp_path / "merged")) == 2
    (root / INDEX_FILE).unlink()
    for command in (
        ("report", str(root), "--format", "json"),
        ("run", str(suite), "--results", str(results), "--dry-run"),
    ):
        assert run_here(capsys, *command).code == 0
        assert not (root / INDEX_FILE).exists()
    # Nothing is to be run, and the folder has its index again.
    assert run_here(capsys, "run", str(suite), "--results", str(results), "--quiet").code == 0
    assert entries(Store(root)) == 2
    assert [path.name for path in root.iterdir() if path.name.startswith(".index")] == [INDEX_FILE]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_read(store: Store) -> None:
    before = seen(store)
    store.root.chmod(0o555)
    assert seen(store) == before
    store.root.chmod(0o755)


def test_a_report_with_it_is_the_report_without(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = without_index(store, tmp_path / "bare")
    for arguments in (("report", "--format", "json"), ("export", "--out", "out")):
        said = []
        for root in (store.root, bare.root):
            monkeypatch.chdir(root.parent)
            done = run_here(capsys, arguments[0], root.name, *arguments[1:])
            tables = {path.name: path.read_bytes() for path in Path("out").glob("*")}
            said.append((done, tables))
        assert said[0] == said[1]


def test_entries_of_runs_of_one_name_in_two_cells_are_kept_apart(tmp_path: Path) -> None:
    store = Store(tmp_path / "made-up")
    runs = [record(algorithm=name, seed=0, returns=[level] * 5) for name, level in (("grpo", 1.0), ("dpo", 2.0))]
    put(store, *runs)
    put_plan(store, runs, [0])
    with store.lock():
        refresh(store)
    for run in runs:
        with Index(store.root) as index:
            (entry,) = index.folder(folder_of(run), curves=True).values()
        assert entry.record == run.model_copy(update={"curve": {}})
        assert entry.curve["eval_return"].tolist() == run.curve["eval_return"]
