"""Runs that end without a result keep the evaluation points that they reached, and no number is made of them."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import run_here
from execution_support import Workplace, wait_until
from synthetic_runs import put, put_plan, record

from haepo_bench.execution.partial import PartialCurves
from haepo_bench.results.record import Failure, RunRecord
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import RunKey


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    place = Workplace(tmp_path)
    yield place
    place.close()


def test_failed_timed_out_and_interrupted_runs_keep_what_they_reached(workplace: Workplace) -> None:
    acts = ("raise", "hang", "kill", "train")
    algorithms = [{"name": act, "params": {"act": act, "at": [0]}} for act in acts]
    fields = {"evaluation": {"every": 10, "episodes": 2}, "seeds": 1, "execution": {"workers": 2, "timeout": "12s"}}
    suite = workplace.suite(algorithms, **fields)
    assert workplace.run(suite, "--quiet").returncode == 2
    records = workplace.records()
    assert [records[act, 0]["status"] for act in acts] == ["failed", "timed_out", "failed", "done"]
    whole = records["train", 0]["curve"]
    assert whole["env_steps"] == [*range(0, 101, 10)]
    for act in ("raise", "hang", "kill"):
        run = records[act, 0]
        # Three iterations of 10 steps: the points 0, 10 and 20 were reached.
        assert run["curve"]["env_steps"] == [0, 10, 20], act
        assert run["final"] == run["cost"] == {}
        for name in ("eval_return", "eval_return_greedy", "loss", "episodes"):
            assert run["curve"][name] == whole[name][:3], (act, name)
        assert RunRecord.from_json(json.dumps(run))

    slow = workplace.suite([{"name": "slow", "params": {"pause": 0.3}}], **{**fields, "execution": {"workers": 1}})
    process = workplace.start(slow, "--results", "slow")
    logs = workplace.folder / "slow" / "trial" / "logs"
    wait_until(lambda: any("training" in log.read_text() for log in logs.rglob("*.log")), "the training's start")
    time.sleep(1.0)  # three points or so of eleven
    os.kill(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    (run,) = workplace.records("slow").values()
    assert run["status"] == "interrupted"
    reached = run["curve"]["env_steps"]
    assert reached == [*range(0, 10 * len(reached), 10)]
    assert 0 < len(reached) < 11
    assert {name: len(column) for name, column in run["curve"].items()} == dict.fromkeys(run["curve"], len(reached))
    assert run["final"] == {}
    again = workplace.run(slow, "--results", "slow", "--quiet")
    assert again.returncode == 0
    (run,) = workplace.records("slow").values()
    assert run["curve"]["eval_return"] == whole["eval_return"]


def test_points_that_are_told_again_give_way() -> None:
    curves, key = PartialCurves(), RunKey("cell", 0)
    for steps in (0, 10, 20):
        curves.add(key, {"env_steps": steps, "eval_return": steps / 10})
    for steps in (0, 10):  # from a checkpoint
        curves.add(key, {"env_steps": steps, "eval_return": steps / 10, "loss": 1.0})
    curves.add(RunKey("cell", 1), {"env_steps": 0, "eval_return": 9.0})
    assert curves.take(key) == {"env_steps": [0, 10], "eval_return": [0.0, 1.0], "loss": [1.0, 1.0]}
    assert curves.take(key) == {}
    curves.add(key, {"env_steps": 0, "eval_return": 5.0})
    curves.add(key, {"env_steps": 10, "eval_return": 6.0, "loss": 2.0})
    assert curves.take(key) == {"env_steps": [0, 10], "eval_return": [5.0, 6.0], "loss": [None, 2.0]}


#: A curve that would change every mean, interval and digest that it got into.
WILD: dict[str, list[Any]] = {
    "env_steps": [0, 25, 50],
    "gradient_steps": [0, 2, 4],
    "eval_return": [900.0, 900.0, 900.0],
    "eval_return_greedy": [900.0, 900.0, 900.0],
    "wall_seconds": [0.0, 50.0, 90.0],
    "strange": [1.0, 2.0, 3.0],
}


def stored(place: Path, *, curve: dict[str, list[Any]] | None) -> None:
    """A suite with two algorithms; three runs have no result and such a curve, or none does where it is None."""
    store = Store(place)
    runs = [record(algorithm=algorithm, seed=seed) for algorithm in ("haepo-weighted", "grpo") for seed in range(25)]
    broken = {"failed": runs[3], "timed_out": runs[30], "interrupted": runs[40]} if curve is not None else {}
    for status, run in broken.items():
        failure = Failure(status=status, type="ValueError", message="went away", started="2026-01-01T00:00:00+00:00")
        runs[runs.index(run)] = record(algorithm=run.algorithm, seed=run.seed, status=status, curve=curve).model_copy(
            update={"error": failure}
        )
    put(store, *runs)
    put_plan(store, runs, list(range(25)))


@pytest.mark.parametrize(
    "arguments",
    [
        ("report", "{}", "--format", "json"),
        ("report", "{}", "--format", "md"),
        ("compare", "{}", "{}", "--format", "json"),
        ("check", "{}", "--baseline", "../baseline.json", "--format", "json"),
        ("export", "{}", "--out", "out"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_number_is_made_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    stored(tmp_path / "whole", curve=None)
    reason = ("--reason", "why", "--min-seeds", "20", "--allow-dirty")
    baseline = str(tmp_path / "baseline.json")
    assert run_here(capsys, "baseline", str(tmp_path / "whole"), "--out", baseline, *reason).code == 0
    said = []
    for name, curve in (("with", WILD), ("without", {})):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        stored(Path("made-up"), curve=curve)
        done = run_here(capsys, *(argument.format("made-up") for argument in arguments))
        files = {str(path): path.read_bytes() for path in sorted(Path("out").rglob("*")) if path.is_file()}
        said.append((done, files))
    assert said[0] == said[1]
    assert said[0][0].out or said[0][1], said[0][0].err
