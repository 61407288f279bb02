"""Suites resolved to plans: families, names, hyper-parameters, seeds, execution."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from haepo_bench.errors import UserError
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.shipped import list_suites

ISSUE_EXAMPLE = """\
name: quickstart
description: both default variants of HAEPO against REINFORCE, PPO, GRPO and DPO
seeds: 5                        # 0..4, or an explicit list
evaluation: {every: 5_000, episodes: 20}
tasks:
  - {id: bandit/10-arm, budget: {env_steps: 5_000}, evaluation: {every: 500}}
  - {id: gym/CartPole-v1, budget: {env_steps: 50_000}}
algorithms:
  - haepo                       # a family: expands to its variants
  - {use: grpo, name: grpo-wide, params: {trajectories: 32, learning_rate: 3e-3}}
  - {use: ppo, seeds: 3}
execution: {workers: auto, device: auto, timeout: 30m}
"""


def plan(tmp_path: Path, text: str, *sets: str, only: tuple[str, ...] = ()) -> Plan:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    return load_plan(path, sets, only)


def cell(made: Plan, task: str, algorithm: str) -> Cell:
    (found,) = [c for c in made.cells if (c.task, c.algorithm) == (task, algorithm)]
    return found


def test_a_suite_as_people_write_it(tmp_path: Path) -> None:
    made = plan(tmp_path, ISSUE_EXAMPLE)
    algorithms = ["haepo-weighted", "haepo-listwise", "grpo-wide", "ppo"]
    tasks = ["bandit/10-arm", "gym/CartPole-v1"]
    assert [(c.task, c.algorithm) for c in made.cells] == [(t, a) for t in tasks for a in algorithms]
    assert made.runs == 2 * (5 + 5 + 5 + 3)
    wide = cell(made, "bandit/10-arm", "grpo-wide")
    assert wide.uses == "grpo"
    assert (wide.parameters["trajectories"], wide.parameters["learning_rate"]) == (32, 0.003)
    assert (wide.budget, wide.evaluation_every, wide.evaluation_episodes) == (5000, 500, 20)
    assert cell(made, "gym/CartPole-v1", "grpo-wide").evaluation_every == 5000
    assert cell(made, "gym/CartPole-v1", "ppo").seeds == (0, 1, 2)
    assert made.execution.timeout_seconds == 1800
    assert made.execution.workers == len(os.sched_getaffinity(0))
    assert made.execution.device == "cpu"
    assert made.execution.device_reason
    assert made.source == ISSUE_EXAMPLE


def test_quickstart() -> None:
    made = load_plan("quickstart")
    budgets = {c.task: (c.budget, c.evaluation_every, c.evaluation_episodes) for c in made.cells}
    assert budgets == {
        "bandit/10-arm": (5_000, 500, 20),
        "random-walk/20": (10_000, 1_000, 20),
        "gym/CartPole-v1": (50_000, 5_000, 20),
    }
    compared = {"haepo-weighted", "haepo-listwise", "reinforce", "grpo", "dpo", "ppo"}
    assert {c.algorithm for c in made.cells} == {*compared, "uniform"}
    assert made.runs == 369


@pytest.mark.parametrize("name", [name for name in list_suites() if name != "language-hub"])
def test_every_shipped_suite_resolves(name: str) -> None:
    if name == "mujoco":
        pytest.importorskip("mujoco", reason="MuJoCo is not installed (extra mujoco)")
    assert load_plan(name).suite == name


def test_the_suite_for_the_hub_lacks_nothing_but_hub_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Without the models the first two tasks are the same one.
    here = [f"tasks.{number}.model=tiny" for number in range(3)] + ["tasks.1.id=lm/synthetic-summary"]
    made = load_plan("language-hub", sets=[*here, "execution.device=cpu"])
    assert len(made.cells) == 18


def test_a_named_family(tmp_path: Path) -> None:
    text = ISSUE_EXAMPLE.replace("- haepo ", "- {use: haepo, name: warm, params: {temperature: 2}} ")
    made = plan(tmp_path, text)
    warm = [c for c in made.cells if c.algorithm.startswith("warm")]
    assert {(c.algorithm, c.uses) for c in warm} == {
        ("warm-weighted", "haepo-weighted"),
        ("warm-listwise", "haepo-listwise"),
    }
    assert all(c.parameters["temperature"] == 2.0 for c in warm)


def test_parameters_of_one_task_go_before_the_others(tmp_path: Path) -> None:
    text = ISSUE_EXAMPLE.replace(
        "learning_rate: 3e-3}", "learning_rate: 3e-3}, per_task: {bandit/10-arm: {params: {learning_rate: 0.1}}}"
    )
    made = plan(tmp_path, text)
    rates = {c.task: c.parameters["learning_rate"] for c in made.cells if c.algorithm == "grpo-wide"}
    assert rates == {"bandit/10-arm": 0.1, "gym/CartPole-v1": 0.003}
    assert all(c.parameters["trajectories"] == 32 for c in made.cells if c.algorithm == "grpo-wide")


def test_an_algorithm_on_some_of_the_tasks(tmp_path: Path) -> None:
    made = plan(
        tmp_path, ISSUE_EXAMPLE.replace("learning_rate: 3e-3}", "learning_rate: 3e-3}, tasks: [gym/CartPole-v1]")
    )
    on = {name: {c.task for c in made.cells if c.algorithm == name} for name in ("grpo-wide", "ppo")}
    assert on == {"grpo-wide": {"gym/CartPole-v1"}, "ppo": {"bandit/10-arm", "gym/CartPole-v1"}}


def test_a_task_that_nothing_is_run_on_is_a_mistake(tmp_path: Path) -> None:
    text = """
