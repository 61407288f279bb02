"""DPO: Direct Preference Optimization (arXiv 2305.18290), online: pairs of the current batch by true return."""

from typing import ClassVar

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.credit import implicit_value
from haepo_bench.objectives.pairs import pairwise
from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.objectives.preferences import PreferenceObjective
from haepo_bench.objectives.spaces import POSITIVE_COEFFICIENT


class Dpo(PreferenceObjective):
    """Online DPO with oracle pairs.

        h_wl = beta * [ alpha * (L_w - L_l) - (Lref_w - Lref_l) ],   L = sum_t log pi(a_t|s_t)
        loss = mean over pairs of - log sigma(h_wl)

    The pairs are those of a group with R_w > R_l (ties are skipped): the algorithm learns from which of two
    trajectories has the higher true return, hence "oracle pairs". alpha = 1 is DPO; other values are H-DPO (arXiv
    2411.07595), which scales the entropy part of the KL. The reference is the previous policy, as in iterative DPO. The
    entropy bonus is the one that all native algorithms share; the paper has none.

    With `pair_loss: hinge` a pair's loss is max(0, 1 - h). With `label_smoothing` e, pairs may be reported in the wrong
    order: the loss is (1 - e) l(h) + e l(-h), or, with `smoothing: robust`, ((1 - e) l(h) - e l(-h)) / (1 - 2e).
    """

    summary: ClassVar[str] = "online DPO on pairs ordered by true return; H-DPO as an option"
    label: ClassVar[str] = "online DPO, oracle pairs"
    version: ClassVar[int] = 2
    confidence: ClassVar[str] = "high: read in the code of the authors and of TRL"

    beta: float = hyper(
        0.1,
        "strength of the implicit KL to the reference policy",
        source="DPO, arXiv 2305.18290",
        gt=0,
        search=POSITIVE_COEFFICIENT,
    )
    alpha: float = hyper(1.0, "H-DPO's entropy factor; 1 is DPO", source="DPO; H-DPO, arXiv 2411.07595", gt=0)

    @property
    def implicit_reward(self) -> ImplicitReward:
        return ImplicitReward(self.alpha * self.beta, self.beta)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        L = batch.masked_sum(batch.log_probs)
        L_reference = batch.masked_sum(batch.reference_log_probs)
        score = self.beta * (self.alpha * L - L_reference)
        # A pair that the policy does not tell apart counts half, as all do in the first epoch after a new reference.
        accuracy = self.pair_accuracy(score, batch)
        diagnostics = {"pair_accuracy": accuracy, **implicit_value(batch, batch.returns, score)}
        return self.finish(self.preference_loss(pairwise(score), batch), batch, diagnostics)
