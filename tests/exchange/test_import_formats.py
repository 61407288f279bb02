"""Files of other programs that `haepo-bench import` reads without a mapping, packed ones among them."""

import functools
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cli_support import Outcome
from import_support import stored, write_evaluations

from haepo_bench.exchange import bounded, files

TASK = "gym/X-v0"
SAID = ("--suite", "s", "--task", TASK, "--algorithm", "a")

Take = Callable[..., Outcome]


def runs(results: Path) -> dict[tuple[str, int], dict[str, Any]]:
    return stored(results, "s")


PACKED = {
    "f.csv.gz": "env_steps,eval_return\n10,1\n20,2\n",
    "f.TSV.GZ": "env_steps\teval_return\n10\t1\n20\t2\n",
    "f.jsonl.gz": '{"env_steps": 10, "eval_return": 1}\n{"env_steps": 20, "eval_return": 2}\n',
    "f.json.gz": '[{"env_steps": 10, "eval_return": 1}, {"env_steps": 20, "eval_return": 2}]',
    "trainer_state.json.gz": '{"log_history": [{"step": 10, "reward": 1}, {"step": 20, "reward": 2}]}',
    "result.json.gz": '{"timesteps_total": 10, "episode_reward_mean": 1}\n{"timesteps_total": 20, '
    '"episode_reward_mean": 2}\n',
    "progress.txt.gz": "TotalEnvInteracts\tAverageEpRet\n10\t1\n20\t2\n",
    "0.monitor.csv.gz": '#{"t_start": 1.0}\nr,l,t\n1,10,1\n3,10,2\n',
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files(tmp_path: Path, take: Take, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(PACKED[name].encode()))
    done = take(tmp_path, *SAID, "--seed", 0)
    assert done.code == 0, done.err
    (run,) = runs(tmp_path / "results").values()
    assert run["curve"]["eval_return"][1:] == [1, 2]
    (tmp_path / name).write_bytes(gzip.compress(PACKED[name].encode())[:-9])
    done = take(tmp_path, *SAID, "--seed", 0, "--results", tmp_path / "other")
    assert done.code == 4
    assert "is not a whole gzip file" in done.err


def test_a_packed_file_is_unpacked_no_further_than_a_curve_is_large(
    tmp_path: Path, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "gunzip", functools.partial(bounded.gunzip, limit=2**20))
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(bytes(2**20 + 1)))
    done = take(tmp_path / "f.csv.gz", *SAID, "--seed", 0)
    assert done.code == 4
    assert "f.csv.gz: unpacks to more than 1 MiB" in done.err


@pytest.mark.parametrize(
    ("names", "seeds"),
    [
        (["evaluations_seed1.npz", "evaluations_seed2.npz"], [1, 2]),
        (["evaluations (1).npz", "evaluations (3).npz"], [1, 3]),
        (["evaluations.npz", "evaluations (1).npz"], [0, 1]),
        (["seed_4/evaluations (1).npz"], [4]),
    ],
)
def test_several_evaluations_files(tmp_path: Path, take: Take, names: list[str], seeds: list[int]) -> None:
    for name, seed in zip(names, seeds, strict=True):
        write_evaluations(tmp_path / "logs" / name, [10, 20], np.full((2, 3), float(seed)))
    done = take(tmp_path / "logs", *SAID)
    assert done.code == 0, done.err
    assert {seed: run["final"]["eval_return"] for (_, seed), run in runs(tmp_path / "results").items()} == {
        seed: float(seed) for seed in seeds
    }


def test_evaluations_files_in_a_pattern(tmp_path: Path, take: Take) -> None:
    for seed in (1, 2):
        write_evaluations(tmp_path / f"evaluations ({seed}).npz", [10, 20], np.full((2, 3), float(seed)))
    mapping = tmp_path / "m.yaml"
    source = {"files": "evaluations ({seed}).npz", "task": TASK, "algorithm": "a"}
    mapping.write_text(yaml.safe_dump({"suite": "s", "sources": [source]}))
    assert take(mapping).code == 0
    assert {seed for _, seed in runs(tmp_path / "results")} == {1, 2}


def rllib(nested: bool) -> str:
    """result.json of the old and of the new API: no episode ended in the first iteration."""
    lines: list[dict[str, Any]] = []
    for i, value in enumerate([float("nan"), 1.5, 2.5]):
        steps, seconds = 100 * (i + 1), 3.0 * (i + 1)
        one: dict[str, Any] = {"training_iteration": i + 1, "time_total_s": seconds, "config": {"seed": 7, "lr": 1e-3}}
        if nested:
            one |= {"env_runners": {"episode_return_mean": value}, "num_env_steps_sampled_lifetime": steps}
            one |= {"evaluation": {"env_runners": {"episode_return_mean": value + 10}}} if i == 2 else {}
        else:
            one |= {"episode_reward_mean": value, "timesteps_total": steps, "hist_stats": {"episode_reward": [1.0]}}
        lines.append(one)
    return "\n".join(map(json.dumps, lines)) + "\n"


