"""RePO, Rephrasing Policy Optimization (arXiv 2602.10819): on language tasks, and with a scripted expert on others."""

from typing import ClassVar

from pydantic import field_validator

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.plans import RephrasingPlan
from haepo_bench.results.columns import Column

REPHRASING_PROMPT = (
    "{prompt}\n\nA correct answer:\n{demonstration}\n\n"
    "Give this answer in your own words, as if you had found it yourself. Write nothing but the answer."
)


class _Replacing(Grpo):
    """GRPO on groups whose worst trajectory gives way to another version."""

    shares_start: ClassVar[bool] = True
    wants_expert: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column("rephrased_share", "Rephrased groups", "", "share of the groups whose worst trajectory was replaced"),
    )

    failed_share: float = hyper(0.5, "share of a group's trajectories that must fail", gt=0, le=1)
    failed_return: float | None = hyper(None, "returns below it are failures; null: below that of the version")


class Repo(_Replacing):
    """RePO: where enough of a group fails, its worst response gives way to an expert's in the policy's own words.

        o    = the policy's answer to rephrasing_prompt, which shows it the prompt and an expert's response
        fail = share of the group's responses with R < R(o), or R < failed_return
        where fail >= failed_share, and o is better than the worst and no failure itself, o takes the worst's place
        loss = GRPO's on the groups that come of it; behaviour(a|s) of o's tokens is the policy's without that prompt

    On language tasks whose prompts all have an expert's response; one o is sampled for every prompt and batch, its
    tokens are part of the budget, and its reward is not part of `train_return`. It takes a model that does what prompts
    say: the tiny ones know only their task's characters, and cannot be asked. Source: two independent notes on the
    paper; the prompt, `failed_share`, `failed_return` and the entropy bonus are ours.
    """

    summary: ClassVar[str] = "GRPO in which the policy rephrases an expert's response where a group fails"
    label: ClassVar[str] = "RePO"
    footnote: ClassVar[str] = "RePO: the policy is shown an expert's response to every prompt of a batch"
    confidence: ClassVar[str] = "medium: two independent notes on the paper agree; the prompt and both bounds are ours"

    rephrasing_prompt: str = hyper(
        REPHRASING_PROMPT, "what the policy answers for o, with {prompt} and {demonstration} in it"
    )

    @field_validator("rephrasing_prompt")
    @classmethod
    def _shows_the_demonstration(cls, prompt: str) -> str:
        if "{demonstration}" not in prompt:
            raise ValueError("must have {demonstration} in it, for the expert's response, and may have {prompt}")
        return prompt

    @property
    def rephrasing(self) -> RephrasingPlan:
        return RephrasingPlan(self.failed_share, self.failed_return, prompt=self.rephrasing_prompt)


class RepoStandIn(_Replacing):
    """RePO with a stand-in: where enough of a group fails, the task's expert plays in the place of its worst.

        o    = an episode from the group's start, each step the expert's with probability 1 - slip, else the policy's
        fail = share of the group's trajectories with R < R(o), or R < failed_return
        where fail >= failed_share, and o is better than the worst and no failure itself, o takes the worst's place
        loss = GRPO's on the groups that come of it; behaviour(a|s) of o's steps is that of the policy

    In the paper o is the policy's own answer to a prompt that shows it an expert's, in its own words, and its old
    log-probabilities are taken without that prompt; on language tasks there is `repo`. Policies of these tasks read no
    prompts, and the slips are all that o has of the policy. So this is not RePO itself, and no claim about RePO follows
    from it. Source: two independent notes on the paper; `failed_share`, `failed_return` and `slip` are ours, and so is
    the entropy bonus. One o is played for every group and batch; its steps are part of the budget, its return is not
    part of `train_return`.
    """

    summary: ClassVar[str] = "GRPO in which a scripted expert's episode replaces the worst of a group that fails"
    label: ClassVar[str] = "RePO (stand-in: scripted expert)"
    footnote: ClassVar[str] = "RePO (stand-in): sees an expert's episode in every batch; nothing is rephrased"
    confidence: ClassVar[str] = "low: a scripted expert plays where the paper's policy rephrases; the loss is GRPO's"

    slip: float = hyper(0.1, "probability of a step of the expert's episode that the policy takes itself", ge=0, le=1)

    @property
    def rephrasing(self) -> RephrasingPlan:
        return RephrasingPlan(self.failed_share, self.failed_return, self.slip)
