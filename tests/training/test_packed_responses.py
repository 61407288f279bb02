"""The gradient of an objective over language responses: exact whatever passes through the model at a time."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from language_support import small_model, small_policy
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.haepo import HaepoListwise, HaepoRanking, HaepoWeighted
from haepo_bench.objectives.ppo import Ppo
from haepo_bench.objectives.ratios import k3
from haepo_bench.objectives.reinforce import Reinforce, ReinforceToGo
from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.policies.sampling import uniforms
from haepo_bench.training.language.packed_responses import GeneralisedAdvantages, PackedResponses
from haepo_bench.training.language.trainer import adapted

PROMPTS = [[1, 3], [1, 3, 4, 5, 6, 3], [1, 6, 6]]
RETURNS = np.array([1.0, 0.0, 0.5, 0.25, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5, 0.5, 1.5])
OBJECTIVES: list[Objective] = [
    HaepoWeighted(kl_coefficient=0.3, entropy_coefficient=0.2),
    HaepoListwise(kl_of="weights"),
    HaepoRanking(),
    Reinforce(),
    ReinforceToGo(),
    Grpo(beta=0.2, aggregation="token"),
    Dpo(beta=0.7),
]


def collected(policy: LanguagePolicy) -> Responses:
    return policy.sample(PROMPTS, uniforms(np.random.default_rng(0), 12, 6), copies=4)


def updates(policy: LanguagePolicy, **options: Any) -> PackedResponses:
    return PackedResponses(policy, collected(policy), RETURNS, groups=3, horizon=6, **options)


def at_once(objective: Objective, model: Any, rows: Responses, behaviour: Tensor, reference: Tensor) -> list[Tensor]:
    """Gradients of the model's parameters, everything in one graph and one sequence after the other."""
    T = rows.columns
    log_probs, entropy = torch.zeros(12, T), torch.zeros(12, T)
    for row, response in enumerate(rows.texts()):
        prompt = PROMPTS[row // 4]
        logits = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        distribution = torch.log_softmax(logits, -1)
        n = len(response)
        log_probs = log_probs.index_put((torch.tensor(row), torch.arange(n)), distribution[torch.arange(n), response])
        entropy = entropy.index_put((torch.tensor(row), torch.arange(n)), -(distribution.exp() * distribution).sum(-1))
    rewards = torch.zeros(12, T)
    rewards[torch.arange(12), rows.lengths - 1] = torch.from_numpy(RETURNS).float()

    def grouped(x: Tensor) -> Tensor:
        return x.reshape(1, 3, 4, *x.shape[1:])

    lp = grouped(log_probs)
    batch = TrajectoryBatch(
        log_probs=lp, entropy=grouped(entropy), kl_to_reference=k3(lp, grouped(reference)),
        behaviour_log_probs=grouped(behaviour), reference_log_probs=grouped(reference), mask=grouped(rows.mask),
        rewards=grouped(rewards), returns=grouped(torch.from_numpy(RETURNS).float()), horizon=6,
    )  # fmt: skip
    return list(torch.autograd.grad(objective(batch).loss.sum(), list(model.parameters())))


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
def test_micro_batches_give_the_gradient_of_the_whole_batch(objective: Objective) -> None:
    """Also a softmax over whole responses, off the behaviour policy, with a reference of its own."""
    found = []
    for micro_batch in (None, 5, 1):
        policy = small_policy()
        other = small_policy(seed=1).parameters
        initial = policy.parameters + 0.1 * (other - policy.parameters)
        update = updates(policy, reference=initial, micro_batch=micro_batch)
        rows = collected(policy)
        with torch.no_grad():
            behaviour = policy.evaluate(rows).log_probs
            with policy.under(initial):
                reference = policy.evaluate(rows).log_probs
        update.gradient(objective)
        policy.parameters.add_(0.02 * (other - policy.parameters))
        policy.publish()
        diagnostics = update.gradient(objective)
        assert diagnostics["kl_previous"] > 0
        found.append(policy.gradient[0].clone())
        for p in policy.model.parameters():
            p.grad = None
        expected = torch.cat([g.reshape(-1) for g in at_once(objective, policy.model, rows, behaviour, reference)])
        torch.testing.assert_close(found[-1], expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)


def test_the_first_gradient_sees_ratios_of_exactly_one() -> None:
    for micro_batch in (None, 4):
        diagnostics = updates(small_policy(), micro_batch=micro_batch).gradient(Grpo())
        assert float(diagnostics["kl_previous"]) == 0.0


def test_gradient_checkpointing_changes_nothing() -> None:
    gradients, passes = [], []
    for checkpointing in (False, True):
        policy = small_policy(gradient_checkpointing=checkpointing)
        update = updates(policy, micro_batch=6)
        calls: list[int] = []
        policy.model.model.layers[0].mlp.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        update.gradient(HaepoWeighted())
        gradients.append(policy.gradient.clone())
        passes.append(len(calls))
    assert passes == [2, 4]  # of two micro-batches: each once for the gradient, or once and again
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def test_bfloat16_keeps_float32_parameters_and_gradients() -> None:
    exact, rounded = small_policy(), LanguagePolicy(small_model().bfloat16(), pad=0, stops=(2,))
    rows = collected(exact)
    for policy in (exact, rounded):
        PackedResponses(policy, rows, RETURNS, groups=3, horizon=6, micro_batch=5).gradient(Reinforce())
    assert rounded.parameters.dtype == rounded.gradient.dtype == torch.float32
    assert next(rounded.model.parameters()).dtype == torch.bfloat16
    assert float(torch.nn.functional.cosine_similarity(exact.gradient, rounded.gradient)) > 0.99
    # A step far below bfloat16's resolution is not lost.
    before = next(rounded.model.parameters()).clone()
    for _ in range(300):
        rounded.parameters.add_(1e-5)
        rounded.publish()
    assert not torch.equal(next(rounded.model.parameters()), before)


def test_an_adapter_trains_beside_a_frozen_model_which_is_the_reference() -> None:
    model = small_model()
    frozen = [p.clone() for p in model.parameters()]
    policy = LanguagePolicy(adapted(model, rank=2, alpha=16, seed=0), pad=0, stops=(2,))
    assert policy.adapted
    assert policy.parameters.shape[1] < sum(p.numel() for p in frozen)
    update = updates(policy, reference=None, micro_batch=5)
    start = policy.evaluate(collected(policy)).log_probs
    for _ in range(3):
        update.gradient(Reinforce())
        assert float(policy.gradient.abs().max()) > 0
        policy.parameters.sub_(0.5 * policy.gradient)
        policy.publish()
    rows = collected(small_policy())
    with policy.under(None):
        assert torch.equal(policy.evaluate(rows).log_probs, small_policy().evaluate(rows).log_probs)
    assert not torch.equal(policy.evaluate(rows).log_probs, start)
    own = [p for name, p in policy.model.named_parameters() if "lora" not in name]
    assert all(torch.equal(*pair) for pair in zip(frozen, own, strict=True))


def test_advantages_of_tokens_are_those_of_the_definition() -> None:
    """GAE with a reward at the end, worked out backwards row by row; and PPO takes the batch as it is."""
    policy = small_policy(value_head=True)
    policy.parameters[0, -17:] = torch.linspace(-0.5, 0.5, 17)
    policy.publish()
    rows, gamma, lam = collected(policy), 0.9, 0.8
    update = PackedResponses(
        policy, rows, RETURNS, groups=3, horizon=6, micro_batch=5, advantages=GeneralisedAdvantages(gamma, lam)
    )
    with torch.no_grad():
        values = policy.evaluate(rows).values
    assert values is not None
    seen: list[TrajectoryBatch] = []

    class Watching(Ppo):
        def __call__(self, batch: TrajectoryBatch) -> Any:
            seen.append(batch)
            return super().__call__(batch)

    update.gradient(Watching())
    assert float(policy.gradient[0, -17:].abs().max()) > 0
    assert seen[0].advantages is not None
    for row, length in enumerate(rows.lengths.tolist()):
        advantage, following = 0.0, 0.0
        for t in reversed(range(length)):
            reward = RETURNS[row] if t == length - 1 else 0.0
            value = float(values[row, t])
            advantage = reward + gamma * following - value + gamma * lam * advantage
            following = value
            assert float(seen[0].advantages.reshape(12, -1)[row, t]) == pytest.approx(advantage, abs=1e-4)


def test_what_stands_beyond_a_response_does_not_matter() -> None:
    policy = small_policy()
    rows = collected(policy)
    other = replace(rows, tokens=torch.where(_beyond(rows), 5, rows.tokens))
    gradients = []
    for same in (rows, other):
        PackedResponses(policy, same, RETURNS, groups=3, horizon=6).gradient(HaepoWeighted())
        gradients.append(policy.gradient.clone())
    assert torch.equal(*gradients)


def _beyond(rows: Responses) -> Tensor:
    columns = torch.arange(rows.tokens.shape[1])
    return columns >= rows.prompt_columns + rows.lengths[:, None]
