"""Native algorithms: an objective plus the trainer configuration that all native algorithms share."""

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from gymnasium import spaces
from pydantic import BaseModel, ValidationError

from haepo_bench.errors import ParameterError, UserError, did_you_mean
from haepo_bench.objectives.base import Objective
from haepo_bench.results.record import Information
from haepo_bench.tasks.base import CONTROL, Task
from haepo_bench.tasks.language import LanguageTask
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition, ParameterDescription
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings

M = TypeVar("M", bound=BaseModel)


class NativeAlgorithm(Algorithm):
    """An objective with a trainer configuration."""

    batches_seeds = True

    def __init__(self, objective: Objective, settings: TrainerSettings) -> None:
        self.objective, self.settings = objective, settings
        self.parameters = {**settings.model_dump(mode="json"), **objective.model_dump(mode="json")}
        self.information = information(type(objective))
        self.notes = ()

    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        # Imported here: configuring and describing need no training loop.
        from haepo_bench.training.trainer import Trainer

        Trainer(task, self.objective, self.settings, seeds, recorder, device).train()


class NativeDefinition(AlgorithmDefinition):
    """An algorithm made from an objective class.

    Args:
        name: in the catalogue.
    """

    def __init__(self, name: str, objective: type[Objective]) -> None:
        self.name = name
        self.objective = objective
        self.summary = objective.summary
        self.version = objective.version
        own = inspect.getdoc(objective) or ""
        module = inspect.getdoc(inspect.getmodule(objective)) or ""
        self.description = f"{own}\n\n{module}"
        self.confidence = objective.confidence
        self.information = information(objective)

    @property
    def needs(self) -> tuple[str, ...]:
        return self.objective().needs

    def describe_parameters(self) -> list[ParameterDescription]:
        described = [*describe_fields(self.objective), *describe_fields(TrainerSettings)]
        return [replace(d, default=self.objective.reference) if d.name == "reference" else d for d in described]

    def describe_language_parameters(self) -> list[ParameterDescription]:
        from haepo_bench.training.language.algorithm import describe_language_parameters

        return describe_language_parameters(self.objective)

    def refuses(self, task: Task) -> str | None:
        if isinstance(task, LanguageTask):  # tokens are discrete, and the responses of a group start alike
            if not self.objective.wants_expert:
                return None
            without = sum(not task.expert_response(example) for example in task.train)
            if without:
                return control_without(task, "an expert's responses") or (
                    "it learns from an expert's response to each prompt, and "
                    f"{task.id} has none for {without:,} of {len(task.train):,} prompts"
                )
            return None
        if self.objective.discrete_only and not isinstance(task.action_space, spaces.Discrete):
            return "its loss compares probabilities of actions, and continuous actions have densities"
        if self.objective.wants_expert and task.expert() is None:
            return control_without(task, "an expert's episodes") or (
                "it learns from an expert's episodes, which only finite tasks with certain moves have"
            )
        return None

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        if isinstance(task, LanguageTask):
            from haepo_bench.training.language.algorithm import language_algorithm

            return language_algorithm(self.name, self.objective, overrides, task)
        own, shared = set(self.objective.model_fields), set(TrainerSettings.model_fields)
        check_overrides(overrides, (self.objective, TrainerSettings), self.name)
        objective = validated(self.objective, {k: v for k, v in overrides.items() if k in own})
        settings = validated(
            TrainerSettings,
            {"reference": self.objective.reference} | {k: v for k, v in overrides.items() if k in shared},
        )
        check_comparison(self.name, objective, "trajectories", settings.trajectories, groups=task.groups)
        return NativeAlgorithm(objective, settings)


def control_without(task: Task, what: str) -> str | None:
    """Why a control does not have `what`, from which an algorithm would learn; None for other tasks."""
    if CONTROL not in task.tags:
        return None
    return f"it learns from {what}, and the task is a control: nothing but its random rewards may be learnt from"


def information(objective: type[Objective]) -> Information:
    """What an objective is told, as every table shows it."""
    return Information(
        told=objective.told, critic=False, discount=None, label=objective.label, footnote=objective.footnote
    )


