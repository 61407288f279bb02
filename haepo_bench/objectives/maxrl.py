"""MaxRL: Maximum Likelihood Reinforcement Learning (Tajwar et al. 2026, arXiv 2602.02710)."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.spaces import COEFFICIENT

_PAPER = "MaxRL, arXiv 2602.02710"
_SKYRL = "SkyRL, compute_maxrl_advantage with its default loss"


class MaxRl(Grpo):
    """MaxRL: returns relative to their mean, so that a rare success weighs as much as its likelihood's gradient.

        A_k  = (R_k - mean R) / (mean |R| + 1e-6)
        loss = sum_k sum_t [ - min(r_kt A_k, clip(r_kt, 1 - clip_low, 1 + clip_high) A_k) ] / sum_k n_k

    A named setting of `grpo`. For returns of 0 and 1, the paper's, it is 1 / (success rate) times REINFORCE with a mean
    baseline: the gradient of log(success rate). Source: SkyRL. The paper divides by mean R, which is the same where no
    return is negative; mean |R| is ours, so that elsewhere no advantage changes its sign.
    """

    summary: ClassVar[str] = "returns relative to their mean: REINFORCE on the logarithm of the success rate"
    label: ClassVar[str] = "MaxRL"
    confidence: ClassVar[str] = "high: read in the code of SkyRL; returns below zero are ours"

    beta: float = hyper(
        0.0, "weight of the KL penalty (k3) to the initial policy", source=_PAPER, ge=0, search=COEFFICIENT
    )
    aggregation: Literal["sequence", "token", "constant"] = hyper("token", "as in grpo", source=_SKYRL)
    advantage_scale: Literal["deviation", "mean"] = hyper("mean", "as in grpo", source=_PAPER)
