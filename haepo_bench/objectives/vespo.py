"""VESPO: Variational Sequence-Level Soft Policy Optimization (arXiv 2602.10693)."""

import math
from typing import ClassVar

import torch

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import LOG_LIMIT, group_advantages, token_log_ratios
from haepo_bench.results.columns import Column

_PAPER = "arXiv 2602.10693; TRL"
#: TRL holds the trajectory's log-ratio above this.
_LOWEST = math.log(1e-8)


class Vespo(EntropyBonus):
    """VESPO: REINFORCE whose trajectories are weighed with a gamma density of their ratio, which peaks and fades.

        A_k   = (R_k - mean R) / (std R + 1e-4)                  std with ddof 1, within the group
        w_k   = exp( sum_t (lp - behaviour)_kt )                 ratio of the whole trajectory
        phi_k = w^k exp(lambda (1 - w))                          phi(1) = 1, peak at k / lambda
        loss  = mean over all steps of - sg(phi_k) A_k lp_kt

    sg: no gradient. (k, lambda) differ by the sign of A_k. Log-ratios of steps are held within 20 nats and those of
    trajectories within [log 1e-8, 20], as TRL has it. Source: TRL, loss_type "vespo". The loss's value has no meaning,
    its gradient has. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "policy gradient weighed with a gamma density of the trajectory's ratio"
    label: ClassVar[str] = "VESPO"
    compares: ClassVar[Compared] = "group"
    surrogate: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the code of TRL"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("trajectory_weight", "Trajectory weight", "", "phi, mean over trajectories; 1 at the behaviour policy"),
    )

    k_positive: float = hyper(2.0, "k where A >= 0", source=_PAPER, ge=0)
    lambda_positive: float = hyper(3.0, "lambda where A >= 0", source=_PAPER, ge=1e-4)
    k_negative: float = hyper(3.0, "k where A < 0", source=_PAPER, ge=0)
    lambda_negative: float = hyper(2.0, "lambda where A < 0", source=_PAPER, ge=1e-4)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)
        steps = token_log_ratios(batch).detach().clamp(-LOG_LIMIT, LOG_LIMIT)
        log_w = batch.masked_sum(steps).clamp(_LOWEST, LOG_LIMIT)
        k = torch.where(A >= 0, A.new_tensor(self.k_positive), A.new_tensor(self.k_negative))
        rate = torch.where(A >= 0, A.new_tensor(self.lambda_positive), A.new_tensor(self.lambda_negative))
        phi = torch.exp(k * log_w + rate * (1 - log_w.exp()))
        loss = -batch.token_mean((phi * A)[..., None] * batch.log_probs)
        return self.finish(loss, batch, {"trajectory_weight": phi.mean((-1, -2))})
