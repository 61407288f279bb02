"""DFPO (arXiv 2602.05890): PPO whose critic learns the distribution of the return as a flow; reconstructed."""

from typing import ClassVar

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.ppo import Ppo


class DfpoReconstructed(Ppo):
    """PPO's loss, with values that are the means of a flow.

        V(s) = E over eps ~ N(0, 1) of [eps + v(eps, 0, s)],   A by generalised advantage estimation on V
        loss = PPO's, without its value loss, + the flow's: anchor, bootstrapped, and straightness

    The flow and its losses: below. Of DFPO the abstract is known, which names a return distribution as a flow,
    bootstrapped targets, weights by uncertainty and consistency of paths, and gives no formula. The formulas are those
    of Value Flows (arXiv 2510.07650), whose code is public; what neither has is ours, and said to be. Not here: its
    conditional risk, and its terms for the tails of the distribution.
    """

    summary: ClassVar[str] = "PPO with a critic that learns the distribution of the return as a flow"
    label: ClassVar[str] = "DFPO (reconstructed)"
    footnote: ClassVar[str] = (
        "DFPO: reconstructed from the public abstract by way of Value Flows, not the authors' code"
    )
    confidence: ClassVar[str] = "low: of DFPO the abstract alone; the critic's losses are those of Value Flows' code"

    vf_coef: float = hyper(0.0, "weight of the squared loss of V beside the flow's losses", ge=0)
