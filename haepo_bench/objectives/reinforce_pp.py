"""REINFORCE++ (Hu 2025, arXiv 2501.03262), as verl and OpenRLHF have it."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import (
    Compared,
    EntropyBonus,
    ObjectiveOutput,
    TrajectoryBatch,
    centre,
    hyper,
)
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, token_log_ratios
from haepo_bench.objectives.spaces import COEFFICIENT

_OPENRLHF = "OpenRLHF"


class ReinforcePlusPlus(EntropyBonus):
    """REINFORCE++: PPO's clipped loss on returns to go that are whitened over the batch, without groups or critic.

        r_kt = - beta * (behaviour - ref)_kt, and R_k more at the last step
        G_kt = sum_{t' >= t} r_kt'
        A_kt = (G_kt - mean G) / std G                           over all steps of the batch
        loss = mean over all steps of - min(r A, clip(r, 1 - clip, 1 + clip) A)

    Source: verl (unbiased variance + 1e-8), OpenRLHF (biased variance, at least 1e-8). With `baseline: group` R_k is
    R_k - mean R within the group first ("REINFORCE++-baseline"). verl's loss is at most - 3 A where A < 0 besides
    (`dual_clip`), OpenRLHF's is not unless asked to. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "PPO's clipping on returns whitened over the batch, no critic"
    label: ClassVar[str] = "REINFORCE++"
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    mixes_groups: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the code of verl and OpenRLHF"

    beta: float = hyper(
        0.01, "weight of the KL to the initial policy within the rewards", source=_OPENRLHF, ge=0, search=COEFFICIENT
    )
    clip: float = hyper(0.2, "ratios are clipped to 1 +- this", source=_OPENRLHF, gt=0, lt=1)
    baseline: Literal["none", "group"] = hyper("none", "whether the group's mean return is subtracted", source="paper")
    variance: Literal["unbiased", "biased"] = hyper("unbiased", "that advantages are divided by", source="verl")

    dual_clip: float | None = hyper(
        None,
        "where A < 0 the loss of a step is at most this times - A (arXiv 1912.09729): verl has 3; null: no such bound",
        source=_OPENRLHF,
        omit_at=None,
        gt=1,
    )

    @property
    def compares(self) -> Compared:
        return "batch" if self.baseline == "none" else "group"

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = self.advantages(batch)
        r = bounded_exp(token_log_ratios(batch))
        clipped = r.clamp(1 - self.clip, 1 + self.clip)
        fraction = batch.token_mean(clip_fraction(r, clipped, A))
        loss = batch.token_mean(clipped_loss(r, clipped, A, dual=self.dual_clip))
        return self.finish(loss, batch, {"clip_fraction": fraction})

    def advantages(self, batch: TrajectoryBatch) -> Tensor:
        """A_kt: [seed, group, trajectory, step]; zero where no step was taken."""
        R = batch.returns if self.baseline == "none" else centre(batch.returns)
        penalty = torch.where(batch.mask, batch.behaviour_log_probs - batch.reference_log_probs, 0.0)
        G = R[..., None] - self.beta * penalty.flip(-1).cumsum(-1).flip(-1)
        axes = (-1, -2, -3)
        n = batch.mask.sum(axes, keepdim=True)
        # Equal numbers carry no information; a rounding error of their mean must not become an advantage.
        highest = torch.where(batch.mask, G, -torch.inf).amax(axes, keepdim=True)
        lowest = torch.where(batch.mask, G, torch.inf).amin(axes, keepdim=True)
        mean = torch.where(batch.mask, G, 0.0).sum(axes, keepdim=True) / n.clamp(min=1)
        centred = torch.where(batch.mask & (highest > lowest), G - mean, 0.0).to(batch.dtype)
        squares = centred.square().sum(axes, keepdim=True)
        if self.variance == "biased":
            return centred / (squares / n.clamp(min=1)).clamp(min=1e-8).sqrt()
        return centred / (squares / (n - 1).clamp(min=1) + 1e-8).sqrt()
