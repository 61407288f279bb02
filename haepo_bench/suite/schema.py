"""The suite file: what a user may write, with the meaning of every key.

docs/reference/suite-reference.md has it key by key.

Names of algorithms and tasks and their hyper-parameters are checked later, against the catalogue (resolve.py).
"""

import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from haepo_bench.errors import did_you_mean
from haepo_bench.results.claims import (
    CLAIM_NAMES,
    DEFAULT_CANDIDATE,
    DEFAULT_MARGIN,
    DEFAULT_THRESHOLD,
    Dependence,
    Rule,
)
from haepo_bench.suite.document import GLUED
from haepo_bench.suite.language_keys import key_problems, with_keys
from haepo_bench.suite.local.reference import is_file, local_name
from haepo_bench.tasks.address import canonical

#: Evaluation episodes where a suite does not say.
DEFAULT_EPISODES = 20
#: Where a suite does not say how often to evaluate, a budget is divided into this many parts.
DEFAULT_MARKS = 20
DEFAULT_TIMEOUT = "1h"
DEFAULT_CHECKPOINT = "60s"

MAX_STEPS = 10**12
MAX_MARKS = 10_000
#: Stable-Baselines3 seeds NumPy's global generator, which takes 32 bits.
MAX_SEED = 2**32 - 1
MAX_SEEDS = 10_000
MAX_TIMEOUT_SECONDS = 30 * 86_400

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = r"[0-9]+(\.[0-9]+)?[smhd]"


def _error(message: str, remedy: str = "") -> PydanticCustomError:
    # The text goes in as values: PydanticCustomError would take braces in it for placeholders.
    return PydanticCustomError("suite", "{problem}", {"problem": message, "remedy": remedy})


def _errors_at(found: Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]) -> None:
    details: list[InitErrorDetails] = [{"type": error, "loc": place, "input": None} for place, error in found]
    if details:
        raise ValidationError.from_exception_data("Suite", details)


def _whole(value: Any) -> Any:
    # 1e6 is a whole number to everybody but the type system.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _no_path(name: str) -> str:
    if name in {".", ".."}:
        raise _error(f"'{name}' is a folder, not a name")
    return name


def _seed_list(value: Any) -> Any:
    value = _whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_SEEDS:
            raise _error(f"must be between 1 and {MAX_SEEDS:,} seeds, got {value}", "seeds: 5 means the seeds 0 to 4")
        return list(range(value))
    if not isinstance(value, list):
        raise _error("must be a number of seeds or a list of them", "seeds: 5 means [0, 1, 2, 3, 4]")
    return [_whole(seed) for seed in value]


def _no_repeated_seed(seeds: tuple[int, ...]) -> tuple[int, ...]:
    repeated = [seed for seed, count in Counter(seeds).items() if count > 1]
    if repeated:
        raise _error(
            f"the seed {', '.join(map(str, repeated))} is named more than once", "a seed counts once: remove the others"
        )
    return seeds


def parse_duration(value: Any, *, least: float = 1.0) -> Any:
    """Seconds of `90`, `45s`, `30m`, `1.5h` or `2d`; at least so many."""
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        value = float(value[:-1]) * _UNITS[value[-1]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _error(f"'{value}' is not a duration", "write seconds, or a number with s, m, h or d, such as 30m")
    if not least <= value <= MAX_TIMEOUT_SECONDS:
        raise _error(f"must be between {'one second' if least else '0 seconds'} and 30 days")
    return float(value)


def _no_repeated_task(tasks: tuple[str, ...]) -> tuple[str, ...]:
    repeated = [task for task, count in Counter(tasks).items() if count > 1]
    if repeated:
        raise _error(f"the task {', '.join(repeated)} is named more than once", "remove the others")
    return tasks


def _workers(value: Any) -> Any:
    value = _whole(value)
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise _error("must be 'auto' or a number of worker processes")
    return value


def _as_use(value: Any) -> Any:
    return {"use": _no_key_in(value, AlgorithmEntry)} if isinstance(value, str) else value


def _as_id(value: Any) -> Any:
    return {"id": _no_key_in(value, TaskEntry)} if isinstance(value, str) else value


def _no_key_in(text: str, entry: type[BaseModel]) -> str:
    """The text, which is not one of the entry's keys with a value behind it."""
    glued = GLUED.fullmatch(text)
    if glued and glued[1] in entry.model_fields:
        raise _error(f"a space is missing behind the colon of '{text}'", f"write {glued[1]}: {glued[2]}")
    return text


def _canonical_keys(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    tasks: dict[Any, Any] = {}
    for key, inner in value.items():
        task = canonical(key) if isinstance(key, str) else key
        if task in tasks:
            raise _error(f"the task '{task}' is there twice, in two spellings", "merge the two")
        tasks[task] = inner
    return tasks


_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=64), AfterValidator(_no_path)]
#: Spaces may follow a comma, as in `noise(gym/CartPole-v1, 0.5)`; the canonical spelling has none.
_TaskId = Annotated[str, Field(pattern=r"^[!-~]+(, +[!-~]+)*$", max_length=100), AfterValidator(canonical)]
_Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
_EnvSteps = Annotated[_Steps, BeforeValidator(_whole, json_schema_input_type=_Steps)]
_Count = Annotated[int, Field(ge=1, le=100_000)]
_Episodes = Annotated[_Count, BeforeValidator(_whole, json_schema_input_type=_Count)]

_Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
_SeedInput = Annotated[int, Field(ge=1, le=MAX_SEEDS)] | Annotated[list[_Seed], Field(min_length=1)]
_Seeds = Annotated[
    tuple[_Seed, ...],
    Strict(False),
    Field(min_length=1, max_length=MAX_SEEDS),
    BeforeValidator(_seed_list, json_schema_input_type=_SeedInput),
    AfterValidator(_no_repeated_seed),
]

_Timeout = Annotated[
    float,
    BeforeValidator(
        parse_duration,
        json_schema_input_type=Annotated[float, Field(ge=1, le=MAX_TIMEOUT_SECONDS)]
        | Annotated[str, Field(pattern=f"^{_DURATION}$")],
    ),
]


_Pause = Annotated[
    float,
    BeforeValidator(
        partial(parse_duration, least=0.0),
        json_schema_input_type=Annotated[float, Field(ge=0, le=MAX_TIMEOUT_SECONDS)]
        | Annotated[str, Field(pattern=f"^{_DURATION}$")],
    ),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: Any) -> Any:
        # `params:` with nothing behind it, because all of it is commented out, is a key that is not there.
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class Budget(_Section):
    """How long one run trains."""

    env_steps: _EnvSteps = Field(description="training steps in the environment, per seed")


class EvaluationOptions(_Section):
    """When and how long policies are evaluated. A task's own keys go before the suite's, key by key."""

    every: _EnvSteps | None = Field(
        default=None,
        description=f"training steps between evaluations; a {DEFAULT_MARKS}th of the budget by default",
    )
    episodes: _Episodes | None = Field(
        default=None,
        description=f"episodes of one evaluation; {DEFAULT_EPISODES} by default",
    )


def _in_an_address(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text) or set(text) & set("(),@"):
        raise _error(
            f"'{text}' cannot be part of a task's address", "use a name or path without spaces, brackets, commas and @"
        )
    return text


_AddressPart = Annotated[str, AfterValidator(_in_an_address)]


_Files = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Strict(False)]
_FILES = (
    "data files that the code of its Python file reads, relative to the suite's folder; their content is part of a "
    "run's identity"
)
_Score = Annotated[float, Field(ge=-1e6, le=1e6)]


def _increasing(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise _error(f"the least return must be below the greatest, got {list(bounds)}", "write [least, greatest]")
    return bounds


_Wrapper = Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]+:[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]


class OwnReferences(_Section):
    """Returns between which a score is taken: score = (return - random) / (solved - random)."""

    random: float = Field(description="mean return of the uniformly random policy")
    solved: float = Field(description="return at which the task counts as solved")
    source: str = Field(default="the suite", min_length=1, max_length=1000, description="where they come from")

    @model_validator(mode="after")
    def _apart(self) -> "OwnReferences":
        if self.random == self.solved:
            raise _error("random and solved are the same return", "no score can be made of them")
        return self


class TaskEntry(_Section):
    """One task. A bare string stands for `{id: string}`."""

    id: _TaskId = Field(
        description="address, such as bandit/10-arm or gym/CartPole-v1 (haepo-bench list tasks), or a Python file of "
        "the suite's folder, such as ./maze.py, ./maze.py:make/7 or noise(./maze.py,0.5)"
    )
    name: _Name | None = Field(
        default=None,
        description="name in the results, unique in the suite; the address where left out, of a file its name without "
        ".py and what is behind it, such as maze/7",
    )
    files: _Files = Field(default=(), description=_FILES)
    budget: Budget | None = Field(
        default=None, description="how long each run on it trains; the suite's budget where left out"
    )
    evaluation: EvaluationOptions = Field(
        default=EvaluationOptions(),
        description="when and how long policies are evaluated; keys left out are those of the suite",
    )
    time_limit: _EnvSteps | None = Field(
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
        }
        return {name: value for name, value in options.items() if value is not None}


class TaskParameters(_Section):
    """What an algorithm does differently on one task."""

    params: dict[str, Any] = Field(default={}, description="hyper-parameters, in place of the entry's params")


