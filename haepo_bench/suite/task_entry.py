"""A task in a suite file: what a user may write of it, with the meaning of every key."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, Strict, model_validator

from haepo_bench.suite.language_keys import with_keys
from haepo_bench.suite.local.reference import local_name
from haepo_bench.suite.scalars import FILES, EnvSteps, Episodes, Files, Name, Section, TaskId, suite_error

#: Evaluation episodes where a suite does not say.
DEFAULT_EPISODES = 20
#: Where a suite does not say how often to evaluate, a budget is divided into this many parts.
DEFAULT_MARKS = 20


class Budget(Section):
    """How long one run trains."""

    env_steps: EnvSteps = Field(description="training steps in the environment, per seed")


class EvaluationOptions(Section):
    """When and how long policies are evaluated. A task's own keys go before the suite's, key by key."""

    every: EnvSteps | None = Field(
        default=None,
        description=f"training steps between evaluations; a {DEFAULT_MARKS}th of the budget by default",
    )
    episodes: Episodes | None = Field(
        default=None,
        description=f"episodes of one evaluation; {DEFAULT_EPISODES} by default",
    )


def _in_an_address(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text) or set(text) & set("(),@"):
        raise suite_error(
            f"'{text}' cannot be part of a task's address", "use a name or path without spaces, brackets, commas and @"
        )
    return text


_AddressPart = Annotated[str, AfterValidator(_in_an_address)]


_Score = Annotated[float, Field(ge=-1e6, le=1e6)]


def _increasing(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise suite_error(f"the least return must be below the greatest, got {list(bounds)}", "write [least, greatest]")
    return bounds


WRAPPER_REMEDY = "write module:Class, of an installed module or of a Python file in the suite's folder"
_Wrapper = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]+:[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]


class OwnReferences(Section):
    """Returns between which a score is taken: score = (return - random) / (solved - random)."""

    random: float = Field(description="mean return of the uniformly random policy")
    solved: float = Field(description="return at which the task counts as solved")
    source: str = Field(default="the suite", min_length=1, max_length=1000, description="where they come from")

    @model_validator(mode="after")
    def _apart(self) -> "OwnReferences":
        if self.random == self.solved:
            raise suite_error("random and solved are the same return", "no score can be made of them")
        if self.solved < self.random:
            raise suite_error(
                f"solved ({self.solved:g}) is below random ({self.random:g}): returns are to be large",
                "swap the two, or let the environment return costs with a minus sign",
            )
        return self


class NormaliseOptions(Section):
    """What training normalises by running mean and variance, as Stable-Baselines3's VecNormalize; `{}` means both."""

    observations: bool = Field(default=True, description="by their mean and standard deviation")
    rewards: bool = Field(default=True, description="by the standard deviation of the discounted return")

    @model_validator(mode="after")
    def _something(self) -> "NormaliseOptions":
        if not (self.observations or self.rewards):
            raise suite_error("nothing is normalised", "remove normalise, or set one of the two to true")
        return self


class TaskEntry(Section):
    """One task. A bare string stands for `{id: string}`."""

    id: TaskId = Field(
        description="address, such as bandit/10-arm or gym/CartPole-v1 (haepo-bench list tasks), or a Python file of "
        "the suite's folder, such as ./maze.py, ./maze.py:make/7 or noise(./maze.py,0.5)"
    )
    name: Name | None = Field(
        default=None,
        description="name in the results, unique in the suite; the address where left out, of a file its name without "
        ".py and what is behind it, such as maze/7",
    )
    files: Files = Field(default=(), description=FILES)
    budget: Budget | None = Field(
        default=None, description="how long each run on it trains; the suite's budget where left out"
    )
    evaluation: EvaluationOptions = Field(
        default=EvaluationOptions(),
        description="when and how long policies are evaluated; keys left out are those of the suite",
    )
    time_limit: EnvSteps | None = Field(
        default=None,
        le=100_000,
        description="steps after which an episode is cut off; needed for environments that have no limit of their own; "
        "of a language task the most new tokens of a response",
    )
    model: _AddressPart | None = Field(
        default=None,
        description="language tasks: what learns, tiny (the default), a local folder or a name on the "
        "Hugging Face hub; {id: lm/arithmetic, model: gpt2} is {id: lm/arithmetic@gpt2}",
    )
    data: _AddressPart | None = Field(
        default=None,
        description="lm/preferences: a JSONL or Parquet file or a dataset on the Hugging Face hub; "
        "{id: lm/preferences, data: a.jsonl} is {id: lm/preferences/a.jsonl}",
    )
    kwargs: dict[str, Any] = Field(
        default={}, description="gymnasium environments and Python files: keyword arguments that they are made with"
    )
    wrappers: Annotated[tuple[_Wrapper, ...], Strict(False)] = Field(
        default=(),
        description="gymnasium environments: what goes around them, the innermost first, as module:Class of an "
        "installed module or of a Python file of the suite's folder",
    )
    normalise: NormaliseOptions | None = Field(
        default=None,
        description="all but language tasks: what training normalises by running statistics, each seed by its own, the "
        "same for all algorithms; evaluation freezes the statistics and reports raw returns",
    )
    references: OwnReferences | None = Field(
        default=None,
        description="returns that scores are made of, where the program knows none (haepo-bench references TASK "
        "measures the random one)",
    )
    bounds: Annotated[tuple[float, float], Strict(False), AfterValidator(_increasing)] | None = Field(
        default=None,
        description="least and greatest return that an episode can have, where the program knows none: claims need "
        "them",
    )
    reward_model: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="lm/preferences: the reward of training, a sequence classifier with one label; a local folder or a "
        "name on the Hugging Face hub",
    )
    gold_model: Annotated[str, Field(min_length=1)] | None = Field(
        default=None,
        description="lm/preferences: likewise, the reward of evaluation, never trained on; reward_model where left out",
    )

    clip: tuple[_Score, _Score] | None = Field(
        default=None,
        strict=False,
        description="[low, high] of the score: scores beyond count as these, so that verdicts on tasks whose returns "
        "have no known bounds are possible; claims are then about the clipped mean",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "TaskEntry":
        if self.references is not None and self.bounds is not None:
            low, high = self.bounds
            if not low <= self.references.random <= high:
                raise suite_error(
                    f"random ({self.references.random:g}) is outside of the bounds [{low:g}, {high:g}]",
                    "no episode returns that: correct references or bounds",
                )
        return self

    @property
    def aliases(self) -> tuple[str, ...]:
        """What the rest of the suite may call it, its name in the results first, as far as the suite says it."""
        if self.name is not None:
            return (self.name,)
        own = local_name(self.address)
        return (self.address,) if own is None else (own, self.address)

    @property
    def address(self) -> str:
        """The id, with `data` and `model` in their places."""
        return with_keys(self.id, self.data, self.model)

    @property
    def options(self) -> dict[str, Any]:
        """What the task is made with beside its address and its time limit."""
        options = {
            "reward_model": self.reward_model,
            "gold_model": self.gold_model,
            "kwargs": self.kwargs or None,
            "wrappers": self.wrappers or None,
            "references": self.references and self.references.model_dump(),
            "bounds": self.bounds,
            "normalise": self.normalise and self.normalise.model_dump(),
        }
        return {name: value for name, value in options.items() if value is not None}
