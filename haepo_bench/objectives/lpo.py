"""LPO: Listwise Policy Optimization (arXiv 2605.06139), both directions of its KL divergence."""

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import (
    Compared,
    EntropyBonus,
    ObjectiveOutput,
    TrajectoryBatch,
    centre,
    hyper,
)
from haepo_bench.objectives.ratios import effective_sample_size, token_log_ratios

_PAPER = "arXiv 2605.06139"


class Lpo(EntropyBonus):
    """What both directions share: the policy's distribution P over the trajectories of a group and its target w*.

        s_k = sum_t (lp - behaviour)_kt / n_k,   P = softmax(s),   w* = softmax(R / tau)

    The target is that of the policy before the update, which is the one that collected the batch, so s = 0 in it. tau
    is the group's standard deviation of returns (ddof 1), 1, or the group's mean return (for positive returns only: a
    seed diverges where that is not positive). The paper defines s with the factor 1 / n_k (our interpretation of its
    equation 3: `length_norm`). Its clipped form of the gradient (appendix D.3) is left out. Ours: the entropy bonus.
    """

    compares: ClassVar[Compared] = "group"
    confidence: ClassVar[str] = (
        "high: the paper's text was read; the division by length is our interpretation (three quarters)"
    )

    temperature: Literal["deviation", "one", "mean"] = hyper("deviation", "tau", source=_PAPER)
    length_norm: bool = hyper(True, "whether s is a mean per step (else a sum)", source=f"{_PAPER}, our interpretation")

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        log_p = torch.log_softmax(self.scores(batch), -1)
        loss = self.divergence(log_p, self.log_target(batch.returns, batch.dtype)).mean(-1)
        return self.finish(loss, batch, {"effective_sample_size": effective_sample_size(log_p)})

    def scores(self, batch: TrajectoryBatch) -> Tensor:
        """s_k: [seed, group, trajectory]."""
        s = batch.masked_sum(token_log_ratios(batch))
        return s / batch.lengths if self.length_norm else s

    def log_target(self, returns: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """log w*: [seed, group, trajectory]; of equal returns, uniform.

        Args:
            dtype: of the result; None: that of `returns`.
        """
        centred = centre(returns, dtype)
        mean = returns.mean(-1, keepdim=True).to(centred.dtype)
        match self.temperature:
            case "deviation":
                squares = centred.square().sum(-1, keepdim=True)
                tau = (squares / max(returns.shape[-1] - 1, 1)).sqrt().clamp(min=1e-12)
            case "one":
                tau = torch.ones_like(mean)
            case "mean":
                tau = torch.where(mean > 0, mean, torch.nan)
        return torch.log_softmax(centred / tau, -1)

    @abstractmethod
    def divergence(self, log_p: Tensor, log_target: Tensor) -> Tensor:
        """[seed, group, trajectory] each to [seed, group]."""


class LpoForward(Lpo):
    """LPO, forward: loss = KL(w* || P), d loss / d s_k = P_k - w*_k.

    Bounded by 1, sums to zero over the group, and vanishes only at the target. With s the sum, it is `haepo-listwise`
    with score "ratio" and return_temperature sqrt(K / (K - 1)), but for a constant: that one's standard deviation has
    ddof 0, this one's 1, so that at their defaults the two are not the same.
    """

    summary: ClassVar[str] = "match the policy's weights to softmax of returns, KL(target || policy)"
    label: ClassVar[str] = "LPO (forward)"

    def divergence(self, log_p: Tensor, log_target: Tensor) -> Tensor:
        return (log_target.exp() * (log_target - log_p)).sum(-1)


class LpoReverse(Lpo):
    """LPO, reverse: loss = KL(P || w*), d loss / d s_k = P_k (d_k - sum_j P_j d_j), d = log P - log w*.

    With s the sum and tau 1 it is `snis` plus the KL of P to the policy that collected the batch, but for a constant.
    """

    summary: ClassVar[str] = "match the policy's weights to softmax of returns, KL(policy || target)"
    label: ClassVar[str] = "LPO (reverse)"

    def divergence(self, log_p: Tensor, log_target: Tensor) -> Tensor:
        return (log_p.exp() * (log_p - log_target)).sum(-1)
