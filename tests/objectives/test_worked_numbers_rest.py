"""Worked numbers of what losses are made of, of settings that are no algorithm's default, and that none is left out."""

import ast
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from objective_support import BARE, TENSORS, VALUES, F, expected, gradient, loss, on_policy, pair, toy

from haepo_bench.objectives.base import TrajectoryBatch, normalise_returns
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.h_dpo import HDpo
from haepo_bench.objectives.haepo import HaepoListwise, HaepoWeighted
from haepo_bench.objectives.qrpo import Qrpo
from haepo_bench.objectives.ratios import group_advantages, token_log_ratios
from haepo_bench.objectives.rebel import Rebel
from haepo_bench.objectives.reinforce import Reinforce

PURE = {"entropy_coefficient": 0.0}

#: Worked numbers that nothing here has, each with the reason.
NOT_OFFERED = {
    "haepo.R_std_ddof1": "returns are standardised with the deviation of the batch (ddof 0), as said where they are",
    "haepo.simplex_opt listwise raw R": "the optimum of another problem, over the weights themselves",
    "reps.eta eps=.1": "REPS is not an algorithm here",
    "reps.w": "REPS is not an algorithm here",
    "reps.KL(w||unif)": "REPS is not an algorithm here",
    "qrpo.identity beta=1.0 loss_k": "of the simplified partition function, which is wrong for beta near 1",
    "qrpo.identity beta=1.0 mean": "of the simplified partition function, which is wrong for beta near 1",
    "qrpo.identity beta=0.1 loss_k": "of the simplified partition function",
    "qrpo.identity beta=0.1 mean": "of the simplified partition function",
}


def only(batch: TrajectoryBatch, k: int) -> TrajectoryBatch:
    """One trajectory of the toy batch."""
    return replace(batch, **{name: getattr(batch, name)[:, :, k : k + 1] for name in TENSORS})


def test_scores_weights_and_returns_of_haepo() -> None:
    batch = toy()
    scores, reference = batch.masked_sum(batch.log_probs), batch.masked_sum(batch.reference_log_probs)
    assert scores.flatten().tolist() == expected("haepo.L")
    assert torch.softmax(reference, -1).flatten().tolist() == expected("haepo.w_ref")
    assert normalise_returns(batch.returns, "standardise").flatten().tolist() == expected("haepo.R_std_ddof0")
    raw = HaepoListwise(return_normalisation="none")
    assert raw.targets(batch.returns).flatten().tolist() == expected("haepo.B.q=softmax(R)")
    two = toy(groups=2)
    weights = torch.softmax(two.masked_sum(two.log_probs), -1)
    assert weights.flatten().tolist() == expected("2group.haepo.w")


def test_ratios_and_advantages() -> None:
    batch = toy()
    log_ratios = token_log_ratios(batch)
    flat = [x for row in VALUES["grpo.ratio"] for x in row]
    assert torch.where(batch.mask, log_ratios.exp(), 0.0).flatten().tolist() == pytest.approx(flat, abs=1e-8)
    whole = torch.exp(batch.masked_sum(log_ratios) / batch.lengths).flatten().tolist()
    assert whole == expected("gspo.s")
    assert whole == expected("gmpo.ratio")
    assert group_advantages(batch.returns, scale=False).flatten().tolist() == expected("drgrpo.adv")


@pytest.mark.parametrize(("beta", "key"), [(0.04, ".04"), (0.0, "0")])
def test_aggregations_of_grpo(beta: float, key: str) -> None:
    """TRL's bnpo and, with one batch, its dapo are the mean over all tokens; its dr_grpo divides by K times horizon."""
    pure = {**PURE, "beta": beta}
    assert loss(Grpo(**pure, aggregation="token")) == expected(f"grpo.loss[bnpo] beta={key}")
    assert loss(Grpo(**pure, aggregation="token")) == expected(f"grpo.loss[dapo(1 batch)] beta={key}")
    assert loss(Grpo(**pure, aggregation="constant")) == expected(f"grpo.loss[dr_grpo(maxlen=2)] beta={key}")