@pytest.mark.parametrize(("nested", "expected"), [(False, [1.5, 2.5]), (True, [12.5])])
def test_rllib_needs_no_mapping(tmp_path: Path, take: Take, nested: bool, expected: list[float]) -> None:
    path = tmp_path / "PPO_CartPole_abc" / "result.json"
    path.parent.mkdir()
    path.write_text(rllib(nested))
    done = take(path, *SAID, "--budget", 300, "--every", 100)
    assert done.code == 0, done.err
    run = runs(tmp_path / "results")["a", 7]
    # Evaluations come before returns of training where there are any.
    assert run["curve"]["eval_return"][-len(expected) :] == expected
    assert run["curve"]["wall_seconds"] == [0, 3, 6, 9]
    # A NaN behind a number is one.
    path.write_text(path.read_text().replace(": 2.5", ": NaN"))
    assert take(path, *SAID, "--results", tmp_path / "other").code == (0 if nested else 4)


@pytest.mark.parametrize("tested", [False, True])
def test_spinning_up_needs_no_mapping(tmp_path: Path, take: Take, tested: bool) -> None:
    for seed in (0, 10):
        header = [
            "Epoch",
            "AverageEpRet",
            "StdEpRet",
            *(["AverageTestEpRet"] if tested else []),
            "TotalEnvInteracts",
            "Time",
        ]
        rows = [[i, seed + i, 0.5, *([100 + i] if tested else []), 1000 * (i + 1), 2.5 * i] for i in range(3)]
        path = tmp_path / "data" / "cmd_sac" / f"cmd_sac_s{seed}" / "progress.txt"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join("\t".join(map(str, row)) for row in [header, *rows]) + "\n")
        (path.parent / "config.json").write_text('{"seed": 3}')
    done = take(tmp_path / "data", *SAID)
    assert done.code == 0, done.err
    found = runs(tmp_path / "results")
    assert {seed for _, seed in found} == {0, 10}
    run = found["a", 10]
    assert run["curve"]["eval_return"][1:] == ([100, 101, 102] if tested else [10, 11, 12])
    assert run["settings"]["evaluation"]["policy"] == ("greedy" if tested else "sampled")
    assert run["curve"]["wall_seconds"] == [0, 0, 2.5, 5.0]


def write_mlflow(run: Path, metrics: dict[str, list[tuple[int, float]]], seed: object = None) -> None:
    for name, points in metrics.items():
        path = run / "metrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{1_700_000_000_000 + 10 * step} {value} {step}\n" for step, value in points))
    (run / "params").mkdir()
    (run / "params" / "lr").write_text("0.1")
    if seed is not None:
        (run / "params" / "seed").write_text(f"{seed}\n")
    (run / "meta.yaml").write_text("x: 1\n")


def test_mlflow_needs_no_mapping(tmp_path: Path, take: Take) -> None:
    metrics = {
        "eval/mean_reward": [(100, 1.5), (200, 2.5)],
        "loss": [(50, 0.5), (150, 0.25), (150, 0.125)],
        "rollout/length": [(100, 9.0)],
    }
    for seed in (3, 4):
        write_mlflow(tmp_path / "mlruns" / "0" / f"abc{seed}", metrics, seed)
    done = take(tmp_path / "mlruns", *SAID)
    assert done.code == 0, done.err
    found = runs(tmp_path / "results")
    assert {seed for _, seed in found} == {3, 4}
    assert found["a", 3]["curve"] == {
        "env_steps": [0, 100, 200],
        "eval_return": [1.5, 1.5, 2.5],
        "loss": [None, 0.5, 0.125],
        "wall_seconds": [0.0, 0.5, 1.5],
    }
    assert found["a", 3]["provenance"]["started"] == "2023-11-14T22:13:20+00:00"
    # One metric of its own is the return if it is called so.
    single = tmp_path / "mlruns" / "0" / "abc3" / "metrics" / "eval" / "mean_reward"
    done = take(single, *SAID, "--seed", 5)
    assert done.code == 0, done.err
    done = take(tmp_path / "mlruns" / "0" / "abc3" / "metrics" / "loss", *SAID)
    assert done.code == 4
    assert "no column that is known to be eval_return" in done.err
    single.write_text("1 2\n1 2 x\n")
    assert f"{single}:2: is not a line of a metric file" in take(single, *SAID, "--format", "mlflow").err


def test_a_trainer_state_with_rewards_of_both_kinds(tmp_path: Path, take: Take) -> None:
    history: list[dict[str, Any]] = [{"step": step, "reward": float(step)} for step in range(10, 41, 10)]
    history[1:1] = [{"step": 10, "eval_reward": 1.0}]
    history.append({"step": 40, "eval_reward": 4.0})
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    done = take(tmp_path, *SAID, "--seed", 0, "--budget", 40, "--every", 10)
    assert done.code == 0, done.err
    (run,) = runs(tmp_path / "results").values()
    assert run["curve"]["eval_return"] == [1, 1, 1, 1, 4]
    assert run["settings"]["evaluation"]["return"] == "eval_reward"
    done = take(tmp_path, *SAID, "--seed", 1, "--column", "return=reward")
    assert runs(tmp_path / "results")["a", 1]["curve"]["eval_return"][1:] == [10, 20, 30, 40]
