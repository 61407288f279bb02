"""PPO: Proximal Policy Optimization (Schulman et al. 2017, arXiv 1707.06347), the loss of Stable-Baselines3's PPO."""

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from haepo_bench.objectives.base import Hyperparameters, Objective, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import bounded_exp, token_log_ratios
from haepo_bench.objectives.spaces import COEFFICIENT

_SB3 = "Stable-Baselines3"


class PpoHyperparameters(Hyperparameters):
    """Hyper-parameters of PPO's loss, by Stable-Baselines3's names."""

    clip_range: float = hyper(0.2, "ratios are clipped to 1 +- this", source=_SB3, gt=0)
    clip_range_schedule: Literal["constant", "linear"] = hyper(
        "constant", "linear: falls to zero at the budget", source=_SB3
    )
    ent_coef: float = hyper(0.0, "weight of the entropy bonus", source=_SB3, ge=0, search=COEFFICIENT)
    vf_coef: float = hyper(0.5, "weight of the value loss", source=_SB3, ge=0)
    clip_range_vf: float | None = hyper(
        None,
        "values are held within +- this of what they were when the step was taken (on the scale of returns); null: "
        "not clipped",
        source=_SB3,
        omit_at=None,
        gt=0,
    )
    normalize_advantage: bool = hyper(True, "standardise advantages within each minibatch", source=_SB3, omit_at=True)


class Ppo(PpoHyperparameters, Objective):
    """Clipped ratios times generalised advantages, a squared value loss, an entropy bonus; means over a minibatch.

        A~   = (A - mean A) / (std A + 1e-8)                within the minibatch, ddof 1; A where that has one step
        r    = pi(a|s) / behaviour(a|s)
        loss = - mean min(r A~, clip(r, 1 - clip_range, 1 + clip_range) A~)
               + vf_coef * mean (G - V(s))^2 - ent_coef * mean H,   G = A + V(s) when the step was taken

    With `clip_range_vf` c, V(s) in the value loss is V_old + clip(V - V_old, -c, c); A~ = A without
    `normalize_advantage`. The same as stable_baselines3/ppo/ppo.py, `train`, and its defaults.
    """

    summary: ClassVar[str] = "PPO as Stable-Baselines3 has it, all seeds as one batch"
    label: ClassVar[str] = "PPO (batched)"
    confidence: ClassVar[str] = "high: read in the code of Stable-Baselines3, whose results it is tested against"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "per-step rewards"
    collects: ClassVar[Literal["episodes", "segments"]] = "segments"

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        old, targets = batch.behaviour_values, batch.value_targets
        if batch.values is None or old is None or batch.advantages is None or targets is None:
            raise ValueError("PPO needs a batch of segments, with values and advantages")
        if self.normalize_advantage:
            A = normalised_advantages(batch.advantages, batch.mask)
        else:
            A = torch.where(batch.mask, batch.advantages, 0.0)
        V = batch.values
        if self.clip_range_vf is not None:
            V = old + (V - old).clamp(-self.clip_range_vf, self.clip_range_vf)
        r = bounded_exp(token_log_ratios(batch))
        surrogate = torch.minimum(r * A, r.clamp(1 - self.clip_range, 1 + self.clip_range) * A)
        policy_loss = -batch.token_mean(surrogate)
        value_loss = batch.token_mean(torch.where(batch.mask, targets - V, 0.0).square())
        clipped = ((r - 1).abs() > self.clip_range).float()
        return ObjectiveOutput(
            policy_loss + self.vf_coef * value_loss - self.ent_coef * batch.token_mean(batch.entropy),
            {"clip_fraction": batch.token_mean(clipped).detach(), "value_loss": value_loss.detach()},
        )

    def at(self, remaining: float) -> Self:
        if self.clip_range_schedule == "constant":
            return self
        return self.model_copy(update={"clip_range": remaining * self.clip_range})


def normalised_advantages(advantages: Tensor, mask: Tensor) -> Tensor:
    """(A - mean) / (std + 1e-8), ddof 1, over a seed's steps; [seed, group, trajectory, step] to the same.

    A single step keeps its advantage: normalised it would be zero
    (https://github.com/DLR-RM/stable-baselines3/issues/325).
    """
    axes = (-1, -2, -3)
    n = mask.sum(axes, keepdim=True)
    mean = torch.where(mask, advantages, 0.0).sum(axes, keepdim=True) / n.clamp(min=1)
    centred = torch.where(mask, advantages - mean, 0.0)
    std = (centred.square().sum(axes, keepdim=True) / (n - 1).clamp(min=1)).sqrt()
    return torch.where(n > 1, centred / (std + 1e-8), torch.where(mask, advantages, 0.0))
