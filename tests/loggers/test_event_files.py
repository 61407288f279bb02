"""`run --log tensorboard`: what is written as runs go on is what `import` reads."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from cli_support import ROOT, run_apart, run_here
from loggers_support import SUITE, Logged, read_records

pytest.importorskip("tensorboard")

#: Of those that `import` takes from event files.
COLUMNS = ("eval_return", "eval_return_std", "eval_return_greedy", "train_return", "gradient_steps", "wall_seconds")


def test_each_run_has_one_file(logged: Logged) -> None:
    root = logged.results / "tensorboard"
    folders = {file.parent.relative_to(root).as_posix() for file in root.rglob("*tfevents*")}
    tasks, names = ("bandit%2F10-arm", "gym%2FCartPole-v1"), ("grpo", "reinforce")
    assert folders == {f"{task}/{name}/seed-{seed}" for task in tasks for name in names for seed in (0, 1)}
    assert len(list(root.rglob("*tfevents*"))) == 8


def test_import_reads_what_was_logged(logged: Logged, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = logged.results / "tensorboard" / "gym%2FCartPole-v1"
    source = {"files": f"{root}/{{algorithm}}/seed-{{seed}}/*tfevents*", "task": "gym/CartPole-v1"}
    mapping = {"suite": "back", "budget": 400, "every": 100, "sources": [source]}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping))
    done = run_here(capsys, "import", str(tmp_path / "mapping.yaml"), "--results", str(tmp_path / "results"))
    assert done.code == 0, done.err
    back = read_records(tmp_path / "results" / "back")
    runs = {key: run for key, run in logged.records.items() if run["task"] == "gym/CartPole-v1"}
    assert back.keys() == runs.keys()
    for key, run in runs.items():
        assert back[key]["curve"]["env_steps"] == run["curve"]["env_steps"]
        compared = [name for name in COLUMNS if name in run["curve"]]
        assert {"eval_return", "train_return"} <= set(compared)
        for name in compared:
            written = [None if value is None else float(np.float32(value)) for value in run["curve"][name]]
            assert back[key]["curve"][name] == written, name


def test_import_takes_the_folder_as_it_is(logged: Logged, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the runs are is in their files: nothing has to be said of the folder."""
    arguments = ("--suite", "back", "--budget", "400", "--results", str(tmp_path / "results"))
    done = run_here(capsys, "import", str(logged.results / "tensorboard"), *arguments)
    assert done.code == 0, done.err
    back = read_records(tmp_path / "results" / "back")
    assert back.keys() == logged.records.keys()
    for key, run in logged.records.items():
        returns = run["curve"]["eval_return"]
        assert back[key]["curve"]["eval_return"] == [float(np.float32(value)) for value in returns]


def test_settings_and_provenance_are_attached(logged: Logged) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = logged.results / "tensorboard" / "bandit%2F10-arm" / "grpo" / "seed-1"
    events = EventAccumulator(str(folder))
    events.Reload()
    texts = {
        tag: events.Tensors(f"{tag}")[0].tensor_proto.string_val[0].decode()
        for tag in ("run", "provenance")
    }  # fmt: skip
    assert "| trajectories | `4` |" in texts["run"]
    assert "| run.seed | `1` |" in texts["run"]
    assert "| status | `done` |" in texts["provenance"]
    assert str(logged.folder) not in "".join(texts.values())
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
    EventFiles(tmp_path).begin(run).log(0, {"eval_return": 1.0})
    (file,) = folder.iterdir()
    assert file.stat().st_size > 0


def test_a_logger_that_fails_costs_no_run(tmp_path: Path) -> None:
    suite = {**SUITE, "tasks": ["bandit/10-arm"], "algorithms": ["grpo"]}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(suite))
    (tmp_path / "results" / "small").mkdir(parents=True)
    (tmp_path / "results" / "small" / "tensorboard").write_text("in the way")
    done = run_apart("run", "small.yaml", "--log", "tensorboard", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.err.count("--log tensorboard stopped, the runs go on: ") == 1
    assert "small/tensorboard" in done.err
    assert len(read_records(tmp_path / "results" / "small")) == 2


def test_a_tool_that_is_not_installed_is_named_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump({**SUITE, "execution": {"log": ["tensorboard"]}}))
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['tensorboard'] = None")
    done = run_apart("run", "small.yaml", cwd=tmp_path, environment={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.code == 4
    assert "pip install 'haepo-bench[tensorboard]'" in done.err
    assert not list(tmp_path.rglob("seed-*.json"))
