"""What `gym/` steps, as gymnasium has it registered: the modules that it is made from, and what they are given.

The registry is asked, nothing is made. An environment may be registered by anybody: what is registered under its id
decides what a run steps, so all of it counts.
"""

import dataclasses
import hashlib
import re
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from haepo_bench.errors import TaskError
from haepo_bench.results.hashing import canonical_json
from haepo_bench.suite.local.loading import PREFIX

_LOCAL = re.compile(f"{PREFIX}[0-9a-f]+\\.")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Registered(NamedTuple):
    """An environment's registration.

    Args:
        facts: name to text, the same in every process.
        modules: names of those that hold its class, its wrappers, and functions among what they are given.
    """

    facts: dict[str, str]
    modules: tuple[str, ...]


def registered(gymnasium_id: str, spec: Any = None) -> Registered:
    """What stands under an id in gymnasium's registry; an id `module:name` says which module has registered it.

    Args:
        spec: instead, of a module of the suite's folder, whose source counts anyway.
    """
    import gymnasium

    registers, _, name = gymnasium_id.rpartition(":")
    if spec is not None:
        registers = ""
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a newer version exists
            spec = gymnasium.spec(name)
    values = {
        "entry_point": spec.entry_point,
        "kwargs": spec.kwargs,
        "wrappers": [(wrapper.name, wrapper.entry_point, wrapper.kwargs) for wrapper in spec.additional_wrappers],
        "max_episode_steps": spec.max_episode_steps,
    }
    try:
        facts = {name: _LOCAL.sub("", canonical_json(_plain(value))) for name, value in values.items() if value}
    except RecursionError:
        raise TaskError(
            f"what {spec.id} is registered with holds itself",
            remedy="register it with numbers, texts and lists of these",
        ) from None
    points = [spec.entry_point, *(wrapper.entry_point for wrapper in spec.additional_wrappers)]
    named = [point.partition(":")[0] for point in points if isinstance(point, str)]
    given = [*points, spec.kwargs, *(wrapper.kwargs for wrapper in spec.additional_wrappers)]
    modules = [*([registers] if registers else []), *named, *_modules(given)]
    return Registered(facts, tuple(dict.fromkeys(modules)))


def _plain(value: Any) -> Any:
    """`value` as JSON that says the same in every process."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(inner) for inner in value), key=canonical_json)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        inner = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return [_name(type(value)), _plain(inner)]
    if hasattr(value, "tobytes"):
        kind = getattr(value, "dtype", type(value).__name__)
        return [repr(getattr(value, "shape", "")), str(kind), hashlib.sha256(value.tobytes()).hexdigest()]
    return _name(value) if hasattr(value, "__qualname__") else _ADDRESS.sub("", repr(value))


def _name(value: Any) -> str:
    # A file of a suite's folder is the same wherever the folder is.
    # A method that C defines has no module of its own.
    module = value.__module__ or type(getattr(value, "__self__", None)).__module__
    return f"{_LOCAL.sub('', module)}:{value.__qualname__}"


def _modules(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list | tuple | set | frozenset):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _modules(inner)
    elif callable(value) or dataclasses.is_dataclass(value):
        module = getattr(value, "__module__", None)
        if isinstance(module, str):
            yield module