def as_definition(name: str, loaded: Any) -> AlgorithmDefinition:
    """What a catalogue entry points to, as a definition: an objective class, a definition, or a definition class.

    Raises:
        UserError: it is none of these.
    """
    if inspect.isclass(loaded) and issubclass(loaded, Objective):
        if loaded.collects == "segments":
            from haepo_bench.training.ppo_batched import SegmentDefinition

            return SegmentDefinition(name, loaded)
        return NativeDefinition(name, loaded)
    made = loaded() if inspect.isclass(loaded) and issubclass(loaded, AlgorithmDefinition) else loaded
    if not isinstance(made, AlgorithmDefinition):
        raise UserError(
            f"the algorithm '{name}' is a {type(loaded).__name__}, neither an Objective nor an AlgorithmDefinition",
            remedy="see docs/extending.md",
        )
    return made


def check_overrides(overrides: Mapping[str, Any], models: Sequence[type[BaseModel]], algorithm: str) -> None:
    """Refuses hyper-parameters that an algorithm does not have, and values that they do not take: all at once.

    Raises:
        ParameterError: with near names.
    """
    known = {name for model in models for name in model.model_fields}
    found = [
        ParameterError(
            name,
            f"{algorithm} has no parameter '{name}'",
            remedy=did_you_mean(name, known, kind="parameter", more=f"`haepo-bench describe {algorithm}`"),
        )
        for name in overrides
        if name not in known
    ]
    for model in models:
        found += _wrong_values(model, {k: v for k, v in overrides.items() if k in model.model_fields})
    ParameterError.raise_all(found)


def check_comparison(algorithm: str, objective: Objective, parameter: str, value: int, *, groups: int) -> None:
    """Refuses batches in which an objective has nothing to compare a trajectory with.

    Args:
        parameter: says how many trajectories a group has, which is `value`.
        groups: in a batch.

    Raises:
        ParameterError: returns would have no effect.
    """
    within = objective.compares
    if within is None or value > 1 or (within == "batch" and groups > 1):
        return
    raise ParameterError(
        parameter,
        f"{algorithm} compares the trajectories of a {within} with each other, and here a {within} has one: "
        "it would learn nothing from its return",
        remedy=f"set {parameter} to 2 or more",
    )


def validated(model: type[M], values: Mapping[str, Any]) -> M:
    """`model(**values)`.

    Raises:
        ParameterError: for the values that do not fit.
    """
    ParameterError.raise_all(_wrong_values(model, values))
    return model.model_validate(dict(values))


def _wrong_values(model: type[BaseModel], values: Mapping[str, Any]) -> list[ParameterError]:
    """One error for each value that does not fit."""
    found = {}
    for name, value in values.items():
        # Python counts True as 1, and so would pydantic.
        if isinstance(value, bool) and model.model_fields[name].annotation is not bool:
            problem = f"{name}: a number or a name was expected, not {str(value).lower()}"
            found[name] = ParameterError(name, problem)
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        described = {d.name: d for d in describe_fields(model)}
        for one in error.errors(include_url=False):
            name, message = str(one["loc"][0]), str(one["msg"])
            remedy = f"{name} is {described[name].type}" if name in described else ""
            problem = f"{name}: {message[:1].lower()}{message[1:]}".replace("valid tuple", "list")
            found.setdefault(name, ParameterError(name, problem, remedy=remedy))
    return list(found.values())


def describe_fields(model: type[BaseModel]) -> list[ParameterDescription]:
    """The hyper-parameters of a model, in the order of its fields."""
    described = []
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        described.append(
            ParameterDescription(
                name=name,
                type=_with_bounds(_type_name(field.annotation), field.metadata),
                default=field.default,
                unit=str(extra.get("unit", "")),
                meaning=field.description or "",
                source=str(extra.get("source", "")),
            )
        )
    return described


def _type_name(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _with_bounds(_type_name(arguments[0]), getattr(arguments[1], "metadata", []))
    if origin is Literal:
        return " | ".join(str(a) for a in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(_type_name(a) for a in arguments)
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    return "null" if annotation is type(None) else str(getattr(annotation, "__name__", annotation))


def _with_bounds(type_name: str, metadata: Sequence[Any]) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    bounds = [f"{sign} {getattr(m, key)}" for m in metadata for key, sign in signs.items() if hasattr(m, key)]
    return f"{type_name} {', '.join(bounds)}" if bounds else type_name
