"""The example package under examples/, installed as pip would install it, and run by the program."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import ROOT, run_apart

EXAMPLE = ROOT / "examples" / "plugin_task"


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """A folder as `pip install` leaves it, made from the package's own pyproject.toml; the environment that has it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    information = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    (information / "entry_points.txt").write_text("\n".join(points))
    (site / "combination_lock.py").write_text((EXAMPLE / "combination_lock.py").read_text())
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}


@pytest.mark.slow
def test_it_runs_in_a_suite(installed: dict[str, str], tmp_path: Path) -> None:
    code, out, _ = run_apart("list", "tasks", environment=installed)
    assert code == 0
    assert "lock" in [line.split()[0] for line in out.splitlines()]
    code, out, err = run_apart(
        "run", str(EXAMPLE / "suite.yaml"), "--set", "seeds=2", "--set", "budget.env_steps=2e3",
        "--results", str(tmp_path / "results"), environment=installed,
    )  # fmt: skip
    assert code == 0, err
    records: list[dict[str, Any]] = [
        json.loads(file.read_text()) for file in sorted((tmp_path / "results" / "locks").glob("*/seed-*.json"))
    ]
    cells = {(record["task"], record["algorithm"]) for record in records}
    assert cells == {(task, name) for task in ("lock/5", "noise(lock/5,0.1)") for name in ("reinforce", "ppo-batched")}
    assert len(records) == 8
    for record in records:
        assert record["status"] == "done"
        assert record["references"]["random"] == 1 / 32
        # Clean returns, whatever training was paid.
        assert set(record["curve"]["eval_return"]) <= {n / 20 for n in range(21)}


def test_bad_variants_are_explained(installed: dict[str, str]) -> None:
    for address in ("lock/none", "delayed(lock/0)"):
        code, _, err = run_apart("describe", address, environment=installed)
        assert code == 4
        assert "1 to 100 digits" in err


def test_one_combination_in_thirty_two_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    import combination_lock

    task = combination_lock.make("5")
    digits = np.array([[n >> t & 1 for n in range(32)] for t in range(5)])  # every way to act, [step, trajectory]
    vector = task.vector(32)
    vector.reset([np.random.default_rng(0)])
    live, returns = np.ones((1, 32), bool), np.zeros(32)
    for t in range(task.horizon):
        step = vector.step(digits[None, t], live)
        returns += np.where(live, step.rewards, 0)[0]
        live = live & ~(step.terminated | step.truncated)
    assert not live.any()
    assert returns.mean() == task.references.random
    assert returns.max() == task.references.solved
    assert digits[:, returns.argmax()].tolist() == [1, 0, 0, 1, 1]


def test_the_task_takes_thirty_lines() -> None:
    lines = (EXAMPLE / "combination_lock.py").read_text().splitlines()
    code = [line for line in lines if line.strip() and not line.startswith(('"""', "import", "from"))]
    assert len(code) <= 30
