"""From a file of a suite's folder to the algorithm or task that it defines."""

import copy
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, SupportsIndex, get_args, get_origin, get_type_hints

import gymnasium
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError, TaskError, UserError, did_you_mean
from haepo_bench.suite.local.code import LocalCode
from haepo_bench.suite.local.loading import blamed, is_local, load
from haepo_bench.suite.local.reference import MAKE
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.environments.gym import NOTHING, EnvironmentTask, Wrapper
from haepo_bench.training.algorithm import AlgorithmDefinition
from haepo_bench.training.parameters import check_overrides, space_of

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Definition(NamedTuple):
    """What a reference means.

    Args:
        attribute: its name in the file.
    """

    attribute: str
    value: Any


def find_algorithm(code: LocalCode) -> Definition:
    """The class of an algorithm.

    Raises:
        UserError: the file cannot be imported, or does not say which of its classes is meant.
    """
    from haepo_bench.objectives.base import Objective

    return _find(code, load(code), (Objective, AlgorithmDefinition), "an Objective or an AlgorithmDefinition")


def defines_algorithm(code: LocalCode) -> bool:
    """Whether what a reference means is an algorithm; else it is a task.

    Raises:
        UserError: the file cannot be imported, or does not say what in it is meant.
    """
    from haepo_bench.objectives.base import Objective

    module, attribute = load(code), code.reference.attribute
    kinds = (Objective, AlgorithmDefinition)
    values = [getattr(module, attribute, None)] if attribute else vars(module).values()
    return any(isinstance(value, kinds) or _is_own_class(value, kinds, module) for value in values)


def find_task(code: LocalCode) -> Definition:
    """The function or class that makes a task.

    Raises:
        UserError: the file cannot be imported, or does not say what in it is meant.
    """
    module = load(code)
    make = getattr(module, MAKE, None)
    # One that is imported, such as gymnasium's, is not the file's.
    if not code.reference.attribute and callable(make) and is_local(getattr(make, "__module__", "") or ""):
        return Definition(MAKE, make)
    return _find(code, module, (Task, gymnasium.Env), f"a function `{MAKE}`, a Task or a gymnasium.Env")


def definition(code: LocalCode, *, language: bool = False) -> AlgorithmDefinition:
    """The algorithm of a file, as it trains on all but language tasks, or on those.

    Raises:
        UserError: as `find_algorithm`.
    """
    found = find_algorithm(code)
    _check_objective(code, found)
    with blamed(code):
        return catalogue.as_definition(code.reference.stem, found.value, language=language, listed=False)


def _check_objective(code: LocalCode, found: Definition) -> None:
    """Whether an objective can be made with its defaults, which pydantic does not look at, and be given a batch.

    Raises:
        UserError: says which hyper-parameter has none, or one that it does not take itself; or that it takes no batch.
    """
    from haepo_bench.objectives.base import Objective

    if not (isinstance(found.value, type) and issubclass(found.value, Objective)):
        return
    defaults: dict[str, Any] = {}
    for name, field in found.value.model_fields.items():
        if field.is_required():
            raise UserError(
                f"{code.reference.file}: the hyper-parameter {name} of {found.attribute} has no default",
                remedy=f"write {name}: float = hyper(default, meaning)",
            )
        defaults[name] = field.get_default(call_default_factory=True)
    try:
        with blamed(code, passing=ValidationError):
            made = found.value.model_validate(defaults)
    except ValidationError as error:
        first = error.errors()[0]
        name, said = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
        said = said[:1].lower() + said[1:]
        raise UserError(
            f"{code.reference.file}: the hyper-parameter {name} of {found.attribute} does not take its own default, "
            f"{first['input']!r:.60}: {said}"
            if name
            else f"{code.reference.file}: {found.attribute} does not take its own defaults: {said}",
            remedy="correct the default or its bounds",
        ) from error
    _check_spaces(code, found)
    for name in defaults:
        try:
            made.model_dump(mode="json", include={name})
        except PydanticSerializationError as error:
            raise UserError(
                f"{code.reference.file}: the hyper-parameter {name} of {found.attribute} is {defaults[name]!r:.60}, "
                "which no suite could write and no record could hold",
                remedy="make hyper-parameters of numbers, texts, enumerations, and lists of these",
            ) from error
    _check_declared(code, found)
    try:
        inspect.signature(found.value.__call__).bind("self", "batch")
    except TypeError as error:
        raise UserError(
            f"{code.reference.file}: {found.attribute}.__call__ cannot be given a batch alone: {error}",
            remedy="write def __call__(self, batch): ...",
        ) from error


