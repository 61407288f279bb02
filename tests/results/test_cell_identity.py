"""A planned cell, the plan file's, a run's and a selection's: one identity, one folder."""

from pathlib import Path

from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.results.identity import CellIdentity, CellKey, cell_folder
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.selection import select
from haepo_bench.results.store import Store

TASK = "noise(gym/CartPole-v1,0.5)"
IDENTITY = CellIdentity(TASK, "grpo", "5" * 64, "c" * 64)


def test_a_run_the_plan_and_a_selection_say_the_same_identity(tmp_path: Path) -> None:
    store, run = Store(tmp_path), record(TASK, "grpo")
    put(store, run)
    put_plan(store, [run], [0])
    plan, (cell,) = store.read_plan(), select(store).cells
    assert isinstance(plan, PlanFile)
    assert run.identity == plan.cells[0].identity == IDENTITY
    assert (cell.key, cell.settings_hash, cell.code_hash) == (IDENTITY.key, "5" * 64, "c" * 64)


def test_a_folder_is_named_after_the_identity_and_a_cell_after_its_key() -> None:
    assert cell_folder(IDENTITY) == "noise%28gym%2FCartPole-v1%2C0.5%29--grpo--55555555-cccccccc"
    assert cell_folder(IDENTITY) == folder_of(record(TASK, "grpo"))
    assert IDENTITY.key == CellKey(TASK, "grpo")
    assert str(IDENTITY.key) == f"grpo on {TASK}"


def test_a_copy_in_another_folder_stays_another_place(tmp_path: Path) -> None:
    store, run = Store(tmp_path), record(TASK, "grpo")
    put(store, run)
    put_plan(store, [run], [0])
    (tmp_path / folder_of(run)).rename(tmp_path / "copy--of")
    put(store, record(TASK, "grpo", 1))
    selection = select(store)
    assert [(left.folder, left.reason) for left in selection.not_shown if left.folder == "copy--of"] == [
        ("copy--of", "a copy in another folder")
    ]
