"""KTO: Kahneman-Tversky Optimization (Ethayarajh et al. 2024, arXiv 2402.01306), online with labels from pairs."""

from typing import ClassVar, Literal

import torch

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.pairs import preferred
from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.objectives.spaces import POSITIVE_COEFFICIENT
from haepo_bench.results.columns import Column

_TRL = "TRL, kto_config.py"


class Kto(EntropyBonus):
    """KTO: each trajectory is good or bad by itself; its implicit reward is compared with that of the others.

        d_k  = sum_t (lp - ref)_kt
        z    = max(0, mean over the group of d_k)                no gradient
        v_k  = 1 - sigma(beta (d_k - z)) where k is good, 1 - sigma(beta (z - d_k)) where it is bad
        loss = mean over good and bad ones of v_k, times good_weight or bad_weight

    Source: TRL, kto_trainer.py, whose z is over responses paired with other prompts: an estimate of the KL to the
    reference, as ours is. Ours: good is a trajectory that wins more of its group's comparisons than it loses, bad one
    that loses more, and others are left out (the paper's labels are given); the reference is the previous policy; the
    entropy bonus.
    """

    summary: ClassVar[str] = "good and bad trajectories, each compared with the mean implicit reward"
    label: ClassVar[str] = "online KTO, oracle labels"
    compares: ClassVar[Compared] = "group"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "oracle preferences"
    shares_start: ClassVar[bool] = True
    surrogate: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column("kl_estimate", "Point of comparison", "nats", "z: mean log-ratio to the reference, at least 0"),
    )
    confidence: ClassVar[str] = "high for the loss: read in the code of TRL; the labels are ours"

    beta: float = hyper(
        0.1, "strength of the implicit KL to the reference policy", source=_TRL, gt=0, search=POSITIVE_COEFFICIENT
    )
    good_weight: float = hyper(1.0, "weight of good trajectories", source=_TRL, ge=0)
    bad_weight: float = hyper(1.0, "weight of bad trajectories", source=_TRL, ge=0)

    @property
    def implicit_reward(self) -> ImplicitReward:
        return ImplicitReward(self.beta, self.beta)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        won = preferred(batch, "all").long()
        label = (won.sum(-1) - won.sum(-2)).sign()  # 1 good, -1 bad
        d = batch.masked_sum(batch.log_probs - batch.reference_log_probs)
        z = d.detach().mean(-1, keepdim=True).clamp(min=0)
        weight = self.good_weight * (label > 0) + self.bad_weight * (label < 0)
        v = weight.to(d.dtype) * torch.sigmoid(-label * self.beta * (d - z))
        loss = v.sum((-1, -2)) / (label != 0).sum((-1, -2)).clamp(min=1)
        return self.finish(loss, batch, {"kl_estimate": z.mean((-1, -2))})
