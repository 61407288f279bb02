"""AWR: Advantage-Weighted Regression (Peng et al. 2019, arXiv 1910.00177), on whole trajectories, without critic."""

from typing import ClassVar

import torch

from haepo_bench.objectives.base import (
    Compared,
    ObjectiveOutput,
    Regularised,
    ReturnNormalisation,
    TrajectoryBatch,
    hyper,
    normalise_returns,
)

_CODE = "xbpeng/awr, awr_agent.py"


class Awr(Regularised):
    """AWR: maximum likelihood of the trajectories, each weighed with the exponential of its advantage, cut off.

        loss = - mean_k min( exp(A_k / tau), w_max ) L_k - alpha * H + beta * KL,   A_k = R~_k

    Unlike `rwr`, weights are not normalised by their sum. Source: the authors' code (xbpeng/awr,
    learning/awr_agent.py): standardised advantages, tau 1, w_max 20. Ours: the value baseline is the group's mean
    return (the value of the start state that the group shares; the code fits a value network to every state), so
    advantages are those of whole trajectories, standardised within the group; entropy and KL terms as in `reinforce`.
    """

    summary: ClassVar[str] = "maximum likelihood weighed with the exponential of advantages, cut off"
    label: ClassVar[str] = "AWR (no critic)"
    confidence: ClassVar[str] = "high: read in the authors' code, with a mean in place of the value network"

    return_normalisation: ReturnNormalisation = hyper(
        "standardise", "advantages within a group: (R - mean) / std, R - mean, or the returns as they are"
    )
    temperature: float = hyper(1.0, "tau: divides advantages before the exponential", source=_CODE, gt=0)
    max_weight: float = hyper(20.0, "w_max: largest weight of a trajectory", source=_CODE, gt=0)

    @property
    def compares(self) -> Compared:
        return None if self.return_normalisation == "none" else "group"

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = normalise_returns(batch.returns, self.return_normalisation, batch.dtype)
        weights = torch.exp((A / self.temperature).clamp(max=50.0)).clamp(max=self.max_weight)
        loss = -(weights * batch.masked_sum(batch.log_probs)).mean((-1, -2))
        cut = (weights == self.max_weight).to(A.dtype).mean((-1, -2))
        return ObjectiveOutput(self.regularise(loss, batch), {"clip_fraction": cut})
