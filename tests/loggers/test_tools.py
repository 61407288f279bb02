"""`run --log wandb|trackio|mlflow`: what the tools hold of runs is what was stored, once."""

import json
import platform
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_support import ROOT, run_here
from loggers_support import SUITE, Logged, read_records

#: Columns of a run's curve that `import` does not take by their names.
NOT_IMPORTED = {"env_steps"}


def same_curves(records: dict[Any, dict[str, Any]], others: dict[Any, dict[str, Any]], *, but: set[str]) -> None:
    """Every column of the second is in the first, with equal numbers."""
    assert records.keys() == others.keys()
    for key, record in records.items():
        there = others[key]["curve"]
        assert there["env_steps"] == record["curve"]["env_steps"]
        names = there.keys() & record["curve"].keys() - but
        assert {"eval_return", "eval_return_std", "train_return", "wall_seconds", "gradient_steps"} <= names
        for name in names:
            assert there[name] == record["curve"][name], (key, name)


def test_mlflow_comes_back_without_a_mapping(
    logged: Logged, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow")
    store, results = str(logged.results / "mlflow"), str(tmp_path / "results")
    done = run_here(capsys, "import", store, "--suite", "back", "--budget", "400", "--results", results)
    assert done.code == 0, done.err
    same_curves(logged.records, read_records(tmp_path / "results" / "back"), but=NOT_IMPORTED)


def test_mlflow_runs_are_nested_in_their_cells_and_described(logged: Logged) -> None:
    pytest.importorskip("mlflow")
    (experiment,) = (path for path in (logged.results / "mlflow").iterdir() if path.name.isdecimal())
    tags = {run.parent: {tag.name: tag.read_text() for tag in run.iterdir()} for run in experiment.glob("*/tags")}
    cells = {run.name: own for run, own in tags.items() if "haepo_bench.cell" in own}
    runs = [(run, own) for run, own in tags.items() if "haepo_bench.run" in own]
    assert len(cells) == 4
    assert len(runs) == 8
    for run, own in runs:
        cell = cells[own["mlflow.parentRunId"]]
        assert (cell["task"], cell["algorithm"]) == (own["task"], own["algorithm"])
        assert own["status"] == "done"
        record = logged.records[own["task"], own["algorithm"], int(own["seed"])]
        assert json.loads(own["provenance.versions"]) == record["provenance"]["versions"]
        assert (run / "params" / "run.code_hash").read_text() == record["code_hash"]
        trajectories = (run / "params" / "trajectories").read_text()
        assert json.loads(trajectories) == record["parameters"]["trajectories"]


def test_wandb_comes_back_as_its_own_export(logged: Logged, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What `wandb sync` would upload, as JSON lines as W&B exports a run's history."""
    pytest.importorskip("wandb")
    for record in logged.records.values():
        (folder,) = logged.results.glob(f"wandb/offline-run-*-{wandb_id(logged.results, record)}")
        kept = wandb_run(folder)
        lines = [json.dumps({"_step": step, **row}) for step, row in kept["history"]]
        task = record["task"].replace("/", "_")
        (tmp_path / f"{task}-{record['algorithm']}-seed_{record['seed']}.jsonl").write_text("\n".join(lines) + "\n")
        assert kept["group"] == f"{record['algorithm']} on {record['task']}"
        assert (kept["project"], kept["job_type"]) == ("small", record["algorithm"])
        assert kept["config"]["trajectories"] == record["parameters"]["trajectories"]
        assert kept["config"]["provenance"]["versions"] == record["provenance"]["versions"]
        assert kept["summary"]["status"] == "done"
    sources = [
        {"files": f"{task.replace('/', '_')}-{{algorithm}}-seed_{{seed}}.jsonl", "task": task}
        for task in SUITE["tasks"]
    ]
    mapping = {"suite": "back", "budget": 400, "every": 100, "sources": sources}
    (tmp_path / "mapping.yaml").write_text(yaml.safe_dump(mapping))
    done = run_here(capsys, "import", str(tmp_path / "mapping.yaml"), "--results", str(tmp_path / "results"))
    assert done.code == 0, done.err
    same_curves(logged.records, read_records(tmp_path / "results" / "back"), but=NOT_IMPORTED)


def wandb_id(results: Path, record: dict[str, Any]) -> str:
    from haepo_bench.loggers.logger import LoggedRun

    facts = {name: record[name] for name in ("settings_hash", "code_hash")}
    run = LoggedRun("small", record["task"], record["algorithm"], record["seed"], {}, facts, None)
    return run.identity


def wandb_run(folder: Path) -> dict[str, Any]:
    """What a .wandb file holds: a log as LevelDB writes it, of W&B's messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob("run-*.wandb")
    kept: dict[str, Any] = {"history": [], "config": {}, "summary": {}}
    for content in leveldb_records(path.read_bytes(), header=7):
        record = Record.FromString(content)
        if record.HasField("run"):
            kept |= {"group": record.run.run_group, "project": record.run.project, "job_type": record.run.job_type}
            kept["config"] |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.HasField("config"):
            items = record.config.update
            kept["config"] |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
        if record.HasField("history"):
            row = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            kept["history"].append((record.history.step.num, row))
        if record.HasField("summary"):
            items = record.summary.update
            kept["summary"] |= {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}
    return kept


def leveldb_records(data: bytes, header: int) -> Iterator[bytes]:
    """Records of a log in blocks of 32 KiB, of which one may be in several pieces: checksum, length, kind, content."""
    at, parts = header, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield parts
            parts = b""


def test_trackio_holds_each_curve_once(logged: Logged) -> None:
    pytest.importorskip("trackio")
    with sqlite3.connect(logged.results / "trackio" / "small.db") as database:
        rows = database.execute("SELECT run_id, step, metrics FROM metrics ORDER BY step, id").fetchall()
        configs = {run: json.loads(config) for run, config in database.execute("SELECT run_id, config FROM configs")}
    assert len(configs) == len(logged.records)
    for run_id, config in configs.items():
        about = config["run"]
        record = logged.records[about["task"], about["algorithm"], about["seed"]]
        assert config["_Group"] == f"{about['algorithm']} on {about['task']}"
        assert config["_Username"] is None
        assert config["trajectories"] == record["parameters"]["trajectories"]
        points = [(step, json.loads(metrics)) for run, step, metrics in rows if run == run_id]
        last = points.pop()[1]["provenance"]
        assert "| status | `done` |" in json.dumps(last)
        assert [step for step, _ in points] == record["curve"]["env_steps"]
        for name, column in record["curve"].items():
            if name != "env_steps":
                assert [point.get(name) for _, point in points] == column, name


def test_no_tool_notes_who_ran_it_and_where(logged: Logged) -> None:
    """W&B's own debug logs aside, which it keeps for itself."""
    secrets = [str(logged.folder).encode(), str(Path.home()).encode() + b"/"]
    if len(platform.node()) > 4:
        secrets.append(platform.node().encode())
    files = [
        path for name in ("tensorboard", "wandb", "trackio", "mlflow") for path in (logged.results / name).rglob("*")
    ]
    files = [path for path in files if path.is_file() and path.suffix != ".log"]
    assert files
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret not in content, path


#: A session that dies after two points, and one that makes the run again, as one process per tool.
TWICE = """
import json, sys
from pathlib import Path
from pydantic import TypeAdapter
from haepo_bench.loggers.choice import logger_for
from haepo_bench.loggers.logger import LoggedRun
from haepo_bench.loggers.serving import serve

facts = {"settings_hash": "s", "code_hash": "c"}
run = LoggedRun("small", "bandit/10-arm", "grpo", 0, {"learning_rate": 0.5}, facts, None)
begun = TypeAdapter(LoggedRun).dump_python(run, mode="json")
def lines(*messages):
    return [json.dumps(message).encode() + b"\\n" for message in messages]
def log(step):
    return ["log", 1, step, {"eval_return": step / 3, "loss": 0.1}]
died = [*lines(["begin", 1, begun], log(0), log(100)), b'["log", 1, 2']
serve(died, logger_for(sys.argv[1], Path("results"), "small"))
again = lines(["begin", 1, begun], log(0), log(100), log(200), ["finish", 1, "done", {"git": None}])
serve(again, logger_for(sys.argv[1], Path("results"), "small"))
"""


def twice(tool: str, folder: Path) -> Path:
    from haepo_bench.loggers.process import environment

    (folder / "twice.py").write_text(TWICE)
    done = subprocess.run(
        [sys.executable, "twice.py", tool],
        cwd=folder,
        env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "results"


def test_mlflow_goes_on_with_a_run_that_was_cut_off(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    store = twice("mlflow", tmp_path) / "mlflow"
    (history,) = store.rglob("metrics/eval_return")
    assert [(float(line.split()[1]), line.split()[2]) for line in history.read_text().splitlines()] == [
        (0.0, "0"),
        (100 / 3, "100"),
        (200 / 3, "200"),
    ]
    assert [tag.read_text() for tag in store.rglob("tags/status")] == ["done"]
    assert len(list(store.rglob("tags/haepo_bench.cell"))) == 1


def test_trackio_has_one_run_of_one_that_was_cut_off(tmp_path: Path) -> None:
    pytest.importorskip("trackio")
    with sqlite3.connect(twice("trackio", tmp_path) / "trackio" / "small.db") as database:
        rows = database.execute("SELECT step, metrics FROM metrics ORDER BY step").fetchall()
    points = [(step, json.loads(metrics)) for step, metrics in rows]
    assert [(step, point["eval_return"]) for step, point in points if "eval_return" in point] == [
        (0, 0.0),
        (100, 100 / 3),
        (200, 200 / 3),
    ]


def test_wandb_has_one_folder_of_a_run_that_was_cut_off(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    (folder,) = (twice("wandb", tmp_path) / "wandb").glob("offline-run-*")
    kept = wandb_run(folder)
    assert [(step, row["eval_return"]) for step, row in kept["history"]] == [(0, 0.0), (100, 100 / 3), (200, 200 / 3)]
    assert kept["summary"]["status"] == "done"
