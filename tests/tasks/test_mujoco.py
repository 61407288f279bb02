"""gymnasium's MuJoCo environments."""

import logging
import sys
from pathlib import Path

import pytest

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.suite.identity import code_document
from haepo_bench.suite.resolve import load_plan


@pytest.mark.parametrize("missing", ["mujoco", "imageio"])
def test_without_it_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(TaskError, match=r"pip install 'haepo-bench\[mujoco\]'"):
        catalogue.task("gym/Hopper-v5")


def test_warnings_are_logged_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its compiler warns of HalfCheetah's model whenever one is made."""
    mujoco = pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra mujoco)")
    pytest.importorskip("imageio", reason="imageio is not installed (extra mujoco)")
    monkeypatch.chdir(tmp_path)
    catalogue.task("gym/HalfCheetah-v5")
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())
    with caplog.at_level(logging.WARNING, "mujoco"):
        mujoco.get_mju_user_warning()("Nan, Inf or huge value in QACC")
    assert [record.getMessage() for record in caplog.records] == ["Nan, Inf or huge value in QACC"]


def test_the_suite_normalises_for_all_and_names_its_library() -> None:
    pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra mujoco)")
    pytest.importorskip("imageio", reason="imageio is not installed (extra mujoco)")
    plan = load_plan("mujoco")
    assert {cell.settings["task"]["inputs"]["normalise"] for cell in plan.cells} == {
        '{"observations": true, "rewards": true}'
    }
    assert all("package mujoco" in cell.code for cell in plan.cells)
    assert all(cell.references is not None and cell.references.random < 20 for cell in plan.cells)
    task = catalogue.task("gym/CartPole-v1")
    reinforce = catalogue.algorithm("reinforce")
    assert "package mujoco" not in code_document(reinforce, reinforce.configure({}, task), task)
