"""RLOO: REINFORCE Leave-One-Out (Ahmadian et al. 2024, arXiv 2402.14740), in the form of TRL."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import (
    Compared,
    EntropyBonus,
    ObjectiveOutput,
    TrajectoryBatch,
    centre,
    hyper,
)
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, token_log_ratios
from haepo_bench.objectives.spaces import COEFFICIENT

_TRL = "TRL, rloo_config.py"


class Rloo(EntropyBonus):
    """RLOO: a trajectory's baseline is the mean return of the others of its group; it counts as one action.

        R'_k  = R_k - beta * sum_t (behaviour - ref)_kt                    a penalty within the return, no gradient
        A_k   = R'_k - mean_{j != k} R'_j = K / (K - 1) * (R'_k - mean R')
        rho_k = exp(sum_t (lp - behaviour)_kt)                             ratio of the whole trajectory
        loss  = mean_k [ - min(rho_k A_k, clip(rho_k, 1 - clip_low, 1 + clip_high) A_k) ]

    Source: TRL, rloo_trainer.py; at the policy that collected the batch the gradient is that of - mean_k A_k L_k. A
    group of one has no others, so no advantage. Returns keep their scale. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "REINFORCE with a leave-one-out baseline and clipped trajectory ratios"
    label: ClassVar[str] = "RLOO"
    compares: ClassVar[Compared] = "group"
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    confidence: ClassVar[str] = "high: read in the code of TRL"

    beta: float = hyper(
        0.05, "weight of the KL to the initial policy within the return", source=_TRL, ge=0, search=COEFFICIENT
    )
    clip_low: float = hyper(0.2, "ratios below 1 - clip_low are clipped", source=_TRL, gt=0, lt=1)
    clip_high: float = hyper(0.2, "ratios above 1 + clip_high are clipped", source=_TRL, gt=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = self.advantages(batch)
        rho = bounded_exp(batch.masked_sum(token_log_ratios(batch)))
        clipped = rho.clamp(1 - self.clip_low, 1 + self.clip_high)
        loss = clipped_loss(rho, clipped, A).mean((-1, -2))
        return self.finish(loss, batch, {"clip_fraction": clip_fraction(rho, clipped, A).mean((-1, -2))})

    def advantages(self, batch: TrajectoryBatch) -> Tensor:
        """A_k: [seed, group, trajectory]."""
        penalty = batch.masked_sum(batch.behaviour_log_probs - batch.reference_log_probs)
        K = batch.returns.shape[-1]
        if K == 1:
            return torch.zeros_like(batch.returns, dtype=batch.dtype)
        return K / (K - 1) * centre(batch.returns - self.beta * penalty, batch.dtype)
