"""IPO: Identity Preference Optimization (Azar et al. 2023, arXiv 2310.12036), online."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.credit import implicit_value
from haepo_bench.objectives.pairs import PairChoice, mean_over_pairs, pairwise, preferred


class Ipo(EntropyBonus):
    """Online IPO with oracle pairs: the margin of a pair is regressed on a constant instead of driven to infinity.

        D_wl = (L_w - Lref_w) - (L_l - Lref_l),   L = sum_t log pi(a_t|s_t)
        loss = mean over pairs of (D_wl - 1 / (2 beta))^2

    Pairs and reference are `dpo`'s. Sums over steps, as the original has them (TRL takes means). Source: eric-mitchell,
    trainers.py, preference_loss. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "online IPO on pairs ordered by true return"
    label: ClassVar[str] = "online IPO, oracle pairs"
    compares: ClassVar[Compared] = "group"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "oracle preferences"
    shares_start: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the code of DPO's authors and of TRL"

    beta: float = hyper(0.1, "1 / (2 beta) is the margin of a pair, nats", source="TRL", gt=0)
    pairs: PairChoice = hyper(
        "all", "all pairs of a group with different returns, or its best against its worst", source="ours"
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        log_ratio = batch.masked_sum(batch.log_probs - batch.reference_log_probs)
        margin = pairwise(log_ratio)
        loss = mean_over_pairs((margin - 1 / (2 * self.beta)).square(), preferred(batch.returns, self.pairs))
        return self.finish(loss, batch, implicit_value(batch, batch.returns, self.beta * log_ratio))
