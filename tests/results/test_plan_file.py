"""plan.json: whoever writes it writes the same fields, and changes nothing that it does not understand."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import reader_of_0_1 as old
from cli_support import run_here
from execution_support import Workplace
from synthetic_runs import folder_of, put, put_plan, record

from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.store import FileState, Store, Unusable

#: But for those of searches, which other plans do not have.
FIELDS = [name for name in PlanFile.model_fields if name not in ("search", "tuned", "tuned_source")]
CURVE = ("--suite", "trial", "--task", "random-walk/20", "--algorithm", "a", "--every", "5", "--seed", "0")
CELL_FIELDS = list(PlannedCell.model_fields)


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.close()


def test_a_run_and_an_import_write_the_same_fields_and_0_1_calls_them_newer(
    workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = workplace.suite([{"name": "a"}], seeds=1)
    run = workplace.start(suite)
    run.communicate()
    assert run.returncode == 0
    (tmp_path / "curve.csv").write_text("env_steps,eval_return\n0,1\n5,2\n10,3\n")
    results = str(tmp_path / "imported")
    assert run_here(capsys, "import", str(tmp_path / "curve.csv"), "--results", results, *CURVE).code == 0
    for root in (workplace.folder / "results", Path(results)):
        text = (root / "trial" / "plan.json").read_text()
        plan = json.loads(text)
        assert list(plan) == FIELDS
        assert [list(cell) for cell in plan["cells"]] == [CELL_FIELDS]
        with pytest.raises(old.NewerFormat):
            old.read_plan(text)


def test_an_import_leaves_alone_what_another_version_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "results" / "made-up")
    plan = put_plan(store, [record(algorithm="ppo")], [0, 1], later=[1, {"a": None}])
    plan["cells"][0]["later"] = 2.5
    store.plan_path.write_text(json.dumps(plan))
    put(Store(tmp_path / "from" / "made-up"), record())
    put_plan(Store(tmp_path / "from" / "made-up"), [record()], [0])
    exported = str(tmp_path / "tables")
    assert run_here(capsys, "export", str(tmp_path / "from"), "--out", exported).code == 0
    assert run_here(capsys, "import", exported, "--results", str(tmp_path / "results")).code == 0
    changed = json.loads(store.plan_path.read_text())
    assert changed["later"] == plan["later"]
    assert {key: changed["cells"][0][key] for key in plan["cells"][0]} == plan["cells"][0]
    assert [cell["algorithm"] for cell in changed["cells"]] == ["ppo", "reinforce"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cells": 3}, "not a plan"),
        ({"suite": 3}, "suite: Input should be a valid string"),
        ({"format_version": None}, "format_version: Input should be a valid integer"),
        ({"cells": [{}]}, "cells.0.folder: Field required"),
    ],
)
def test_what_is_wrong_with_a_plan_is_said_and_it_is_kept_beside_the_next(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    store = Store(tmp_path)
    put_plan(store, [record()], [0], **change)
    text, found = store.plan_path.read_text(), store.read_plan()
    assert isinstance(found, Unusable)
    assert (found.state, found.reason) == (FileState.DAMAGED, reason)
    store.write_plan(PlanFile(format_version=1, suite="made-up", cells=[]))
    assert [path.read_text() for path in tmp_path.glob("plan.json.damaged*")] == [text]


def test_a_plan_names_each_cell_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plan = put_plan(store, [record()], [0])
    store.plan_path.write_text(json.dumps({**plan, "cells": plan["cells"] * 2}))
    found = store.read_plan()
    assert isinstance(found, Unusable)
    assert found.reason == "Value error, names reinforce on bandit/10-arm twice"
    assert plan["cells"][0]["folder"] == folder_of(record())


def test_names_of_files_that_utf8_cannot_hold_are_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_plan(PlanFile(format_version=1, suite="made-up", source="# imported: a\udc80b\n", cells=[]))
    plan = store.read_plan()
    assert isinstance(plan, PlanFile)
    assert plan.source == "# imported: a?b\n"
