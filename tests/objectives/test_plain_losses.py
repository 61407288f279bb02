"""The losses of other programs against their formulas in plain Python: values and gradients, off-policy."""

from collections.abc import Callable
from functools import partial

import plain_losses as plain
import pytest
import torch
from objective_support import random_batch, toy

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.covariance import ClipCov, KlCov
from haepo_bench.objectives.cpo import Cpo, SimPo
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.gpg import Gpg
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.gspo_token import GspoToken
from haepo_bench.objectives.kto import Kto
from haepo_bench.objectives.luspo import Luspo
from haepo_bench.objectives.maxrl import MaxRl
from haepo_bench.objectives.opo import Opo
from haepo_bench.objectives.orpo import Orpo
from haepo_bench.objectives.sapo import Sapo
from haepo_bench.objectives.vespo import Vespo

PURE = {"entropy_coefficient": 0.0}
BARE = {**PURE, "beta": 0.0}
PENALISED = {**PURE, "beta": 0.3}
grpo = partial(plain.clipped, plain.standardised, plain.sequence_mean)

#: Name to our objective, its formula, and the loss on the toy batch, rounded.
LOSSES: dict[str, tuple[Objective, plain.Loss, float]] = {
    "sapo": (Sapo(**PURE), plain.sapo, -0.113240969),
    "gspo-token": (GspoToken(**PURE, clip_low=0.2, clip_high=0.2), plain.gspo_token, -0.108962183),
    "luspo": (Luspo(**PURE), plain.luspo, 0.036963836),
    "vespo": (Vespo(**PURE), plain.vespo, 0.039420651),
    "maxrl": (MaxRl(**PURE), plain.clipped(plain.over_mean, plain.token_mean), -0.016258451),
    "opo": (Opo(**PURE), plain.clipped(plain.over_steps, plain.token_mean), -0.031624162),
    "gpg": (Gpg(**PURE), plain.gpg, 0.003571429),
    "gpg, verl's count": (Gpg(**PURE, counted="nonzero"), partial(plain.gpg, nonzero=True), 0.004761905),
    "clip-cov": (
        ClipCov(**PURE, share=0.3, cov_low=-0.1),
        partial(plain.clip_cov, share=0.3, low=-0.1, high=5.0),
        0.002261852,
    ),
    "kl-cov": (KlCov(**PURE, share=0.3), partial(plain.kl_cov, share=0.3), 0.028024775),
    "kl-cov, one step": (KlCov(**PURE), partial(plain.kl_cov, share=2e-4), -0.029118082),
    "grpo, two-sided clip": (Grpo(**BARE, two_sided_clip=1.1), grpo(delta=1.1), -0.014664275),
    "grpo, k1": (
        Grpo(**PENALISED, kl_estimator="k1"),
        grpo(beta=0.3, kl=lambda lp, at, old, ref: lp - ref),
        -0.042380661,
    ),
    "grpo, k2": (Grpo(**PENALISED, kl_estimator="k2"), grpo(beta=0.3, kl=plain.k2), -0.019318161),
    "grpo, k3 straight through": (
        Grpo(**PENALISED, kl_estimator="k3+"),
        grpo(beta=0.3, kl=plain.k3_straight_through),
        -0.018440808,
    ),
    "dpo": (Dpo(**PURE), plain.on_pairs(plain.dpo_margin), 0.682553395),
    "dpo, hinge": (Dpo(**PURE, pair_loss="hinge"), plain.on_pairs(plain.dpo_margin, plain.hinge), 0.978333333),
    "dpo, smoothed": (
        Dpo(**PURE, label_smoothing=0.1),
        plain.on_pairs(plain.dpo_margin, plain.conservative),
        0.684720062,
    ),
    "dpo, robust": (
        Dpo(**PURE, label_smoothing=0.1, smoothing="robust"),
        plain.on_pairs(plain.dpo_margin, plain.robust),
        0.679845062,
    ),
    "cpo": (Cpo(**PURE), plain.cpo, 1.611772129),
    "simpo": (
        SimPo(**PURE),
        plain.on_pairs(lambda w, x: 2.0 * (plain.mean(w.lp) - plain.mean(x.lp)) - 0.5),
        1.087704247,
    ),
    "orpo": (Orpo(**PURE), plain.orpo, 0.997344547),
    "kto": (Kto(**PURE), plain.kto, 0.496875432),
    "kto, weighed": (Kto(**PURE, good_weight=2.0, bad_weight=0.5), partial(plain.kto, good=2.0, bad=0.5), 0.621563154),
    "grpo, corrected k3": (Grpo(**PENALISED, kl_correction=True), grpo(beta=0.3, kl=plain.k3_corrected), -0.020634853),
}


def trajectories(batch: TrajectoryBatch, seed: int = 0) -> list[plain.Trajectory]:
    """One seed of a batch as lists, steps that were not taken left out."""
    found = []
    for group in range(batch.returns.shape[1]):
        for k in range(batch.returns.shape[2]):
            mask = batch.mask[seed, group, k]
            lp, old, ref, rewards = (
                x[seed, group, k][mask].tolist()
                for x in (
                    batch.log_probs.detach(),
                    batch.behaviour_log_probs,
                    batch.reference_log_probs,
                    batch.rewards,
                )
            )
            found.append(plain.Trajectory(lp, lp, old, ref, rewards, float(batch.returns[seed, group, k]), group))
    return found


@pytest.mark.parametrize(("objective", "formula", "value"), LOSSES.values(), ids=list(LOSSES))
def test_worked_numbers(objective: Objective, formula: Callable[..., float], value: float) -> None:
    assert formula(trajectories(toy())) == pytest.approx(value, abs=5e-9)
    assert float(objective(toy()).loss.detach()) == pytest.approx(value, abs=5e-9)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize(("objective", "formula", "value"), LOSSES.values(), ids=list(LOSSES))
def test_losses_and_gradients_are_those_of_the_formulas(
    objective: Objective, formula: Callable[..., float], value: float, number: int
) -> None:
    """Both seeds of batches of two groups of four; one group of equal returns in the last."""
    batch = random_batch(number + 20)
    if number == 3:
        batch.returns[:, 1] = 0.7
    loss = objective(batch).loss
    (slope,) = torch.autograd.grad(loss.sum(), batch.log_probs)
    for seed in range(2):
        rows = trajectories(batch, seed)
        assert float(loss[seed].detach()) == pytest.approx(formula(rows), rel=1e-9, abs=1e-9)
        theirs = [x for row in plain.gradient(formula, rows) for x in row]
        assert slope[seed][batch.mask[seed]].tolist() == pytest.approx(theirs, rel=1e-6, abs=1e-7)
