"""OPO: On-Policy RL with Optimal reward baseline (Hao et al. 2025, arXiv 2505.23585)."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.spaces import COEFFICIENT

_PAPER = "OPO, arXiv 2505.23585"


class Opo(Grpo):
    """OPO: the baseline that minimises the variance of the gradient, if its square grows with a trajectory's length.

        A_k  = R_k - sum_j n_j R_j / sum_j n_j
        loss = sum_k sum_t [ - min(r_kt A_k, clip(r_kt, 1 - clip_low, 1 + clip_high) A_k) ] / sum_k n_k

    A named setting of `grpo`. Source: verl, compute_opo_outcome_advantage with its default loss. The paper takes one
    gradient step per batch, where ratios are 1 and nothing clips. Returns keep their scale.
    """

    summary: ClassVar[str] = "GRPO with the baseline weighed by length that minimises the gradient's variance"
    label: ClassVar[str] = "OPO"
    confidence: ClassVar[str] = "high: read in the code of verl"

    beta: float = hyper(
        0.0, "weight of the KL penalty (k3) to the initial policy", source=_PAPER, ge=0, search=COEFFICIENT
    )
    aggregation: Literal["sequence", "token", "constant"] = hyper("token", "as in grpo", source="verl's default")
    scale_advantages: bool = hyper(False, "divide by the group's standard deviation of returns", source=_PAPER)
    baseline: Literal["mean", "length"] = hyper("length", "as in grpo", source=_PAPER)
