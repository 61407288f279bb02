"""Which runs of a store are shown, which are missing and why, which are left out."""

import json
from pathlib import Path

import pytest
from synthetic_runs import FOOTNOTE, KINDS, folder_of, put, put_plan, record

from haepo_bench.results.opening import find_suites
from haepo_bench.results.selection import SelectedCell, Selection, select
from haepo_bench.results.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "made-up")


def only_cell(selection: Selection) -> SelectedCell:
    (cell,) = selection.cells
    return cell


def seeds(cell: SelectedCell) -> list[int]:
    return [run.record.seed for run in cell.runs]


def test_every_planned_run_is_shown_or_missing_with_its_reason(store: Store) -> None:
    put(store, *(record(seed=seed) for seed in (0, 10, 2)))
    put(store, record(seed=3, status="diverged", returns=[0.0, 0.1, None, None, None], error="loss is NaN"))
    put(store, record(seed=4, status="failed", error="out of luck"), record(seed=5, status="timed_out", error="1800 s"))
    put(store, record(seed=6, status="interrupted"))
    store.path(folder_of(record()), 7).write_text('{"format_version": 1, "stat')
    put_plan(store, [record()], [0, 2, 3, 4, 5, 6, 7, 8, 10])
    selection = select(store)
    cell = only_cell(selection)
    assert seeds(cell) == [0, 2, 3, 10]
    assert [(run.seed, run.status) for run in cell.absent] == [
        (4, "failed"),
        (5, "timed_out"),
        (6, "interrupted"),
        (7, "damaged"),
        (8, "missing"),
    ]
    assert [run.reason for run in cell.absent][:2] == ["RuntimeError: out of luck", "1800 s"]
    assert [str(file.path) for file in selection.damaged] == [f"{folder_of(record())}/seed-7.json"]
    assert selection.not_shown == ()


def test_runs_that_the_plan_does_not_name_are_left_out_by_name(store: Store) -> None:
    other_settings = record(settings_hash="6" * 64, started="2027-01-01T00:00:00+00:00")
    other_code = record(code_hash="d" * 64)
    other_suite = record("gym/CartPole-v1", suite="neighbour")
    put(store, record(), record(seed=9), other_settings, other_code, other_suite, record(algorithm="grpo"))
    put_plan(store, [record()], [0])
    selection = select(store)
    assert seeds(only_cell(selection)) == [0]
    assert {left.folder: (left.runs, left.reason) for left in selection.not_shown} == {
        folder_of(record()): (1, "a seed that the plan does not ask for"),
        folder_of(other_settings): (1, "other settings than those shown"),
        folder_of(other_code): (1, "other code than that shown"),
        folder_of(other_suite): (1, "of the suite 'neighbour'"),
        folder_of(record(algorithm="grpo")): (1, "not asked for by the plan"),
    }


def test_a_copied_run_is_not_taken_for_another_cells(store: Store) -> None:
    put(store, record(seed=0), record(seed=1, settings_hash="6" * 64))
    stray = store.path(folder_of(record(settings_hash="6" * 64)), 1)
    stray.rename(store.path(folder_of(record()), 1))
    put_plan(store, [record()], [0, 1])
    selection = select(store)
    assert seeds(only_cell(selection)) == [0]
    assert [run.status for run in only_cell(selection).absent] == ["missing"]
    assert [left.reason for left in selection.not_shown] == ["other settings than those shown"]


DAMAGED_PLANS = [
    None,
    "",
    "[]",
    '{"cells": [{}]}',
    json.dumps({"format_version": 9, "suite": "made-up", "cells": []}),
    json.dumps({"format_version": 1, "suite": 3, "cells": []}),
]


