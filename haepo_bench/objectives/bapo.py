"""BAPO: Balanced Policy Optimization with adaptive clipping (arXiv 2510.18927; code WooooDyy/BAPO)."""

import math
from typing import ClassVar, Self

import torch
from pydantic import model_validator
from torch import Tensor

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import bounded_exp, clipped_loss, group_advantages, token_log_ratios
from haepo_bench.results.columns import Column

_CODE = "WooooDyy/BAPO, recipe/bapo"


class Bapo(EntropyBonus):
    """BAPO: clip bounds widen, first the lower then the upper, until steps with A > 0 weigh enough.

        A_k  = (R_k - mean R) / (std R + 1e-4)                   std with ddof 1, within the group
        e    = A min(r, high) where A >= 0, A max(r, low) elsewhere
        rho  = sum e+ / (sum |e-| + 1e-8)                        over the whole batch
        while rho < target: low = min(low + step, low_max); at low_max, high = min(high + high_step, high_max)
        loss = mean over all steps of - min(r A, clip(r, low, high) A), at most - 3 A where A < 0

    The bounds are found anew at every gradient step, without gradient. Source: policy_loss.py of the authors' code,
    which may differ from the paper. Defaults are those of its bapo_trainer.yaml. The authors' run script
    (run_bapo_example.sh) has target 0.5, low 0.8, low_max 0.95, step 0.05 and high_step 0.1. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "clip bounds that adapt until positive advantages weigh enough"
    label: ClassVar[str] = "BAPO"
    compares: ClassVar[Compared] = "group"
    surrogate: ClassVar[bool] = True
    mixes_groups: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the authors' code, which may differ from the paper"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("clip_low", "Lower clip bound", "ratio", "that the search found"),
        Column("clip_high", "Upper clip bound", "ratio", "that the search found"),
        Column("positive_share", "Positive advantages", "fraction", "of the weight of all steps that is on A > 0"),
    )

    target: float = hyper(1.0, "rho from which on bounds stay", source=_CODE, ge=0)
    low: float = hyper(0.6, "lower bound of ratios at the start of the search", source=_CODE, gt=0, le=1)
    low_max: float = hyper(0.8, "highest lower bound", source=_CODE, gt=0, le=1)
    high: float = hyper(1.2, "upper bound of ratios at the start of the search", source=_CODE, ge=1)
    high_max: float = hyper(2.0, "highest upper bound", source=_CODE, ge=1)
    step: float = hyper(0.05, "by which a bound is moved", source=_CODE, gt=0, le=1)
    high_step: float | None = hyper(
        None, "by which the upper bound is moved; null: as the lower one", source=_CODE, omit_at=None, gt=0, le=1
    )
    dual_clip: float = hyper(3.0, "where A < 0 the loss is at most this times - A", source=_CODE, gt=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for start, end in (("low", "low_max"), ("high", "high_max")):
            first, last = getattr(self, start), getattr(self, end)
            if first > last:
                raise ParameterError(
                    start if start in self.model_fields_set else end,
                    f"the search begins at {start} {first:g}, which is above {end} {last:g}",
                    remedy=f"{start} must be at most {end}",
                )
        return self

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)[..., None]
        r = bounded_exp(token_log_ratios(batch))
        low, high, rho = self.search(r.detach(), A, batch)
        clipped = torch.minimum(torch.maximum(r, _broadcast(low)), _broadcast(high))
        loss = batch.token_mean(clipped_loss(r, clipped, A, dual=self.dual_clip))
        return self.finish(loss, batch, {"clip_low": low, "clip_high": high, "positive_share": rho / (1 + rho)})

    def search(self, r: Tensor, A: Tensor, batch: TrajectoryBatch) -> tuple[Tensor, Tensor, Tensor]:
        """(low, high, rho) of each seed: [seed] each."""
        low = high = rho = torch.zeros(len(r), dtype=r.dtype, device=r.device)
        searching = torch.ones(len(r), dtype=torch.bool, device=r.device)
        for at_low, at_high in self.path():
            e = torch.where(A >= 0, A * r.clamp(max=at_high), A * r.clamp(min=at_low))
            positive, negative = (batch.masked_sum(part).sum((-1, -2)) for part in (e.clamp(min=0), -e.clamp(max=0)))
            low, high = torch.where(searching, at_low, low), torch.where(searching, at_high, high)
            rho = torch.where(searching, positive / (negative + 1e-8), rho)
            searching = searching & (rho < self.target)
        return low, high, rho

    def path(self) -> list[tuple[float, float]]:
        """The bounds that the search tries, in order; it stops at the first that will do, else at the last."""
        lows = _steps(self.low, self.low_max, self.step)
        highs = _steps(self.high, self.high_max, self.step if self.high_step is None else self.high_step)
        return [(low, self.high) for low in lows] + [(lows[-1], high) for high in highs[1:]]


def _steps(start: float, end: float, step: float) -> list[float]:
    """From `start` by `step` to `end`, which is the last whatever the step."""
    # Rounding must not add a step that leads from just below the end to it.
    count = math.ceil((end - start) / step - 1e-6)
    return [start + n * step for n in range(count)] + [end]


def _broadcast(x: Tensor) -> Tensor:
    """[seed] to the axes of a batch."""
    return x[:, None, None, None]
