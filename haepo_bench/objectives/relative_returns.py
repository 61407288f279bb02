"""What a trajectory's return is compared with, and what the difference is divided by."""

from typing import Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import Compared, EntropyBonus, TrajectoryBatch, centre, hyper
from haepo_bench.objectives.ratios import group_advantages

_GRPO = "DeepSeekMath, arXiv 2402.03300"


class RelativeReturns(EntropyBonus):
    """Objectives whose advantage is a trajectory's return relative to its group's.

    A_k = (R_k - b) / d
    b   = mean R, or sum_j n_j R_j / sum_j n_j           "length": OPO, arXiv 2505.23585
    d   = std R + 1e-4 (ddof 1), mean |R| + 1e-6, or 1   "mean": MaxRL, arXiv 2602.02710
    """

    scale_advantages: bool = hyper(True, "divide by the group's standard deviation of returns", source=_GRPO)
    baseline: Literal["mean", "length"] = hyper(
        "mean",
        "what is subtracted from a return: the group's mean, or its mean over steps (longer trajectories count more)",
        source=_GRPO,
        omit_at="mean",
    )
    advantage_scale: Literal["deviation", "mean"] = hyper(
        "deviation",
        "what `scale_advantages` divides by: the group's standard deviation of returns, or its mean of |R|",
        source=_GRPO,
        omit_at="deviation",
    )

    @property
    def compares(self) -> Compared:
        return "group"

    def advantages(self, batch: TrajectoryBatch) -> Tensor:
        """A_k: [seed, group, trajectory]; exactly zero in a group whose returns are all equal."""
        R = batch.returns
        if self.baseline == "mean" and not (self.scale_advantages and self.advantage_scale == "mean"):
            return group_advantages(R, batch.dtype, scale=self.scale_advantages)
        relative = centre(R) if self.baseline == "mean" else _over_steps(R.double(), batch.lengths)
        if not self.scale_advantages:
            return relative.to(batch.dtype)
        if self.advantage_scale == "mean":
            return (relative / (R.double().abs().mean(-1, keepdim=True) + 1e-6)).to(batch.dtype)
        std = (centre(R).square().sum(-1, keepdim=True) / max(R.shape[-1] - 1, 1)).sqrt()
        return (relative / (std + 1e-4)).to(batch.dtype)


def _over_steps(R: Tensor, lengths: Tensor) -> Tensor:
    """R - sum_j n_j R_j / sum_j n_j: [seed, group, trajectory] to the same."""
    baseline = (lengths * R).sum(-1, keepdim=True) / lengths.sum(-1, keepdim=True)
    return torch.where((R[..., :1] == R).all(-1, keepdim=True), 0.0, R - baseline)
