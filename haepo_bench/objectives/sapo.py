"""SAPO: Soft Adaptive Policy Optimization (arXiv 2511.20347)."""

from typing import ClassVar

import torch

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import bounded_exp, group_advantages, token_log_ratios

_PAPER = "arXiv 2511.20347; TRL and verl agree"


class Sapo(EntropyBonus):
    """SAPO: a smooth gate on token ratios instead of a clip; a token that has moved far fades, none is cut off.

        A_k  = (R_k - mean R) / (std R + 1e-4)                   std with ddof 1, within the group
        f(r) = 4 / tau sigma(tau (r - 1)),                       tau = tau_positive where A_k > 0, else tau_negative
        loss = mean_k [ sum_t - f(r_kt) A_k / n_k ]

    The slope of f is 1 at r = 1, as that of an unclipped ratio, and falls on both sides. Source: TRL, loss_type "sapo";
    verl, compute_policy_loss_sapo; SkyRL, sapo_policy_loss. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "a smooth gate on token ratios in place of the clip"
    label: ClassVar[str] = "SAPO"
    compares: ClassVar[Compared] = "group"
    confidence: ClassVar[str] = "high: read in the code of TRL, verl and SkyRL"

    tau_positive: float = hyper(1.0, "how fast the gate closes where A > 0", source=_PAPER, gt=0)
    tau_negative: float = hyper(1.05, "how fast the gate closes elsewhere", source=_PAPER, gt=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)[..., None]
        tau = torch.where(A > 0, A.new_tensor(self.tau_positive), A.new_tensor(self.tau_negative))
        r = bounded_exp(token_log_ratios(batch))
        gate = 4 / tau * torch.sigmoid(tau * (r - 1))
        loss = (batch.masked_sum(-gate * A) / batch.lengths).mean((-1, -2))
        return self.finish(loss, batch, {})
