"""A*-PO: regression on the optimal advantage (Brantley et al. 2025; code TRL, experimental/a2po)."""

import math
from typing import ClassVar, Literal

import torch

from haepo_bench.objectives.base import EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.credit import implicit_value
from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.objectives.spaces import POSITIVE_COEFFICIENT
from haepo_bench.results.columns import Column

_TRL = "TRL, experimental/a2po"


class AStarPo(EntropyBonus):
    """A*-PO: the log-ratio to the reference is regressed on the optimal advantage, whose value comes from a sample.

        V*   = beta_1 log mean_j exp(R_j / beta_1)               over the reference policy's episodes j
        loss = mean_k ( beta_2 (L_k - Lref_k) - (R_k - V*) )^2,   L = sum_t log pi(a_t|s_t)

    V* is the start state's value under the optimum of the return minus beta_1 times the KL to the reference. Source:
    TRL, which besides drops the prompts whose reference samples all score 0 (its default, filter_all_incorrect); here
    none is dropped. Ours: returns are measured in standard deviations of the reference policy's (tasks' rewards are on
    all scales, TRL's rewards are 0 or 1), so that TRL's number for beta_1 has another scale here, and beta_2; the
    entropy bonus.
    """

    summary: ClassVar[str] = "regress log-ratios on the optimal advantage over the reference policy"
    label: ClassVar[str] = "A*-PO"
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    confidence: ClassVar[str] = "high: read in the code of TRL; scales are ours"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("optimal_value", "Optimal value of the start", "reward", "V*, from the reference policy's episodes"),
    )

    beta_1: float = hyper(0.5, "temperature of V*", source=f"the number of {_TRL}, on our scale of returns", gt=0)
    beta_2: float = hyper(
        0.1, "strength of the implicit KL to the reference policy; TRL: 0.001", gt=0, search=POSITIVE_COEFFICIENT
    )
    scale_returns: bool = hyper(True, "measure returns in standard deviations of the reference policy's")
    reference_episodes: int = hyper(
        50, "episodes of the reference policy (a group); TRL: 8", unit="episodes", ge=2, le=4096
    )

    @property
    def reference_sample(self) -> int:
        return self.reference_episodes

    @property
    def implicit_reward(self) -> ImplicitReward:
        return ImplicitReward(self.beta_2, self.beta_2)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        if batch.reference_returns is None:
            raise ValueError("A*-PO needs returns of the reference policy")
        R, sampled = batch.returns, batch.reference_returns
        if self.scale_returns:
            mean, std = sampled.mean(-1, keepdim=True), sampled.std(-1, correction=0, keepdim=True)
            # A reference that always earns the same has no scale: then returns keep theirs.
            std = torch.where((sampled == sampled[..., :1]).all(-1, keepdim=True), 1.0, std)
            R, sampled = (R - mean) / std, (sampled - mean) / std
        # Returns, values and their differences in float64, as they come; only the advantage is the policy's.
        n = sampled.shape[-1]
        V = self.beta_1 * (torch.logsumexp(sampled / self.beta_1, -1, keepdim=True) - math.log(n))
        implicit = self.beta_2 * batch.masked_sum(batch.log_probs - batch.reference_log_probs)
        loss = (implicit - (R - V).to(batch.dtype)).square().mean((-1, -2))
        diagnostics = {"optimal_value": V.mean((-1, -2)).to(batch.dtype), **implicit_value(batch, R, implicit)}
        return self.finish(loss, batch, diagnostics)