def _check_spaces(code: LocalCode, found: Definition) -> None:
    """Whether hyper-parameters take what their spaces have.

    Raises:
        UserError: names the hyper-parameter.
    """
    for name, field in found.value.model_fields.items():
        of = f"{code.reference.file}: the hyper-parameter {name} of {found.attribute}"
        try:
            space = space_of(field)
        except ValueError as error:
            raise UserError(f"{of} is searched where it cannot be: {error}", remedy="give another range") from error
        for value in space.probes if space is not None else ():
            try:
                check_overrides({name: value}, [found.value], found.attribute)
            except ParameterError as error:
                # A check of several hyper-parameters together waits for all that are searched.
                if error.parameter == name:
                    problem = f"{of} is searched where it cannot be: it does not take {value!r:.60}: {error.problem}"
                    raise UserError(problem, remedy="correct its search, or its bounds") from error


def _check_declared(code: LocalCode, found: Definition) -> None:
    """Whether what an objective says of itself beside its hyper-parameters is what `Objective` declares.

    Raises:
        UserError: names the attribute.
    """
    for name, kind in _declared().items():
        value = getattr(found.value, name)
        if isinstance(value, property):  # some ask each instance
            continue
        try:
            kind.validate_python(value, strict=True)
        except ValidationError as error:
            said = error.errors()[0]["msg"]
            raise UserError(
                f"{code.reference.file}: {found.attribute}.{name} is {value!r:.60}: {said[:1].lower() + said[1:]}",
                remedy="correct it, or leave it out",
            ) from error


@cache
def _declared() -> dict[str, TypeAdapter[Any]]:
    """What `Objective` declares of its classes; made once, for every cell asks."""
    from haepo_bench.objectives.base import Objective

    hints = get_type_hints(Objective).items()
    return {name: TypeAdapter(*get_args(hint)) for name, hint in hints if get_origin(hint) is ClassVar}


def task(
    code: LocalCode,
    *,
    time_limit: int | None,
    kwargs: Mapping[str, Any] = NOTHING,
    wrappers: Sequence[tuple[str, Wrapper]] = (),
) -> Task:
    """The task of a file, with its address for an id.

    Args:
        kwargs: keyword arguments of what makes it.
        wrappers: what goes around a gymnasium environment, with names, the innermost first.

    Raises:
        UserError: the file cannot be imported, or what it defines makes no task.
    """
    reference = code.reference
    found = find_task(code)
    with blamed(code):
        # What an environment's class calls time_limit is its own affair.
        made = _made(found, reference.variant, None if _is_environment(found.value) else time_limit, kwargs)
        if isinstance(made, gymnasium.Env):
            made.close()
            make = partial(_made, found, reference.variant, None, kwargs)
            made = _environment(code, make, time_limit, kwargs=kwargs, wrappers=wrappers)
        elif wrappers:
            raise TaskError(f"{reference.file} makes no gymnasium environment", remedy="remove them", key="wrappers")
    if not isinstance(made, Task):
        raise TaskError(
            f"{reference.file}: {found.attribute} returned a {type(made).__name__}, neither a Task nor a gymnasium.Env",
            remedy="return an object of a class that is derived from haepo_bench.api.Task or from gymnasium.Env",
        )
    # Not what results call it: the catalogue may have a task of that name, of which more is known.
    made.id = reference.text
    return made


def find_wrapper(code: LocalCode) -> Callable[[Any], Any]:
    """The class or function that goes around an environment.

    Raises:
        UserError: the file cannot be imported, or does not say which is meant.
    """
    found = _find(code, load(code), (gymnasium.Wrapper,), "a gymnasium.Wrapper").value
    if not callable(found):
        raise TaskError(f"{code.reference.file}:{code.reference.attribute} is not a wrapper", key="wrappers")
    wrapper: Callable[[Any], Any] = found
    return wrapper


