"""Algorithms and tasks as a suite names them, and problems with them at the key that is to blame."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from haepo_bench.errors import ParameterError, TaskError, UserError
from haepo_bench.suite.document import KeyPath, Problem
from haepo_bench.suite.local.reference import is_file, local_name
from haepo_bench.suite.schema import AlgorithmEntry
from haepo_bench.suite.task_entry import TaskEntry
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import AlgorithmDefinition


class NamedAlgorithm(NamedTuple):
    """One algorithm of an entry; a family's entry has several."""

    entry: AlgorithmEntry
    path: KeyPath
    name: str
    uses: str
    definition: AlgorithmDefinition


def name_in_suite(entry: AlgorithmEntry, member: str) -> str:
    """The name in the suite: a family's name gives way to the entry's, `haepo-weighted` to `mine-weighted`."""
    if entry.name is None:
        return member
    if member == entry.use or is_file(entry.use):
        return entry.name
    return f"{entry.name}-{member.removeprefix(f'{entry.use}-')}"


def foreign_problem(path: KeyPath, error: UserError) -> Problem:
    """An error raised elsewhere; a place of its own is one in another file, such as a line of the data."""
    return Problem(path, f"{error.where}: {error.problem}" if error.where else error.problem, error.remedy)


def task_problem(index: int, entry: TaskEntry, error: UserError) -> Problem:
    """At the key that is to blame where the user wrote it; else it is part of the address."""
    key = error.key if isinstance(error, TaskError) else ""
    return foreign_problem(("tasks", index, key if key in entry.model_fields_set else "id"), error)


def called_in_results(entry: TaskEntry, task: Task) -> str:
    """What results call a task."""
    return entry.name or local_name(entry.address) or task.id


def special_parameters(named: NamedAlgorithm, entry: TaskEntry) -> dict[str, Any]:
    """The hyper-parameters of an algorithm that hold on one task only."""
    found = (named.entry.per_task[name].params for name in entry.aliases if name in named.entry.per_task)
    return next(found, {})


def parameter_problem(
    error: ParameterError, named: NamedAlgorithm, entry: TaskEntry, searched: Mapping[str, Any]
) -> Problem:
    """At the hyper-parameter where the suite sets it; else at the algorithm.

    Args:
        searched: what a search drew or found for other hyper-parameters.
    """
    name, task = error.parameter, entry.aliases[0]
    if name in special_parameters(named, entry):
        key = next(alias for alias in entry.aliases if alias in named.entry.per_task)
        return Problem((*named.path, "per_task", key, "params", name), error.problem, error.remedy)
    if name in named.entry.params:
        return Problem((*named.path, "params", name), error.problem, error.remedy)
    # Not a parameter that the suite sets: the algorithm refuses its own default here, or several together.
    beside = ", ".join(f"{key} {value!r}" for key, value in searched.items())
    where = f"on {task}, with {beside} of a search" if beside else f"on {task}"
    return Problem(named.path, f"{name}: {error.problem} ({where})".removeprefix(": "), error.remedy)
