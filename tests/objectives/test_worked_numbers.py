"""The catalogue's objectives against worked numbers, and against each other where one becomes the other."""

import itertools
import math
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from objective_support import (
    BARE,
    MASK,
    RETURNS,
    VALUES,
    F,
    expected,
    gradient,
    loss,
    on_policy,
    pair,
    per_trajectory,
    random_batch,
    toy,
)
from torch import Tensor

from haepo_bench.objectives.a2po import AStarPo
from haepo_bench.objectives.awr import Awr
from haepo_bench.objectives.bapo import Bapo
from haepo_bench.objectives.base import Objective, TrajectoryBatch, normalise_returns
from haepo_bench.objectives.cispo import Cispo
from haepo_bench.objectives.dapo import Dapo
from haepo_bench.objectives.dcpo import Dcpo
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.dppo import Dppo, DppoKl
from haepo_bench.objectives.dr_grpo import DrGrpo
from haepo_bench.objectives.gmpo import Gmpo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.gspo import Gspo
from haepo_bench.objectives.h_dpo import HDpo
from haepo_bench.objectives.haepo import HaepoListwise, HaepoWeighted
from haepo_bench.objectives.ipo import Ipo
from haepo_bench.objectives.lpo import LpoForward, LpoReverse
from haepo_bench.objectives.qrpo import Qrpo, quantiles
from haepo_bench.objectives.ratios import group_advantages, k3, token_log_ratios
from haepo_bench.objectives.rebel import Rebel
from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.objectives.reinforce_pp import ReinforcePlusPlus
from haepo_bench.objectives.reward_distillation import RewardDistillation
from haepo_bench.objectives.rloo import Rloo
from haepo_bench.objectives.rwr import Rwr
from haepo_bench.objectives.snis import Snis

#: Without the entropy bonus, which the papers do not have.
PURE = {"entropy_coefficient": 0.0}

batches = st.builds(
    random_batch,
    st.integers(0, 10_000),
    steps=st.sampled_from([1, 4, 30]),
    trajectories=st.sampled_from([2, 3, 6]),
    ties=st.booleans(),
)
on_random_batches = settings(deadline=None, max_examples=15)


def slope(objective: Objective, batch: TrajectoryBatch) -> Tensor:
    """d loss / d log_probs: [seed, group, trajectory, step]."""
    return torch.autograd.grad(objective(batch).loss.sum(), batch.log_probs)[0]


def test_rloo() -> None:
    pure = Rloo(**PURE, beta=0)
    assert pure.advantages(toy()).flatten().tolist() == expected("rloo.adv")
    assert Rloo(**PURE).advantages(toy()).flatten().tolist() == expected("rloo.adv beta=.05")
    rho = torch.exp(toy().masked_sum(token_log_ratios(toy())))
    assert rho.flatten().tolist() == expected("rloo.seq_ratio")
    assert loss(pure) == expected("rloo.loss(seq clip .2)")


def test_reinforce_plus_plus() -> None:
    pure = ReinforcePlusPlus(**PURE, beta=0)
    flat = list(itertools.chain(*VALUES["rpp.adv(verl masked_whiten)"]))
    assert pure.advantages(toy()).flatten().tolist() == pytest.approx(flat, abs=1e-8)
    biased = ReinforcePlusPlus(**PURE, beta=0, variance="biased").advantages(toy())
    flat = list(itertools.chain(*VALUES["rpp.adv(openrlhf biased var)"]))
    assert biased.flatten().tolist() == pytest.approx(flat, abs=1e-8)
    # The penalty of a step counts for it and for all steps before; the one that was not taken has none.
    unit = ReinforcePlusPlus(**PURE, beta=1.0)
    to_go = [[2 + 0.1 - 0.3, 2 - 0.3], [-0.1 - 0.2, -0.2], [1 + 0.1, None], [0.5 - 0.1 + 0.1, 0.5 + 0.1]]
    taken = torch.tensor([x for row in to_go for x in row if x is not None], dtype=F)
    whitened = (taken - taken.mean()) / (taken.var() + 1e-8).sqrt()
    assert unit.advantages(toy())[toy().mask].tolist() == pytest.approx(whitened.tolist(), abs=1e-10)
    r = torch.exp(token_log_ratios(toy()))
    A = pure.advantages(toy())
    by_hand = -torch.minimum(r * A, r.clamp(0.8, 1.2) * A)[toy().mask].mean()
    assert loss(pure) == pytest.approx(float(by_hand.detach()), abs=1e-12)


