"""Hyper-parameters of algorithms: checked against pydantic models, and described for `describe`."""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from haepo_bench.errors import ParameterError, did_you_mean
from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.spaces import Space
from haepo_bench.training.algorithm import ParameterDescription

M = TypeVar("M", bound=BaseModel)


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
            problem = f"a number or a name was expected, not {str(value).lower()}"
            found[name] = ParameterError(name, problem)
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        described = {d.name: d for d in describe_fields(model)}
        for one in error.errors(include_url=False):
            # A check of the whole set is of no one hyper-parameter.
            name, message = ".".join(map(str, one["loc"][:1])), str(one["msg"]).removeprefix("Value error, ")
            remedy = f"{name} is {described[name].type}" if name in described else ""
            problem = f"{message[:1].lower()}{message[1:]}".replace("valid tuple", "list")
            found.setdefault(name, ParameterError(name, problem, remedy=remedy))
    return list(found.values())


def describe_fields(model: type[BaseModel]) -> list[ParameterDescription]:
    """The hyper-parameters of a model, in the order of its fields."""
    described = []
    for name, field in model.model_fields.items():
        extra = _extra(field)
        described.append(
            ParameterDescription(
                name=name,
                type=_with_bounds(_type_name(field.annotation), field.metadata),
                default=field.default,
                unit=str(extra.get("unit", "")),
                meaning=field.description or "",
                source=str(extra.get("source", "")),
                search=space_of(field),
            )
        )
    return described


def space_of(field: FieldInfo) -> Space | None:
    """Where a hyper-parameter is searched; None where it is not.

    Raises:
        ValueError: it is a whole number, and its range does not begin and end with one.
    """
    document = _extra(field).get("search")
    if not isinstance(document, dict):
        return None
    is_range = "choices" not in document
    return Space.of({**document, "whole": True} if field.annotation is int and is_range else document)


def _extra(field: FieldInfo) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


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
