"""DPO: Direct Preference Optimization (arXiv 2305.18290), online: pairs of the current batch by true return."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch, hyper


class Dpo(Objective):
    """Online DPO with oracle pairs.

        h_wl = beta * [ alpha * (L_w - L_l) - (Lref_w - Lref_l) ],   L = sum_t log pi(a_t|s_t)
        loss = mean over pairs of - log sigma(h_wl)

    The pairs are those of a group with R_w > R_l (ties are skipped): the algorithm is told which of two trajectories
    has the higher true return, hence "oracle pairs". alpha = 1 is DPO; other values are H-DPO (arXiv 2411.07595), which
    scales the entropy part of the KL. The reference is the previous policy, as in iterative DPO. The entropy bonus is
    the one that all native algorithms share; the paper has none.
    """

    summary: ClassVar[str] = "online DPO on pairs ordered by true return; H-DPO as an option"
    label: ClassVar[str] = "online DPO, oracle pairs"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "oracle preferences"

    beta: float = hyper(
        0.1, "strength of the implicit KL to the reference policy", source="DPO, arXiv 2305.18290", gt=0
    )
    alpha: float = hyper(1.0, "H-DPO's entropy factor; 1 is DPO", source="DPO; H-DPO, arXiv 2411.07595", gt=0)
    pairs: Literal["all", "best-worst"] = hyper(
        "all", "all pairs of a group with different returns, or its best against its worst", source="ours"
    )
    entropy_coefficient: float = hyper(
        0.01,
        "weight of the entropy bonus (mean policy entropy a step)",
        source="ours, shared by all; the paper has none",
        ge=0,
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        L = batch.masked_sum(batch.log_probs)
        L_reference = batch.masked_sum(batch.reference_log_probs)
        score = self.beta * (self.alpha * L - L_reference)
        h = score[..., :, None] - score[..., None, :]  # [.., winner, loser]
        pairs = self.preferred(batch.returns)
        count = pairs.sum((-1, -2)).clamp(min=1)
        loss = (torch.where(pairs, -logsigmoid(h), 0.0).sum((-1, -2)) / count).mean(-1)
        # A pair that the policy does not tell apart counts half, as all do in the first epoch after a new reference.
        accuracy = (torch.where(pairs, (torch.sign(h) + 1) / 2, 0.0).sum((-1, -2)) / count).mean(-1)
        return ObjectiveOutput(
            loss - self.entropy_coefficient * batch.token_mean(batch.entropy), {"pair_accuracy": accuracy.detach()}
        )

    def preferred(self, returns: Tensor) -> Tensor:
        """Which pairs count: [seed, group, trajectory] to bool [seed, group, winner, loser]."""
        better = returns[..., :, None] > returns[..., None, :]
        if self.pairs == "all":
            return better
        trajectories = returns.shape[-1]
        best = torch.nn.functional.one_hot(returns.argmax(-1), trajectories).bool()
        worst = torch.nn.functional.one_hot(returns.argmin(-1), trajectories).bool()
        return better & best[..., :, None] & worst[..., None, :]
