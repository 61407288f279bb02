"""How algorithms are tuned at equal cost: the section `search` of a suite file."""

import json
from math import isfinite
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, model_validator

from haepo_bench.objectives.spaces import Kind, Space
from haepo_bench.results.searches import MAX_REPLICATES, MAX_TRIALS, MAX_TUNING_SEEDS, Measure
from haepo_bench.suite.scalars import Section, each_once, suite_error, whole

#: Hyper-parameters of an algorithm that are searched at most.
MOST_SEARCHED = 5
_MAX_LISTED = 10_000

DEFAULT_TRIALS = 8
DEFAULT_SEEDS = 2
DEFAULT_REPLICATES = 30


def _replicate_list(value: Any) -> Any:
    value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= _MAX_LISTED:
            raise suite_error(f"must be between 1 and {_MAX_LISTED:,} replicates, got {value}")
        return list(range(value))
    if not isinstance(value, list):
        raise suite_error("must be a number of replicates or a list of them", "replicates: 30 means 0 to 29")
    return [whole(each) for each in value]


def _some(spaces: "dict[str, SpaceKeys]") -> "dict[str, SpaceKeys]":
    if len(spaces) > MOST_SEARCHED:
        raise suite_error(
            f"at most {MOST_SEARCHED} hyper-parameters of an algorithm are searched, got {len(spaces)}",
            "search those that matter most, and set the others under params",
        )
    return spaces


def _choice(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not isfinite(value)):
        raise suite_error(f"choices are finite numbers, texts, true or false, got {json.dumps(value, default=str)}")
    return value


_Range = Annotated[tuple[float, float], Strict(False)]
_Choice = Annotated[bool | int | float | str, BeforeValidator(_choice)]
_Trials = Annotated[int, Field(ge=1, le=MAX_TRIALS)]
_TuningSeeds = Annotated[int, Field(ge=1, le=MAX_TUNING_SEEDS)]
_Number = Annotated[int, Field(ge=0, le=MAX_REPLICATES - 1)]
_Replicates = Annotated[
    tuple[_Number, ...],
    Strict(False),
    Field(min_length=1, max_length=_MAX_LISTED),
    BeforeValidator(
        _replicate_list,
        json_schema_input_type=Annotated[int, Field(ge=1, le=_MAX_LISTED)]
        | Annotated[list[_Number], Field(min_length=1)],
    ),
    each_once("replicate"),
]


class SpaceKeys(Section):
    """Where one hyper-parameter is searched: one of these keys."""

    log: _Range | None = Field(default=None, description="[least, greatest], uniform in the logarithm")
    uniform: _Range | None = Field(default=None, description="[least, greatest]")
    zero_or_log: _Range | None = Field(
        default=None, description="0, which is as likely as one decade, or uniform in the logarithm between the ends"
    )
    choices: Annotated[tuple[_Choice, ...], Strict(False)] | None = Field(
        default=None, description="a list of at least two values"
    )

    @model_validator(mode="after")
    def _one_space(self) -> "SpaceKeys":
        keys = list(type(self).model_fields)
        said = [key for key in keys if getattr(self, key) is not None]
        if len(said) != 1:
            raise suite_error("a space is one of log, uniform, zero_or_log and choices", "such as {log: [1e-4, 1e-2]}")
        try:
            Space.of({said[0]: list(getattr(self, said[0]))})
        except ValueError as error:
            example = "{choices: [1, 2, 4]}" if said[0] == "choices" else f"{{{said[0]}: [1e-4, 1e-2]}}"
            raise suite_error(str(error), f"such as {example}") from None
        return self

    @property
    def space(self) -> Space:
        """What it says."""
        kinds: tuple[Kind, ...] = ("log", "uniform", "zero_or_log", "choices")
        kind = next(each for each in kinds if getattr(self, each) is not None)
        return Space(kind, getattr(self, kind))


class Search(Section):
    """How `haepo-bench tune` searches: every algorithm alike. No run of the suite itself depends on it."""

    trials: Annotated[_Trials, BeforeValidator(whole, json_schema_input_type=_Trials)] = Field(
        default=DEFAULT_TRIALS, description=f"configurations of one search; {DEFAULT_TRIALS} by default"
    )
    seeds: Annotated[_TuningSeeds, BeforeValidator(whole, json_schema_input_type=_TuningSeeds)] = Field(
        default=DEFAULT_SEEDS,
        description=f"tuning seeds that each configuration is trained on, on every task; {DEFAULT_SEEDS} by default",
    )
    # Not Literal[1], which true would equal.
    final: Annotated[int, Field(ge=1, le=1)] = Field(
        default=1,
        description="seeds of its own that what a search chose is trained on again: 1, so that the score is one draw "
        "of this algorithm with this much search",
    )
    replicates: _Replicates = Field(
        default=tuple(range(DEFAULT_REPLICATES)),
        description="how often each search is repeated: a number n for the replicates 0 to n-1, or a list of numbers. "
        f"Their scores are the sample of every claim at equal search; {DEFAULT_REPLICATES} by default",
    )
    measure: Measure = Field(
        default="area",
        description="what is searched for, the measure of a claim, as a mean over tasks; area by default",
    )
    spaces: dict[str, Annotated[dict[str, SpaceKeys], AfterValidator(_some)]] = Field(
        default={},
        description="where an algorithm, named as in claims, is searched in place of the spaces that describe shows: "
        "hyper-parameter to space. One without any ({}) is not searched",
    )
