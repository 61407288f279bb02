"""plan.json: whoever writes it writes the same fields, and changes nothing that it does not understand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    assert found.reason == "names reinforce on bandit/10-arm twice"
    assert plan["cells"][0]["folder"] == folder_of(record())


def test_names_of_files_that_utf8_cannot_hold_are_stored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write_plan(PlanFile(format_version=1, suite="made-up", source="# imported: a\udc80b\n", cells=[]))
    plan = store.read_plan()
    assert isinstance(plan, PlanFile)
    assert plan.source == "# imported: a?b\n"


SEARCH = {"trials": 2, "seeds": 1, "replicates": [1, 0], "measure": "area"}


def with_search(space: Any, **changes: Any) -> str:
    search = {**SEARCH, "spaces": {"grpo": {"beta": space}}, **changes}
    return json.dumps({"suite": "trial", "search": search, "cells": []})


@pytest.mark.parametrize(
    "space",
    [
        {"log": [1e-4, 1]},
        {"zero_or_log": [1e-5, 1.0], "open": []},
        {"uniform": [-2, 5], "whole": True, "open": ["low"]},
        {"choices": [1, True, "a", 0.5]},
    ],
    ids=str,
)
def test_a_declared_search_is_read_as_it_was(space: dict[str, Any]) -> None:
    search = PlanFile.from_json(with_search(space)).search
    assert search is not None
    assert search.spaces == {"grpo": {"beta": space}}


@pytest.mark.parametrize(
    "space",
    [
        {},
        {"log": [1]},
        {"log": [0, 0]},
        {"log": [0, 1]},
        {"zero_or_log": [-1, 1]},
        {"uniform": [1, 1]},
        {"uniform": [2, 1]},
        {"uniform": ["0", 1]},
        {"uniform": [False, True]},
        {"uniform": [0, 10**400]},
        {"uniform": [0, float("nan")]},
        {"uniform": [0, float("inf")]},
        {"uniform": 5},
        {"choices": []},
        {"choices": [1]},
        {"choices": [1, 1.0]},
        {"choices": [{}, []]},
        {"choices": "ab"},
        {"log": [1, 2], "uniform": [1, 2]},
        {"log": [1, 2], "step": 1},
        {"log": [1, 2], "whole": 1},
        {"log": [1, 2], "open": ["middle"]},
        {"log": [1, 2], "open": [["low"]]},
        {"open": ["low"]},
    ],
    ids=str,
)
def test_what_is_no_space_is_no_plan(space: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^search\.spaces: grpo\.beta: "):
        PlanFile.from_json(with_search(space))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"replicates": [0, 0]}, r"^search\.replicates: names a replicate more than once"),
        ({"replicates": [-1]}, r"^search\.replicates\.0: "),
        ({"trials": 10**9}, r"^search\.trials: "),
        ({"spaces": {"grpo": [1]}}, r"^search\.spaces\.grpo: "),
    ],
)
def test_a_search_that_cannot_be_is_no_plan(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PlanFile.from_json(with_search({"log": [1, 2]}, **changes))
