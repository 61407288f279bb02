"""The mapping file of an import: which files hold which runs, and what their columns mean.

In words: docs/how-to/import.md.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError
from pydantic import model_validator as validates

from haepo_bench.errors import UserError
from haepo_bench.results.record import References
from haepo_bench.suite.document import Document, parse
from haepo_bench.suite.loading import read_text
from haepo_bench.suite.problems import problems_of
from haepo_bench.tasks.address import canonical

KIND = "mapping"
REMEDY = "docs/how-to/import.md has examples of mapping files"

Format = Literal[
    "csv", "jsonl", "trainer-state", "monitor", "evaluations", "tensorboard", "rllib", "spinning-up", "mlflow"
]

NAME_PATTERN = r"^[A-Za-z0-9._-]+$"
TASK_PATTERN = r"^[!-~]+(, +[!-~]+)*$"
MAX_SEED = 2**63 - 1
#: Short names of our columns.
_SHORT = {"return": "eval_return", "step": "env_steps", "steps": "env_steps"}


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_path(name: str) -> str:
    if name in {".", ".."}:
        raise ValueError(f"'{name}' is a folder, not a name")
    return name


Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=64), AfterValidator(_no_path)]
TaskId = Annotated[str, Field(pattern=TASK_PATTERN, max_length=100), AfterValidator(canonical)]
Steps = Annotated[int, Field(ge=1, le=10**12), BeforeValidator(_whole)]
ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @validates(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class ReferenceOptions(_Section):
    """Fixed returns that a task's score is made with."""

    random: float = Field(allow_inf_nan=False, description="return of the uniformly random policy, score 0")
    solved: float = Field(allow_inf_nan=False, description="return of a solved task, score 1")
    source: str = Field(min_length=1, description="where the two numbers come from")

    @validates(mode="after")
    def _apart(self) -> "ReferenceOptions":
        self.references()
        return self

    def references(self) -> References:
        """As the run record holds them."""
        return References(random=self.random, solved=self.solved, source=self.source)


class TaskOptions(_Section):
    """One task: what all runs on it share."""

    budget: Steps | None = Field(default=None, description="env steps per run; the mapping's budget where left out")
    every: Steps | None = Field(
        default=None, description="env steps between evaluation points; the mapping's where left out"
    )
    references: ReferenceOptions | None = Field(
        default=None, description="random and solved returns; without them there are returns and no score"
    )


class InformationOptions(_Section):
    """What feedback the algorithm received, and what it needs."""

    told: Literal["per-step rewards", "returns", "oracle preferences"] = Field(description="what it learns from")
    critic: bool = Field(description="whether it learns a value function")
    discount: float | None = Field(default=None, ge=0, le=1, description="left out where returns are not discounted")


class AlgorithmOptions(_Section):
    """One algorithm: what all of its runs share."""

    uses: Name | None = Field(
        default=None, description="name in the catalogue of the algorithm that this is, such as ppo; else its own name"
    )
    label: str | None = Field(default=None, min_length=1, max_length=200, description="how tables name its kind")
    information: InformationOptions | None = Field(default=None, description="shown next to every result")
    parameters: dict[str, Any] = Field(default={}, description="hyper-parameters, as they should be recorded")
    code: str = Field(default="", max_length=200, description="what made the runs, such as a commit or a version")
    notes: Annotated[tuple[str, ...], Strict(False)] = Field(
        default=(), description="what a reader of the results should know"
    )


