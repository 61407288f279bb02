"""RePO, Rephrasing Policy Optimization (arXiv 2602.10819), with a scripted expert in the place of the rephrasing."""

from typing import ClassVar

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.plans import RephrasingPlan
from haepo_bench.results.columns import Column


class RepoStandIn(Grpo):
    """RePO with a stand-in: where enough of a group fails, the task's expert plays in the place of its worst.

        o    = an episode from the group's start, each step the expert's with probability 1 - slip, else the policy's
        fail = share of the group's trajectories with R < R(o), or R < failed_return
        where fail >= failed_share, and o is better than the worst and no failure itself, o takes the worst's place
        loss = GRPO's on the groups that come of it; behaviour(a|s) of o's steps is that of the policy

    In the paper o is the policy's own answer to a prompt that shows it an expert's, in its own words, and its old
    log-probabilities are taken without that prompt. Policies of these tasks read no prompts, and the slips are all that
    o has of the policy. So this is not RePO itself, and no claim about RePO follows from it. Source: two independent
    notes on the paper; `failed_share`, `failed_return` and `slip` are ours, and so is the entropy bonus. One o is
    played for every group and batch; its steps are part of the budget, its return is not part of `train_return`.
    """

    summary: ClassVar[str] = "GRPO in which a scripted expert's episode replaces the worst of a group that fails"
    label: ClassVar[str] = "RePO (stand-in: scripted expert)"
    footnote: ClassVar[str] = "RePO (stand-in): sees an expert's episode in every batch; nothing is rephrased"
    shares_start: ClassVar[bool] = True
    wants_expert: ClassVar[bool] = True
    confidence: ClassVar[str] = "low: a scripted expert plays where the paper's policy rephrases; the loss is GRPO's"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("rephrased_share", "Rephrased groups", "", "share of the groups whose worst trajectory was replaced"),
    )

    failed_share: float = hyper(0.5, "share of a group's trajectories that must fail", gt=0, le=1)
    failed_return: float | None = hyper(None, "returns below it are failures; null: below that of the expert's episode")
    slip: float = hyper(0.1, "probability of a step of the expert's episode that the policy takes itself", ge=0, le=1)

    @property
    def rephrasing(self) -> RephrasingPlan:
        return RephrasingPlan(self.failed_share, self.failed_return, self.slip)