def _environment(code: LocalCode, make: Callable[[], Any], time_limit: int | None, **keys: Any) -> Task:
    """The task of a function or class that makes a gymnasium environment; its class may say `max_episode_steps`."""

    def limited(horizon: int | None) -> Any:
        made = make()
        return made if horizon is None else gymnasium.wrappers.TimeLimit(made, horizon)

    made = make()
    own = getattr(made, "max_episode_steps", None)
    if own is None and made.spec:
        own = made.spec.max_episode_steps
    made.close()
    if own is not None and (isinstance(own, bool) or not isinstance(own, SupportsIndex)):
        raise TaskError(
            f"{type(made).__name__}.max_episode_steps is {own!r:.60}, not a whole number",
            remedy="give it the most steps that an episode takes",
        )
    own = None if own is None else operator.index(own)
    return EnvironmentTask(code.reference.name, limited, limit=own, time_limit=time_limit, **keys)


def _made(found: Definition, variant: str, time_limit: int | None, kwargs: Mapping[str, Any]) -> Any:
    """Calls a function with what it takes: the variant, and a time limit where one is given and it knows of one.

    Each call gets arguments of its own: what it makes may change them.
    """
    make: Callable[..., Any] = found.value
    own = copy.deepcopy(dict(kwargs))
    parameters = inspect.signature(make).parameters
    takes = [p.name for p in parameters.values() if p.kind in _POSITIONAL and p.name not in {"time_limit", *kwargs}]
    needs = any(parameters[name].default is inspect.Parameter.empty for name in takes)
    arguments: list[Any] = [variant] if needs or (variant and takes) else []
    if variant and not arguments:
        raise TaskError(f"{found.attribute} takes no variant, and '{variant}' is given", remedy="leave it out")
    catch_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    for name in kwargs:
        if name not in parameters and not catch_all:
            known = [each for each in parameters if each != "time_limit"]
            remedy = did_you_mean(name, known, kind="keyword") if known else "it takes none: remove it"
            raise TaskError(f"{found.attribute} takes no '{name}'", remedy=remedy, key="kwargs")
    if "time_limit" in parameters and "time_limit" not in kwargs:
        required = parameters["time_limit"].default is inspect.Parameter.empty
        if time_limit is not None or (required and not _is_environment(make)):
            own["time_limit"] = time_limit
    elif time_limit is not None and "time_limit" in kwargs:
        raise TaskError("time_limit is given twice, of the task and below kwargs", remedy="remove one", key="kwargs")
    elif time_limit is not None:
        raise TaskError(
            f"{found.attribute} takes no time limit", remedy=f"leave it out, or give {found.attribute} a time_limit"
        )
    return make(*arguments, **own)


def _is_environment(made_by: Any) -> bool:
    return isinstance(made_by, type) and issubclass(made_by, gymnasium.Env)


def _is_own_class(value: Any, kinds: tuple[type, ...], module: ModuleType) -> bool:
    """Whether a value is a class of one of the kinds, made in the module."""
    return isinstance(value, type) and issubclass(value, kinds) and value.__module__ == module.__name__


def _find(code: LocalCode, module: ModuleType, kinds: tuple[type, ...], wanted: str) -> Definition:
    reference = code.reference
    classes = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and _is_own_class(value, kinds, module)
    }
    own = {name: value for name, value in classes.items() if not inspect.isabstract(value)}
    if reference.attribute:
        if not hasattr(module, reference.attribute):
            raise UserError(
                f"{reference.file} defines no '{reference.attribute}'",
                remedy=f"it defines {', '.join(own)}" if own else f"define {wanted} in it",
            )
        return Definition(reference.attribute, getattr(module, reference.attribute))
    if classes and not own:
        name, value = next(iter(classes.items()))
        raise UserError(
            f"{reference.file}: {name} is abstract: it has no {', '.join(sorted(value.__abstractmethods__))}",
            remedy="define it in the class",
        )
    if len(own) != 1:
        listed = " or ".join(f"{reference.file}:{name}" for name in own)
        raise UserError(
            f"{reference.file} defines {'more than one thing that could be meant' if own else 'nothing of the kind'}",
            remedy=f"write {listed}" if own else f"define {wanted}; `haepo-bench new` writes a file to start from",
        )
    return Definition(*next(iter(own.items())))