class Settings(_Section):
    """How files are read: keys of a mapping's source, and options of the command (`step_size` is `--step-size`)."""

    format: Format | None = Field(default=None, description="found out from the file where left out")
    columns: dict[ColumnName, Annotated[str, Field(min_length=1)]] = Field(
        default={}, description="our name to the name in the file: env_steps, eval_return, task, algorithm, seed, ..."
    )
    rename: dict[Annotated[str, Field(min_length=1)], str] = Field(
        default={}, description="algorithms and tasks as files or paths call them to the names that they get here"
    )
    step_size: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        default=1.0, description="env steps per unit of the file's steps"
    )
    window: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        default=None, description="logged returns that a return is the mean of; 100 for monitor files where left out"
    )
    policy: Literal["sampled", "greedy"] | None = Field(
        default=None, description="which policy was evaluated; greedy for evaluations files where left out"
    )
    start: Literal["random", "first", "error"] = Field(
        default="random",
        description="return at evaluation points before the first value: the random reference (else the first "
        "value), the first value, or none: an error",
    )
    short: Literal["interrupted", "hold", "error"] = Field(
        default="interrupted",
        description="what a run is that ends before the budget: interrupted, held at its last value, or an error",
    )
    nan: Literal["error", "diverged", "missing"] = Field(
        default="error", description="what a return that is NaN or infinite means"
    )
    repeated: Literal["error", "first", "last", "mean"] | None = Field(
        default=None, description="which of several values at one step counts; last for event files where left out"
    )
    resumed: Literal["error", "continued", "restarted"] = Field(
        default="error",
        description="where steps go back, or a run is in several files: an error, or a run that was resumed, its steps "
        "continued (what was logged from there on is forgotten) or restarted from 0 (added to those before)",
    )
    decimal: Literal[".", ","] | None = Field(
        default=None, description="decimal sign of numbers in text; says that they may have thousands separators"
    )

    @validates(mode="before")
    @classmethod
    def _with_full_names(cls, data: Any) -> Any:
        columns = data.get("columns") if isinstance(data, dict) else None
        if not isinstance(columns, dict):
            return data
        full = [_SHORT.get(name, name) for name in columns]
        if len(set(full)) < len(full):
            raise ValueError("columns names one of our columns twice: return is eval_return, steps is env_steps")
        return {**data, "columns": dict(zip(full, columns.values(), strict=True))}


class Source(Settings):
    """Files of one kind."""

    files: str = Field(
        min_length=1,
        description="path pattern relative to the mapping file: * and **, and {task}, {algorithm}, {seed} or "
        "any {name} for parts to be used",
    )
    task: str | None = Field(default=None, description="the task's address; may use {name}s of the pattern")
    algorithm: str | None = Field(default=None, description="the algorithm's name; may use {name}s of the pattern")
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | str | None = Field(
        default=None, description="the seed; may use {name}s of the pattern"
    )


class Mapping(_Section):
    """A mapping file."""

    suite: Name = Field(description="name of the suite, and of its folder in the results")
    description: str = Field(default="", max_length=10_000, description="what the runs are")
    budget: Steps | None = Field(default=None, description="env steps per run; where its runs end if they all do there")
    every: Steps | None = Field(
        default=None,
        description="env steps between evaluation points; the files' own steps if all runs share them, else budget/20",
    )
    tasks: dict[TaskId, TaskOptions] = Field(default={}, description="task address to what its runs share")
    algorithms: dict[Name, AlgorithmOptions] = Field(default={}, description="name to what its runs share")
    sources: Annotated[tuple[Source, ...], Strict(False), Field(min_length=1)] = Field(
        description="list of file patterns with what is in the files"
    )


class LoadedMapping:
    """A valid mapping, the folder its patterns start from, and where its entries stand.

    Args:
        document: None where the command line says it all.
    """

    def __init__(self, mapping: Mapping, folder: Path, *, text: str = "", document: Document | None = None) -> None:
        self.mapping, self.folder, self.text, self._document = mapping, folder, text, document

    def where(self, *path: str | int) -> str:
        """Place of an entry, such as `mapping.yaml:12: sources[1].files`; empty for one from the command line."""
        return self._document.where(path) if self._document else ""


def load_mapping(path: Path) -> LoadedMapping:
    """Reads and validates a mapping file.

    Raises:
        UserError: it cannot be read, or is not a mapping; every problem with its line.
    """
    text, label = read_text(path, kind=KIND), path.name
    document = parse(text, label, lambda line: f"{label}:{line}", kind=KIND, remedy=REMEDY)
    if not isinstance(document.data, dict):
        raise UserError("a mapping file has the keys suite and sources", where=label, remedy=REMEDY)
    problems = list(document.problems)
    try:
        mapping = Mapping.model_validate(document.data)
    except ValidationError as error:
        known = {problem.path for problem in problems}
        problems += [problem for problem in problems_of(error, Mapping) if problem.path not in known]
    if problems:
        raise document.error(problems)
    return LoadedMapping(mapping, path.parent, text=text, document=document)


def is_name(text: str) -> bool:
    """Whether a text can be the name of an algorithm or a suite."""
    return bool(re.fullmatch(NAME_PATTERN.strip("^$"), text)) and text not in {".", ".."} and len(text) <= 64


def is_task(text: str) -> bool:
    """Whether a text can be the address of a task."""
    return bool(re.fullmatch(TASK_PATTERN.strip("^$"), text)) and len(text) <= 100
