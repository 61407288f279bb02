"""IIB-LPO (arXiv 2601.05870): its loss and its branching, with the return where the paper has a score of its own."""

from typing import ClassVar

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.plans import BranchingPlan
from haepo_bench.results.columns import Column


class IibLpoStandIn(Grpo):
    """IIB-LPO without its latent variable: trajectories branch where the policy is least sure, and the best are kept.

        t*   = the step of a trajectory at which the policy's entropy was highest
        fork = `branches` further trajectories with its first t* steps, and the policy's own from there on
        keep = of a group's K trajectories and K branches the K of highest return
        loss = GRPO's on those, minus advantage_entropy_coefficient * mean over all steps of A_k H_kt

    In the paper a branch is drawn with a latent variable of a conditional variational autoencoder, and the best are
    those of an information bottleneck's score, I(reasoning; answer) - beta I(question; reasoning). Neither is here:
    branches differ by the policy's own draws, and the score is the return. So this is not IIB-LPO itself, and no claim
    about it follows. Source: the authors' code for the loss, a note on the paper for the rest; `branches` and the
    entropy bonus are ours. Small policies and language models branch alike. Steps that branches share count once; what
    branches return is not part of `train_return`.
    """

    summary: ClassVar[str] = "GRPO whose trajectories branch at their step of highest entropy; the best are kept"
    label: ClassVar[str] = "IIB-LPO (stand-in: no latent variable, score = return)"
    footnote: ClassVar[str] = "IIB-LPO (stand-in): branches are the policy's own draws, kept by their return"
    shares_start: ClassVar[bool] = True
    discrete_only: ClassVar[bool] = True
    confidence: ClassVar[str] = "low: the loss is the authors', the latent variable and the score are missing"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("branch_share", "Branches kept", "", "share of the batch's trajectories that are branches"),
    )

    branches: int = hyper(1, "branches of each trajectory", ge=1, le=64)
    advantage_entropy_coefficient: float = hyper(
        0.005, "weight of the advantage-weighted entropy (mean over all steps of A_k H_kt)", source="its code", ge=0
    )

    @property
    def branching(self) -> BranchingPlan:
        return BranchingPlan(self.branches)
