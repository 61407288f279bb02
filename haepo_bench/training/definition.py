"""What definitions of algorithms that are made from an objective class have in common, whatever trains them."""

import inspect
from abc import abstractmethod
from typing import Any

from pydantic import BaseModel

from haepo_bench.errors import UserError
from haepo_bench.objectives.base import Objective, own_docstring
from haepo_bench.results.record import Information
from haepo_bench.tasks.base import CONTROL, Task
from haepo_bench.training.algorithm import AlgorithmDefinition


class ObjectiveDefinition(AlgorithmDefinition):
    """An algorithm made from an objective class.

    Args:
        name: in the catalogue.
    """

    def __init__(self, name: str, objective: type[Objective]) -> None:
        self.name, self.objective = name, objective
        twice = sorted(objective.model_fields.keys() & self.settings_of(objective).model_fields.keys())
        if twice:
            raise UserError(
                f"{name}: {objective.__name__} has the hyper-parameter {twice[0]}, and so has what trains it",
                remedy="give it another name",
            )
        self.summary, self.version = objective.summary, objective.version
        self.confidence = objective.confidence
        self.common = inspect.getdoc(inspect.getmodule(objective)) or ""
        self.description = f"{own_docstring(objective)}\n\n{self.common}"

    @staticmethod
    @abstractmethod
    def settings_of(objective: type[Objective]) -> type[BaseModel]:
        """The trainer's settings, which come with the objective's hyper-parameters."""

    @property
    def needs(self) -> tuple[str, ...]:
        return self.objective().needs


def asked_of_batches(objective: Objective) -> dict[str, Any]:
    """What an objective asks of batches, on which all rows of one must agree; as JSON."""
    return {
        "shares_start": objective.shares_start,
        "wants_expert": objective.wants_expert,
        "wants_greedy": objective.wants_greedy,
        "wants_halves": objective.wants_halves,
        "reference_sample": objective.reference_sample,
        "temperatures": list(objective.temperatures),
        "prefixes": None if objective.prefixes is None else list(objective.prefixes),
        "branching": None if objective.branching is None else list(objective.branching),
        "design": None if objective.design is None else list(objective.design),
        "rephrasing": None if objective.rephrasing is None else list(objective.rephrasing),
    }


def control_without(task: Task, what: str) -> str | None:
    """Why a control does not have `what`, from which an algorithm would learn; None for other tasks."""
    if CONTROL not in task.tags:
        return None
    return f"it learns from {what}, and the task is a control: nothing but its random rewards may be learnt from"


def information(objective: type[Objective]) -> Information:
    """What feedback an objective receives, as every table shows it."""
    return Information(
        told=objective.told, critic=False, discount=None, label=objective.label, footnote=objective.footnote
    )
