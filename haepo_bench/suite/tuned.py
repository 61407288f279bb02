"""`SUITE.tuned.yaml`: settings that searches found; written by `tune`, reviewed by people, used by `run --tuned`."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from haepo_bench.errors import UserError, did_you_mean
from haepo_bench.objectives.spaces import Space
from haepo_bench.results.searches import Measure, Trial, made_of
from haepo_bench.suite.document import Document, KeyPath, Problem, parse
from haepo_bench.suite.draws import draw
from haepo_bench.suite.loading import read_text
from haepo_bench.suite.local.reference import is_file
from haepo_bench.suite.problems import problems_of

#: 2: files of format 1 do not say what an algorithm was, nor what the suite set itself.
FORMAT = 2
_KIND = "file of tuned settings"
_AS_WRITTEN = "take it from the file as `haepo-bench tune` wrote it"
_OWN = "settings of your own go under params in the suite"


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

    uses: str = Field(default="", description="what the algorithm was: its name in the catalogue, or its file")
    params: dict[str, dict[str, Any]] = Field(
        default={}, description="by task that it was searched on, the hyper-parameters that the suite set itself"
    )
    spaces: dict[str, dict[str, Any]] = Field(description="where it was searched")
    draws: int = Field(ge=1, description="configurations that were tried, over all replicates")
    failed: int = Field(ge=0, description="runs of these that the algorithm failed, which count with the least value")
    no_assay: list[str] = Field(
        default=[], description="tasks that had no say: nearly all configurations of all replicates were at one end"
    )
    per_task: dict[str, FoundSettings] = Field(default={}, description="the configuration chosen for each task alone")


class TunedSearch(_Part):
    """How much was searched."""

    trials: int = Field(ge=1)
    seeds: int = Field(ge=1)
    final: int = Field(ge=1, le=1)
    replicates: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    measure: Measure
    tasks: dict[str, Annotated[int, Field(ge=1)]] = Field(default={}, description="env steps of a run on each task")
    task_hashes: dict[str, str] = Field(default={}, description="of what each task is and is made with")


class TunedFile(_Part):
    """The whole file."""

    format: int = Field(ge=1, description="of this file")
    suite: str = Field(description="that was searched")
    declaration: str = Field(min_length=1, description="hash of the search, the claims and all that they depend on")
    search: TunedSearch = Field(description="how much was searched")
    algorithms: dict[str, TunedAlgorithm] = Field(description="what was found for each")


class ReadTuned(NamedTuple):
    """A file of tuned settings, and where everything stands in it."""

    file: TunedFile
    document: Document

    def check_algorithms(self, uses: Mapping[str, str]) -> None:
        """Whether a suite has its algorithms, and means the same by their names.

        Args:
            uses: of every algorithm of the suite, its name in the catalogue, or its file.

        Raises:
            SuiteError: names those of which that is not so.
        """
        problems = []
        for name, found in self.file.algorithms.items():
            path: KeyPath = ("algorithms", name)
            if name not in uses:
                problem = f"the suite has no algorithm '{name}'; what a search draws follows from the name"
                problems.append(Problem(path, problem, did_you_mean(name, list(uses), kind="algorithm")))
            elif found.uses not in ("", uses[name]):
                problem = f"{name} of the suite is {uses[name]}, and {found.uses} was searched"
                renamed = "say here what its file is called now" if is_file(found.uses) and is_file(uses[name]) else ""
                remedy = f"search again with `haepo-bench tune`, or {renamed or f'call {uses[name]} otherwise'}"
                problems.append(Problem((*path, "uses"), problem, remedy))
        if problems:
            raise self.document.error(problems)

    def check(self, own_params: Mapping[str, Mapping[str, Mapping[str, Any]]], searched: Collection[str]) -> None:
        """Whether it can be used with a suite as that is now.

        Args:
            own_params: {algorithm of the suite: {task that it is run on: hyper-parameters that the suite sets itself}}.
            searched: the algorithms that the suite searches.

        Raises:
            SuiteError: it names what the suite has set itself, or lacks what the suite searches.
        """
        problems: list[Problem] = []
        for name, found in self.file.algorithms.items():
            path = ("algorithms", name)
            problems += _changed(self.file, name)
            for other in own_params:
                if made_of(other, name):
                    problem = f"'{other}' of the suite is what a row of {name} is called, which the search made"
                    problems.append(Problem(path, problem, "give that algorithm of the suite another name"))
            here = own_params.get(name, {})
            fixed = {key for params in here.values() for key in params}
            for key in found.settings:
                if key in fixed:
                    problem = f"{name} has {key} under params in the suite, so it is not searched"
                    problems.append(Problem((*path, "settings", key), problem, f"remove {key} there, or search again"))
            for task in found.per_task:
                # One that the suite has no more is noted: nothing here depends on it.
                if task not in here and task not in self.file.search.tasks:
                    remedy = did_you_mean(task, list(here), kind="task")
                    problem = f"neither the search nor the suite has the task '{task}'"
                    problems.append(Problem((*path, "per_task", task), problem, remedy))
        for name in searched:
            if name not in self.file.algorithms:
                problem = f"has no settings of {name}, which the suite searches"
                problems.append(Problem(("algorithms",), problem, "`haepo-bench tune`, until all searches have ended"))
        if problems:
            raise self.document.error(problems)


def _not_drawn(tuned: TunedFile) -> Iterator[Problem]:
    """Settings that cannot have come out of the search that the file says."""
    for name, found in tuned.algorithms.items():
        path: KeyPath = ("algorithms", name)
        spaces: dict[str, Space] = {}
        for key, document in found.spaces.items():
            try:
                spaces[key] = Space.of(document)
            except ValueError as error:
                yield Problem((*path, "spaces", key), str(error), "such as {log: [1e-4, 1e-2]}")
        if spaces.keys() != found.spaces.keys():
            continue
        for where, own in _settings(name, found):
            if (wrong := _no_trial(own, tuned.search)) is not None:
                yield Problem((*where, wrong), f"{getattr(own, wrong)} is none of the search", _AS_WRITTEN)
            for key in spaces.keys() - own.settings.keys():
                yield Problem((*where, "settings"), f"lacks {key}, for which {name} was searched", _AS_WRITTEN)
            for key, value in own.settings.items():
                at: KeyPath = (*where, "settings", key)
                if key not in spaces:
                    yield Problem(at, f"{name} was not searched for '{key}'", did_you_mean(key, list(spaces)) or _OWN)
                elif not spaces[key].holds(value):
                    yield Problem(at, f"{json.dumps(value)} is not in the space of {key}, {spaces[key]}", _OWN)


def _changed(tuned: TunedFile, name: str) -> Iterator[Problem]:
    """Settings of an algorithm that are not those of the trial that the file says."""
    found = tuned.algorithms[name]
    spaces = {key: Space.of(document) for key, document in found.spaces.items()}
    for where, own in _settings(name, found):
        drawn = draw(tuned.suite, Trial(name, own.replicate, own.trial), spaces)
        for key, value in own.settings.items():
            if value != drawn[key]:
                problem = f"{json.dumps(value)} was not drawn: trial {own.trial} of replicate {own.replicate} has "
                yield Problem((*where, "settings", key), f"{problem}{json.dumps(drawn[key])}", _OWN)


def _settings(name: str, found: TunedAlgorithm) -> list[tuple[KeyPath, FoundSettings]]:
    """The settings found for an algorithm, for all tasks and for each, and where they stand."""
    path: KeyPath = ("algorithms", name)
    return [(path, found), *(((*path, "per_task", task), own) for task, own in found.per_task.items())]


def _no_trial(found: FoundSettings, search: TunedSearch) -> Literal["replicate", "trial"] | None:
    """The key that names no trial of the search; None where both do."""
    if found.replicate not in search.replicates:
        return "replicate"
    return None if found.trial < search.trials else "trial"


def refuse_newer(document: Mapping[Any, Any], where: str) -> None:
    """Leaves files of tuned settings alone whose format is yet to come.

    Raises:
        UserError: it is one.
    """
    version = document.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise UserError(
            f"was written by a newer version of haepo-bench (format {version})",
            where=where,
            remedy="install that version",
        )


def read_tuned(path: Path, suite: str) -> ReadTuned:
    """Reads a file of tuned settings.

    Args:
        suite: that they are to be used for.

    Raises:
        UserError: it cannot be read, is not such a file, or is of another suite; every problem with its line.
    """
    remedy = f"`haepo-bench tune` writes one: {suite}.tuned.yaml"
    if not path.exists():
        raise UserError("is not there", where=str(path), remedy=remedy)
    document = parse(
        read_text(path, kind=_KIND), path.name, lambda line: f"{path.name}:{line}", kind=_KIND, remedy=remedy
    )
    if not isinstance(document.data, dict) or "format" not in document.data:
        raise UserError(f"is not a {_KIND}", where=path.name, remedy=remedy)
    refuse_newer(document.data, path.name)
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
    if problems := list(_not_drawn(tuned)):
        raise document.error(problems)
    return ReadTuned(tuned, document)
