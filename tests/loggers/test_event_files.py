"""`run --log tensorboard`: what is written as runs go on is what `import` reads."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_support import run_apart
from import_support import stored

pytest.importorskip("tensorboard")

SUITE: dict[str, Any] = {
    "name": "small",
    "seeds": 2,
    "budget": {"env_steps": 400},
    "evaluation": {"every": 100, "episodes": 3},
    "tasks": ["bandit/10-arm", "gym/CartPole-v1"],
    "algorithms": [{"use": "grpo", "params": {"trajectories": 4}}, "reinforce"],
    "execution": {"workers": 1, "log": ["tensorboard"]},
}
#: Of those that `import` takes from event files.
COLUMNS = ("eval_return", "eval_return_std", "eval_return_greedy", "train_return", "gradient_steps", "wall_seconds")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logged")
    (folder / "small.yaml").write_text(yaml.safe_dump(SUITE))
    done = run_apart("run", "small.yaml", cwd=folder)
    assert done.code == 0, done.err
    assert "stopped" not in done.err
    return folder


def test_each_run_has_one_file(logged: Path) -> None:
    root = logged / "results" / "small" / "tensorboard"
    folders = {file.parent.relative_to(root).as_posix() for file in root.rglob("*tfevents*")}
    tasks, names = ("bandit%2F10-arm", "gym%2FCartPole-v1"), ("grpo", "reinforce")
    assert folders == {f"{task}/{name}/seed-{seed}" for task in tasks for name in names for seed in (0, 1)}
    assert len(list(root.rglob("*tfevents*"))) == 8


def test_import_reads_what_was_logged(logged: Path) -> None:
    source = {"files": "results/small/tensorboard/gym%2FCartPole-v1/{algorithm}/seed-{seed}/*tfevents*"}
    mapping = {"suite": "back", "budget": 400, "every": 100, "sources": [{**source, "task": "gym/CartPole-v1"}]}
    (logged / "mapping.yaml").write_text(yaml.safe_dump(mapping))
    done = run_apart("import", "mapping.yaml", cwd=logged)
    assert done.code == 0, done.err
    back = stored(logged / "results", "back")
    runs = {
        (one["algorithm"], one["seed"]): one
        for one in map(json.loads, (path.read_text() for path in (logged / "results" / "small").rglob("seed-?.json")))
        if one["task"] == "gym/CartPole-v1"
    }
    assert back.keys() == runs.keys()
    for key, run in runs.items():
        assert back[key]["curve"]["env_steps"] == run["curve"]["env_steps"]
        compared = [name for name in COLUMNS if name in run["curve"]]
        assert {"eval_return", "train_return"} <= set(compared)
        for name in compared:
            written = [None if value is None else float(np.float32(value)) for value in run["curve"][name]]
            assert back[key]["curve"][name] == written, name


def test_settings_and_provenance_are_attached(logged: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = logged / "results" / "small" / "tensorboard" / "bandit%2F10-arm" / "grpo" / "seed-1"
    events = EventAccumulator(str(folder))
    events.Reload()
    texts = {
        tag: events.Tensors(f"{tag}")[0].tensor_proto.string_val[0].decode()
        for tag in ("run", "provenance")
    }  # fmt: skip
    assert "| trajectories | `4` |" in texts["run"]
    assert "| run.seed | `1` |" in texts["run"]
    assert "| status | `done` |" in texts["provenance"]
    assert str(logged) not in "".join(texts.values())
    plugin = events.SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert plugin.plugin_name == "hparams"


def test_a_run_made_again_has_one_curve(tmp_path: Path) -> None:
    """What an interrupted run had logged gives way: its file would be another run's to whoever reads the folder."""
    from haepo_bench.loggers.event_files import EventFiles
    from haepo_bench.loggers.logger import LoggedRun

    run = LoggedRun("small", "bandit/10-arm", "grpo", 0, {}, {}, None)
    folder = tmp_path.joinpath(*run.folders)
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.small").write_bytes(b"")
    EventFiles(tmp_path).open(run).log(0, {"eval_return": 1.0})
    (file,) = folder.iterdir()
    assert file.stat().st_size > 0


def test_a_logger_that_fails_costs_no_run(tmp_path: Path) -> None:
    suite = {**SUITE, "tasks": ["bandit/10-arm"], "algorithms": ["grpo"], "execution": {"workers": 1}}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(suite))
    (tmp_path / "results" / "small").mkdir(parents=True)
    (tmp_path / "results" / "small" / "tensorboard").write_text("in the way")
    done = run_apart("run", "small.yaml", "--log", "tensorboard", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.err.count("--log tensorboard stopped, the runs go on: ") == 1
    assert len(stored(tmp_path / "results", "small")) == 2


def test_a_tool_that_is_not_installed_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SUITE))
    (tmp_path / "tensorboard.py").write_text("raise ImportError")
    done = run_apart("run", "small.yaml", cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    assert done.code == 4
    assert "pip install 'haepo-bench[tensorboard]'" in done.err
    assert not list(tmp_path.rglob("seed-*.json"))