def test_gspo_and_gmpo() -> None:
    assert loss(Gspo(**PURE)) == expected("gspo.loss eps=0.0003,0.0004")
    assert loss(Gspo(**PURE, clip_low=0.2, clip_high=0.2)) == expected("gspo.loss eps=0.2,0.2")
    assert loss(Gmpo(**PURE)) == expected("gmpo.loss eps=.4")
    assert loss(Gmpo(**PURE, clip=0.1)) == expected("gmpo.loss eps=.1")


def test_cispo() -> None:
    assert loss(Cispo(**PURE, clip_low=0.2, clip_high=0.2)) == expected("cispo.loss[verl .2/.2]")
    assert loss(Cispo(**PURE)) == expected("cispo.loss[trl max=5]")
    # No gradient through the ratio: each step's is - A times its clipped ratio over the number of steps.
    r = torch.exp(token_log_ratios(toy()))[0, 0].clamp(0.8, 1.2)
    A = torch.tensor(VALUES["grpo.adv ddof1+1e-4"], dtype=F)[:, None]
    by_hand = -A * r * torch.tensor(MASK) / 7
    assert torch.allclose(gradient(Cispo(**PURE, clip_low=0.2, clip_high=0.2)), by_hand, atol=1e-8)


def test_named_settings_of_grpo() -> None:
    assert loss(DrGrpo(**PURE)) == expected("drgrpo.loss(maxlen=2,beta=0)")
    assert loss(Dapo(**PURE)) == expected("dapo.loss eps .2/.28")


def test_advantage_weighted_entropy_is_an_option_of_grpo() -> None:
    batch, A = toy(), torch.tensor(VALUES["grpo.adv ddof1+1e-4"], dtype=F)
    by_hand = 0.5 * float((A[:, None] * batch.entropy[0, 0].detach())[batch.mask[0, 0]].sum() / 7)
    weighted = Grpo(**PURE, advantage_entropy_coefficient=0.5)
    assert loss(Grpo(**PURE)) - loss(weighted) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(
    ("objective", "key"),
    [
        (Dppo(**PURE), "dppo.tv d=0.15"),
        (Dppo(**PURE, threshold=0.1), "dppo.tv d=0.1"),
        (DppoKl(**PURE), "dppo.kl d=0.05"),
        (DppoKl(**PURE, threshold=0.02), "dppo.kl d=0.02"),
    ],
)
def test_dppo(objective: Dppo, key: str) -> None:
    batch = toy()
    A = group_advantages(batch.returns, scale=True)[..., None]
    valid = torch.where(batch.mask, objective.valid(batch, A), False)[0, 0]
    assert valid.double().tolist() == VALUES[f"{key} valid"]
    assert loss(objective) == expected(f"{key} loss")
    # Neither ratio nor mask carries gradient.
    r = torch.exp(token_log_ratios(batch))[0, 0]
    assert torch.allclose(gradient(objective), (-A[0, 0] * r * valid / 7).detach(), atol=1e-12)


def test_bapo() -> None:
    batch = toy()
    A, r = group_advantages(batch.returns, scale=True)[..., None], torch.exp(token_log_ratios(batch)).detach()
    low, high, rho = (float(x) for x in Bapo(**PURE).search(r, A, batch))
    assert [low, high, rho] == expected("bapo.final lo,hi,rho")
    assert rho == expected("bapo.rho0 (.6,1.2)")
    assert loss(Bapo(**PURE)) == expected("bapo.loss token-mean")
    demanding = Bapo(**PURE, target=1.3)
    assert [float(x) for x in demanding.search(r, A, batch)] == expected("bapo(target 1.3) lo,hi,rho")
    assert loss(demanding) == expected("bapo(target 1.3) loss")


