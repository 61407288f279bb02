"""REBEL: Regressing Relative Rewards (Gao et al. 2024, arXiv 2404.16767; code ZhaolinGao/REBEL)."""

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
from haepo_bench.objectives.pairs import mean_square_over_all_pairs
from haepo_bench.objectives.ratios import token_log_ratios
from haepo_bench.objectives.spaces import COEFFICIENT

_CODE = "ZhaolinGao/REBEL, rebel.py"


class Rebel(EntropyBonus):
    """REBEL: differences of log-ratios to the policy that collected are regressed on differences of returns.

        D_k  = sum_t (lp - behaviour)_kt,   R'_k = R_k - kl_coefficient * sum_t (behaviour - ref)_kt
        loss = mean over all pairs of a group of ( (D_i - D_j) - eta (R~'_i - R~'_j) )^2

    Where the update starts its gradient is that of REINFORCE with a mean baseline, times 4 eta K / (K - 1). Source:
    src/tldr/rebel.py (one pair per prompt). Ours: all pairs of the batch, standardised returns and eta for them, the
    entropy bonus.
    """

    summary: ClassVar[str] = "regress differences of log-ratios on differences of returns"
    label: ClassVar[str] = "REBEL"
    compares: ClassVar[Compared] = "group"
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    shares_start: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the authors' code"

    eta: float = hyper(
        4.0,
        "nats of log-ratio that a unit of (normalised) return is worth; the authors' code: 1, on its reward's scale",
        gt=0,
    )
    kl_coefficient: float = hyper(
        0.05,
        "weight of the KL to the initial policy within the return, in the return's own unit",
        source=f"{_CODE}, on its reward's scale",
        ge=0,
        search=COEFFICIENT,
    )
    return_normalisation: ReturnNormalisation = hyper(
        "standardise",
        "returns within a group: (R - mean) / std, R - mean, or as they are",
        source="ours, shared by all",
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        penalty = batch.masked_sum(batch.behaviour_log_probs - batch.reference_log_probs)
        paid = batch.returns - self.kl_coefficient * penalty
        R = normalise_returns(paid, self.return_normalisation, batch.dtype)
        D = batch.masked_sum(token_log_ratios(batch))
        return self.finish(mean_square_over_all_pairs(D - self.eta * R), batch, {})
