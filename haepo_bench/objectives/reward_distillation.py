"""Reward distillation, online ("Coverage Improvement and Fast Convergence of On-policy Preference Learning")."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import (
    Compared,
    EntropyBonus,
    ObjectiveOutput,
    ReturnNormalisation,
    TrajectoryBatch,
    hyper,
    normalise_returns,
)
from haepo_bench.objectives.credit import implicit_value
from haepo_bench.objectives.pairs import mean_square_over_all_pairs
from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.objectives.spaces import POSITIVE_COEFFICIENT


class RewardDistillation(EntropyBonus):
    """Reward distillation: differences of DPO's implicit reward are regressed on differences of returns.

        r_k  = beta * (L_k - Lref_k),   L = sum_t log pi(a_t|s_t)
        loss = mean over all pairs of a group of ( (r_i - r_j) - (R~_i - R~_j) )^2

    Pairs are drawn anew from the current policy in every iteration. REBEL with the reference in place of the policy
    that collected. Source: arXiv 2601.08421 names it; this is its usual form, whose weights were not checked against
    the paper. Ours: all pairs of the batch, standardised returns, beta, the entropy bonus.
    """

    summary: ClassVar[str] = "regress differences of the implicit reward on differences of returns"
    label: ClassVar[str] = "online reward distillation"
    compares: ClassVar[Compared] = "group"
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    shares_start: ClassVar[bool] = True
    confidence: ClassVar[str] = "low: the usual form; exact constants of the paper were not found"

    beta: float = hyper(
        0.03,
        "strength of the implicit KL to the reference policy, for standardised returns",
        gt=0,
        search=POSITIVE_COEFFICIENT,
    )
    return_normalisation: ReturnNormalisation = hyper(
        "standardise",
        "returns within a group: (R - mean) / std, R - mean, or as they are",
        source="ours, shared by all",
    )

    @property
    def implicit_reward(self) -> ImplicitReward:
        return ImplicitReward(self.beta, self.beta)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        implicit = self.beta * batch.masked_sum(batch.log_probs - batch.reference_log_probs)
        R = normalise_returns(batch.returns, self.return_normalisation, batch.dtype)
        return self.finish(mean_square_over_all_pairs(implicit - R), batch, implicit_value(batch, R, implicit))
