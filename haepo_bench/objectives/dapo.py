"""DAPO: Decoupled clip and dynamic sampling (Yu et al. 2025, arXiv 2503.14476), its loss."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.spaces import COEFFICIENT

_PAPER = "DAPO, arXiv 2503.14476"


class Dapo(Grpo):
    """DAPO's loss: GRPO with a higher upper clip, every step weighing the same, and no KL penalty.

        loss = sum_k sum_t [ - min(r_kt A_k, clip(r_kt, 1 - 0.2, 1 + 0.28) A_k) ] / sum_k n_k

    A named setting of `grpo`. Source: arXiv 2503.14476; TRL, loss_type "dapo". Its dynamic sampling (groups with equal
    returns are drawn again) and its penalty on overlong answers belong to the data and are not part of this.
    """

    summary: ClassVar[str] = "DAPO's loss: GRPO with a higher upper clip and a mean over all steps"
    label: ClassVar[str] = "DAPO (loss)"
    confidence: ClassVar[str] = "high for the loss: read in the code of TRL; dynamic sampling is left out"

    clip_high: float = hyper(0.28, "ratios above 1 + clip_high are clipped", source=_PAPER, gt=0)
    beta: float = hyper(
        0.0, "weight of the KL penalty (k3) to the initial policy", source=_PAPER, ge=0, search=COEFFICIENT
    )
    aggregation: Literal["sequence", "token", "constant"] = hyper("token", "as in grpo", source=_PAPER)