@on_random_batches
@given(batches, st.floats(0, 3))
def test_bapo_searches_upwards_within_its_bounds(batch: TrajectoryBatch, target: float) -> None:
    objective = Bapo(target=target)
    A, r = group_advantages(batch.returns, scale=True)[..., None], torch.exp(token_log_ratios(batch)).detach()
    low, high, rho = objective.search(r, A, batch)
    more = Bapo(target=target + 0.5).search(r, A, batch)
    assert (low <= more[0]).all()
    assert (high <= more[1]).all()
    assert ((low >= 0.6) & (low <= 0.8 + 1e-9) & (high >= 1.2) & (high <= 2 + 1e-9)).all()
    # It stops early only where the target is met, and raises the upper bound only with the lower at its end.
    assert ((rho >= target) | (high >= 2 - 1e-9)).all()
    assert ((high == 1.2) | (low >= 0.8 - 1e-9)).all()


def test_bapo_tries_the_bounds_of_the_authors() -> None:
    """One after the other by min(bound + step, most), so that the last are always those asked for."""
    draw = random.Random(0)
    recipes = [(0.6, 0.8, 0.05, 1.2, 2.0, None), (0.8, 0.95, 0.05, 1.2, 2.0, 0.1), (0.6, 0.8, 1.0, 1.2, 2.0, None)]
    for _ in range(200):
        low, high = draw.uniform(0.1, 0.9), draw.uniform(1, 2)
        steps = draw.uniform(0.01, 1), draw.choice([None, draw.uniform(0.01, 1)])
        recipes.append((low, draw.uniform(low, 1), steps[0], high, high + draw.uniform(0, 3), steps[1]))

    def bounds(at: float, most: float, by: float) -> list[float]:
        found = [at]
        while at < most - 1e-9:
            at = min(at + by, most)
            found.append(at)
        return found

    for low, low_max, step, high, high_max, high_step in recipes:
        objective = Bapo(low=low, low_max=low_max, step=step, high=high, high_max=high_max, high_step=high_step)
        expected = [(bound, high) for bound in bounds(low, low_max, step)]
        expected += [(low_max, bound) for bound in bounds(high, high_max, high_step or step)[1:]]
        path = objective.path()
        assert path[-1] == (low_max, high_max)
        assert list(itertools.chain(*path)) == pytest.approx(list(itertools.chain(*expected)), abs=1e-9)


def test_bapo_with_the_settings_of_the_authors_run_script() -> None:
    """All advantages negative: no bounds will do, so the search ends at the highest."""
    objective = Bapo(target=0.5, low=0.8, low_max=0.95, step=0.05, high_step=0.1)
    batch = toy()
    A, r = -torch.ones(1, 1, 4, 1, dtype=F), torch.exp(token_log_ratios(batch)).detach()
    assert [float(bound) for bound in objective.search(r, A, batch)] == [0.95, 2.0, 0.0]
    assert len(objective.path()) == 4 + 8


def test_dcpo() -> None:
    objective = Dcpo(**PURE, success_return=0.05)
    batch = replace(toy(), entropy=torch.full((1, 1, 4, 2), 0.2, dtype=F, requires_grad=True))
    A, alpha = objective.advantages(batch)
    assert float(alpha) == expected("dcpo.alpha")
    flat = list(itertools.chain(*VALUES["dcpo.adv"]))
    assert torch.where(batch.mask, A, 0.0).flatten().tolist() == pytest.approx(flat, abs=1e-8)
    assert loss(objective, batch) == expected("dcpo.loss")
    # Above the target entropy it is the colder policy that counts; without a success nothing does.
    busy = replace(batch, entropy=torch.full((1, 1, 4, 2), 0.9, dtype=F))
    mixed = objective.advantages(busy)[0]
    warm, cold = batch.tempered_log_probs or ()
    assert torch.equal(mixed, objective.advantages(replace(busy, tempered_log_probs=(cold, cold)))[0])
    assert not torch.equal(mixed, objective.advantages(replace(busy, tempered_log_probs=(warm, warm)))[0])
    plain, none = Dcpo(success_return=99.0).advantages(batch)
    assert float(none) == 0
    assert torch.equal(plain[..., 0], group_advantages(batch.returns, scale=True))


RETURNS_TOY = torch.tensor(RETURNS, dtype=F).view(1, 1, 4)