class AlgorithmEntry(_Section):
    """One algorithm, or a family that stands for several. A bare string stands for `{use: string}`."""

    use: str = Field(
        min_length=1,
        description="name in the catalogue, such as grpo, or a family (haepo-bench list algorithms), or a Python file "
        "of the suite's folder, such as ./median.py or ./median.py:MedianBaseline",
    )
    name: _Name | None = Field(
        default=None,
        description="name in the results, unique in the suite; `use` where left out, of a file its name without .py. "
        "For a family the name takes the family's place: haepo named mine gives mine-weighted and mine-listwise",
    )
    files: _Files = Field(default=(), description=_FILES)
    params: dict[str, Any] = Field(
        default={}, description="hyper-parameters (haepo-bench describe NAME); for a family, those of all its members"
    )
    per_task: Annotated[dict[str, TaskParameters], BeforeValidator(_canonical_keys)] = Field(
        default={}, description="what is different on single tasks: task id to {params}"
    )
    tasks: (
        Annotated[tuple[_TaskId, ...], Strict(False), Field(min_length=1), AfterValidator(_no_repeated_task)] | None
    ) = Field(default=None, description="those of the suite's tasks that it is run on; all where left out")
    seeds: _Seeds | None = Field(default=None, description="seeds of this algorithm, in place of the suite's")


class ExecutionOptions(_Section):
    """How a suite is run. Nothing here changes a result, except the device type and the engine."""

    workers: Annotated[
        Annotated[int, Field(ge=1, le=1024)] | None,
        BeforeValidator(_workers, json_schema_input_type=Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]),
    ] = Field(default=None, description="worker processes; auto is one for each core this process may use")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where networks are trained; auto is the CPU for small networks"
    )
    engine: Literal["auto", "torch", "compiled"] = Field(
        default="auto",
        description="what computes the runs of native algorithms on small policies: torch, or the compiled kernels for "
        "all that these can do; auto takes the kernels where they are installed and the processor can run them. Each "
        "is exactly repeatable; the same run differs between them in rounding",
    )
    timeout: _Timeout = Field(
        default=parse_duration(DEFAULT_TIMEOUT),
        description=f"for one job, a block of one algorithm's seeds on one task; seconds, or such as 30m; "
        f"{DEFAULT_TIMEOUT} by default",
    )
    checkpoint: _Pause = Field(
        default=parse_duration(DEFAULT_CHECKPOINT),
        description="between two checkpoints of a run that can go on from one (language tasks); seconds, or such as "
        f"5m; {DEFAULT_CHECKPOINT} by default",
    )


_Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Strict(False), Field(min_length=1)]


class Claims(_Section):
    """What the report is to judge, declared before anything runs. No run depends on it."""

    candidate: str = Field(
        default=DEFAULT_CANDIDATE,
        min_length=1,
        description="the algorithm that is claimed to be better: a name in the suite, or a name in the catalogue or of "
        f"a family for all that use it; {DEFAULT_CANDIDATE} by default",
    )
    baselines: _Names | None = Field(
        default=None, description="what it is compared with, named in the same way; by default all others that learn"
    )
    left_out: _Names | None = Field(
        default=None,
        description="algorithms that are not baselines, named in the same way, such as one with too few seeds to "
        "decide; the report says that claims leave them out",
    )
    margin: float = Field(
        default=DEFAULT_MARGIN,
        gt=0,
        le=1,
        description=f"a smaller difference of scores does not matter; {DEFAULT_MARGIN:g} by default",
    )
    made: _Names | None = Field(
        default=None, description=f"which claims are made, all by default: {', '.join(CLAIM_NAMES)}"
    )
    margins: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(
        default={}, description=f"the margin of single claims: {', '.join(CLAIM_NAMES)}"
    )
    rule: Rule = Field(
        default="betting",
        description="how evidence becomes a verdict: betting (holds whenever one looks, within known bounds), wins "
        "(the candidate has the higher score with more than half of the seeds; no bounds needed) or fixed (one look, "
        "after all seeds of the suite)",
    )
    dependence: Dependence = Field(
        default="nonnegative",
        description="what betting takes for granted of the two runs that share a seed: that they are not negatively "
        "correlated, or nothing (any), which takes more seeds",
    )
    threshold: float = Field(
        default=DEFAULT_THRESHOLD,
        gt=0,
        le=10,
        description=f"the score whose first time is the time to threshold; {DEFAULT_THRESHOLD:g} by default",
    )


