"""Hyper-parameters that came later: at the value that changes nothing they are not part of a run's identity."""

import json
from pathlib import Path
from typing import Any

import pytest

from haepo_bench import catalogue
from haepo_bench.objectives.hyperparameters import Hyperparameters, hyper
from haepo_bench.results.hashing import digest
from haepo_bench.suite.resolve import load_plan

ROOT = Path(__file__).parent.parent.parent
BASELINE = json.loads((ROOT / "baselines" / "regression.json").read_text())["cells"]
#: Every later hyper-parameter, by the algorithms that have it, with another value than that of before.
LATER: list[tuple[str, str, str, Any]] = [
    ("ppo", "gym/CartPole-v1", "clip_range_vf", 0.2),
    ("ppo", "gym/CartPole-v1", "normalize_advantage", False),
    ("ppo", "gym/CartPole-v1", "activation", "relu"),
    ("ppo-batched", "gym/CartPole-v1", "clip_range_vf", 0.2),
    ("ppo-batched", "gym/CartPole-v1", "normalize_advantage", False),
    ("ppo-batched", "gym/CartPole-v1", "activation", "relu"),
    ("ppo-batched", "gym/Pendulum-v1", "policy", "flow"),
    ("ppo-batched", "gym/CartPole-v1", "critic", "flow"),
    ("dfpo-reconstructed", "gym/CartPole-v1", "clip_range_vf", 0.2),
    ("dfpo-reconstructed", "gym/CartPole-v1", "normalize_advantage", False),
    ("dfpo-reconstructed", "gym/CartPole-v1", "activation", "relu"),
    ("reinforce", "gym/Pendulum-v1", "policy", "flow"),
    ("reinforce", "corridor/16", "pretraining", 0.5),
    ("aps", "corridor/16", "pretraining_features", 5),
    ("aps", "corridor/16", "pretraining_neighbours", 3),
    ("aps", "corridor/16", "pretraining_rewards", 100),
    ("bapo", "corridor/16", "high_step", 0.1),
    ("reinforce-pp", "corridor/16", "dual_clip", 3.0),
    *(
        (name, "corridor/16", option, value)
        for name in ("grpo", "dr-grpo", "dapo", "soup", "maxrl", "opo", "repo-stand-in", "iib-lpo-stand-in")
        for option, value in {
            "dual_clip": 3.0,
            "two_sided_clip": 2.0,
            "kl_estimator": "k2",
            "kl_correction": True,
            "baseline": "length",
            "advantage_scale": "mean",
        }.items()
        if (name, option) not in {("maxrl", "advantage_scale"), ("opo", "baseline")}
    ),
    ("ipo", "corridor/16", "length_norm", True),
    *(
        (name, "corridor/16", option, value)
        for name in ("dpo", "h-dpo", "hybrid-dpo-stand-in", "cpo", "simpo", "orpo")
        for option, value in {"pair_loss": "hinge", "label_smoothing": 0.1, "smoothing": "robust"}.items()
    ),
]
#: Settings of pretraining, which all native algorithms have.
PRETRAINING = ("features", "neighbours", "rewards")


def suite(folder: Path, algorithm: str, task: str, parameters: dict[str, Any]) -> Path:
    path = folder / f"{algorithm}.yaml"
    entry = {"use": algorithm, "params": parameters}
    path.write_text(
        json.dumps({"name": "one", "seeds": 1, "budget": {"env_steps": 100}, "tasks": [task], "algorithms": [entry]})
    )
    return path


def test_the_cells_of_the_baseline_keep_their_settings() -> None:
    now = {(cell.task, cell.algorithm): cell for cell in load_plan(ROOT / "suites" / "regression.yaml").cells}
    assert set(now) == {(cell["task"], cell["algorithm"]) for cell in BASELINE}
    for cell in BASELINE:
        found = now[cell["task"], cell["algorithm"]]
        assert found.settings == cell["settings"]
        assert found.settings_hash == cell["settings_hash"] == digest(cell["settings"])


@pytest.mark.parametrize(("algorithm", "task", "name", "value"), LATER)
def test_a_later_hyper_parameter_counts_where_it_does_something(
    tmp_path: Path, algorithm: str, task: str, name: str, value: Any
) -> None:
    (before,) = load_plan(suite(tmp_path, algorithm, task, {})).cells
    same = {name: before.parameters[name]}  # said aloud, and complete in the run record
    (said,) = load_plan(suite(tmp_path, algorithm, task, same)).cells
    (other,) = load_plan(suite(tmp_path, algorithm, task, {name: value})).cells
    assert name not in before.settings["algorithm"]["parameters"]
    assert said.settings_hash == before.settings_hash != other.settings_hash
    assert other.settings["algorithm"]["parameters"][name] == other.parameters[name] == value


def test_the_list_above_is_complete() -> None:
    declared = set()
    for name in catalogue.ALGORITHMS:
        definition = catalogue.algorithm(name)
        if name in ("dpo-offline", "repo", "genpo"):
            continue  # of language tasks alone, and of continuous actions; their losses have none of their own
        made = definition.configure({}, catalogue.task("corridor/16"))
        declared |= {(name, omitted) for omitted in made.omitted}
    everywhere = {"encoder", "policy", "critic", "pretraining", *(f"pretraining_{part}" for part in PRETRAINING)}
    listed = {(algorithm, name) for algorithm, _, name, _ in LATER if name not in everywhere}
    assert {one for one in declared if one[1] not in everywhere} == listed


def test_an_encoder_counts_where_observations_are_images(tmp_path: Path) -> None:
    """Every algorithm with a policy of its own has the parameter; elsewhere no other value is taken."""
    pytest.importorskip("minatar", reason="MinAtar is not installed (extra minatar)")
    for algorithm in ("reinforce", "ppo-batched", "ppo"):
        encoders = {}
        for task in ("gym/CartPole-v1", "gym/MinAtar/Breakout-v1"):
            (cell,) = load_plan(suite(tmp_path, algorithm, task, {})).cells
            encoders[task] = cell.settings["algorithm"]["parameters"].get("encoder")
        assert encoders == {"gym/CartPole-v1": None, "gym/MinAtar/Breakout-v1": "minatar"}
        (flat,) = load_plan(suite(tmp_path, algorithm, "gym/MinAtar/Breakout-v1", {"encoder": "none"})).cells
        assert "encoder" not in flat.settings["algorithm"]["parameters"]


def test_values_are_compared_as_json_has_them() -> None:
    class Later(Hyperparameters):
        old: int = hyper(1, "as ever")
        layers: tuple[int, ...] = hyper((64, 64), "later", omit_at=[64, 64])
        share: float | None = hyper(None, "later", omit_at=None)

    assert Later().omitted == {"layers", "share"}
    assert Later(old=2, layers=(64,), share=0.0).omitted == set()
