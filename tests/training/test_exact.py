"""Bandits are evaluated exactly: against sums written out, against many pulls, and through trained runs."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from training_support import train

from haepo_bench import catalogue
from haepo_bench.policies.mlp import Network
from haepo_bench.training.alignment import network_log_probs
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.exact import ExactEvaluation
from haepo_bench.training.heads import make_head
from haepo_bench.training.trainer import acting

ADDRESSES = ["bandit/10-arm", "bandit/contextual", "bandit/deceptive", "window(bandit/contextual,2)",
             "normalised(bandit/contextual)", "noise(bandit/contextual,3)"]  # fmt: skip


def written_out(task, policies):
    """(mean, deviation, greedy) of one policy [context, arm]."""
    means, total, squares, greedy = task.expected_returns, 0.0, 0.0, 0.0
    for context, policy in enumerate(policies):
        for arm, probability in enumerate(policy):
            total += probability * means[context, arm] / len(policies)
            squares += probability * means[context, arm] ** 2 / len(policies)
        greedy += means[context, int(np.argmax(policy))] / len(policies)
    return total, math.sqrt(max(squares - total**2, 0.0)), greedy


@pytest.mark.parametrize("address", ADDRESSES)
def test_expected_returns_are_sums_over_contexts_and_arms(address):
    task = catalogue.task(address)
    contexts, arms = task.expected_returns.shape
    logits = np.random.default_rng(3).normal(size=(2, contexts, arms))
    policies = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    asked = []

    def log_probs(probes):
        asked.append(probes)
        return np.log(policies).reshape(2, -1).astype(np.float32)

    for evaluation, policy in zip(ExactEvaluation(task).evaluate(log_probs), policies, strict=True):
        found = (evaluation.sampled, evaluation.sampled_std, evaluation.greedy)
        assert found == pytest.approx(written_out(task, policy), abs=1e-6)
        assert evaluation.env_steps == 0
    (questions,) = asked
    assert questions.actions.tolist() == [arm for _ in range(contexts) for arm in range(arms)]
    # Every context is shown as an episode that starts in it is, wrappers included.
    starts = task.vector(500).reset([np.random.default_rng(0)])[0]
    assert {tuple(row) for row in questions.observations.tolist()} == {tuple(row) for row in starts.tolist()}


def test_many_pulls_have_the_exact_mean():
    """4.5 standard errors: with other streams one in 150,000 would fail."""
    task = catalogue.task("bandit/contextual")
    head, episodes = make_head(task), 20_000
    network = Network(task.observation_space.shape[0], [8], head)
    # Far from uniform: the weights of an untrained policy, ten times as large.
    parameters = torch.from_numpy(10 * network.initial(np.random.default_rng(0))[None])
    outputs = partial(network.outputs, network.fold(parameters))

    def log_probs(probes):
        return network_log_probs(probes, head, outputs, 1, network.padded_rows, "cpu")

    exact = Evaluator(task, head, episodes, network.padded_rows)
    (known,) = exact.evaluate(acting(outputs, head), [(0, 1)], log_probs)
    task.expected_returns = None
    (pulled,) = Evaluator(task, head, episodes, network.padded_rows).evaluate(
        acting(outputs, head), [(0, 1)], log_probs
    )
    assert known.sampled == pytest.approx(pulled.sampled, abs=4.5 * pulled.sampled_std / episodes**0.5)
    assert known.greedy == pytest.approx(pulled.greedy, abs=4.5 * 1.0 / episodes**0.5)


@pytest.mark.parametrize("algorithm", ["reinforce", "ppo-batched", "ppo"])
def test_a_trained_run_says_what_its_policy_is_worth(algorithm):
    result = train(algorithm, "bandit/pi-squared", [0], budget=600, every=300)[0]
    returns, task = result.curve["eval_return"], catalogue.task("bandit/pi-squared")
    low, high = task.return_bounds
    assert all(low <= value <= high for value in returns)
    assert all(value in task.means for value in result.curve["eval_return_greedy"])
    # Nearly uniform before training, and without the noise of pulls: a mean of arms that are multiples of .2.
    assert returns[0] == pytest.approx(task.references.random, abs=0.05)
    assert returns[0] * 100 % 1 > 1e-6
    assert result.cost["evaluation_env_steps"] == 0
