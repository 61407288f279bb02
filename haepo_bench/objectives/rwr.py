"""RWR: Reward-Weighted Regression (Peters and Schaal 2007), on whole trajectories."""

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
from haepo_bench.objectives.ratios import effective_sample_size


class Rwr(Regularised):
    """RWR: maximum likelihood of the trajectories, each weighed with the exponential of its return.

        q    = softmax(R~ / tau)                                 within the group, no gradient
        loss = - sum_k q_k L_k - alpha * H + beta * KL,   L_k = sum_t lp_kt

    All weights are positive: every trajectory is made likelier, the better the more. Source: Peters and Schaal 2007,
    from memory. Ours: standardised returns and tau; whole trajectories; entropy and KL terms as in `reinforce`.
    """

    summary: ClassVar[str] = "maximum likelihood weighed with the exponential of returns"
    label: ClassVar[str] = "RWR"
    compares: ClassVar[Compared] = "group"
    confidence: ClassVar[str] = "medium: the method is textbook, its details were not read again"

    return_normalisation: ReturnNormalisation = hyper(
        "standardise",
        "returns within a group: (R - mean) / std, R - mean, or as they are",
        source="ours, shared by all",
    )
    temperature: float = hyper(1.0, "tau: divides returns before the exponential", gt=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        returns = normalise_returns(batch.returns, self.return_normalisation, batch.dtype)
        log_q = torch.log_softmax(returns / self.temperature, -1)
        loss = -(log_q.exp() * batch.masked_sum(batch.log_probs)).sum(-1).mean(-1)
        return ObjectiveOutput(self.regularise(loss, batch), {"effective_sample_size": effective_sample_size(log_q)})
