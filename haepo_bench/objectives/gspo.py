"""GSPO: Group Sequence Policy Optimization (Zheng et al. 2025, arXiv 2507.18071)."""

from typing import ClassVar

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, group_advantages, token_log_ratios

_PAPER = "arXiv 2507.18071"


class Gspo(EntropyBonus):
    """GSPO: one ratio a trajectory, the geometric mean of its token ratios, clipped in a narrow range.

        A_k  = (R_k - mean R) / (std R + 1e-4)                   std with ddof 1, within the group
        s_k  = exp( sum_t (lp - behaviour)_kt / n_k )
        loss = mean_k [ - min(s_k A_k, clip(s_k, 1 - clip_low, 1 + clip_high) A_k) ]

    Source: verl, compute_policy_loss_gspo; TRL, importance_sampling_level "sequence". Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "clipped ratios of whole trajectories, normalised by length"
    label: ClassVar[str] = "GSPO"
    compares: ClassVar[Compared] = "group"
    confidence: ClassVar[str] = "high: read in the code of verl, TRL and OpenRLHF"

    clip_low: float = hyper(3e-4, "ratios below 1 - clip_low are clipped", source=_PAPER, gt=0, lt=1)
    clip_high: float = hyper(4e-4, "ratios above 1 + clip_high are clipped", source=_PAPER, gt=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)
        s = bounded_exp(batch.masked_sum(token_log_ratios(batch)) / batch.lengths)
        clipped = s.clamp(1 - self.clip_low, 1 + self.clip_high)
        loss = clipped_loss(s, clipped, A).mean((-1, -2))
        return self.finish(loss, batch, {"clip_fraction": clip_fraction(s, clipped, A).mean((-1, -2))})
