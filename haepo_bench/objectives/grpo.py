"""GRPO: Group Relative Policy Optimization (DeepSeekMath, arXiv 2402.03300), with Dr. GRPO and DAPO as options of it.

Defaults are the paper's loss form and beta, not those of any library: libraries have moved on to other defaults.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.kl import KlEstimator, kl_estimate
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, dual_clipped
from haepo_bench.objectives.relative_returns import RelativeReturns
from haepo_bench.objectives.spaces import COEFFICIENT

_PAPER = "DeepSeekMath, arXiv 2402.03300"


class Grpo(RelativeReturns):
    """GRPO: clipped token-level ratios, every token of a trajectory weighed with the trajectory's relative return.

        A_k  = (R_k - mean R) / (std R + 1e-4)              std with ddof 1, within the group
        r_kt = pi(a|s) / behaviour(a|s)
        x_kt = - min(r_kt A_k, clip(r_kt, 1 - clip_low, 1 + clip_high) A_k) + beta * k3_kt
        k3   = exp(ref - lp) - (ref - lp) - 1               to the initial policy
        loss = mean_k [ sum_t x_kt / n_k ]                  aggregation "sequence"

    Dr. GRPO (arXiv 2503.20783): aggregation "constant", scale_advantages false, beta 0.
    DAPO's loss (arXiv 2503.14476): aggregation "token", clip_high 0.28, beta 0 (its dynamic sampling is not part).
    verl bounds the loss where A < 0 besides: dual_clip 3. TRL's delta bounds the ratio itself: two_sided_clip.
    TRL's use_bias_correction_kl, its default since DeepSeek-V3.2, takes r_kt k3_kt in place of k3_kt: kl_correction.
    IIB-LPO's loss term (arXiv 2601.05870): advantage_entropy_coefficient 0.005 (its branching of texts is not part).
    The entropy bonus is the one that all native algorithms share; the paper has none: set it to 0 for the pure form.
    """

    summary: ClassVar[str] = "Group Relative Policy Optimization; Dr. GRPO and DAPO as options"
    label: ClassVar[str] = "GRPO"
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    confidence: ClassVar[str] = "high: read in the code of TRL and verl"

    clip_low: float = hyper(0.2, "ratios below 1 - clip_low are clipped", source="conventional (PPO's 0.2)", gt=0, lt=1)
    clip_high: float = hyper(0.2, "ratios above 1 + clip_high are clipped", source="conventional (PPO's 0.2)", gt=0)
    beta: float = hyper(0.04, "weight of the KL penalty to the initial policy", source=_PAPER, ge=0, search=COEFFICIENT)
    aggregation: Literal["sequence", "token", "constant"] = hyper(
        "sequence",
        "mean over each trajectory's steps then over trajectories; mean over all steps of the batch, whatever their "
        "group; or sum over steps divided by trajectories times the task's horizon",
        source=_PAPER,
    )
    dual_clip: float | None = hyper(
        None,
        "where A < 0 the loss of a step is at most this times - A (arXiv 1912.09729): verl has 3; null: no such bound",
        source="the paper and TRL, which have none",
        omit_at=None,
        gt=1,
    )
    two_sided_clip: float | None = hyper(
        None,
        "ratios are at most this where A < 0 as well (arXiv 2505.07291): TRL's delta; null: no such bound",
        source="the paper, which has none",
        omit_at=None,
        gt=1,
    )
    kl_estimator: KlEstimator = hyper(
        "k3", "what the KL penalty is, on taken actions; k1+ and k3+ have k2's gradient", source=_PAPER, omit_at="k3"
    )
    kl_correction: bool = hyper(
        False,
        "whether the KL penalty of a step is weighed with its ratio, so that it is unbiased off-policy",
        source="the paper; true is DeepSeek-V3.2's, and TRL's default",
        omit_at=False,
    )
    advantage_entropy_coefficient: float = hyper(
        0.0,
        "weight of the advantage-weighted entropy (mean over all steps of A_k H_kt): IIB-LPO's term, 0.005 in its code",
        source="GRPO, which has none",
        ge=0,
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = self.advantages(batch)[..., None]
        lp = torch.where(batch.mask, batch.log_probs, 0.0)
        r = bounded_exp(lp - torch.where(batch.mask, batch.behaviour_log_probs, 0.0))
        clipped = r.clamp(1 - self.clip_low, 1 + self.clip_high)
        bounded = r if self.two_sided_clip is None else r.clamp(max=self.two_sided_clip)
        x = dual_clipped(clipped_loss(bounded, clipped, A), A, self.dual_clip)
        if self.beta:
            kl = kl_estimate(lp, torch.where(batch.mask, batch.reference_log_probs, 0.0), self.kl_estimator)
            x = x + self.beta * (r * kl if self.kl_correction else kl)
        loss = self.aggregate(x, batch)
        if self.advantage_entropy_coefficient:
            loss = loss - self.advantage_entropy_coefficient * batch.token_mean(A * batch.entropy)
        stopped = clip_fraction(r, clipped, A) + ((A < 0) & (r > bounded)).to(r.dtype)
        return self.finish(loss, batch, {"clip_fraction": batch.token_mean(stopped)})

    def aggregate(self, x: Tensor, batch: TrajectoryBatch) -> Tensor:
        """Per-step losses [seed, group, trajectory, step] to [seed]."""
        sums = batch.masked_sum(x)
        match self.aggregation:
            case "sequence":
                return (sums / batch.lengths).mean((-1, -2))
            case "token":
                return batch.token_mean(x)
            case "constant":
                return sums.mean((-1, -2)) / batch.horizon
