"""GSPO-token: GSPO with an advantage for each step (Zheng et al. 2025, arXiv 2507.18071, section 4.3)."""

from typing import ClassVar, Literal

import torch

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.gspo import Gspo
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, group_advantages, token_log_ratios
from haepo_bench.objectives.reinforce import ReinforceToGo


class GspoToken(Gspo):
    """GSPO-token: the ratio of the whole trajectory on every step, each step with its own advantage and gradient.

        s_kt = sg(s_k) exp(lp_kt - sg(lp_kt)),   s_k = exp( sum_t (lp - behaviour)_kt / n_k )
        loss = mean_k [ 1 / n_k sum_t - min(s_kt A_kt, clip(s_kt, 1 - clip_low, 1 + clip_high) A_kt) ]

    sg: no gradient. A_kt are `reinforce-togo`'s: returns to go, standardised (ours; the paper leaves them open). With
    one advantage per trajectory, `advantages_of: trajectory`, loss and gradient are those of `gspo`: that is what verl
    and SkyRL compute under GSPO's name. Source: the paper; TRL, experimental gspo_token. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "GSPO with an advantage for each step: returns to go"
    label: ClassVar[str] = "GSPO-token (returns to go)"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "per-step rewards"
    surrogate: ClassVar[bool] = True
    confidence: ClassVar[str] = "high for the loss: read in the code of verl, TRL and SkyRL; the advantages are ours"

    advantages_of: Literal["step", "trajectory"] = hyper(
        "step", "returns to go, compared step by step; or GSPO's, one for each trajectory"
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        if self.advantages_of == "step":
            A = ReinforceToGo().advantages(batch)
        else:
            A = group_advantages(batch.returns, batch.dtype, scale=True)[..., None]
        log_s = batch.masked_sum(token_log_ratios(batch)) / batch.lengths
        lp = torch.where(batch.mask, batch.log_probs, 0.0)
        s = bounded_exp(log_s.detach()[..., None] + lp - lp.detach())
        clipped = s.clamp(1 - self.clip_low, 1 + self.clip_high)
        loss = (batch.masked_sum(clipped_loss(s, clipped, A)) / batch.lengths).mean((-1, -2))
        return self.finish(loss, batch, {"clip_fraction": batch.token_mean(clip_fraction(s, clipped, A))})
