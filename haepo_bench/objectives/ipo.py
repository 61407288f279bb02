"""IPO: Identity Preference Optimization (Azar et al. 2023, arXiv 2310.12036), online."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.credit import implicit_value
from haepo_bench.objectives.pairs import PairChoice, mean_over_pairs, pairwise, preferred
from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.objectives.spaces import POSITIVE_COEFFICIENT


class Ipo(EntropyBonus):
    """Online IPO with oracle pairs: the margin of a pair is regressed on a constant instead of driven to infinity.

        D_wl = d_w - d_l,   d_k = sum_t (lp - ref)_kt, or that / n_k (length_norm)
        loss = mean over pairs of (D_wl - 1 / (2 beta))^2

    Pairs and reference are `dpo`'s. The paper does not say which of the two d is. The code of DPO's authors
    (eric-mitchell, trainers.py, preference_loss) sums. TRL takes means, and says that IPO's authors confirmed this
    form as that of the paper's results: `length_norm: true`, whose beta is on the scale of single steps. Ours: the
    entropy bonus.
    """

    summary: ClassVar[str] = "online IPO on pairs ordered by true return"
    label: ClassVar[str] = "online IPO, oracle pairs"
    compares: ClassVar[Compared] = "group"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "oracle preferences"
    shares_start: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the code of DPO's authors and of TRL"

    beta: float = hyper(
        0.1, "1 / (2 beta) is the margin of a pair, nats", source="TRL", gt=0, search=POSITIVE_COEFFICIENT
    )
    length_norm: bool = hyper(
        False,
        "whether d is a mean per step, as TRL has it (else a sum)",
        source="the code of DPO's authors",
        omit_at=False,
    )
    pairs: PairChoice = hyper(
        "all", "all pairs of a group with different returns, or its best against its worst", source="ours"
    )

    @property
    def implicit_reward(self) -> ImplicitReward | None:
        return ImplicitReward(self.beta, self.beta) if not self.length_norm else None

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        log_ratio = batch.masked_sum(batch.log_probs - batch.reference_log_probs)
        margin = pairwise(log_ratio / batch.lengths if self.length_norm else log_ratio)
        loss = mean_over_pairs((margin - 1 / (2 * self.beta)).square(), preferred(batch, self.pairs))
        if self.length_norm:  # means do not add up to the credit of a trajectory
            return self.finish(loss, batch, {})
        return self.finish(loss, batch, implicit_value(batch, batch.returns, self.beta * log_ratio))