@pytest.mark.parametrize("text", DAMAGED_PLANS)
def test_without_a_plan_the_newest_settings_are_shown(store: Store, text: str | None) -> None:
    new = {"settings_hash": "1" * 64, "started": "2026-03-01T00:00:00+00:00"}
    put(store, record(seed=0), record(seed=1), record(seed=2, **new), record(seed=4, **new), record(algorithm="grpo"))
    store.path(folder_of(record(**new)), 3).write_text("damaged")
    if text is not None:
        (store.root / "plan.json").write_text(text)
    selection = select(store)
    assert not selection.plan
    assert selection.name == "made-up"
    assert [(cell.algorithm, seeds(cell), [run.seed for run in cell.absent]) for cell in selection.cells] == [
        ("grpo", [0], []),
        ("reinforce", [2, 4], [3]),
    ]
    assert [(left.folder, left.runs) for left in selection.not_shown] == [(folder_of(record()), 2)]
    assert ("plan.json" in [str(file.path) for file in selection.damaged]) == (text is not None)


def test_without_a_plan_the_folders_own_suite_is_shown(store: Store) -> None:
    put(store, record(), record("gym/CartPole-v1", suite="neighbour", started="2027-01-01T00:00:00+00:00"))
    selection = select(store)
    assert [cell.task for cell in selection.cells] == ["bandit/10-arm"]
    assert [left.reason for left in selection.not_shown] == ["of the suite 'neighbour'"]


def test_a_plan_that_names_a_cell_twice_is_damaged(store: Store) -> None:
    put(store, record())
    document = put_plan(store, [record()], [0])
    put_plan(store, [record()], [0], cells=document["cells"] * 2)
    selection = select(store)
    assert "twice" in selection.damaged[0].reason
    assert seeds(only_cell(selection)) == [0]


def test_a_run_with_other_marks_than_its_cell_is_damaged(store: Store) -> None:
    put(store, record(seed=0), record(seed=1), record(seed=2, marks=[0, 50, 100]))
    put_plan(store, [record()], [0, 1, 2])
    selection = select(store)
    assert seeds(only_cell(selection)) == [0, 1]
    assert [(run.seed, run.status) for run in only_cell(selection).absent] == [(2, "damaged")]


def test_foreign_files_are_named(store: Store) -> None:
    put(store, record())
    (store.root / "notes.json").write_text('{"hello": 1}')
    (store.root / folder_of(record()) / "package.json").write_text('{"name": "x"}')
    (store.root / folder_of(record()) / "seed-0.pt").write_bytes(b"a saved policy")
    files = {str(file.path): file.reason for file in select(store).damaged}
    assert set(files) == {"notes.json", f"{folder_of(record())}/package.json"}
    assert "not a run record" in files[f"{folder_of(record())}/package.json"]


def test_the_plan_says_what_an_algorithm_is_where_no_run_does(store: Store) -> None:
    put(store, record())
    missing = record(algorithm="haepo-weighted")
    document = put_plan(store, [record(), missing], [0])
    document["cells"][1]["information"] = KINDS["haepo-weighted"].model_dump(mode="json")
    (store.root / "plan.json").write_text(json.dumps(document))
    cell = select(store).cells[1]
    assert cell.runs == ()
    assert cell.information is not None
    assert cell.information.footnote == FOOTNOTE


def test_curves_are_arrays_with_nan_where_undefined(store: Store) -> None:
    put(store, record(status="diverged", returns=[0.5, None, None, None, None]))
    run = only_cell(select(store)).runs[0]
    assert run.record.curve == {}
    assert run.curve["eval_return"].dtype == float
    assert run.curve["eval_return"][0] == 0.5
    assert run.curve["eval_return"].shape == (5,)


def test_find_suites(tmp_path: Path) -> None:
    put(Store(tmp_path / "a"), record())
    put_plan(Store(tmp_path / "b"), [record()], [0])
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "report" / "figures").mkdir(parents=True)
    (tmp_path / "report" / "report.json").write_text("{}")
    assert [folder.name for folder in find_suites(tmp_path)] == ["a", "b", "empty"]
    assert find_suites(tmp_path / "a") == [tmp_path / "a"]
