"""A search at equal cost as it was declared: stored with the plan of `tune`, and part of its declaration.

A replicate is one whole search of one algorithm. Its configurations share the replicate's tuning seeds, and what it
chose is trained again on a seed of its own. All seeds follow from the replicate's number: those of two replicates, of
tuning and of re-training, and of a suite's own runs are never the same.
"""

import re
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from haepo_bench.objectives.spaces import Space

#: Measures of claims (verdicts/claims.py) that can be searched for.
Measure = Literal["area", "final_score", "exploration", "reward_alignment", "not_collapsed"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

#: Folder of a suite's search, in the suite's; a store of its own.
SEARCH_FOLDER = "search"
#: What follows the name of a suite whose runs have the settings that a search found.
TUNED = "-tuned"
MAX_TRIALS = 1000
MAX_REPLICATES = 1_000_000
MAX_TUNING_SEEDS = 100
#: Configurations of all replicates that come into question for the settings found, and the seeds that decide.
FINALISTS = 8
DECIDING_SEEDS = 8

#: Seeds of searches begin here: a suite's own are below.
FIRST_SEED = 1_000_000_000
_FINAL, _OWN, _DECIDING = 2_000_000_000, 2_100_000_000, 3_000_000_000
#: Every seed of a search is below.
END_OF_SEEDS = 3_000_000_000 + MAX_TUNING_SEEDS


class DeclaredSearch(BaseModel):
    """How every algorithm of a suite is searched.

    Args:
        trials: configurations of a replicate.
        seeds: tuning seeds that each of them is trained on, per task.
        final: seeds that what was chosen is trained on again.
        replicates: numbers of the replicates, in order.
        measure: what is searched for.
        spaces: {algorithm: {hyper-parameter: space as the suite has it}}; an algorithm without any is not searched.
        published: algorithms that are shown with the settings that others tuned, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    trials: int = Field(ge=1, le=MAX_TRIALS)
    seeds: int = Field(ge=1, le=MAX_TUNING_SEEDS)
    final: int = Field(default=1, ge=1, le=1)
    replicates: list[Annotated[int, Field(ge=0, lt=MAX_REPLICATES)]] = Field(min_length=1)
    measure: Measure
    spaces: dict[str, dict[str, dict[str, Any]]]
    published: list[str] = Field(default=[])

    @field_validator("replicates")
    @classmethod
    def _each_once(cls, replicates: list[int]) -> list[int]:
        if len(set(replicates)) < len(replicates):
            raise ValueError("names a replicate more than once")
        return replicates

    @field_validator("spaces")
    @classmethod
    def _all_spaces(cls, spaces: dict[str, dict[str, dict[str, Any]]]) -> dict[str, dict[str, dict[str, Any]]]:
        for algorithm, own in spaces.items():
            for key, document in own.items():
                try:
                    Space.of(document)
                except ValueError as error:
                    raise ValueError(f"{algorithm}.{key}: {error}") from None
        return spaces

    @property
    def document(self) -> dict[str, Any]:
        """What a declaration says of it: not the number of replicates, which may grow as that of seeds may."""
        return self.model_dump(mode="json", exclude={"replicates", "published"})

    def spaces_of(self, algorithm: str) -> dict[str, Space]:
        """Where an algorithm is searched: {hyper-parameter: space}."""
        return {key: Space.of(document) for key, document in self.spaces[algorithm].items()}

    def trial(self, algorithm: str) -> "Trial | str":
        """The trial that a cell's algorithm stands for, or the algorithm itself."""
        name, _, rest = algorithm.rpartition(".")
        name, _, replicate = name.rpartition(".")
        if name in self.spaces and replicate.isdecimal() and rest.isdecimal():
            return Trial(name, int(replicate), int(rest))
        return algorithm


class Trial(NamedTuple):
    """One configuration of a replicate.

    Args:
        number: in its replicate, from 0.
    """

    algorithm: str
    replicate: int
    number: int

    @property
    def name(self) -> str:
        """What it is called in plans and results, such as `grpo.12.3`."""
        return f"{self.algorithm}.{self.replicate}.{self.number}"


def published_name(algorithm: str) -> str:
    """What an algorithm is called that has the settings which others tuned."""
    return f"{algorithm}.published"


def per_task_name(algorithm: str) -> str:
    """What an algorithm is called that has the settings chosen for each task."""
    return f"{algorithm}.per-task"


def default_name(algorithm: str) -> str:
    """What an algorithm's default settings are called beside its searches."""
    return f"{algorithm}.default"


def made_of(name: str, searched: str) -> bool:
    """Whether the search of an algorithm gives a row of its own this name."""
    rows = {make(searched) for make in (default_name, per_task_name, published_name)}
    return name in rows or re.fullmatch(re.escape(searched) + r"\.[0-9]+\.[0-9]+", name) is not None


def tuning_seeds(replicate: int, n: int) -> tuple[int, ...]:
    """Those of a replicate: the first `n` of `MAX_TUNING_SEEDS`, so that fewer seeds are the first of more."""
    first = FIRST_SEED + replicate * MAX_TUNING_SEEDS
    return tuple(range(first, first + n))


def final_seed(replicate: int) -> int:
    """On which the replicate's choice for all tasks is trained again, and the default settings beside it."""
    return _FINAL + replicate


def own_seed(replicate: int) -> int:
    """On which the replicate's choice for a single task is trained again."""
    return _OWN + replicate


def deciding_seeds() -> tuple[int, ...]:
    """On which the finalists of all replicates are compared."""
    return tuple(range(_DECIDING, _DECIDING + DECIDING_SEEDS))
