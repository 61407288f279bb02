"""DCPO: Distribution-Centric Policy Optimization (arXiv 2601.12730; code 597358816/DCPO)."""

from typing import ClassVar

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
from haepo_bench.objectives.ratios import bounded_exp, clip_fraction, clipped_loss, group_advantages, token_log_ratios
from haepo_bench.results.columns import Column

_CODE = "597358816/DCPO, ray_trainer.py"


class Dcpo(EntropyBonus):
    """DCPO: successful trajectories are distinguished by how a warmer or colder policy would have liked their steps.

        T     = warm where the policy's entropy H is at most the target H0, else cold
        rho   = behaviour(a|s) at temperature T / behaviour(a|s)
        z_k   = 1 where the trajectory is a success, else 0
        alpha = m / (1 + m),  m = min(|H0 - H|, 0.1) / mean z;   0 where there is no success
        A'    = (1 - alpha) A_k + alpha z_k rho_kt,  A_k = (R_k - mean R) / (std R + 1e-4)
        loss  = mean over all steps of - min(r A', clip(r, 1 - clip, 1 + clip) A'), at most - 3 A' where A' < 0

    Source: the authors' code, which may differ from the paper. H is the policy's as it is at each gradient step. Ours:
    a success is a return above its group's mean (the code has a score above 0.05: `success_return`); the entropy bonus.
    Not the "dynamic clipping" that is also called DCPO.
    """

    summary: ClassVar[str] = "advantages mixed with ratios to a tempered policy, towards a target entropy"
    label: ClassVar[str] = "DCPO"
    surrogate: ClassVar[bool] = True
    mixes_groups: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the authors' code; the paper was not read"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("mixing_weight", "Mixing weight", "fraction", "alpha, of the ratios to the tempered policy"),
    )

    target_entropy: float = hyper(0.5, "H0", unit="nats per step", source=_CODE, ge=0)
    warm: float = hyper(1.2, "temperature where the entropy is at most its target", source=_CODE, gt=0)
    cold: float = hyper(0.8, "temperature where the entropy is above its target", source=_CODE, gt=0)
    clip: float = hyper(0.2, "ratios are clipped to 1 +- this", source=_CODE, gt=0, lt=1)
    dual_clip: float = hyper(3.0, "where A' < 0 the loss is at most this times - A'", source=_CODE, gt=1)
    success_return: float | None = hyper(None, "a trajectory above it is a success; null: above the group's mean")

    @property
    def temperatures(self) -> tuple[float, ...]:
        return (self.warm, self.cold)

    @property
    def compares(self) -> Compared:
        return "group" if self.success_return is None else None

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A, alpha = self.advantages(batch)
        r = bounded_exp(token_log_ratios(batch))
        clipped = r.clamp(1 - self.clip, 1 + self.clip)
        fraction = batch.token_mean(clip_fraction(r, clipped, A))
        loss = batch.token_mean(clipped_loss(r, clipped, A, dual=self.dual_clip))
        return self.finish(loss, batch, {"clip_fraction": fraction, "mixing_weight": alpha})

    def advantages(self, batch: TrajectoryBatch) -> tuple[Tensor, Tensor]:
        """A' [seed, group, trajectory, step] and alpha [seed]."""
        if batch.tempered_log_probs is None:
            raise ValueError("DCPO needs the log-probabilities at its temperatures")
        warm, cold = batch.tempered_log_probs
        entropy = batch.token_mean(batch.entropy).detach()
        tempered = torch.where((entropy <= self.target_entropy)[:, None, None, None], warm, cold)
        rho = bounded_exp(torch.where(batch.mask, tempered - batch.behaviour_log_probs, 0.0))
        R = batch.returns
        margin = centre(R) if self.success_return is None else R - self.success_return
        z = (margin > 0).to(batch.dtype)
        share = z.mean((-1, -2))
        m = (self.target_entropy - entropy).abs().clamp(max=0.1) / share.clamp(min=1e-30)
        alpha = torch.where(share > 0, m / (1 + m), 0.0)
        a = alpha[:, None, None, None]
        return (1 - a) * group_advantages(R, batch.dtype, scale=True)[..., None] + a * z[..., None] * rho, alpha
