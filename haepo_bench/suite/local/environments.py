"""Environments that a module of a suite's folder registers with gymnasium: `gym/maze:Maze-v0`.

gymnasium's registry is one for the whole process. What a folder's modules register is kept for that folder, so that
two folders may use one id.
"""

import copy
from collections.abc import Callable
from typing import Any

from haepo_bench.errors import TaskError, did_you_mean
from haepo_bench.suite.local.code import LocalCode
from haepo_bench.suite.local.loading import REGISTERED, load, load_named, private_name


def registration(code: LocalCode, name: str) -> Any:
    """The specification of an id that a module registers when it is imported.

    Raises:
        UserError: the module cannot be imported, or does not register the id.
    """
    load(code)
    own = REGISTERED[private_name(code.folder)]
    if name not in own:
        raise TaskError(
            f"{code.reference.file} registers no environment '{name}'",
            remedy=did_you_mean(name, own, kind="environment") or "call gymnasium.register in it",
        )
    spec = copy.copy(own[name])
    spec.entry_point = _found(code, spec.entry_point)
    return spec


def _found(code: LocalCode, entry_point: Any) -> Any:
    """The entry point; one that names a module of the folder as if it were installed, as what it means."""
    if not isinstance(entry_point, str):
        return entry_point
    module, _, attribute = entry_point.partition(":")
    if module not in code.modules:
        return entry_point
    found: Callable[..., Any] | None = getattr(load_named(code, module), attribute, None)
    if found is None:
        raise TaskError(f"{code.reference.file} registers the entry point '{entry_point}', which does not exist")
    return found
