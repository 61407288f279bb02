"""GMPO: Geometric-Mean Policy Optimization (Zhao et al. 2025; code callsys/GMPO)."""

from typing import ClassVar

import torch

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import bounded_exp, group_advantages, token_log_ratios


class Gmpo(EntropyBonus):
    """GMPO: the geometric mean of token ratios, each clipped on its logarithm before the mean is taken.

        A_k  = (R_k - mean R) / (std R + 1e-4)                   std with ddof 1, within the group
        d_kt = lp - behaviour;  d'_kt = min(d, clip) where A_k > 0, max(d, -clip) where A_k < 0
        loss = mean_k [ - A_k exp( sum_t d'_kt / n_k ) ]

    Without clipping it is GSPO's. Source: callsys/GMPO, train_zero_math_gmpo.py; verl, "geo_mean". Ours: the entropy
    bonus.
    """

    summary: ClassVar[str] = "geometric mean of token ratios, clipped token by token"
    label: ClassVar[str] = "GMPO"
    compares: ClassVar[Compared] = "group"
    confidence: ClassVar[str] = "high: read in the authors' code and in verl"

    clip: float = hyper(0.4, "log-ratios beyond this are clipped", unit="nats", source="callsys/GMPO", gt=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)
        d = token_log_ratios(batch)
        clipped = torch.where(A[..., None] > 0, d.clamp(max=self.clip), d.clamp(min=-self.clip))
        g = bounded_exp(batch.masked_sum(clipped) / batch.lengths)
        diagnostics = {"clip_fraction": batch.token_mean((d != clipped).to(d.dtype))}
        return self.finish(-(A * g).mean((-1, -2)), batch, diagnostics)
