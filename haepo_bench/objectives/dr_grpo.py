"""Dr. GRPO: "GRPO done right" (Liu et al. 2025, arXiv 2503.20783)."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.spaces import COEFFICIENT

_PAPER = "Dr. GRPO, arXiv 2503.20783"


class DrGrpo(Grpo):
    """Dr. GRPO: GRPO without its divisions by a trajectory's length and by the group's standard deviation.

        A_k  = R_k - mean R
        loss = 1 / (K T_max) sum_k sum_t [ - min(r_kt A_k, clip(r_kt, 1 - clip_low, 1 + clip_high) A_k) ]

    A named setting of `grpo`. Source: sail-sg/understand-r1-zero, train_zero_math.py; TRL, loss_type "dr_grpo". T_max
    is a constant: the task's horizon (ours, in place of the longest completion). Returns keep their scale.
    """

    summary: ClassVar[str] = "GRPO without length and deviation in its denominators"
    label: ClassVar[str] = "Dr. GRPO"
    confidence: ClassVar[str] = "high: read in the authors' code and in TRL"

    beta: float = hyper(
        0.0, "weight of the KL penalty (k3) to the initial policy", source=_PAPER, ge=0, search=COEFFICIENT
    )
    aggregation: Literal["sequence", "token", "constant"] = hyper("constant", "as in grpo", source=_PAPER)
    scale_advantages: bool = hyper(False, "divide by the group's standard deviation of returns", source=_PAPER)
