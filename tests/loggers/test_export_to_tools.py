"""`export --format TOOL`: stored runs, as `run --log` would have logged them."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_support import run_here
from loggers_support import read_records
from synthetic_runs import showcase


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Done, diverged and failed runs, with and without references."""
    root = tmp_path_factory.mktemp("stored") / "made-up"
    showcase(root, seeds=2, marks=5, only=("bandit/10-arm", "gym/Pendulum-v1"))
    return root


def test_event_files_come_back(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    done = run_here(capsys, "export", str(results), "--format", "tensorboard", "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    stored = {key: run for key, run in read_records(results).items() if run["status"] in ("done", "diverged")}
    root = tmp_path / "out" / "made-up" / "tensorboard"
    assert done.out == f"wrote {root} ({len(stored)} runs)\n"
    task = "gym/Pendulum-v1"
    source = {"files": f"{root}/gym%2FPendulum-v1/{{algorithm}}/seed-{{seed}}/*tfevents*", "task": task}
    mapping = {"suite": "back", "budget": 20_000, "every": 5_000, "sources": [source]}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping))
    done = run_here(capsys, "import", str(tmp_path / "mapping.yaml"), "--results", str(tmp_path / "results"))
    assert done.code == 0, done.err
    back = read_records(tmp_path / "results" / "back")
    wanted = {key: run for key, run in stored.items() if key[0] == task}
    assert {key for key, run in wanted.items() if run["status"] == "done"} <= back.keys() <= wanted.keys()
    for key, run in wanted.items():
        if run["status"] == "done":
            names = run["curve"].keys() & back[key]["curve"].keys() - {"env_steps"}
            assert {"eval_return", "wall_seconds"} <= names
            for name in names:
                values = [None if value is None else float(np.float32(value)) for value in run["curve"][name]]
                assert back[key]["curve"][name] == values, name


def test_what_is_there_is_kept_unless_forced(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """MLflow's runs go on: a second export adds no point."""
    pytest.importorskip("mlflow")
    arguments = ("export", str(results), "--format", "mlflow", "--out", str(tmp_path))
    assert run_here(capsys, *arguments).code == 0
    store = tmp_path / "made-up" / "mlflow"
    before = {path: path.read_text() for path in store.rglob("metrics/*")}
    refused = run_here(capsys, *arguments)
    assert refused.code == 4
    assert f"{store}: is there already" in refused.err
    assert run_here(capsys, *arguments, "--force").code == 0
    assert {path: path.read_text() for path in store.rglob("metrics/*")} == before
    records = read_records(results)
    for path in store.rglob("metrics/eval_return"):
        about = {name: (path.parents[1] / "params" / name).read_text() for name in ("task", "algorithm", "seed")}
        record = records[about["task"], about["algorithm"], int(about["seed"])]
        logged = [(int(line.split()[2]), float(line.split()[1])) for line in before[path].splitlines()]
        curve = zip(record["curve"]["env_steps"], record["curve"]["eval_return"], strict=True)
        assert logged == [(step, value) for step, value in curve if value is not None]
        status = (path.parents[1] / "tags" / "status").read_text()
        assert status == record["status"]
        assert {file.name for file in (path.parents[1] / "params").iterdir()} >= record["parameters"].keys()


def test_a_tool_that_fails_is_named(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "made-up").write_text("in the way")
    done = run_here(capsys, "export", str(results), "--format", "tensorboard", "--out", str(tmp_path))
    assert done.code == 4
    assert "made-up" in done.err
    assert "Traceback" not in done.err
