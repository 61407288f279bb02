"""What is kept beside the runs of what they executed, and what a dry run says of it."""

import io
from pathlib import Path

import pytest
from identity_support import make_cell
from rich.console import Console
from synthetic_runs import folder_of, put, record

from haepo_bench.execution.obsolete import obsolete
from haepo_bench.execution.session import forecast
from haepo_bench.execution.summary import print_forecast
from haepo_bench.results.code import CODE_FILE, changes, read_code, write_code
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Cell, Execution, Plan

BEFORE = {
    "module haepo_bench.objectives.grpo": "0" * 16,
    "package torch": "2.12.0",
    "source mine": "1" * 16,
    "data a": "2",
}


def test_what_differs_in_words() -> None:
    now = {
        "module haepo_bench.objectives.grpo": "f" * 16,
        "package torch": "2.13.0",
        "package peft": "1.0",
        "data a": "2",
    }
    assert changes(BEFORE, now) == ["objectives.grpo", "torch 2.12.0 -> 2.13.0", "peft 1.0 (new)", "mine (gone)"]
    assert changes(BEFORE, dict(BEFORE)) == []


def test_it_comes_back(tmp_path: Path) -> None:
    store, cell = Store(tmp_path), make_cell("grpo", "gym/FrozenLake-v1")
    assert read_code(store, cell.folder) is None
    write_code(store, cell.folder, cell.code)
    assert read_code(store, cell.folder) == cell.code
    file = tmp_path / cell.folder / CODE_FILE
    assert file.stat().st_size < 6_500
    written = file.stat().st_mtime_ns
    write_code(store, cell.folder, cell.code)
    assert file.stat().st_mtime_ns == written
    assert not list(store.records())  # no reader takes it for a run, those of version 0.1 included


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * 2_000_000, None])
def test_one_that_cannot_be_read_says_nothing(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "cell" / CODE_FILE
    file.parent.mkdir()
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert read_code(Store(tmp_path), "cell") is None


def of_cell(cell: Cell, **changes: object) -> RunRecord:
    run = record(cell.task, cell.algorithm)
    hashes = {"settings_hash": cell.settings_hash, "code_hash": cell.code_hash}
    return run.model_copy(update={**hashes, **changes})


def test_a_dry_run_says_what_changed(tmp_path: Path) -> None:
    """Of runs of other code, those of version 0.1 included; not of those of other settings, nor where all is there."""
    store = Store(tmp_path)
    cell, complete = make_cell("grpo", "bandit/10-arm"), make_cell("dpo", "bandit/10-arm")
    execution = Execution(1, "cpu", "", "torch", "", False, 60.0, 60.0)
    plan = Plan("one-cell", "", (cell, complete), execution)

    def said() -> str:
        output = io.StringIO()
        print_forecast(plan, forecast(plan, store, retry_failed=False), Console(file=output, width=200))
        return output.getvalue()

    assert "other code" not in said()
    old, older, other = (
        of_cell(cell, code_hash="d" * 64),
        of_cell(cell, code_hash="e" * 64),
        of_cell(cell, settings_hash="5" * 64),
    )
    put(store, old, older, other, of_cell(complete), of_cell(complete, code_hash="d" * 64))
    write_code(store, folder_of(old), cell.code | {"module haepo_bench.objectives.grpo": "0", "package torch": "1.0"})
    found = {one.folder: one.changed for one in obsolete(plan.cells[:1], store)}
    torch = cell.code["package torch"]
    assert found == {folder_of(old): ("objectives.grpo", f"torch 1.0 -> {torch}"), folder_of(older): None}
    text = said()
    assert f"  grpo on bandit/10-arm (1 run): changed since: objectives.grpo, torch 1.0 -> {torch}\n" in text
    assert "  grpo on bandit/10-arm (1 run): made by a version that did not keep what it executed\n" in text
    assert "dpo on" not in text
    many = {f"module m{n:02}": "x" for n in range(12)}
    write_code(store, folder_of(old), {**cell.code, **many})
    assert "m00 (gone), m01 (gone)" in said()
    assert "and 4 more" in said()
