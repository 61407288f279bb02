"""The hybrid sampler of "Coverage Improvement and Fast Convergence of On-policy Preference Learning" (2601.08421)."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.plans import DesignPlan
from haepo_bench.results.columns import Column


class HybridDpoStandIn(Dpo):
    """Online DPO in whose groups a G-optimal design plays a part of the trajectories, reconstructed from an abstract.

        phi(s, a) = the features that the task shows of s, in a's block;   d = the rank of those within reach
        M(pi)     = E[ sum over an episode's steps of phi phi^T ]
        design    = the policy of greatest log det M; no episode has a greater expected sum of phi^T M^-1 phi than d
        batch     = of each group's K trajectories design_share * K (rounded) by the design, the others by the policy
        loss      = DPO's on all pairs of a group

    What the design plays does not depend on what the policy would do, so neither does how well pairs cover what can be
    done. It is computed from the task's moves and features, which no other method sees; returns are not used. The
    paper is on contextual bandits with a linear softmax policy, and its design is "preferential", for differences of
    features. Here policies are networks, and a function of the state alone, which cancels in differences, is in the
    span of these features: on bandits the design for the features is that for their differences. Source: the abstract,
    which names the sampler and gives no formula. Ours: that a design's and the policy's trajectories meet in one group,
    design_share, the extension to several steps (their information adds up), and the fixed reference, as the paper's
    on-policy DPO has it. Without a design (design_share 0) it is `dpo` with that reference. The design's steps are
    part of the budget; what they return is not part of `train_return`.
    """

    summary: ClassVar[str] = "online DPO on pairs of the policy's and a G-optimal design's trajectories"
    label: ClassVar[str] = "hybrid DPO (stand-in: sampler reconstructed)"
    footnote: ClassVar[str] = "hybrid DPO (stand-in): sampler reconstructed from an abstract; knows the task's moves"
    version: ClassVar[int] = 1
    reference: ClassVar[Literal["previous", "initial"]] = "initial"
    confidence: ClassVar[str] = "low: the loss is DPO's, the sampler is reconstructed from the abstract"
    columns: ClassVar[tuple[Column, ...]] = (
        *Dpo.columns,
        Column(
            "design_wins",
            "Wins of the design",
            "fraction",
            "of pairs of a design's and the policy's trajectory, in which the design's returns more; ties count half",
        ),
    )

    design_share: float = hyper(0.5, "share of each group's trajectories that the design plays", ge=0, lt=1)

    @property
    def design(self) -> DesignPlan | None:
        return DesignPlan(self.design_share) if self.design_share else None
