"""Returns that are far from zero for how they differ: the update is that of the same returns beside zero."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from language_support import small_policy
from objective_support import F, each_tensor, random_batch
from test_catalogue_properties import OBJECTIVES, as_float32
from torch import Tensor

from haepo_bench import catalogue
from haepo_bench.objectives.base import Objective, TrajectoryBatch, normalise_returns
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.sampling import uniforms
from haepo_bench.policies.shapes import Array
from haepo_bench.training.episodes.packed_batch import PackedBatch
from haepo_bench.training.episodes.rollout import Collector
from haepo_bench.training.episodes.trainer import make_head
from haepo_bench.training.language.packed_responses import PackedResponses
from haepo_bench.training.returns import comparable
from haepo_bench.training.streams import stream

OFFSET, SPREAD = 1e5, 3.0
#: Whose loss depends on where zero is, by definition.
ABSOLUTE = ("'none'", "'proportional'", "rebel {'return_normalisation'", "maxrl", "'advantage_scale'", "'nonzero'")
RELATIVE = {name: o for name, o in OBJECTIVES.items() if not any(part in name for part in ABSOLUTE)}


def shifted(batch: TrajectoryBatch, by: float) -> TrajectoryBatch:
    """Returns and reference returns moved, and the last reward with them."""
    last = torch.arange(batch.mask.shape[-1]) == batch.lengths[..., None] - 1
    return replace(
        batch,
        returns=batch.returns + by,
        reference_returns=batch.reference_returns + by,
        greedy_returns=batch.greedy_returns + by,
        rewards=batch.rewards + by * last,
    )


def slope(objective: Objective, batch: TrajectoryBatch) -> Tensor:
    return torch.autograd.grad(objective(batch).loss.sum(), batch.log_probs)[0].double()


def drawn(seed: int) -> TrajectoryBatch:
    """In float32, as policies compute, with returns in float64, as trainers give them."""
    exact = random_batch(seed)
    batch = each_tensor(exact, as_float32)
    returns = torch.round(exact.returns * 1000) / 1000
    assert 1 < returns.std() < 2 * SPREAD
    exactly = {name: getattr(exact, name) for name in ("rewards", "reference_returns", "greedy_returns")}
    return replace(batch, returns=returns, **exactly)


@pytest.mark.parametrize("objective", RELATIVE.values(), ids=list(RELATIVE))
def test_gradients_are_those_of_returns_beside_zero(objective: Objective) -> None:
    for seed in range(5):
        near, far = (slope(objective, shifted(drawn(seed), by)) for by in (0.0, OFFSET))
        torch.testing.assert_close(far, near, rtol=0, atol=1e-6 * float(near.abs().max()))


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=list(OBJECTIVES))
def test_losses_and_diagnostics_stay_in_the_precision_of_the_policy(objective: Objective) -> None:
    output = objective(drawn(0))
    assert {x.dtype for x in (output.loss, *output.diagnostics.values())} == {torch.float32}
    double = objective(random_batch(0))
    assert {x.dtype for x in (double.loss, *double.diagnostics.values())} == {F}


def test_what_is_not_centred_in_float64_is_off_by_percents() -> None:
    """Why: what the cast loses of returns at this offset."""
    returns = drawn(0).returns
    exact = normalise_returns(returns, "standardise")
    lost = normalise_returns((returns + OFFSET).float(), "standardise").double()
    assert (lost - exact).abs().max() > 1e-3
    assert (normalise_returns(returns + OFFSET, "standardise", torch.float32) - exact).abs().max() < 1e-6


@pytest.mark.parametrize("name", ["grpo", "haepo-weighted", "haepo-listwise", "reinforce", "reinforce-togo", "qrpo"])
def test_an_update_is_that_of_returns_beside_zero(name: str) -> None:
    """Through the trainer's batch, from a rollout whose returns are moved."""
    task = catalogue.task("random-walk/20")
    network = Network(20, (16,), make_head(task))
    drawn = [network.initial(stream("initialisation", s)) + 0.3 * stream("ppo", s).normal(size=384) for s in range(2)]
    parameters = torch.from_numpy(np.stack(drawn).astype(np.float32))
    collector = Collector(task, task.vector(8), network.head, 8, network.padded_rows(8))

    def act(x: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return network.head.sample(network.outputs(network.fold(parameters), x), noise, greedy)

    collected = collector.collect(act, *([stream(p, s) for s in range(2)] for p in ("environment", "action noise")))
    objective: Any = catalogue.algorithm(name)
    returns = SPREAD * stream("reward", 0).normal(size=collected.returns.shape)

    def update(by: float) -> Tensor:
        paid = returns + by
        rewards = torch.zeros_like(collected.rewards)
        for (seed, k), value in np.ndenumerate(paid):
            rewards[seed, k, collected.lengths[seed, k] - 1] = value
        rollout = replace(collected, returns=paid, rewards=rewards)
        made = PackedBatch(network, rollout, parameters, None, task, "cpu", objective.objective(), paid)
        return made.gradient(objective.objective())[0]

    near = update(0.0)
    assert near.abs().max() > 1e-3
    torch.testing.assert_close(update(OFFSET), near, rtol=0, atol=1e-6 * float(near.abs().max()))


@pytest.mark.parametrize("name", ["grpo", "haepo-weighted", "reinforce-togo", "qrpo"])
def test_a_language_update_is_that_of_returns_beside_zero(name: str) -> None:
    definition: Any = catalogue.algorithm(name)
    objective, returns = definition.objective(), SPREAD * np.random.default_rng(0).normal(size=12)

    def update(by: float) -> Tensor:
        policy = small_policy()
        responses = policy.sample([[1, 3], [1, 3, 4], [1, 6, 6]], uniforms(np.random.default_rng(0), 12, 6), copies=4)
        paid: Array = returns + by
        sampled = paid.reshape(3, 4)
        made = PackedResponses(
            policy, responses, paid, groups=3, horizon=6, objective=objective, reference_returns=sampled
        )
        made.gradient(objective)
        return policy.gradient[0].clone()

    near = update(0.0)
    torch.testing.assert_close(update(OFFSET), near, rtol=0, atol=1e-5 * float(near.abs().max()))


def test_sums_of_the_same_rewards_in_another_order_tie() -> None:
    """Float64 keeps the rounding of additions, which float32 mostly lost: it must not become a preference."""
    rewards = np.array([0.1, 0.2, 0.3, -0.7, 1e5 + 0.1])
    orders = np.stack([np.random.default_rng(s).permutation(rewards) for s in range(50)])
    sums = np.array([sum(order.tolist()) for order in orders])
    assert len(set(sums.tolist())) > 1
    assert len(set(comparable(sums).tolist())) == 1
    exact = np.array([0.0, -0.0625, 3.0, 1e5 + 0.001, 1e300, -1e-300, np.nan, np.inf, -np.inf])
    np.testing.assert_allclose(comparable(exact), exact, rtol=1e-11)
    assert len(set(comparable(np.array([1e5 + 0.001, 1e5 + 0.002])).tolist())) == 2


def test_equal_returns_to_go_stay_equal() -> None:
    """Sums of equal rewards along different ways, whose rounding differs: no advantage, in float64 either."""
    batch = drawn(0)
    ways = torch.tensor([[0.1, 0.2, 0.3, 0.0, 0.0], [0.3, 0.2, 0.1, 0.0, 0.0], [0.2, 0.3, 0.1, 0.0, 0.0]], dtype=F)
    rewards = torch.cat([ways, ways[:1]]).expand(2, 2, 4, 5)
    same = replace(batch, rewards=rewards, mask=torch.arange(5).expand(2, 2, 4, 5) < 3)
    objective: Any = OBJECTIVES["reinforce-togo"]
    assert not objective.advantages(same)[..., 0].any()
