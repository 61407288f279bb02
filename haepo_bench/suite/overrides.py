"""`--set KEY=VALUE` and `--only GLOB`: what the command line changes in a suite."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from haepo_bench.errors import UserError, did_you_mean
from haepo_bench.suite.document import Document, KeyPath, parse, render

_STEP = re.compile(r"\[([^\[\]]+)\]|(?:^|\.)([^.\[\]]+)")
#: What a bare string in these lists stands for.
_SHORTHANDS: dict[KeyPath, str] = {("tasks",): "id", ("algorithms",): "use"}


def apply(document: Document, assignment: str) -> None:
    """Sets one entry of a document, such as `tasks[1].budget.env_steps=1e4`; the value is YAML.

    List entries are reached by index (`tasks[1]` or `tasks.1`); keys that hold dots stand in brackets
    (`per_task[gym/x.y]`). Mappings on the way that are not there yet are made.

    Raises:
        UserError: not `KEY=VALUE`, no such list entry, or a value that is not YAML.
    """
    key, equals, text = assignment.partition("=")
    keys = _parse_key(key.strip())
    if not equals or not keys:
        raise UserError(
            "not KEY=VALUE", where=f"--set {assignment}", remedy="such as --set tasks[0].budget.env_steps=1000"
        )
    place = f"--set {key.strip()}"
    # A value of nothing is YAML's null; an empty text is `''`.
    value = parse(text if text.strip() else "null", place, lambda _line: place)
    if value.problems:
        raise value.error(value.problems)
    path = _assign(document.data, keys, value.data, place)
    document.places = {known: at for known, at in document.places.items() if known[: len(path)] != path}
    for n in range(1, len(path)):  # mappings that were made on the way
        document.places.setdefault(path[:n], place)
    document.places.update({(*path, *below): at for below, at in value.places.items()})


def _parse_key(key: str) -> tuple[str, ...]:
    steps = list(_STEP.finditer(key))
    if "".join(step.group() for step in steps) != key:
        return ()
    return tuple(step.group(1) or step.group(2) for step in steps)


def _assign(data: Any, keys: tuple[str, ...], value: Any, place: str) -> KeyPath:
    container = data
    path: KeyPath = ()
    for key in keys[:-1]:
        step = _step(container, key, path, place)
        inner = container.get(step) if isinstance(container, dict) else container[step]
        if isinstance(inner, str) and path in _SHORTHANDS:
            inner = {_SHORTHANDS[path]: inner}
        container[step] = {} if inner is None else inner
        container, path = container[step], (*path, step)
    step = _step(container, keys[-1], path, place)
    container[step] = value
    return (*path, step)


def _step(container: Any, key: str, path: KeyPath, place: str) -> str | int:
    """The key or index with which `container`, at `path`, is entered."""
    if isinstance(container, dict):
        return key
    if not isinstance(container, list):
        raise UserError(f"{render(path)} holds a single value: there is no '{key}' in it", where=place)
    if key.isascii() and key.isdecimal() and int(key) < len(container):
        return int(key)
    raise UserError(
        f"{render(path)} is a list and has no entry '{key}'",
        where=place,
        remedy=_entries(len(container)),
    )


def _entries(count: int) -> str:
    if count < 2:
        return "its only entry is 0" if count else "it is empty"
    return f"its entries are 0 to {count - 1}"


def check_filters(patterns: Sequence[str], cells: Sequence[tuple[str, str]]) -> None:
    """Raises UserError for a pattern that selects none of the cells (task, algorithm)."""
    for pattern in patterns:
        if not any(selected(task, algorithm, [pattern]) for task, algorithm in cells):
            names = {task for task, _ in cells} | {algorithm for _, algorithm in cells}
            raise UserError(
                "selects nothing",
                where=f"--only {pattern}",
                remedy=did_you_mean(pattern, names, kind="name"),
            )


def selected(task: str, algorithm: str, patterns: Sequence[str]) -> bool:
    """Whether any pattern (or there is none) matches the task, the algorithm's name, or `task:algorithm`."""
    names = (task, algorithm, f"{task}:{algorithm}")
    # No name has a space; an address may be typed with some.
    return not patterns or any(fnmatchcase(name, pattern.replace(" ", "")) for pattern in patterns for name in names)
