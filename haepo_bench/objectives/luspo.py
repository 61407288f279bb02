"""LUSPO: Length-Unbiased Sequence Policy Optimization (arXiv 2602.05261)."""

from typing import ClassVar

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.gspo import Gspo
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, group_advantages, token_log_ratios

_PAPER = "arXiv 2602.05261, section 5.1, by way of TRL"


class Luspo(Gspo):
    """LUSPO: GSPO's loss of a trajectory times its length, so that every step weighs the same.

        A_k  = (R_k - mean R) / (std R + 1e-4)                   std with ddof 1, within the group
        s_k  = exp( sum_t (lp - behaviour)_kt / n_k )
        loss = mean_k n_k [ - min(s_k A_k, clip(s_k, 1 - clip_low, 1 + clip_high) A_k) ]

    Source: TRL, loss_type "luspo" with importance_sampling_level "sequence". Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "GSPO with every step weighing the same, whatever the trajectory's length"
    label: ClassVar[str] = "LUSPO"
    confidence: ClassVar[str] = "high: read in the code of TRL"

    clip_low: float = hyper(2e-3, "ratios below 1 - clip_low are clipped", source=_PAPER, gt=0, lt=1)
    clip_high: float = hyper(2.5e-3, "ratios above 1 + clip_high are clipped", source=_PAPER, gt=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)
        s = bounded_exp(batch.masked_sum(token_log_ratios(batch)) / batch.lengths)
        clipped = s.clamp(1 - self.clip_low, 1 + self.clip_high)
        loss = (batch.lengths * clipped_loss(s, clipped, A)).mean((-1, -2))
        return self.finish(loss, batch, {"clip_fraction": clip_fraction(s, clipped, A).mean((-1, -2))})
