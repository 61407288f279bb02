"""H-DPO: Entropy Controllable DPO (Omura et al. 2024, arXiv 2411.07595), online."""

from typing import ClassVar

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.dpo import Dpo


class HDpo(Dpo):
    """H-DPO: DPO whose implicit KL has its entropy part scaled, so that the optimum is sharper (alpha < 1) or flatter.

        h_wl = beta * [ alpha * (L_w - L_l) - (Lref_w - Lref_l) ],   loss = mean over pairs of - log sigma(h_wl)
        pi*  ~ ref^(1 / alpha) exp(r / (alpha beta))

    A named setting of `dpo`, which it is at alpha 1. Source: third-party code and the derivation, which agree.
    """

    summary: ClassVar[str] = "online DPO with control of entropy"
    label: ClassVar[str] = "online H-DPO, oracle pairs"
    confidence: ClassVar[str] = "medium: third-party code and derivation agree; of the paper the abstract was read"

    alpha: float = hyper(0.9, "factor of the entropy part of the KL; 1 is DPO", source="ours; the paper: near 1", gt=0)