name: hole
seeds: 1
budget: {env_steps: 100}
tasks: [bandit/10-arm, random-walk/8]
algorithms: [{use: grpo, tasks: [random-walk/8]}]
"""
    with pytest.raises(UserError, match=r"suite.yaml:5: tasks\[0\]: no algorithm is run on 'bandit/10-arm'"):
        plan(tmp_path, text)


def test_only(tmp_path: Path) -> None:
    def kept(*only: str) -> set[tuple[str, str]]:
        return {(c.task, c.algorithm) for c in plan(tmp_path, ISSUE_EXAMPLE, only=only).cells}

    assert kept("ppo") == {("bandit/10-arm", "ppo"), ("gym/CartPole-v1", "ppo")}
    assert kept("bandit/*:haepo-*") == {("bandit/10-arm", "haepo-weighted"), ("bandit/10-arm", "haepo-listwise")}
    assert kept("gym/*:ppo", "bandit/*:grpo-wide") == {("gym/CartPole-v1", "ppo"), ("bandit/10-arm", "grpo-wide")}
    with pytest.raises(UserError, match=r"--only pppo: selects nothing\n  did you mean 'ppo'\?"):
        kept("ppo", "pppo")


def test_set_reaches_the_plan(tmp_path: Path) -> None:
    made = plan(tmp_path, ISSUE_EXAMPLE, "seeds=[8]", "algorithms[0].params.temperature=0.5")
    assert cell(made, "bandit/10-arm", "haepo-weighted").seeds == (8,)
    assert cell(made, "bandit/10-arm", "haepo-weighted").parameters["temperature"] == 0.5


def test_cuda_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError) as caught:
        plan(tmp_path, ISSUE_EXAMPLE.replace("device: auto", "device: cuda"))
    assert caught.value.where == "suite.yaml:12: execution.device"
    assert "PyTorch" in caught.value.problem


def test_the_worker_can_make_every_cell_again(tmp_path: Path) -> None:
    """What a worker is sent (address, time limit, catalogue name, overrides) leads to the same algorithm."""
    from haepo_bench import catalogue

    for made in plan(tmp_path, ISSUE_EXAMPLE).cells:
        task = catalogue.task(made.task, time_limit=made.time_limit, options=made.options)
        again: Any = catalogue.algorithm_on(task, made.uses).configure(made.overrides, task)
        assert again.parameters == made.parameters
