"""Objectives against worked numbers, against finite differences, and their properties on random batches."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from objective_support import (
    BARE,
    MASK,
    RETURNS,
    TENSORS,
    VALUES,
    F,
    expected,
    gradient,
    loss,
    pair,
    per_trajectory,
    random_batch,
    toy,
)

from haepo_bench.objectives.base import normalise_returns
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.haepo import HaepoListwise, HaepoRanking, HaepoWeighted
from haepo_bench.objectives.ratios import group_advantages
from haepo_bench.objectives.reinforce import Reinforce, ReinforceToGo


def test_weighted_reading():
    assert loss(HaepoWeighted(**BARE)) == expected("haepo.A.loss(ddof0)")
    assert loss(HaepoWeighted(**BARE, return_normalisation="none")) == expected("haepo.A.loss(raw R)")
    assert per_trajectory(HaepoWeighted(**BARE)) == expected("haepo.A.analytic dloss/dL")
    assert gradient(HaepoWeighted(**BARE)).flatten().tolist() == pytest.approx(
        list(itertools.chain(*VALUES["haepo.A.dloss/dlogp(ddof0)"])), abs=1e-8
    )
    assert loss(HaepoWeighted(entropy_coefficient=0.01, kl_coefficient=0.1)) == expected(
        "haepo.total A beta=.01 lam=.1"
    )


def test_weighted_reading_with_detached_weights_is_variant_c():
    objective = HaepoWeighted(**BARE, weight_gradient=False)
    # The worked loss uses L in place of the score, as the objective does.
    assert loss(objective) == expected("haepo.C.loss(sg w)")
    assert per_trajectory(objective) == expected("haepo.C.dloss/dL")


def test_listwise_reading():
    assert loss(HaepoListwise(**BARE)) == expected("haepo.B.std.loss")
    assert per_trajectory(HaepoListwise(**BARE)) == expected("haepo.B.std.dloss/dL")
    raw = HaepoListwise(**BARE, return_normalisation="none")
    assert loss(raw) == expected("haepo.B.loss")
    assert per_trajectory(raw) == expected("haepo.B.dloss/dL")
    assert HaepoListwise().targets(toy().returns).flatten().tolist() == expected("haepo.B.std.q=softmax(R~ ddof0)")


def test_listwise_reading_on_returns_is_variant_d_and_reinforce():
    objective = HaepoListwise(**BARE, target="returns")
    assert loss(objective) == expected("haepo.D.loss")
    assert per_trajectory(objective) == expected("haepo.D.dloss/dL")
    assert torch.allclose(gradient(objective), 4 * gradient(Reinforce(**BARE)), atol=1e-7)


def test_proportional_targets():
    q = HaepoListwise(target="proportional").targets(toy().returns)
    assert q.flatten().tolist() == pytest.approx([2 / 3.5, 0, 1 / 3.5, 0.5 / 3.5])
    # A negative return has no share: the seed diverges, and no other.
    two = torch.cat([toy().returns, toy().returns - 1])
    assert torch.isnan(HaepoListwise(target="proportional").targets(two)).all((-1, -2)).tolist() == [False, True]


def test_ranking_reading():
    assert loss(HaepoRanking(**BARE)) == expected("haepo.ranking.loss")
    assert per_trajectory(HaepoRanking(**BARE)) == expected("haepo.ranking.dloss/dL")


def test_ranking_shares_places_among_ties():
    batch = replace(toy(), returns=torch.tensor([[[1.0, 0.0, 1.0, 0.5]]], dtype=F))
    s = batch.masked_sum(batch.log_probs).flatten().tolist()
    # Efron: the second of the two tied ones counts the tied pair half.
    e = [math.exp(x) for x in s]
    first = sum(e)
    second = sum(e) - (e[0] + e[2]) / 2
    by_hand = -(s[0] + s[2] + s[3] + s[1] - math.log(first * second * (e[3] + e[1]) * e[1]))
    assert loss(HaepoRanking(**BARE), batch) == pytest.approx(by_hand, abs=1e-10)
    # The order in which tied trajectories happen to lie must not matter.
    swapped = [2, 1, 0, 3]
    permuted = replace(
        batch,
        log_probs=batch.log_probs[:, :, swapped],
        behaviour_log_probs=batch.behaviour_log_probs[:, :, swapped],
        reference_log_probs=batch.reference_log_probs[:, :, swapped],
        entropy=batch.entropy[:, :, swapped],
        kl_to_reference=batch.kl_to_reference[:, :, swapped],
        mask=batch.mask[:, :, swapped],
        returns=batch.returns[:, :, swapped],
    )
    assert loss(HaepoRanking(**BARE), permuted) == pytest.approx(by_hand, abs=1e-10)


def test_regularisers_of_the_weights():
    entropy = HaepoWeighted(entropy_coefficient=1.0, entropy_of="weights", kl_coefficient=0.0)
    assert loss(HaepoWeighted(**BARE)) - loss(entropy) == expected("haepo.H(w)")
    kl = HaepoWeighted(entropy_coefficient=0.0, kl_coefficient=1.0, kl_of="weights")
    assert loss(kl) - loss(HaepoWeighted(**BARE)) == expected("haepo.KL(w||wref)")
    both = HaepoWeighted(entropy_coefficient=0.01, entropy_of="weights", kl_coefficient=0.1, kl_of="weights")
    assert loss(both) == expected("haepo.total_listwise a=.01 b=.1")


def test_regularisers_of_the_policy():
    entropy = Reinforce(entropy_coefficient=1.0, kl_coefficient=0.0)
    assert loss(Reinforce(**BARE)) - loss(entropy) == expected("haepo.entropy_token_mean")
    kl = Reinforce(entropy_coefficient=0.0, kl_coefficient=1.0)
    assert loss(kl) - loss(Reinforce(**BARE)) == expected("kl.k3_token_mean(ref)")


def test_score_relative_to_the_previous_policy_is_snis():
    objective = HaepoWeighted(**BARE, score="ratio", return_normalisation="none")
    assert loss(objective) == expected("snis.loss -sum P R")
    assert per_trajectory(objective) == expected("snis.dloss/dL")


def test_mean_score_divides_by_the_length_and_temperature_divides_the_score():
    batch = toy()
    mean = HaepoWeighted(score="mean").scores(batch.log_probs, batch)
    assert mean.flatten().tolist() == pytest.approx([-0.85, -0.75, -1.1, -0.95])
    warm = HaepoWeighted(temperature=2.0).scores(batch.log_probs, batch)
    assert warm.flatten().tolist() == pytest.approx([-0.85, -0.75, -0.55, -0.95])


def test_two_groups_are_compared_apart():
    assert loss(HaepoWeighted(**BARE), toy(groups=2)) == expected("2group.haepo.A.loss (mean over groups)")
    assert loss(Grpo(beta=0, entropy_coefficient=0), toy(groups=2)) == expected("2group.grpo.loss beta=0")
    assert group_advantages(toy(groups=2).returns, scale=True).flatten().tolist() == expected("2group.grpo.adv")


def test_effective_sample_size():
    w = VALUES["haepo.w"]
    measured = HaepoWeighted()(toy()).diagnostics["effective_sample_size"]
    assert float(measured) == pytest.approx(1 / sum(x * x for x in w) / 4, abs=1e-8)


def test_grpo():
    pure = {"entropy_coefficient": 0.0}
    assert loss(Grpo(**pure)) == expected("grpo.loss[grpo] beta=.04")
    assert loss(Grpo(**pure, beta=0)) == expected("grpo.loss[grpo] beta=0")
    assert loss(Grpo(**pure, aggregation="token")) == expected("grpo.loss[dapo(1 batch)] beta=.04")
    assert loss(Grpo(**pure, aggregation="constant")) == expected("grpo.loss[dr_grpo(maxlen=2)] beta=.04")
    assert gradient(Grpo(**pure)).flatten().tolist() == pytest.approx(
        list(itertools.chain(*VALUES["grpo.dloss/dlogp[grpo] beta=.04"])), abs=1e-8
    )
    dr_grpo = Grpo(**pure, beta=0, aggregation="constant", scale_advantages=False)
    assert loss(dr_grpo) == expected("drgrpo.loss(maxlen=2,beta=0)")
    dapo = Grpo(**pure, beta=0, aggregation="token", clip_high=0.28)
    assert loss(dapo) == expected("dapo.loss eps .2/.28")
    assert group_advantages(toy().returns, scale=True).flatten().tolist() == expected("grpo.adv ddof1+1e-4")


def test_grpo_on_policy_gradient_is_the_group_relative_policy_gradient():
    batch = toy()
    batch = replace(batch, behaviour_log_probs=batch.log_probs.detach())
    A = torch.tensor(VALUES["grpo.adv ddof1+1e-4"], dtype=F)
    by_hand = -A[:, None] * torch.tensor(MASK) / batch.lengths[0, 0][:, None] / 4
    assert torch.allclose(gradient(Grpo(beta=0, entropy_coefficient=0), batch), by_hand, atol=1e-12)


def test_dpo_on_one_pair():
    batch = pair()
    assert loss(Dpo(entropy_coefficient=0), batch) == expected("dpo.loss")
    for alpha in (0.8, 0.9, 1.2):
        assert loss(Dpo(entropy_coefficient=0, alpha=alpha), batch) == expected(f"hdpo.loss alpha={alpha}")
    (full,) = torch.autograd.grad(Dpo(entropy_coefficient=0)(batch).loss.sum(), batch.log_probs)
    assert full[0, 0, 0].tolist() == pytest.approx([VALUES["dpo.dloss/dL_w"]] * 2, abs=1e-8)


def test_dpo_pairs():
    batch = toy()
    by_hand = []
    L = batch.masked_sum(batch.log_probs).flatten().tolist()
    ref = batch.masked_sum(batch.reference_log_probs).flatten().tolist()
    for best, worst in itertools.permutations(range(4), 2):
        if RETURNS[best] > RETURNS[worst]:
            h = 0.1 * ((L[best] - ref[best]) - (L[worst] - ref[worst]))
            by_hand.append(math.log1p(math.exp(-h)))
    assert len(by_hand) == 6
    assert loss(Dpo(entropy_coefficient=0)) == pytest.approx(sum(by_hand) / 6, abs=1e-10)
    assert loss(Dpo(entropy_coefficient=0, pairs="best-worst")) == expected("dpo.loss")


def test_returns_to_go():
    batch = toy()
    # Rewards to go: [2, 1], [0, 0], [1, -], [.5, 0]; the reward at the masked step must not count.
    centred = ReinforceToGo(return_normalisation="centre").advantages(batch)[0, 0]
    first, second = (2 + 0 + 1 + 0.5) / 4, 1 / 3
    by_hand = [[2 - first, 1 - second], [-first, -second], [1 - first, 0], [0.5 - first, -second]]
    assert centred.tolist() == [pytest.approx(row) for row in by_hand]
    taken = [x for row, m in zip(by_hand, MASK, strict=True) for x, keep in zip(row, m, strict=True) if keep]
    deviation = math.sqrt(sum(x * x for x in taken) / 7)
    standardised = ReinforceToGo().advantages(batch)[0, 0]
    assert standardised.flatten().tolist() == pytest.approx([x / deviation for row in by_hand for x in row], abs=1e-7)


def test_weighted_reading_is_invariant_to_shifts_and_blind_when_one_hot():
    batch = random_batch(4)
    objective = HaepoWeighted(**BARE)
    shifted = replace(batch, returns=batch.returns + 7)
    assert torch.allclose(objective(batch).loss, objective(shifted).loss, atol=1e-9)
    (full,) = torch.autograd.grad(objective(batch).loss.sum(), batch.log_probs)
    assert torch.allclose(full[..., 0].sum(-1), torch.zeros(2, 2, dtype=F), atol=1e-12)


def test_equal_returns_give_no_signal():
    batch = random_batch(5)
    batch = replace(batch, returns=torch.full_like(batch.returns, 0.1))
    for objective in (Reinforce(**BARE), HaepoWeighted(**BARE), Grpo(beta=0, entropy_coefficient=0)):
        (full,) = torch.autograd.grad(objective(batch).loss.sum(), batch.log_probs)
        assert torch.count_nonzero(full) == 0
    # In float32 the mean of seven times 0.1 is not 0.1; divided by its own size that must not become a signal.
    single = random_batch(5, trajectories=7)
    single = replace(single, returns=torch.full((2, 2, 7), 0.1), rewards=torch.full(single.mask.shape, 0.1))
    single = replace(single, mask=torch.ones_like(single.mask))
    for how in ("standardise", "centre"):
        assert not ReinforceToGo(return_normalisation=how).advantages(single).any()
        assert not normalise_returns(single.returns, how).any()
    assert not group_advantages(single.returns, scale=True).any()
    for pairs in ("all", "best-worst"):
        objective = Dpo(entropy_coefficient=0, pairs=pairs)
        (full,) = torch.autograd.grad(objective(batch).loss.sum(), batch.log_probs)
        assert torch.count_nonzero(full) == 0


def test_h_dpo_with_alpha_one_is_dpo_and_swapping_a_pair_complements():
    batch = random_batch(6, trajectories=2)
    one = Dpo(entropy_coefficient=0)
    assert torch.allclose(Dpo(alpha=1.0)(batch).loss, Dpo()(batch).loss)
    # One pair a group: exp(-loss) is the probability of the pair, whose two orders sum to 1 within each group.
    first = replace(batch, **{name: getattr(batch, name)[:, :1] for name in TENSORS})
    p, q = (torch.exp(-one(b).loss) for b in (first, replace(first, returns=-first.returns)))
    assert torch.allclose(p + q, torch.ones(2, dtype=F), atol=1e-12)