def test_grpo_has_no_loss_where_the_policy_is_the_one_that_collected() -> None:
    assert loss(Grpo(**PURE, beta=0), on_policy(toy())) == expected("grpo.loss[grpo] beta=0 onpolicy")


def test_label_smoothing_of_dpo() -> None:
    assert loss(Dpo(**PURE, label_smoothing=0.1), pair()) == expected("dpo.label_smooth.1 (cDPO)")


def test_margins_of_dpo() -> None:
    """The loss is - log sigmoid of the margin, so that h = - log(exp(loss) - 1)."""
    assert -math.log(math.expm1(loss(Dpo(**PURE), pair()))) == expected("dpo.h")
    for alpha in (0.8, 0.9, 1.0, 1.2):
        assert -math.log(math.expm1(loss(HDpo(**PURE, alpha=alpha), pair()))) == expected(f"hdpo.h alpha={alpha}")


@pytest.mark.parametrize("eta", [1.0, 0.5])
def test_residual_of_rebel(eta: float) -> None:
    """The slope along the better one's log-probability is twice the residual."""
    objective = Rebel(**PURE, return_normalisation="none", kl_coefficient=0, eta=eta)
    assert float(gradient(objective, pair())[0, 0]) / 2 == expected(f"rebel.resid eta={eta}")


def test_losses_of_single_trajectories_of_qrpo() -> None:
    batch = toy()
    log_ratios = batch.masked_sum(batch.log_probs - batch.reference_log_probs)
    assert log_ratios.flatten().tolist() == expected("qrpo.logratio")
    for beta in (1.0, 0.1):
        objective = Qrpo(**PURE, beta=beta, transform="log")
        assert [loss(objective, only(batch, k)) for k in range(4)] == expected(f"qrpo.log beta={beta} loss_k")


@pytest.mark.parametrize("lengths", [[8, 10, 12], [10, 20, 200], [20, 40, 60]], ids=str)
def test_summed_log_probabilities_favour_short_episodes(lengths: list[int]) -> None:
    """Returns are the lengths, the policy is a fair coin: HAEPO's weights against REINFORCE's."""
    steps = max(lengths)
    coin = torch.full((1, 1, 3, steps), math.log(0.5), dtype=F)
    batch = TrajectoryBatch(
        log_probs=coin.clone().requires_grad_(),
        entropy=coin,
        kl_to_reference=coin,
        behaviour_log_probs=coin,
        reference_log_probs=coin,
        mask=(torch.arange(steps) < torch.tensor(lengths)[:, None])[None, None],
        rewards=coin,
        returns=torch.tensor([[[float(n) for n in lengths]]], dtype=F),
        horizon=steps,
    )
    key = f"demo.len {lengths}"
    assert torch.softmax(batch.masked_sum(coin), -1).flatten().tolist() == expected(f"{key} w")
    weighted, plain = HaepoWeighted(**BARE), Reinforce(**BARE)
    assert (-gradient(weighted, batch)[:, 0]).tolist() == expected(f"{key} coef -dA/dL")
    assert (-gradient(plain, batch)[:, 0]).tolist() == expected(f"{key} REINFORCE coef")


def test_no_worked_number_is_left_out() -> None:
    """Each key stands in a test file as text, or as text with fields where a test goes through several."""
    files = ("test_objectives.py", "test_worked_numbers.py", "test_worked_numbers_rest.py")
    sources = [(Path(__file__).parent / name).read_text(encoding="utf-8") for name in files]
    patterns = []
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value:
            patterns.append(re.escape(node.value))
        elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            parts = [re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in node.values]
            patterns.append("".join(parts))
    known = re.compile("|".join(patterns))
    # Of these the tests name the beginning and go through what follows.
    several = re.compile(r"(dppo\.(?:tv|kl) d=[0-9.]+|demo\.len) .+")
    for key in VALUES:
        beginning = several.fullmatch(key)
        assert any(f'"{beginning[1]}' in source for source in sources) if beginning else known.fullmatch(key), key
    assert set(NOT_OFFERED) <= set(VALUES)