class Suite(_Section):
    """A suite: algorithms, tasks, seeds and budgets, in one file."""

    name: _Name = Field(description="name of the suite and of its folder in the results")
    description: str = Field(default="", max_length=10_000, description="what the suite is for")
    seeds: _Seeds = Field(description="a number n for the seeds 0 to n-1, or a list of seeds")
    budget: Budget | None = Field(
        default=None,
        description="how long each run trains, for tasks without a budget of their own; there is no default",
    )
    evaluation: EvaluationOptions = Field(
        default=EvaluationOptions(), description="when and how long policies are evaluated"
    )
    tasks: Annotated[
        tuple[Annotated[TaskEntry, BeforeValidator(_as_id, json_schema_input_type=str | TaskEntry)], ...],
        Strict(False),
        Field(min_length=1),
    ] = Field(description="what is learnt; each task needs a budget, its own or the suite's")
    algorithms: Annotated[
        tuple[Annotated[AlgorithmEntry, BeforeValidator(_as_use, json_schema_input_type=str | AlgorithmEntry)], ...],
        Strict(False),
        Field(min_length=1),
    ] = Field(description="what learns")
    claims: Claims = Field(default=Claims(), description="what the report is to judge")
    execution: ExecutionOptions = Field(default=ExecutionOptions(), description="how it is run")

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        _errors_at([*self._task_errors(), *self._algorithm_errors(), *self._claim_errors()])
        return self

    def budget_of(self, task: TaskEntry) -> int:
        """Training env steps per seed."""
        budget = task.budget or self.budget
        assert budget is not None  # `_consistent` saw to it
        return budget.env_steps

    def evaluation_of(self, task: TaskEntry) -> tuple[int, int]:
        """Env steps between evaluations, and episodes of one."""
        every = task.evaluation.every or self.evaluation.every or -(-self.budget_of(task) // DEFAULT_MARKS)
        return every, task.evaluation.episodes or self.evaluation.episodes or DEFAULT_EPISODES

    def _task_errors(self) -> Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]:
        first: dict[str, int] = {}
        for index, task in enumerate(self.tasks):
            place = ("tasks", index)
            called = task.aliases[0]
            if called in first:
                remedy = (
                    "give one of the two another name:" if task.name else "remove one, or give it a name: of its own"
                )
                yield (
                    (*place, "name" if task.name else "id"),
                    _error(f"the task '{called}' is already tasks[{first[called]}]", remedy),
                )
            first.setdefault(called, index)
            if task.files and local_name(task.id) is None:
                yield (*place, "files"), _error("only a Python file of the suite's folder reads files", "remove it")
            if task.clip is not None and task.clip[0] >= task.clip[1]:
                yield (*place, "clip"), _error(f"{task.clip[0]:g} is not below {task.clip[1]:g}", "write [low, high]")
            for wrong in key_problems(task.id, task.data, task.model):
                yield (*place, wrong.key), _error(wrong.problem, wrong.remedy)
            if task.budget is None and self.budget is None:
                yield (
                    (*place, "budget"),
                    _error(
                        "the task has no budget", "add `budget: {env_steps: ...}` here, or to the suite for all tasks"
                    ),
                )
                continue
            every, _ = self.evaluation_of(task)
            if self.budget_of(task) // every > MAX_MARKS:
                yield (
                    (*place, "evaluation", "every") if task.evaluation.every else ("evaluation", "every"),
                    _error(
                        f"every {every} steps of {self.budget_of(task):,} makes more than {MAX_MARKS:,} evaluations",
                        "evaluate less often",
                    ),
                )

    def _claim_errors(self) -> Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]:
        keys: list[tuple[str, str | int, str]] = [("margins", name, name) for name in self.claims.margins]
        keys += [("made", index, name) for index, name in enumerate(self.claims.made or ())]
        for key, place, name in keys:
            if name not in CLAIM_NAMES:
                remedy = did_you_mean(name, CLAIM_NAMES, kind="claim")
                yield ("claims", key, place), _error(f"'{name}' is not a claim", remedy)

    def _algorithm_errors(self) -> Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]:
        tasks = [name for task in self.tasks for name in task.aliases]
        for index, algorithm in enumerate(self.algorithms):
            if algorithm.files and not is_file(algorithm.use):
                yield (
                    ("algorithms", index, "files"),
                    _error("only a Python file of the suite's folder reads files", "remove it"),
                )
            places: list[tuple[tuple[str | int, ...], str]] = [
                *((("per_task", task), task) for task in algorithm.per_task),
                *((("tasks", number), task) for number, task in enumerate(algorithm.tasks or ())),
            ]
            for place, task in places:
                if task not in tasks:
                    yield (
                        ("algorithms", index, *place),
                        _error(f"the suite has no task '{task}'", did_you_mean(task, tasks, kind="task")),
                    )
        everywhere = any(algorithm.tasks is None for algorithm in self.algorithms)
        asked = {task for algorithm in self.algorithms for task in algorithm.tasks or ()}
        for index, entry in enumerate(self.tasks):
            if not everywhere and not asked & set(entry.aliases):
                problem = f"no algorithm is run on '{entry.aliases[0]}'"
                yield ("tasks", index), _error(problem, "name it in an algorithm's tasks")
