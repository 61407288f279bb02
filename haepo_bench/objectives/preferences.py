"""What losses on pairs of trajectories share: which pairs count, the function of their margin, and noisy labels."""

from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from haepo_bench.objectives.base import Compared, EntropyBonus, TrajectoryBatch, hyper
from haepo_bench.objectives.pairs import PairChoice, mean_over_pairs, pairwise, preferred
from haepo_bench.results.columns import Column

_DPO = "DPO, arXiv 2305.18290"


class PreferenceObjective(EntropyBonus):
    """Objectives that learn from which of two trajectories of a group has the higher true return, by a margin h.

    l(h) = - log sigma(h), or max(0, 1 - h)                       pair_loss
    loss = mean over pairs of (1 - e) l(h) + e l(-h)              e = label_smoothing: "conservative"
           mean over pairs of ((1 - e) l(h) - e l(-h)) / (1 - 2e)                      "robust"
    """

    compares: ClassVar[Compared] = "group"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "oracle preferences"
    shares_start: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "pair_accuracy", "Pair accuracy", "fraction", "of pairs that the implicit reward orders like the returns"
        ),
    )

    pairs: PairChoice = hyper(
        "all", "all pairs of a group with different returns, or its best against its worst", source="ours"
    )
    pair_loss: Literal["sigmoid", "hinge"] = hyper(
        "sigmoid",
        "of a pair's margin h: - log sigma(h), or max(0, 1 - h) (SLiC, arXiv 2305.10425)",
        source=_DPO,
        omit_at="sigmoid",
    )
    label_smoothing: float = hyper(
        0.0, "e: probability that a pair is reported in the wrong order", source=_DPO, omit_at=0.0, ge=0, lt=0.5
    )
    smoothing: Literal["conservative", "robust"] = hyper(
        "conservative",
        "with e > 0: the expected loss of the true order (cDPO), or an unbiased estimate of the loss without noise "
        "(arXiv 2403.00409)",
        source="the code of DPO's authors",
        omit_at="conservative",
    )

    def preference_loss(self, h: Tensor, batch: TrajectoryBatch) -> Tensor:
        """Mean over the pairs that count: margins [seed, group, winner, loser] to [seed]."""
        loss = self.of_margin(h)
        if self.label_smoothing:
            e = self.label_smoothing
            flipped = self.of_margin(-h)
            robust = self.smoothing == "robust"
            loss = ((1 - e) * loss - e * flipped) / (1 - 2 * e) if robust else (1 - e) * loss + e * flipped
        return mean_over_pairs(loss, preferred(batch, self.pairs))

    def of_margin(self, h: Tensor) -> Tensor:
        """l(h), element by element."""
        return -logsigmoid(h) if self.pair_loss == "sigmoid" else (1 - h).clamp(min=0)

    def pair_accuracy(self, score: Tensor, batch: TrajectoryBatch) -> Tensor:
        """Share of pairs that scores [seed, group, trajectory] order as reported: [seed]; equal ones count half."""
        return mean_over_pairs((torch.sign(pairwise(score)) + 1) / 2, preferred(batch, self.pairs))

    def likelihood_of_winners(self, batch: TrajectoryBatch) -> Tensor:
        """- log pi of a step, mean over all steps of the better trajectory of each pair: [seed]."""
        wins = preferred(batch, self.pairs).sum(-1)
        steps = (wins * batch.lengths).sum((-1, -2)).clamp(min=1)
        return -(wins * batch.masked_sum(batch.log_probs)).sum((-1, -2)) / steps
