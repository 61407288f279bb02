"""The credit of single steps: its identity with soft advantages, and the columns that rest on it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from benchmark_scripts import load
from objective_support import F, toy
from training_support import train

from haepo_bench import catalogue
from haepo_bench.objectives.credit import implicit_value
from haepo_bench.objectives.qrpo import Qrpo, quantiles
from haepo_bench.tasks.finite.tabular import Tabular

credit = load("credit")


def tree() -> Tabular:
    """Two steps, two actions, four leaves with returns 1, 2, 3 and 5."""
    return Tabular(
        "test/tree",
        "",
        version=1,
        next_state=np.array([[1, 2], [3, 4], [5, 6], *[[n, n] for n in range(3, 7)]]),
        reward=np.array([[0.5, 1.0], [0.5, 1.5], [2.0, 4.0], *[[0.0, 0.0]] * 4]),
        terminal=np.array([False] * 3 + [True] * 4),
        start=0,
        horizon=2,
    )


RETURNS, BETA = np.array([1.0, 2.0, 3.0, 5.0]), 0.7
REFERENCE = np.log(np.array([[0.3, 0.7], [0.6, 0.4], [0.5, 0.5], *[[0.5, 0.5]] * 4]))
PATHS = [[(0, 0), (1, 0)], [(0, 0), (1, 1)], [(0, 1), (2, 0)], [(0, 1), (2, 1)]]  # (state, action) of the leaves


def test_soft_advantages_are_the_log_ratios_of_the_optimum_over_trajectories() -> None:
    """Among whole trajectories the optimum is ref(tau) exp(R / beta) / Z, which needs no dynamic programming."""
    reference = np.array([sum(REFERENCE[step] for step in path) for path in PATHS])
    log_optimum = reference + RETURNS / BETA
    log_z = np.logaddexp.reduce(log_optimum)
    advantages = credit.soft_advantages(tree(), REFERENCE, BETA)
    for path, own, R in zip(PATHS, log_optimum - log_z, RETURNS, strict=True):
        along = sum(advantages[time, state, action] for time, (state, action) in enumerate(path))
        log_ratio = own - sum(REFERENCE[step] for step in path)
        assert along == pytest.approx(BETA * log_ratio, abs=1e-12)
        assert R - along == pytest.approx(BETA * log_z, abs=1e-12)  # V* of the start, whichever trajectory


def test_every_trajectory_implies_one_value_at_the_optimum() -> None:
    batch = replace(toy(), deterministic=True)
    value = torch.full((1, 1, 4), 0.3, dtype=F)
    at_optimum = implicit_value(batch, batch.returns, batch.returns - value)
    assert float(at_optimum["implicit_value"]) == pytest.approx(0.3)
    assert float(at_optimum["implicit_value_deviation"]) == pytest.approx(0, abs=1e-12)
    at_reference = implicit_value(batch, batch.returns, torch.zeros_like(batch.returns))
    assert float(at_reference["implicit_value"]) == pytest.approx(3.5 / 4)
    assert float(at_reference["implicit_value_deviation"]) == pytest.approx(np.std([2.0, 0.0, 1.0, 0.5]))
    assert implicit_value(toy(), batch.returns, batch.returns) == {}
    # QRPO's optimum implies beta log Z, its known partition function.
    objective = Qrpo(beta=0.5)
    wanted = quantiles(batch) / 0.5 - objective.log_partition()
    solved = batch.reference_log_probs + (wanted / batch.lengths)[..., None]
    found = objective(replace(batch, log_probs=solved.requires_grad_())).diagnostics
    assert float(found["implicit_value"]) == pytest.approx(0.5 * objective.log_partition())


@pytest.mark.parametrize("name", ["dpo", "h-dpo", "ipo", "reward-distillation", "qrpo", "a2po"])
def test_columns_stand_where_moves_are_certain(name: str) -> None:
    small = {"reference_episodes": 4} if name in ("qrpo", "a2po") else {}
    for task, there in (("random-walk/5", True), ("gym/FrozenLake-v1", False)):
        (result,) = train(name, task, [0], 1_000, 500, **small).values()
        assert ("implicit_value" in result.curve) is there
        assert ("implicit_value_deviation" in result.curve) is there


def test_which_tasks_have_certain_moves() -> None:
    certain = ["bandit/10-arm", "deep-sea/6", "gym/CartPole-v1", "noise(deep-sea/6,1)", "window(t-maze/5,2)"]
    assert all(catalogue.task(address).deterministic for address in certain)
    assert not catalogue.task("gym/FrozenLake-v1").deterministic


def test_a_trained_policy_credits_steps_as_the_optimum_does() -> None:
    """From whole returns alone: a corridor's ways are told apart step by step, within a tenth of a step's reward."""
    beta = 0.1
    task, policies = credit.trained("corridor/8", beta, 12_000, 2)
    network = credit.Network(task.observation_space.shape[0], (64, 64), credit.make_head(task))
    for seed, named in enumerate(policies):
        initial = network.named(torch.from_numpy(network.initial(credit.stream("initialisation", seed))))
        reference = credit.log_policy(initial, task.observations)
        ratios = beta * (credit.log_policy(named, task.observations) - reference)
        exact = credit.soft_advantages(task, reference, beta)
        positions = np.flatnonzero(~task.terminal)
        errors = [abs(ratios[s] - exact[s, s]).max() for s in positions]  # position s is reached at time s
        assert max(errors) < 0.1 / 8
