"""CalibRL: policy gradient beside an expert's episode (arXiv 2602.20197; code zhh6425/CalibRL)."""

from typing import ClassVar

import torch
from torch.nn.functional import leaky_relu

from haepo_bench.objectives.base import (
    Compared,
    EntropyBonus,
    ObjectiveOutput,
    TrajectoryBatch,
    centre,
    hyper,
)
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, token_log_ratios
from haepo_bench.results.columns import Column

_CODE = "zhh6425/CalibRL, core_algos.py"


class Calibrl(EntropyBonus):
    """CalibRL: failures are made less likely, and successes likelier, than the expert's steps are, place by place.

        A_k    = R_k - mean R                                    of the policy's own trajectories of the group
        e_t    = log behaviour(a|s) of the expert's step t
        g_k    = 1 where trajectory k is a success, else -1
        guided = |A_k| leaky_relu( - g_k (lp_kt - e_t) )
        loss   = mean over all steps of - min(r A, clip(r, 1 - clip, 1 + clip) A), at most - 3 A where A < 0,
                 + guidance * mean over all steps of guided

    Source: the authors' code, which may differ from the paper. The expert is the task's own, started where the batch
    starts, and gets no loss of its own. Ours: beyond the expert's end nothing is guided; a success is a return above
    its group's mean (the code has a score above 0.1: `success_return`); the entropy bonus. The expert's own steps are
    not counted as training steps.
    """

    summary: ClassVar[str] = "policy gradient, steps calibrated against those of a scripted expert"
    label: ClassVar[str] = "CalibRL (scripted expert)"
    compares: ClassVar[Compared] = "group"
    footnote: ClassVar[str] = "CalibRL: sees an expert's episode of the task in every batch"
    shares_start: ClassVar[bool] = True
    wants_expert: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the authors' code, which may differ from the paper"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "guided_loss", "Guidance loss", "", "the part of the loss that learns from the expert, before its weight"
        ),
    )

    guidance: float = hyper(0.1, "weight of the guided term", source=_CODE, ge=0)
    slope: float = hyper(0.5, "of leaky_relu below zero", source=_CODE, ge=0, le=1)
    clip: float = hyper(0.2, "ratios are clipped to 1 +- this", source=_CODE, gt=0, lt=1)
    dual_clip: float = hyper(3.0, "where A < 0 the loss is at most this times - A", source=_CODE, gt=1)
    success_return: float | None = hyper(None, "a trajectory above it is a success; null: above the group's mean")

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        if batch.expert_log_probs is None:
            raise ValueError("CalibRL needs an expert's episode")
        R, e = batch.returns, batch.expert_log_probs[:, :, None]
        A = centre(R, batch.dtype)[..., None]
        r = bounded_exp(token_log_ratios(batch))
        clipped = r.clamp(1 - self.clip, 1 + self.clip)
        loss = batch.token_mean(clipped_loss(r, clipped, A, dual=self.dual_clip))
        margin = A if self.success_return is None else (R - self.success_return)[..., None]
        g = torch.where(margin > 0, 1.0, -1.0)
        gap = torch.where(batch.mask & ~torch.isnan(e), batch.log_probs - e, 0.0)
        guided = batch.token_mean(A.abs() * leaky_relu(-g * gap, self.slope))
        diagnostics = {"clip_fraction": batch.token_mean(clip_fraction(r, clipped, A)), "guided_loss": guided}
        return self.finish(loss + self.guidance * guided, batch, diagnostics)
