"""DPPO: Divergence PPO (arXiv 2602.04879; code sail-sg/Stable-RL), with total variation or KL divergence."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.ratios import bounded_exp, group_advantages, token_log_ratios

_CODE = "verl's example script"


class Dppo(EntropyBonus):
    """DPPO: a step counts unless its probability has already moved too far in the direction of its advantage.

        A_k  = (R_k - mean R) / (std R + 1e-4)                   std with ddof 1, within the group
        p, q = pi(a|s), behaviour(a|s)
        TV:  v = p - q <= d where A > 0,  p - q >= -d elsewhere
        KL:  b = q log(q/p) + (1-q) log((1-q)/(1-p));  v = b <= d, or p <= q where A > 0, p >= q elsewhere
        loss = mean over all steps of - A sg(min(r, cap)) v lp

    sg: no gradient; v has none either. Divergences are those of the taken action against all others, which needs
    probabilities: discrete actions only. Source: sail-sg/Stable-RL and verl, verl/trainer/ppo/core_algos.py. The
    variants with the k likeliest actions are left out.

    The thresholds are those of verl's example script (examples/dppo_trainer), which differs from this in the rest:
    A_k = R_k - mean R without the deviation; a mean over responses of sums over steps, divided by the longest response;
    cap 10,000. v depends on the sign of A alone, so that a threshold means the same here. Where nothing sets the cap,
    verl's function falls back to 20 and the authors' to 10, and both programs' configuration sets 3. Ours: the default
    advantages and aggregation (as in `grpo` and `dapo`), the entropy bonus.
    """

    summary: ClassVar[str] = "policy gradient masked by the total variation that a step has moved"
    label: ClassVar[str] = "DPPO (TV)"
    compares: ClassVar[Compared] = "group"
    surrogate: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the authors' code and in verl"
    discrete_only: ClassVar[bool] = True

    divergence: Literal["tv", "kl"] = hyper("tv", "total variation or KL of taken against all others", source=_CODE)
    threshold: float = hyper(0.15, "d: divergence beyond which a step is masked", source=_CODE, gt=0)
    ratio_cap: float = hyper(20.0, "cap: ratios beyond this are cut off", source="verl's fallback", ge=1)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        A = group_advantages(batch.returns, batch.dtype, scale=True)[..., None]
        r = bounded_exp(token_log_ratios(batch)).detach().clamp(max=self.ratio_cap)
        v = self.valid(batch, A).to(r.dtype)
        loss = -batch.token_mean(A * r * v * batch.log_probs)
        return self.finish(loss, batch, {"clip_fraction": 1 - batch.token_mean(v)})

    def valid(self, batch: TrajectoryBatch, A: Tensor) -> Tensor:
        """v: bool [seed, group, trajectory, step]; without meaning where no step was taken."""
        lp = torch.where(batch.mask, batch.log_probs, 0.0).detach()
        old = torch.where(batch.mask, batch.behaviour_log_probs, 0.0)
        p, q = torch.exp(lp), torch.exp(old)
        if self.divergence == "tv":
            return torch.where(A > 0, p - q <= self.threshold, p - q >= -self.threshold)
        b = q * (old - lp) + (1 - q) * torch.log((1 - q + 1e-8) / (1 - p + 1e-8))
        return (b <= self.threshold) | torch.where(A > 0, p <= q, p >= q)


class DppoKl(Dppo):
    """DPPO with the KL divergence: see `dppo`.

    A named setting of it: `divergence: kl`, threshold 0.05.
    """

    summary: ClassVar[str] = "policy gradient masked by the KL divergence that a step has moved"
    label: ClassVar[str] = "DPPO (KL)"

    divergence: Literal["tv", "kl"] = hyper("kl", "total variation or KL of taken against all others", source=_CODE)
    threshold: float = hyper(0.05, "d: divergence beyond which a step is masked", source=_CODE, gt=0)
