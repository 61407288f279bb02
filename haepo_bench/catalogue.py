"""Names to algorithms, families and tasks, our own and those of installed plugins.

Our own are in the tables of listed.py, so that listing them imports nothing heavy. Other people's come through the
entry-point groups `haepo_bench.algorithms` (an `Objective` class or an `AlgorithmDefinition`) and `haepo_bench.tasks`
(a callable that takes the part of the address after the family and returns a `Task`).
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from haepo_bench.errors import TaskError, UnknownName, UserError, in_words
from haepo_bench.listed import ALGORITHMS as ALGORITHMS
from haepo_bench.listed import DEFINITIONS, EXAMPLES, OWN_DEFINITIONS, Listed
from haepo_bench.listed import FAMILIES as FAMILIES
from haepo_bench.listed import TASKS as TASKS
from haepo_bench.tasks.address import WRAPPERS, Layer, parse

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from haepo_bench.objectives.base import Objective
    from haepo_bench.tasks.base import Task
    from haepo_bench.training.algorithm import AlgorithmDefinition

ALGORITHM_GROUP = "haepo_bench.algorithms"
TASK_GROUP = "haepo_bench.tasks"
#: What an algorithm may be called: it becomes part of a folder's name.
NAME = re.compile(r"[A-Za-z0-9._-]+")
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


def list_algorithms() -> list[Listed]:
    """Every algorithm, our own first; imports none of them."""
    return [*ALGORITHMS.values(), *(_listed(point) for point in _plugins(ALGORITHM_GROUP).values())]


def list_tasks() -> list[Listed]:
    """Every task family, our own first; imports none of them."""
    return [*TASKS.values(), *(_listed(point) for point in _plugins(TASK_GROUP).values())]


def list_wrappers() -> list[Listed]:
    """Every wrapper of tasks, as it is written in an address."""
    return [Listed(wrapper.usage, wrapper.summary, wrapper.target) for wrapper in WRAPPERS.values()]


def example_addresses() -> list[str]:
    """Addresses of single tasks that the author of a part of one may have meant, such as `CartPole-v1`."""
    from gymnasium import registry  # not needed to list families

    return [*EXAMPLES, *(f"gym/{name}" for name in registry)]


def innermost(address: str) -> str:
    """The address `family/variant` without its wrappers; the family need not exist.

    Raises:
        UnknownName: no such wrapper.
        TaskError: a wrapper that is not written as it should be.
    """
    return parse(address).innermost


def expand(name: str) -> tuple[str, ...]:
    """The algorithms that a name stands for: a family's members, else the name itself.

    Raises:
        UnknownName: neither an algorithm nor a family.
    """
    if name in FAMILIES:
        return FAMILIES[name]
    if name not in ALGORITHMS and name not in _plugins(ALGORITHM_GROUP):
        if "/" in name and name.partition("/")[0] in {*TASKS, *_plugins(TASK_GROUP)}:
            raise UserError(f"'{name}' is a task, not an algorithm", remedy="it belongs below tasks:")
        _refuse_file(name, "algorithm")
        known = [*ALGORITHMS, *FAMILIES, *_plugins(ALGORITHM_GROUP)]
        raise UnknownName("algorithm", name, known, more="`haepo-bench list algorithms`")
    if not NAME.fullmatch(name):
        raise UserError(
            f"the plugin's name '{name}' cannot be the name of a folder",
            remedy="its package must register it under letters, digits, '.', '_' and '-' only",
        )
    return (name,)


@cache
def algorithm(name: str) -> "AlgorithmDefinition":
    """The algorithm of that name (not a family), as it trains on all but language tasks.

    Raises:
        UnknownName: there is none.
        UserError: a plugin that cannot be imported.
    """
    return as_definition(name, _load_algorithm(name))


@cache
def language_algorithm(name: str) -> "AlgorithmDefinition":
    """The algorithm of that name as it trains on language tasks: another one where it is made from an objective.

    Raises:
        UnknownName: there is none.
        UserError: a plugin that cannot be imported.
    """
    loaded = _load_algorithm(name)
    return as_definition(name, loaded, language=True) if isinstance(loaded, type) else algorithm(name)


def algorithm_on(task: "Task", name: str) -> "AlgorithmDefinition":
    """The algorithm of that name as it trains on `task`.

    Raises:
        UnknownName: there is none.
        UserError: a plugin that cannot be imported.
    """
    return language_algorithm(name) if task.backend == "language" else algorithm(name)


def as_definition(name: str, loaded: Any, *, language: bool = False, listed: bool = True) -> "AlgorithmDefinition":
    """What a catalogue entry points to, as a definition: an objective class, a definition, or a definition class.

    Args:
        language: as it trains on language tasks.
        listed: whether the name is that of a catalogue entry, which may have settings of its own.

    Raises:
        UserError: it is none of these.
    """
    from haepo_bench.training.algorithm import AlgorithmDefinition

    made = loaded() if isinstance(loaded, type) and issubclass(loaded, AlgorithmDefinition) else loaded
    if isinstance(made, AlgorithmDefinition):
        return made
    # Only objectives need torch: algorithms of other kinds are made without it.
    from haepo_bench.objectives.base import Objective

    if isinstance(loaded, type) and issubclass(loaded, Objective):
        own = OWN_DEFINITIONS.get(name) if listed else None
        return _made(name, loaded, DEFINITIONS["language"] if language else own or DEFINITIONS[loaded.collects])
    what = f"the class {loaded.__name__}" if isinstance(loaded, type) else f"a {type(loaded).__name__}"
    raise UserError(
        f"the algorithm '{name}' is {what}, neither an Objective nor an AlgorithmDefinition",
        remedy="see docs/how-to/extending.md",
    )


def task(address: str, *, time_limit: int | None = None, options: Mapping[str, Any] = NO_OPTIONS) -> "Task":
    """The task at an address such as `gym/CartPole-v1` or `noise(gym/CartPole-v1,0.5)`.

    Args:
        time_limit: steps after which an episode is cut off; needed for environments that have no limit.
        options: what else the family's tasks are made with (`Listed.options`).

    Raises:
        UnknownName: no such family or wrapper.
        TaskError: the family does not know that variant or option or needs something that is not installed, or a
            wrapper is not written as it should be or cannot go around that task.
    """
    layers, innermost = parse(address)
    return wrapped(_unwrapped_task(innermost, time_limit, options), layers)


def wrapped(task: "Task", layers: Sequence[Layer]) -> "Task":
    """The task within the wrappers of an address, outermost first.

    Raises:
        TaskError: one of them cannot go around it.
    """
    for layer in reversed(layers):
        task = _load(WRAPPERS[layer.wrapper].target)(task, layer)
    return task


def _load_algorithm(name: str) -> Any:
    expand(name)
    return _load(ALGORITHMS[name].target if name in ALGORITHMS else _plugins(ALGORITHM_GROUP)[name])


def _made(name: str, objective: "type[Objective]", definition: str) -> "AlgorithmDefinition":
    made: AlgorithmDefinition = _load(definition)(name, objective)
    return made


def _unwrapped_task(address: str, time_limit: int | None, options: Mapping[str, Any]) -> "Task":
    family, slash, variant = address.partition("/")
    plugins = _plugins(TASK_GROUP)
    if family not in TASKS and family not in plugins:
        if address in ALGORITHMS or address in FAMILIES or address in _plugins(ALGORITHM_GROUP):
            raise TaskError(f"'{address}' is an algorithm, not a task", remedy="it belongs below algorithms:")
        _refuse_file(address, "task")
        families = [entry.name for entry in list_tasks()]
        raise UnknownName("task", address, families, also=example_addresses(), more="`haepo-bench list tasks`")
    if not slash or not variant:
        example = TASKS[family].name if family in TASKS else f"{family}/<variant>"
        raise TaskError(f"task '{address}' names a family without a variant", remedy=f"write {example}")
    known = TASKS[family].options if family in TASKS else ()
    for name in options:
        if name not in known:
            takers = ", ".join(f"{other}/..." for other, entry in TASKS.items() if name in entry.options)
            raise TaskError(
                f"the tasks {family}/... have no {name}", remedy=f"remove it; it is for {takers or 'none'}", key=name
            )
    make = _load(TASKS[family].target if family in TASKS else plugins[family])
    try:
        made: Task = make(variant, time_limit=time_limit, **options)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        if family in TASKS:
            raise
        raise TaskError(
            f"the plugin that makes '{family}' tasks failed: {in_words(error)}",
            remedy=f"is '{variant}' a variant that it knows? If so, fix the plugin",
        ) from error
    return made


def attribute(module: str, name: str) -> Any:
    """What an installed module calls so; None where it has nothing of that name.

    Raises:
        UserError: the module cannot be imported.
    """
    try:
        return getattr(import_module(module), name, None)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"the module '{module}' cannot be imported: {in_words(error)}",
            remedy="install it, or put it into the suite's folder",
        ) from error


def _refuse_file(name: str, kind: str) -> None:
    """Refuses a Python file where a name is needed.

    Raises:
        TaskError: it is one.
    """
    if re.search(r"\.py([:/].*)?$", name, re.IGNORECASE):
        raise TaskError(
            f"'{name}' is a Python file: {kind}s of your own are files in the suite's folder or below it",
            remedy=f"write ./{name.replace(chr(92), '/').rpartition('/')[2] if ':' in name[:2] else name}",
        )


@cache
def _plugins(group: str) -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # costs a fifth of `--help`, which needs none

    own = ALGORITHMS if group == ALGORITHM_GROUP else TASKS
    return {point.name: point for point in entry_points(group=group) if point.name not in own}


def _listed(point: "EntryPoint") -> Listed:
    origin = point.dist.name if point.dist is not None else "unknown"
    return Listed(point.name, f"from {origin}", point.value, origin)


def _load(target: "str | EntryPoint") -> Any:
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
    try:
        return target.load()
    except (Exception, SystemExit) as error:  # a plugin can fail in any way; its author needs to know which one and how
        raise UserError(
            f"the plugin '{target.name}' ({target.value}) cannot be imported: {in_words(error)}",
            remedy="fix or uninstall the package that provides it",
        ) from error