@pytest.mark.parametrize(("temperature", "key"), [("deviation", "sigma_ddof1"), ("one", "1"), ("mean", "mean")])
def test_lpo(temperature: str, key: str) -> None:
    options = {**PURE, "temperature": temperature, "length_norm": False}
    forward, reverse = LpoForward(**options), LpoReverse(**options)
    assert forward.log_target(RETURNS_TOY).exp().flatten().tolist() == expected(f"lpo.w*[tau={key}]")
    assert loss(forward) == expected(f"lpo.fwd[tau={key}]")
    assert per_trajectory(forward) == expected(f"lpo.c_fwd[tau={key}]")
    assert loss(reverse) == expected(f"lpo.rev[tau={key}]")
    assert per_trajectory(reverse) == expected(f"lpo.c_rev[tau={key}]")


def test_lpo_scores() -> None:
    for length_norm, name in [(False, "sum"), (True, "len-norm")]:
        objective = LpoForward(length_norm=length_norm)
        s = objective.scores(toy())
        assert s.flatten().tolist() == expected("lpo.s_sum" if not length_norm else "lpo.s_mean(len-norm)")
        assert torch.softmax(s, -1).flatten().tolist() == expected(f"lpo.P_theta({name})")
    negative = LpoForward(temperature="mean").log_target(RETURNS_TOY - 5)
    assert torch.isnan(negative).all()  # that seed diverges


def test_weighted_likelihoods() -> None:
    assert loss(Snis(**BARE, return_normalisation="none")) == expected("snis.loss -sum P R")
    assert per_trajectory(Snis(**BARE, return_normalisation="none")) == expected("snis.dloss/dL")
    rwr = Rwr(**BARE, return_normalisation="none")
    assert loss(rwr) == expected("rwr.loss -sum softmax(R) L")
    assert [-c for c in per_trajectory(rwr)] == expected("rwr.w (beta=1)")
    awr = Awr(**BARE, return_normalisation="centre", temperature=0.5)
    assert loss(awr) == expected("awr.loss beta=.5 (seq mean)")
    assert [-4 * c for c in per_trajectory(awr)] == expected("awr.w raw beta=.5 clip20")
    capped = Awr(**BARE, return_normalisation="centre", temperature=0.01)
    assert -4 * per_trajectory(capped)[0] == 20


def test_h_dpo() -> None:
    for alpha in (0.8, 0.9, 1.0, 1.2):
        assert loss(HDpo(**PURE, alpha=alpha), pair()) == expected(f"hdpo.loss alpha={alpha}")


def test_ipo() -> None:
    assert loss(Ipo(**PURE), pair()) == expected("ipo.loss(raw sum)")


def test_rebel() -> None:
    raw = {**PURE, "return_normalisation": "none", "kl_coefficient": 0, "eta": 1.0}
    assert loss(Rebel(**raw), pair()) == expected("rebel.loss eta=1.0")
    assert loss(Rebel(**{**raw, "eta": 0.5}), pair()) == expected("rebel.loss eta=0.5")
    assert loss(Rebel(**raw)) == expected("rebel.loss all pairs eta=1")
    # The penalty is part of the return: 0.2, 0.3, -0.1 and 0 nats from the reference.
    penalised = replace(toy(), returns=RETURNS_TOY - torch.tensor([0.2, 0.3, -0.1, 0.0], dtype=F))
    assert loss(Rebel(**{**raw, "kl_coefficient": 1.0})) == pytest.approx(loss(Rebel(**raw), penalised), abs=1e-12)


def test_reward_distillation() -> None:
    batch = toy()
    implicit = (0.1 * batch.masked_sum(batch.log_probs - batch.reference_log_probs)).flatten().tolist()
    pairs = [
        ((implicit[i] - implicit[j]) - (RETURNS[i] - RETURNS[j])) ** 2 for i, j in itertools.combinations(range(4), 2)
    ]
    assert loss(RewardDistillation(**PURE, beta=0.1, return_normalisation="none")) == pytest.approx(
        sum(pairs) / 6, abs=1e-12
    )


