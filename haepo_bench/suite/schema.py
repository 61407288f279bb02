"""The suite file: what a user may write, with the meaning of every key.

docs/reference/suite-reference.md has it key by key.

Names of algorithms and tasks and their hyper-parameters are checked later, against the catalogue (resolve.py).
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from haepo_bench.errors import did_you_mean
from haepo_bench.results.claims import (
    CLAIM_NAMES,
    DEFAULT_CANDIDATE,
    DEFAULT_MARGIN,
    DEFAULT_THRESHOLD,
    Dependence,
    Rule,
)
from haepo_bench.results.searches import END_OF_SEEDS, FIRST_SEED
from haepo_bench.suite.execution_keys import ExecutionOptions
from haepo_bench.suite.language_keys import key_problems
from haepo_bench.suite.local.reference import is_file, local_name
from haepo_bench.suite.scalars import (
    FILES,
    Files,
    Name,
    Section,
    Seeds,
    TaskId,
    each_once,
    errors_at,
    no_key_in,
    suite_error,
)
from haepo_bench.suite.search_keys import Search
from haepo_bench.suite.task_entry import DEFAULT_EPISODES, DEFAULT_MARKS, Budget, EvaluationOptions, TaskEntry
from haepo_bench.tasks.address import canonical

MAX_MARKS = 10_000


def _as_use(value: Any) -> Any:
    return {"use": no_key_in(value, AlgorithmEntry)} if isinstance(value, str) else value


def _as_id(value: Any) -> Any:
    return {"id": no_key_in(value, TaskEntry)} if isinstance(value, str) else value


def _canonical_keys(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    tasks: dict[Any, Any] = {}
    for key, inner in value.items():
        task = canonical(key) if isinstance(key, str) else key
        if task in tasks:
            raise suite_error(f"the task '{task}' is there twice, in two spellings", "merge the two")
        tasks[task] = inner
    return tasks


class TaskParameters(Section):
    """What an algorithm does differently on one task."""

    params: dict[str, Any] = Field(default={}, description="hyper-parameters, in place of the entry's params")


class AlgorithmEntry(Section):
    """One algorithm, or a family that stands for several. A bare string stands for `{use: string}`."""

    use: str = Field(
        min_length=1,
        description="name in the catalogue, such as grpo, or a family (haepo-bench list algorithms), or a Python file "
        "of the suite's folder, such as ./median.py or ./median.py:MedianBaseline",
    )
    name: Name | None = Field(
        default=None,
        description="name in the results, unique in the suite; `use` where left out, of a file its name without .py. "
        "For a family the name takes the family's place: haepo named mine gives mine-weighted and mine-listwise",
    )
    files: Files = Field(default=(), description=FILES)
    params: dict[str, Any] = Field(
        default={}, description="hyper-parameters (haepo-bench describe NAME); for a family, those of all its members"
    )
    per_task: Annotated[dict[str, TaskParameters], BeforeValidator(_canonical_keys)] = Field(
        default={}, description="what is different on single tasks: task id to {params}"
    )
    tasks: Annotated[tuple[TaskId, ...], Strict(False), Field(min_length=1), each_once("task")] | None = Field(
        default=None, description="those of the suite's tasks that it is run on; all where left out"
    )
    seeds: Seeds | None = Field(default=None, description="seeds of this algorithm, in place of the suite's")


_Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Strict(False), Field(min_length=1)]


class Claims(Section):
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


class Suite(Section):
    """A suite: algorithms, tasks, seeds and budgets, in one file."""

    name: Name = Field(description="name of the suite and of its folder in the results")
    description: str = Field(default="", max_length=10_000, description="what the suite is for")
    seeds: Seeds = Field(description="a number n for the seeds 0 to n-1, or a list of seeds")
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
    search: Search | None = Field(
        default=None, description="how haepo-bench tune searches hyper-parameters, of all algorithms alike"
    )
    execution: ExecutionOptions = Field(default=ExecutionOptions(), description="how it is run")

    @model_validator(mode="after")
    def _consistent(self) -> "Suite":
        errors_at([*self._task_errors(), *self._algorithm_errors(), *self._claim_errors(), *self._search_errors()])
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
                    suite_error(f"the task '{called}' is already tasks[{first[called]}]", remedy),
                )
            first.setdefault(called, index)
            if task.files and local_name(task.id) is None:
                yield (
                    (*place, "files"),
                    suite_error("only a Python file of the suite's folder reads files", "remove it"),
                )
            if task.clip is not None and task.clip[0] >= task.clip[1]:
                yield (
                    (*place, "clip"),
                    suite_error(f"{task.clip[0]:g} is not below {task.clip[1]:g}", "write [low, high]"),
                )
            for wrong in key_problems(task.id, task.data, task.model):
                yield (*place, wrong.key), suite_error(wrong.problem, wrong.remedy)
            if task.budget is None and self.budget is None:
                yield (
                    (*place, "budget"),
                    suite_error(
                        "the task has no budget", "add `budget: {env_steps: ...}` here, or to the suite for all tasks"
                    ),
                )
                continue
            every, _ = self.evaluation_of(task)
            if self.budget_of(task) // every > MAX_MARKS:
                yield (
                    (*place, "evaluation", "every") if task.evaluation.every else ("evaluation", "every"),
                    suite_error(
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
                yield ("claims", key, place), suite_error(f"'{name}' is not a claim", remedy)
            elif self.claims.made and name not in self.claims.made:
                problem = f"the suite does not make the claim '{name}'"
                yield ("claims", key, place), suite_error(problem, "add it to claims.made, or remove its margin")

    def _search_errors(self) -> Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]:
        for place, seed in self.seeds_of_searches() if self.search is not None else ():
            problem = f"the seed {seed} is one that `search` may tune on"
            yield place, suite_error(problem, f"choose seeds below {FIRST_SEED:_}")

    def seeds_of_searches(self) -> Iterator[tuple[tuple[str | int, ...], int]]:
        """Seeds of the suite's own runs that a search takes for itself: the first one of each list, and its place."""
        places: list[tuple[tuple[str | int, ...], tuple[int, ...]]] = [(("seeds",), self.seeds)]
        places += [(("algorithms", n, "seeds"), each.seeds or ()) for n, each in enumerate(self.algorithms)]
        for place, seeds in places:
            taken = [seed for seed in seeds if FIRST_SEED <= seed < END_OF_SEEDS]
            if taken:
                yield place, taken[0]

    def _algorithm_errors(self) -> Iterable[tuple[tuple[str | int, ...], PydanticCustomError]]:
        tasks = [name for task in self.tasks for name in task.aliases]
        for index, algorithm in enumerate(self.algorithms):
            if algorithm.files and not is_file(algorithm.use):
                yield (
                    ("algorithms", index, "files"),
                    suite_error("only a Python file of the suite's folder reads files", "remove it"),
                )
            places: list[tuple[tuple[str | int, ...], str]] = [
                *((("per_task", task), task) for task in algorithm.per_task),
                *((("tasks", number), task) for number, task in enumerate(algorithm.tasks or ())),
            ]
            for place, task in places:
                if task not in tasks:
                    yield (
                        ("algorithms", index, *place),
                        suite_error(f"the suite has no task '{task}'", did_you_mean(task, tasks, kind="task")),
                    )
        everywhere = any(algorithm.tasks is None for algorithm in self.algorithms)
        asked = {task for algorithm in self.algorithms for task in algorithm.tasks or ()}
        for index, entry in enumerate(self.tasks):
            if not everywhere and not asked & set(entry.aliases):
                problem = f"no algorithm is run on '{entry.aliases[0]}'"
                yield ("tasks", index), suite_error(problem, "name it in an algorithm's tasks")
