"""QRPO: Quantile Reward Policy Optimization (arXiv 2507.08068; code CLAIRE-Labo)."""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from haepo_bench.objectives.base import EntropyBonus, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.credit import implicit_value
from haepo_bench.objectives.plans import ImplicitReward
from haepo_bench.objectives.spaces import POSITIVE_COEFFICIENT
from haepo_bench.results.columns import Column

_CODE = "CLAIRE-Labo, qrpo.py"


class Qrpo(EntropyBonus):
    """QRPO: the log-ratio to the reference is regressed, trajectory by trajectory, on its optimum, which is known.

        q_k  = share of the reference policy's episodes whose return is at most R_k
        loss = mean_k ( f(q_k) - beta log Z - beta (L_k - Lref_k) )^2,   L = sum_t log pi(a_t|s_t)
        f identity: log Z = log beta + 1 / beta + log(1 - exp(-1 / beta))
        f log:      f(q) = log max(q, 1/n),   log Z = log(beta / (1 + beta))
        f normal:   f(q) = Phi^-1(q within [1/n, 1 - 1/n]),   log Z = 1 / (2 beta^2)

    A quantile is uniform under the reference, which is why Z is known. The identity's is exact here, in a form that is
    stable for any beta (the authors' drops the last term, which is wrong for beta near 1). Needs no pairs. Source:
    src/qrpo/trainers/qrpo.py, README. Ours: the sample's size, beta with the identity, the entropy bonus.
    """

    summary: ClassVar[str] = "regress log-ratios on quantiles of the reference policy's returns"
    label: ClassVar[str] = "QRPO"
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    confidence: ClassVar[str] = "high: read in the authors' code"
    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            "return_quantile",
            "Return quantile",
            "fraction",
            "of the reference policy's episodes whose return a trajectory reaches, mean",
        ),
    )

    beta: float = hyper(
        0.1,
        "strength of the implicit KL to the reference policy",
        source=f"ours, with the identity; {_CODE} has it with the log",
        gt=0,
        search=POSITIVE_COEFFICIENT,
    )
    transform: Literal["identity", "log", "normal"] = hyper("identity", "f", source="the paper's sweeps")
    reference_episodes: int = hyper(
        50,
        "n: episodes of the reference policy (a group)",
        unit="episodes",
        source="ours; the authors' dataset has as many per prompt, of which they use 1 or 3",
        ge=2,
        le=4096,
    )

    @property
    def reference_sample(self) -> int:
        return self.reference_episodes

    @property
    def implicit_reward(self) -> ImplicitReward:
        return ImplicitReward(self.beta, self.beta)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        q = quantiles(batch)
        log_ratio = batch.masked_sum(batch.log_probs - batch.reference_log_probs)
        reward, credit = self.transformed(q, batch), self.beta * log_ratio
        loss = (reward - credit - self.beta * self.log_partition()).square().mean((-1, -2))
        diagnostics = {"return_quantile": q.mean((-1, -2)), **implicit_value(batch, reward, credit)}
        return self.finish(loss, batch, diagnostics)

    def transformed(self, q: Tensor, batch: TrajectoryBatch) -> Tensor:
        """f(q)."""
        n = 1 if batch.reference_returns is None else batch.reference_returns.shape[-1]
        match self.transform:
            case "identity":
                return q
            case "log":
                return q.clamp(min=1 / n).log()
            case "normal":
                # The outer bounds are for a sample of one, whose inner bounds would meet at 1.
                scores: Tensor = torch.special.ndtri(q.clamp(1 / n, max(1 - 1 / n, 1 / n)).clamp(1e-6, 1 - 1e-6))
                return scores

    def log_partition(self) -> float:
        """log Z."""
        match self.transform:
            case "identity":
                return math.log(self.beta) + 1 / self.beta + math.log1p(-math.exp(-1 / self.beta))
            case "log":
                return math.log(self.beta / (1 + self.beta))
            case "normal":
                return 1 / (2 * self.beta**2)


def quantiles(batch: TrajectoryBatch) -> Tensor:
    """q: [seed, group, trajectory], share of the reference policy's returns that a trajectory's return reaches."""
    if batch.reference_returns is None:
        raise ValueError("QRPO needs returns of the reference policy")
    reached = batch.reference_returns[..., None, :] <= batch.returns[..., :, None]
    return reached.to(batch.dtype).mean(-1)
