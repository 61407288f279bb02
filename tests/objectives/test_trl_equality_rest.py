"""The losses that TRL has besides GRPO's and DPO's, against TRL's own code on the same log-probabilities."""

from typing import Any

import pytest
import torch
from trl_support import BATCHES, STEPS, Trl, grpo_inputs, ours, random_batch, set_up

from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.luspo import Luspo
from haepo_bench.objectives.sapo import Sapo
from haepo_bench.objectives.vespo import Vespo

PURE: dict[str, Any] = {"entropy_coefficient": 0.0}

#: TRL's loss_type, the level of its ratios, options as `set_up` has them, beta; our objective.
LOSSES: dict[str, tuple[str, str, dict[str, Any], float, Objective]] = {
    "sapo": ("sapo", "token", {}, 0.0, Sapo(**PURE)),
    "luspo": ("luspo", "sequence", {}, 0.0, Luspo(**PURE, clip_low=0.2, clip_high=0.2)),
    "vespo": ("vespo", "token", {}, 0.0, Vespo(**PURE)),
    "two-sided clip": ("grpo", "token", {"two_sided_clip": 1.4}, 0.0, Grpo(**PURE, beta=0.0, two_sided_clip=1.4)),
    "two-sided clip, dapo": (
        "dapo",
        "token",
        {"two_sided_clip": 1.25, "clip_high": 0.2},
        0.0,
        Grpo(**PURE, beta=0.0, aggregation="token", two_sided_clip=1.25),
    ),
    "corrected k3": ("grpo", "token", {"kl_correction": True}, 0.04, Grpo(**PURE, kl_correction=True)),
    "corrected k3, token mean": (
        "bnpo",
        "token",
        {"kl_correction": True},
        0.5,
        Grpo(**PURE, beta=0.5, aggregation="token", kl_correction=True),
    ),
}


@pytest.mark.parametrize(("loss", "level", "options", "beta", "objective"), LOSSES.values(), ids=list(LOSSES))
def test_equal_trl_on_the_same_log_probs(
    trainers: Trl,
    monkeypatch: pytest.MonkeyPatch,
    loss: str,
    level: str,
    options: dict[str, Any],
    beta: float,
    objective: Objective,
) -> None:
    for seed in range(BATCHES):
        batch = random_batch(seed)
        leaf = batch.log_probs.view(-1, STEPS).clone().requires_grad_()
        given = (leaf, batch.entropy.view(-1, STEPS), None)
        monkeypatch.setattr(trainers.grpo, "_get_per_token_logps_and_entropies", lambda *_, given=given, **__: given)
        set_up(trainers.grpo, loss, options, beta, 0.0)
        trainers.grpo.importance_sampling_level = level
        theirs = trainers.grpo._compute_loss(trainers.grpo.model, grpo_inputs(batch, scale=True))
        (their_gradient,) = torch.autograd.grad(theirs, leaf)
        value, gradient = ours(objective, batch)
        assert value == pytest.approx(float(theirs.detach()), abs=1e-6)
        torch.testing.assert_close(gradient.view(-1, STEPS), their_gradient, atol=1e-6, rtol=0)
