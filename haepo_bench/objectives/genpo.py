"""GenPO: Generative Policy Optimization (arXiv 2505.18763), PPO's loss on the exact densities of a flow."""

from typing import ClassVar, Literal

import torch

from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ppo import normalised_advantages
from haepo_bench.objectives.ratios import bounded_exp, token_log_ratios
from haepo_bench.objectives.spaces import COEFFICIENT

_CODE = "wadx2019/genpo"


class GenPo(Objective):
    """Clipped ratios of doubled actions, a clipped value loss, and a pull that brings an action's two halves together.

        u    = (z, y), drawn from the flow (policies/flow.py); the task is given (z + y) / 2
        A~   = (A - mean A) / (std A + 1e-8)                within the minibatch, ddof 1
        r    = pi(u|s) / behaviour(u|s)
        V'   = V_old + clip(V - V_old, -clip_range_vf, clip_range_vf),   G = A + V_old
        loss = - mean min(r A~, clip(r, 1 - clip_range, 1 + clip_range) A~)
               + vf_coef * mean max((V - G)^2, (V' - G)^2)
               + ent_coef * mean log pi(u|s) + compression_coef * mean ||z' - y'||_2

    (z', y') are samples of the current policy, made of the noise that the batch's actions were drawn with. The code
    draws new noise for them, standardises advantages over all steps collected, and adapts its learning rate to a KL of
    0.01 per step: here minibatches are standardised, and the learning rate is a setting.

    The entropy of pi(u|s) does not depend on what was learnt (policies/flow.py), so on average the term with `ent_coef`
    has no gradient at the policy that collected the batch. It acts from sample to sample, and on what moved since.
    """

    summary: ClassVar[str] = "PPO on the exact densities of an invertible flow, whose actions may have several modes"
    label: ClassVar[str] = "GenPO"
    confidence: ClassVar[str] = "high: read in the authors' code; the network of the flow's velocity is ours"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "per-step rewards"
    collects: ClassVar[Literal["episodes", "segments"]] = "segments"
    wants_halves: ClassVar[bool] = True

    clip_range: float = hyper(0.2, "ratios are clipped to 1 +- this", source=_CODE, gt=0)
    clip_range_vf: float | None = hyper(
        0.2,
        "values move by at most this before their loss has no gradient (on the scale of returns); null: not clipped",
        source=_CODE,
        gt=0,
    )
    vf_coef: float = hyper(1.0, "weight of the value loss", source=_CODE, ge=0)
    ent_coef: float = hyper(0.0, "weight of the mean log-density", source=_CODE, ge=0)
    compression_coef: float = hyper(
        0.01, "weight of the distance between an action's two halves", source=_CODE, ge=0, search=COEFFICIENT
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        old, targets, V = batch.behaviour_values, batch.value_targets, batch.values
        if V is None or old is None or batch.advantages is None or targets is None:
            raise ValueError("GenPO needs a batch of segments, with values and advantages")
        if batch.halves_apart is None:
            raise ValueError("GenPO needs doubled actions, as a flow draws them")
        A = normalised_advantages(batch.advantages, batch.mask)
        r = bounded_exp(token_log_ratios(batch))
        surrogate = torch.minimum(r * A, r.clamp(1 - self.clip_range, 1 + self.clip_range) * A)
        errors = torch.where(batch.mask, V - targets, 0.0).square()
        if self.clip_range_vf is not None:
            held = old + (V - old).clamp(-self.clip_range_vf, self.clip_range_vf)
            errors = torch.maximum(errors, torch.where(batch.mask, held - targets, 0.0).square())
        value_loss = batch.token_mean(errors)
        apart = batch.token_mean(batch.halves_apart)
        clipped = ((r - 1).abs() > self.clip_range).float()
        diagnostics = {
            "clip_fraction": batch.token_mean(clipped),
            "value_loss": value_loss,
            "halves_apart": apart,
        }
        return ObjectiveOutput(
            -batch.token_mean(surrogate)
            + self.vf_coef * value_loss
            + self.ent_coef * batch.token_mean(batch.log_probs)
            + self.compression_coef * apart,
            {name: value.detach() for name, value in diagnostics.items()},
        )
