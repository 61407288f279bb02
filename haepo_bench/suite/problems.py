"""What pydantic finds wrong with a suite, in the words of a person who edits a file."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from haepo_bench.errors import did_you_mean
from haepo_bench.suite.document import GLUED, KeyPath, Problem
from haepo_bench.suite.schema import Suite
from haepo_bench.suite.task_entry import WRAPPER_REMEDY

_TEXTS = {
    "int_type": "must be a whole number, got {got}",
    "int_from_float": "must be a whole number, got {got}",
    "string_type": "must be text, got {got}",
    "tuple_type": "must be a list, got {got}",
    "list_type": "must be a list, got {got}",
    "dict_type": "must be a mapping of keys to values, got {got}",
    "model_type": "must be a mapping of keys to values, got {got}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "too_long": "has more than {max_length} entries",
    "string_too_long": "is longer than {max_length} characters",
    "float_type": "must be a number, got {got}",
    "greater_than": "must be more than {gt}, got {got}",
    "greater_than_equal": "must be at least {ge}, got {got}",
    "less_than_equal": "must be at most {le}, got {got}",
    "literal_error": "must be {expected}, got {got}",
    "missing": "is missing",
    "suite": "{problem}",
}
_NAME_REMEDY = "use letters, digits, '.', '_' and '-' only"
_TASK_REMEDY = "a task is an address such as gym/CartPole-v1 (haepo-bench list tasks)"


def problems_of(error: ValidationError, model: type[BaseModel] = Suite) -> list[Problem]:
    """Every problem that pydantic found, in the order of the schema.

    Args:
        model: what the whole file was validated as.
    """
    found = error.errors(include_url=False)
    paths = [details["loc"] for details in found]

    def phantom(details: ErrorDetails) -> bool:
        """A list whose every entry is wrong counts as empty to pydantic; the entries' own problems say it all."""
        path = details["loc"]
        return details["type"] == "too_short" and any(p[: len(path)] == path and p != path for p in paths)

    return [_problem(details, model) for details in found if not phantom(details)]


def _problem(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    path: KeyPath = details["loc"]
    kind, got = details["type"], details["input"]
    context = dict(details.get("ctx", {}))
    if kind == "extra_forbidden":
        section = _section(model, path[:-1])
        return Problem(path, "unknown key", _unknown_key(str(path[-1]), section, model))
    if kind == "string_pattern_mismatch" and "wrappers" in path:
        return Problem(path, f"{_show(got)} names no wrapper", WRAPPER_REMEDY)
    if kind == "string_pattern_mismatch":
        is_task = path[:1] == ("tasks",)
        problem = f"{_show(got)} cannot be {'an address of a task' if is_task else 'a name'}"
        return Problem(path, problem, _TASK_REMEDY if is_task else _NAME_REMEDY)
    template = _TEXTS.get(kind)
    if kind == "value_error":  # raised by a validator of ours, whose words say it all
        return Problem(path, str(details["msg"]).removeprefix("Value error, "), _remedy(model, kind, path, got))
    text = template.format(**context, got=_show(got)) if template else f"{details['msg']}, got {_show(got)}"
    return Problem(path, text, context.get("remedy") or _remedy(model, kind, path, got))


def _remedy(model: type[BaseModel], kind: str, path: KeyPath, got: Any) -> str:
    if kind in {"model_type", "dict_type"} and isinstance(got, str) and (glued := GLUED.fullmatch(got)):
        return f"a space is missing behind the colon: write {glued[1]}: {glued[2]}"
    if not path:  # a problem of the whole, which says itself what to do
        return ""
    key = str(path[-1])
    if kind == "tuple_type" and isinstance(got, str) and re.fullmatch(r"[ -~]{1,60}", got):
        quoted = f"'{got}'" if set(got) & set(",:#[]{}'\"") else got
        return f"write {key}: [{quoted}]"
    if kind == "tuple_type" and isinstance(got, dict) and got:
        return f"write it as a list: each entry on a line of its own that begins with '- ', such as - {next(iter(got))}"
    inner = _section(model, path)
    if kind == "model_type" and inner is not None and isinstance(got, int | float) and len(inner.model_fields) == 1:
        return f"write {key}: {{{next(iter(inner.model_fields))}: {got}}}"
    if kind == "model_type" and inner is not None and isinstance(path[-1], str):
        return f"its keys are {', '.join(inner.model_fields)}"
    if kind in {"missing", "too_short", "model_type", "tuple_type"}:
        section = _section(model, path[:-1])
        field = section.model_fields.get(key) if section else None
        return f"{key}: {field.description}" if field and field.description else ""
    if kind == "string_type" and isinstance(got, int | float):
        return "put quotes around it"
    return ""


def _unknown_key(key: str, section: type[BaseModel] | None, model: type[BaseModel]) -> str:
    """What may have been meant by a key: one of its section, one of another, or a hyper-parameter."""
    known = list(section.model_fields) if section else []
    suggestion = did_you_mean(key, known, kind="key")
    if suggestion.startswith("did you mean"):
        return suggestion
    elsewhere = [path for path, fields in _sections(model) if key in fields and fields != known]
    if elsewhere:
        return f"it is a key of {' and of '.join(elsewhere)}; keys here: {', '.join(known)}"
    if "params" in known:
        return f"hyper-parameters belong below params, as in params: {{{key}: ...}}; {suggestion}"
    return suggestion


def _sections(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, list[str]]]:
    """The sections below a model: key path and keys of each."""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None:
            below = f"{path}.{name}" if path else name
            yield below, list(inner.model_fields)
            yield from _sections(inner, below)


def _section(root: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model that describes the mapping at a key path."""
    annotation: Any = root
    for part in path:
        inner = _model_in(annotation)
        if inner and part in inner.model_fields:
            annotation = inner.model_fields[str(part)].annotation
        # An index, or a key that people choose: the model of the element stands in the same annotation.
    return _model_in(annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = f"'{value}'" if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
