"""Clip-Cov and KL-Cov: entropy is kept where advantage and log-probability go together (arXiv 2505.22617)."""

from typing import ClassVar

import torch
from torch import Tensor

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import (
    bounded_exp,
    clip_fraction,
    clipped_loss,
    group_advantages,
    token_log_ratios,
)

_PAPER = "PRIME-RL/Entropy-Mechanism-of-RL; verl and SkyRL agree"


class Covariance(EntropyBonus):
    """What both share: the steps whose advantage and log-probability are highest together lower the entropy most.

    A_k    = (R_k - mean R) / (std R + 1e-4)                 std with ddof 1, within the group
    cov_kt = (A_k - mean A) (lp_kt - mean lp)                means over all steps of the batch, no gradient
    """

    compares: ClassVar[Compared] = "group"
    mixes_groups: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the code of verl and SkyRL"

    share: float = hyper(2e-4, "of the batch's steps that are singled out, at least one", source=_PAPER, gt=0, le=1)

    def covariance(self, A: Tensor, batch: TrajectoryBatch) -> Tensor:
        """cov_kt: [seed, group, trajectory, step], -inf where no step was taken. A: [seed, group, trajectory, 1]."""
        lp = batch.log_probs.detach()
        mean_A, mean_lp = batch.token_mean(A), batch.token_mean(lp)
        cov = (A - mean_A[:, None, None, None]) * (lp - mean_lp[:, None, None, None])
        return torch.where(batch.mask, cov, -torch.inf)

    def highest(self, cov: Tensor, batch: TrajectoryBatch) -> Tensor:
        """The `share` of steps with the highest covariance: bool, of the shape of cov; none where it is -inf."""
        n = batch.mask.sum((-1, -2, -3))
        count = (n * self.share).long().clamp(min=1)
        # Stable, so that ties go by place and nothing depends on padding at the end of episodes.
        order = torch.sort(cov.flatten(1), dim=-1, descending=True, stable=True).indices
        rank = torch.sort(order, dim=-1).indices.view_as(cov)
        return (rank < count[:, None, None, None]) & (cov > -torch.inf)


class ClipCov(Covariance):
    """Clip-Cov: PPO's clip, and no gradient for the steps of the highest covariance within bounds.

        v_kt = 0 on the `share` of steps of highest cov_kt among those with cov_low < cov_kt < cov_high that PPO's clip
               leaves their gradient, else 1
        loss = mean over all steps of - v_kt min(r_kt A_k, clip(r_kt, 1 - clip_low, 1 + clip_high) A_k)

    Source: verl, compute_policy_loss_clip_cov, and SkyRL. They draw the steps among those within bounds; ours are the
    highest of them, so that a loss depends on its batch alone. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "PPO's clip, without the steps that lower the entropy most"
    label: ClassVar[str] = "Clip-Cov"

    clip_low: float = hyper(0.2, "ratios below 1 - clip_low are clipped", source="verl", gt=0, lt=1)
    clip_high: float = hyper(0.2, "ratios above 1 + clip_high are clipped", source="verl", gt=0)
    cov_low: float = hyper(1.0, "covariances at or below it keep their gradient", source=_PAPER)
    cov_high: float = hyper(5.0, "covariances at or above it keep their gradient", source=_PAPER)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)[..., None]
        r = bounded_exp(token_log_ratios(batch))
        clipped = r.clamp(1 - self.clip_low, 1 + self.clip_high)
        stopped = clip_fraction(r, clipped, A)
        cov = self.covariance(A, batch)
        eligible = (cov > self.cov_low) & (cov < self.cov_high) & (stopped == 0)
        dropped = self.highest(torch.where(eligible, cov, -torch.inf), batch)
        loss = batch.token_mean(torch.where(dropped, 0.0, clipped_loss(r, clipped, A)))
        return self.finish(loss, batch, {"clip_fraction": batch.token_mean(stopped + dropped.to(r.dtype))})


class KlCov(Covariance):
    """KL-Cov: no clip; the steps of the highest covariance are held near the policy that collected the batch.

        u_kt = 1 on the `share` of steps of highest cov_kt, else 0
        loss = mean over all steps of - r_kt A_k + kl_coefficient u_kt |log r_kt|

    Source: verl, compute_policy_loss_kl_cov, and SkyRL. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "unclipped ratios; the steps that lower the entropy most are penalised for moving"
    label: ClassVar[str] = "KL-Cov"

    kl_coefficient: float = hyper(1.0, "weight of |log r| on the steps singled out", source=_PAPER, ge=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)[..., None]
        log_r = token_log_ratios(batch)
        held = self.highest(self.covariance(A, batch), batch)
        x = -bounded_exp(log_r) * A + torch.where(held, self.kl_coefficient * log_r.abs(), 0.0)
        return self.finish(batch.token_mean(x), batch, {})
