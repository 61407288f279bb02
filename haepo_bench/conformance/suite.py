"""All checks of an algorithm or a task."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from haepo_bench.conformance.files import OPENS_NOTHING_ELSE, refuse_undeclared
from haepo_bench.conformance.findings import Check, Fault, NotApplicable
from haepo_bench.conformance.learning import learning_checks
from haepo_bench.conformance.tasks import task_checks
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import AlgorithmDefinition
from haepo_bench.training.definition import ObjectiveDefinition


def algorithm_suite(
    definition: AlgorithmDefinition,
    expression: str,
    tasks: Sequence[Task],
    *,
    anew: Callable[[], AlgorithmDefinition] | None = None,
    allowed: Collection[Path] = (),
) -> Sequence[Check]:
    """The checks of an algorithm.

    Args:
        expression: Python for the definition, for reproductions.
        tasks: small ones to learn; the first that it can drive is taken.
        anew: imports its file once more; None where it is installed.
        allowed: files that it may open.
    """
    checks = [Check("describes itself and its hyper-parameters", lambda: _describes(definition))]
    if isinstance(definition, ObjectiveDefinition):
        from haepo_bench.conformance.objectives import objective_checks

        checks += objective_checks(definition.objective(), f"{expression}.objective()")
    if anew is not None:
        checks.append(Check(OPENS_NOTHING_ELSE, lambda: refuse_undeclared(lambda: _use(anew()), allowed, expression)))
    task = next((task for task in tasks if definition.refuses(task) is None), None)
    return [*checks, *(learning_checks(definition, task, expression) if task else [Check("learns", _nothing_to_learn)])]


def task_suite(
    make: Callable[[], Task], expression: str, allowed: Collection[Path], forget: Callable[[], None]
) -> Sequence[Check]:
    """The checks of a task; see `task_checks`."""
    return task_checks(make, expression, allowed, forget)


def _use(definition: AlgorithmDefinition) -> None:
    if isinstance(definition, ObjectiveDefinition):
        from haepo_bench.conformance.batches import random_batch

        objective = definition.objective()
        objective(random_batch(objective, 1))


def _describes(definition: AlgorithmDefinition) -> None:
    if not definition.summary.strip() or not definition.description.strip():
        raise Fault("it has no summary or no description: write a docstring that gives the formula")
    for parameter in definition.describe_parameters():
        if not parameter.meaning.strip():
            raise Fault(f"the hyper-parameter {parameter.name} has no meaning: say it in hyper(default, meaning)")


def _nothing_to_learn() -> None:
    raise NotApplicable("it drives none of the small tasks")
