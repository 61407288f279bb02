"""REINFORCE (Williams 1992) with a mean baseline: the control that any trajectory method must beat.

Both forms take the same optional entropy and KL terms as HAEPO's variants, so that the effect of the regularisers can
be separated from the rest.
"""

from typing import ClassVar, Literal

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

#: Returns to go count as equal up to this share of them: the rounding of their sums in float64.
_EQUAL = 1e-12


class Reinforce(Regularised):
    """REINFORCE on whole returns with the group's mean as baseline.

        loss = - 1/K sum_k R~_k L_k - alpha * H + beta * KL,   L_k = sum_t log pi(a_t|s_t)

    R~ = (R - mean) / std by default. No correction for the steps after the first in an iteration with several epochs:
    the KL penalty is what holds those back.
    """

    summary: ClassVar[str] = "REINFORCE with a mean baseline, whole returns: the control"
    label: ClassVar[str] = "REINFORCE"
    confidence: ClassVar[str] = "high: textbook; which epochs, baseline and scale is ours"

    return_normalisation: ReturnNormalisation = hyper(
        "standardise",
        "returns within a group: (R - mean) / std, R - mean, or as they are",
        source="ours, shared by all",
    )

    @property
    def compares(self) -> Compared:
        return None if self.return_normalisation == "none" else "group"

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        advantages = normalise_returns(batch.returns, self.return_normalisation, batch.dtype)
        loss = -(advantages * batch.masked_sum(batch.log_probs)).mean((-1, -2))
        return ObjectiveOutput(self.regularise(loss, batch), {})


class ReinforceToGo(Regularised):
    """REINFORCE on returns to go: every action is credited only with the rewards that follow it.

        G_kt = sum_{t' >= t} r_kt',   A_kt = (G_kt - mean over the trajectories still running at t) / std of that
        loss = - 1/K sum_k sum_t A_kt log pi(a_t|s_t) - alpha * H + beta * KL

    The baseline is a step's mean over its group; the standard deviation is taken over all steps of the group (ddof 0).
    """

    summary: ClassVar[str] = "REINFORCE with per-step returns to go"
    label: ClassVar[str] = "REINFORCE (returns to go)"
    confidence: ClassVar[str] = "high: textbook; which epochs, baseline and scale is ours"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "per-step rewards"

    return_normalisation: ReturnNormalisation = hyper(
        "standardise", "returns to go: (G - mean) / std, G - mean, or as they are", source="ours, shared by all"
    )

    @property
    def compares(self) -> Compared:
        return None if self.return_normalisation == "none" else "group"

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        loss = -batch.masked_sum(self.advantages(batch) * batch.log_probs).mean((-1, -2))
        return ObjectiveOutput(self.regularise(loss, batch), {})

    def advantages(self, batch: TrajectoryBatch) -> torch.Tensor:
        """A_kt: [seed, group, trajectory, step]; zero where no step was taken."""
        rewards = torch.where(batch.mask, batch.rewards, 0.0).double()
        to_go = rewards.flip(-1).cumsum(-1).flip(-1)
        if self.return_normalisation == "none":
            return torch.where(batch.mask, to_go, 0.0).to(batch.dtype)
        running = batch.mask.sum(-2, keepdim=True).clamp(min=1)
        baseline = torch.where(batch.mask, to_go, 0.0).sum(-2, keepdim=True) / running
        # Where all that still run have the same return to go, rounding errors of sums must not become advantages.
        highest = torch.where(batch.mask, to_go, -torch.inf).amax(-2, keepdim=True)
        lowest = torch.where(batch.mask, to_go, torch.inf).amin(-2, keepdim=True)
        apart = highest - lowest > _EQUAL * torch.maximum(highest.abs(), lowest.abs())
        centred = torch.where(batch.mask & apart, to_go - baseline, 0.0).to(batch.dtype)
        if self.return_normalisation == "centre":
            return centred
        steps = batch.mask.sum((-1, -2), keepdim=True).clamp(min=1)
        variance = centred.square().sum((-1, -2), keepdim=True) / steps
        return centred / (variance.sqrt() + 1e-8)