def test_qrpo() -> None:
    assert quantiles(toy()).flatten().tolist() == expected("qrpo.quantile")
    assert loss(Qrpo(**PURE, beta=1.0)) == expected("qrpo.identity beta=1.0 mean exactZ")
    assert loss(Qrpo(**PURE)) == expected("qrpo.identity beta=0.1 mean exactZ")
    assert loss(Qrpo(**PURE, beta=1.0, transform="log")) == expected("qrpo.log beta=1.0 mean")
    assert loss(Qrpo(**PURE, transform="log")) == expected("qrpo.log beta=0.1 mean")
    for beta in (1.0, 0.1):
        assert Qrpo(beta=beta).log_partition() == pytest.approx(VALUES[f"qrpo.identity beta={beta} logZ simp/exact"][1])


@pytest.mark.parametrize("transform", ["identity", "log", "normal"])
@pytest.mark.parametrize("beta", [0.03, 0.5, 3.0])
def test_qrpo_partition_function_is_the_mean_over_uniform_quantiles(transform: str, beta: float) -> None:
    """Z = E exp(f(q) / beta) with q uniform, by scipy's quadrature; in logarithms, against overflow."""
    from scipy import integrate, stats

    # Substituting q = Phi(z) makes all three smooth integrals over the real line.
    f = {"identity": stats.norm.cdf, "log": stats.norm.logcdf, "normal": lambda z: z}[transform]
    log_z = Qrpo(beta=beta, transform=transform).log_partition()
    peak = 1 / beta if transform == "normal" else 0.0
    area, _ = integrate.quad(
        lambda z: math.exp(f(z) / beta - z * z / 2 - math.log(2 * math.pi) / 2 - log_z), peak - 12, peak + 12, limit=500
    )
    assert area == pytest.approx(1, abs=1e-6)


def test_qrpo_has_no_loss_at_its_optimum_and_takes_any_beta() -> None:
    batch, objective = toy(), Qrpo(**PURE, beta=0.5)
    wanted = quantiles(batch) / 0.5 - objective.log_partition()
    solved = (batch.reference_log_probs + (wanted / batch.lengths)[..., None]).requires_grad_()
    at_optimum = replace(batch, log_probs=solved)
    assert loss(objective, at_optimum) == pytest.approx(0, abs=1e-20)
    assert torch.allclose(slope(objective, at_optimum), torch.zeros_like(solved), atol=1e-12)
    for beta in (1e-4, 1e4):
        assert math.isfinite(loss(Qrpo(beta=beta)))


def test_a_star_po() -> None:
    raw = {**PURE, "scale_returns": False}
    assert loss(AStarPo(**raw, beta_1=0.5, beta_2=0.001)) == expected("a2po.loss b1=0.5,b2=0.001")
    assert loss(AStarPo(**raw, beta_1=1.0, beta_2=1.0)) == expected("a2po.loss b1=1.0,b2=1.0")
    for beta in (0.5, 1.0):
        value = AStarPo(**raw, beta_1=beta)(toy()).diagnostics["optimal_value"]
        assert float(value) == expected(f"a2po.V* b1={beta}")
    scaled, moved = AStarPo(**PURE), replace(toy(), returns=10 * toy().returns - 3)
    sample = toy().reference_returns
    assert sample is not None
    assert loss(scaled) == pytest.approx(loss(scaled, replace(moved, reference_returns=10 * sample - 3)), abs=1e-10)


# Where one becomes the other, on random batches with masks and ties.


@on_random_batches
@given(batches)
def test_gspo_is_gmpo_where_nothing_clips(batch: TrajectoryBatch) -> None:
    one, two = Gspo(**PURE, clip_low=0.999999, clip_high=1e6), Gmpo(**PURE, clip=10.0)
    assert torch.allclose(one(batch).loss, two(batch).loss, atol=1e-12)
    assert torch.allclose(slope(one, batch), slope(two, batch), atol=1e-12)


