"""`SUITE.tuned.yaml`: settings that searches found; written by `tune`, reviewed by people, used by `run --tuned`."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from haepo_bench.errors import UserError
from haepo_bench.suite.document import parse
from haepo_bench.suite.loading import read_text
from haepo_bench.suite.problems import problems_of

FORMAT = 1
_KIND = "file of tuned settings"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FoundSettings(_Part):
    """A configuration that was chosen of all draws."""

    settings: dict[str, Any] = Field(description="hyper-parameters; all others are as the suite has them")
    score: float = Field(description="mean of the measure over the seeds that decided, over tasks or on one")
    replicate: int = Field(ge=0, description="in which it was drawn")
    trial: int = Field(ge=0, description="its number there, from 0")
    space_too_small: list[str] = Field(
        default=[], description="hyper-parameters that are at an edge of their space: it may end too early"
    )


class TunedAlgorithm(FoundSettings):
    """The settings found for one algorithm, one configuration for all tasks."""

    spaces: dict[str, dict[str, Any]] = Field(description="where it was searched")
    draws: int = Field(ge=1, description="configurations that were tried, over all replicates")
    failed: int = Field(ge=0, description="runs of these that the algorithm failed, which count with the least value")
    per_task: dict[str, FoundSettings] = Field(default={}, description="the configuration chosen for each task alone")


class TunedSearch(_Part):
    """How much was searched."""

    trials: int = Field(ge=1)
    seeds: int = Field(ge=1)
    final: int = Field(ge=1)
    replicates: list[int] = Field(min_length=1)
    measure: str


class TunedFile(_Part):
    """The whole file."""

    format: int = Field(ge=1, description="of this file")
    suite: str = Field(description="that was searched")
    declaration: str = Field(description="hash of the search, the claims and all that they depend on")
    search: TunedSearch = Field(description="how much was searched")
    algorithms: dict[str, TunedAlgorithm] = Field(description="what was found for each")


def read_tuned(path: Path, suite: str) -> TunedFile:
    """Reads a file of tuned settings.

    Args:
        suite: that they are to be used for.

    Raises:
        UserError: it cannot be read, is not such a file, or is of another suite; every problem with its line.
    """
    remedy = f"`haepo-bench tune` writes one: {suite}.tuned.yaml"
    document = parse(
        read_text(path, kind=_KIND), path.name, lambda line: f"{path.name}:{line}", kind=_KIND, remedy=remedy
    )
    if not isinstance(document.data, dict):
        raise UserError(f"is not a {_KIND}", where=path.name, remedy=remedy)
    version = document.data.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise UserError(
            f"was written by a newer version of haepo-bench (format {version})",
            where=path.name,
            remedy="install that version",
        )
    try:
        tuned = TunedFile.model_validate(document.data)
    except ValidationError as error:
        known = {problem.path for problem in document.problems}
        found = [problem for problem in problems_of(error, TunedFile) if problem.path not in known]
        raise document.error([*document.problems, *found]) from None
    if document.problems:
        raise document.error(document.problems)
    if tuned.suite != suite:
        raise UserError(
            f"holds the settings found for the suite '{tuned.suite}', not for '{suite}'",
            where=document.where(("suite",)),
            remedy=remedy,
        )
    return tuned
