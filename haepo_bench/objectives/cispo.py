"""CISPO: clipped importance-sampling weights (MiniMax-M1, arXiv 2506.13585)."""

from typing import ClassVar

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import bounded_exp, group_advantages, token_log_ratios


class Cispo(EntropyBonus):
    """CISPO: REINFORCE whose tokens are weighed with clipped ratios, so that no token loses its gradient.

        A_k  = (R_k - mean R) / (std R + 1e-4)                   std with ddof 1, within the group
        loss = mean over all steps of - sg(clip(r_kt, 1 - clip_low, 1 + clip_high)) A_k lp_kt

    sg: no gradient. Source: verl, compute_policy_loss_cispo; TRL, loss_type "cispo". The paper has no effective lower
    bound; programs disagree about the upper one. TRL clips the ratio itself at epsilon_high, for which it recommends 5
    (ScaleRL, arXiv 2510.13786): clip_high 4 here, the default. TRL's own default is epsilon_high 0.2, a ratio of 0.2,
    which no clip_high expresses. verl's generic default is clip_low and clip_high 0.2. The loss's value has no
    meaning, its gradient has. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "policy gradient weighed with clipped token ratios; no token loses its gradient"
    label: ClassVar[str] = "CISPO"
    compares: ClassVar[Compared] = "group"
    surrogate: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the code of TRL and verl"

    clip_low: float = hyper(1.0, "ratios below 1 - clip_low are clipped; 1: none", source="the paper", gt=0, le=1)
    clip_high: float = hyper(
        4.0, "ratios above 1 + clip_high are clipped", source="recommended by TRL (a ratio of 5)", gt=0
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)[..., None]
        r = bounded_exp(token_log_ratios(batch)).detach()
        clipped = r.clamp(1 - self.clip_low, 1 + self.clip_high)
        loss = -batch.token_mean(clipped * A * batch.log_probs)
        return self.finish(loss, batch, {"clip_fraction": batch.token_mean((r != clipped).to(r.dtype))})