@on_random_batches
@given(batches)
def test_on_policy_gradients_are_reinforces(batch: TrajectoryBatch) -> None:
    batch = on_policy(batch)
    K = batch.returns.shape[-1]
    centred = slope(Reinforce(**BARE, return_normalisation="centre"), batch)
    standardised = slope(Reinforce(**BARE), batch)
    assert torch.allclose(slope(Rloo(**PURE, beta=0), batch), K / (K - 1) * centred, atol=1e-9)
    rebel = Rebel(**PURE, kl_coefficient=0, eta=0.7, return_normalisation="none")
    assert torch.allclose(slope(rebel, batch), 4 * 0.7 * K / (K - 1) * centred, atol=1e-9)
    assert torch.allclose(slope(Snis(**BARE), batch), standardised, atol=1e-9)
    lpo = LpoReverse(**PURE, temperature="one", length_norm=False)
    assert torch.allclose(slope(lpo, batch), centred, atol=1e-9)
    detached = HaepoListwise(**BARE, target="returns", return_normalisation="centre")
    assert torch.allclose(slope(detached, batch), K * centred, atol=1e-9)


@on_random_batches
@given(batches)
def test_on_policy_gradient_of_grpo(batch: TrajectoryBatch) -> None:
    batch = on_policy(batch)
    A, K = group_advantages(batch.returns, scale=True), batch.returns.shape[-1]
    groups = batch.returns.shape[1]
    by_hand = torch.where(batch.mask, -(A / batch.lengths)[..., None] / K / groups, 0.0)
    assert torch.allclose(slope(Grpo(**PURE, beta=0), batch), by_hand, atol=1e-12)
    assert torch.allclose(slope(Gspo(**PURE), batch), by_hand, atol=1e-12)
    constant = torch.where(batch.mask, -normalise_returns(batch.returns, "centre")[..., None], 0.0)
    assert torch.allclose(slope(DrGrpo(**PURE), batch), constant / (K * batch.horizon * groups), atol=1e-12)


@on_random_batches
@given(batches)
def test_lpo_reverse_is_snis_and_a_kl_to_the_policy_before(batch: TrajectoryBatch) -> None:
    snis = Snis(**BARE, return_normalisation="none")
    kl = HaepoWeighted(
        entropy_coefficient=0, kl_coefficient=1, score="ratio", return_normalisation="none", kl_of="weights"
    )
    # The weights' KL is to those of the reference: let that be the policy that collected.
    batch = replace(batch, reference_log_probs=batch.behaviour_log_probs)
    lpo = LpoReverse(**PURE, temperature="one", length_norm=False)
    assert torch.allclose(slope(lpo, batch), slope(kl, batch), atol=1e-10)
    assert not torch.allclose(slope(lpo, batch), slope(snis, batch), atol=1e-4)


@on_random_batches
@given(batches)
def test_lpo_forward_is_the_listwise_reading_on_ratios(batch: TrajectoryBatch) -> None:
    lpo = LpoForward(**PURE, temperature="one", length_norm=False)
    listwise = HaepoListwise(**BARE, score="ratio", return_normalisation="none")
    assert torch.allclose(slope(lpo, batch), slope(listwise, batch), atol=1e-12)
    coefficients = slope(lpo, batch)[..., 0]
    assert torch.allclose(coefficients.sum(-1), torch.zeros(2, 2, dtype=F), atol=1e-12)
    assert (coefficients.abs() <= 1).all()


@on_random_batches
@given(batches)
def test_lpo_forward_divides_by_another_deviation_than_the_listwise_reading(batch: TrajectoryBatch) -> None:
    """ddof 1 there, ddof 0 here: the same where the temperature makes up for it, and not at the defaults."""
    K = batch.returns.shape[-1]
    lpo = slope(LpoForward(**PURE, length_norm=False), batch)
    same = HaepoListwise(**BARE, score="ratio", return_temperature=math.sqrt(K / (K - 1)))
    assert torch.allclose(lpo, slope(same, batch), atol=1e-7)
    if not (batch.returns == batch.returns[..., :1]).all():
        assert not torch.allclose(lpo, slope(HaepoListwise(**BARE, score="ratio"), batch), atol=1e-3)


@on_random_batches
@given(batches, st.sampled_from([1.5, 3.0]))
def test_the_dual_clip_bounds_the_loss_of_steps_with_negative_advantages(batch: TrajectoryBatch, dual: float) -> None:
    """Per step, from the definition, in plain numbers; only steps with A < 0 and ratios beyond the bound change."""
    batch = replace(batch, behaviour_log_probs=batch.log_probs.detach() * 3)
    ratios = torch.exp(token_log_ratios(batch)).detach()
    for plain, bounded in (
        (Grpo(**PURE, beta=0, aggregation="token"), Grpo(**PURE, beta=0, aggregation="token", dual_clip=dual)),
        (Dapo(**PURE), Dapo(**PURE, dual_clip=dual)),
        (ReinforcePlusPlus(**PURE), ReinforcePlusPlus(**PURE, dual_clip=dual)),
    ):
        if isinstance(plain, ReinforcePlusPlus):
            A, high = plain.advantages(batch), 1.2
        else:
            A = group_advantages(batch.returns, scale=True)[..., None].expand(batch.mask.shape)
            high = 1 + plain.clip_high
        expected, count = torch.zeros(2, dtype=F), torch.zeros(2, dtype=F)
        for index in batch.mask.nonzero().tolist():
            i = tuple(index)
            a, ratio = float(A[i]), float(ratios[i])
            x = -min(ratio * a, min(max(ratio, 0.8), high) * a)
            expected[i[0]] += min(x, -dual * a) if a < 0 else x
            count[i[0]] += 1
        assert torch.allclose(bounded(batch).loss, expected / count, atol=1e-9)
        changed = batch.mask & (A < 0) & (ratios > dual)
        assert (slope(bounded, batch)[changed] == 0).all()
        assert torch.equal(slope(bounded, batch)[~changed], slope(plain, batch)[~changed])


@on_random_batches
@given(batches)
def test_ipo_takes_sums_or_means(batch: TrajectoryBatch) -> None:
    """The two forms are one where each is given the other's log-ratios, trajectory by trajectory."""
    mean = Ipo(**PURE, beta=0.3, length_norm=True)
    lengths = batch.lengths[..., None]
    divided = replace(
        batch, log_probs=batch.log_probs / lengths, reference_log_probs=batch.reference_log_probs / lengths
    )
    assert torch.allclose(mean(batch).loss, Ipo(**PURE, beta=0.3)(divided).loss, atol=1e-10)
    assert "implicit_value" not in mean(replace(batch, deterministic=True)).diagnostics


@on_random_batches
@given(batches)
def test_pair_methods(batch: TrajectoryBatch) -> None:
    assert torch.equal(HDpo(alpha=1.0)(batch).loss, Dpo()(batch).loss)
    # Reward distillation relative to the policy that collected is REBEL with eta 1 / beta, but for beta squared.
    batch = replace(batch, reference_log_probs=batch.behaviour_log_probs)
    rebel = Rebel(**PURE, kl_coefficient=0, eta=2.5)(batch).loss
    assert torch.allclose(RewardDistillation(**PURE, beta=0.4)(batch).loss, 0.16 * rebel, atol=1e-10)


@on_random_batches
@given(batches)
def test_clipped_steps_have_only_the_gradient_of_the_penalty(batch: TrajectoryBatch) -> None:
    A = group_advantages(batch.returns, scale=True)[..., None]
    r = torch.exp(token_log_ratios(batch))
    clipped = batch.mask & (((r > 1.2) & (A > 0)) | ((r < 0.8) & (A < 0)))
    assert (slope(Grpo(**PURE, beta=0), batch)[clipped] == 0).all()
    assert (slope(Dapo(**PURE), batch)[clipped & (r > 1.28)] == 0).all()
    penalised = slope(Grpo(**PURE), batch)
    scale = batch.lengths[..., None] * batch.returns.shape[-1] * batch.returns.shape[1]
    penalty = 0.04 * (1 - torch.exp(batch.reference_log_probs - batch.log_probs)) / scale
    assert torch.allclose(penalised[clipped], penalty.detach()[clipped], atol=1e-12)


@on_random_batches
@given(batches)
def test_k3_is_never_negative_and_flat_at_the_reference(batch: TrajectoryBatch) -> None:
    assert (k3(batch.log_probs, batch.reference_log_probs) >= 0).all()
    at = batch.reference_log_probs.clone().requires_grad_()
    (flat,) = torch.autograd.grad(k3(at, batch.reference_log_probs).sum(), at)
    assert not flat.any()
