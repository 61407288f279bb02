"""Which hyper-parameters of a suite's algorithms are searched, and where: from `hyper(search=...)` and the suite."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError, UserError, did_you_mean
from haepo_bench.objectives.ranges import is_number
from haepo_bench.objectives.spaces import End, Space
from haepo_bench.results.claims import members
from haepo_bench.results.searches import made_of
from haepo_bench.suite.document import KeyPath, Problem
from haepo_bench.suite.local.reference import is_file
from haepo_bench.suite.named import NamedAlgorithm
from haepo_bench.suite.schema import AlgorithmEntry
from haepo_bench.suite.search_keys import MOST_SEARCHED, Search
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import AlgorithmDefinition

#: What all algorithms have in common, under whatever objective: searched alike or not at all.
SHARED = ("learning_rate", "trajectories", "epochs")

Spaces = dict[str, dict[str, Space]]


class OnTasks(NamedTuple):
    """An algorithm with the tasks that it is run on, and its definition on each."""

    named: NamedAlgorithm
    tasks: list[tuple[Task, AlgorithmDefinition]]


def resolve_spaces(
    search: Search, algorithms: Sequence[OnTasks], unread: Mapping[str, str]
) -> tuple[Spaces, list[Problem]]:
    """The spaces of every algorithm, and what is wrong with those that the suite says.

    What an entry sets under `params` or `per_task` is not searched.

    Args:
        unread: algorithms that cannot be looked at, name to what they use.
    """
    uses = {each.named.name: each.named.uses for each in algorithms} | dict(unread)
    said, problems = _said(search, uses)
    found: Spaces = {}
    for each in algorithms:
        name = each.named.name
        key = said.get(name)
        own, wrong = _of_algorithm(each, None if key is None else search.spaces[key], key)
        found[name] = own
        problems += wrong
    return found, problems + _unequal(found, said) + _taken(found, algorithms)


def _said(search: Search, uses: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """{algorithm: the key of `spaces` about it}: its own name goes before that of what it uses, and of its family."""

    def closeness(key: str) -> int:
        return 2 if key in uses else 1 if key in uses.values() else 0

    said: dict[str, str] = {}
    problems = []
    for key in sorted(search.spaces, key=closeness):
        group = members(key, uses, families=catalogue.FAMILIES)
        if not group and uses:
            families = [name for name in catalogue.FAMILIES if members(name, uses, families=catalogue.FAMILIES)]
            known = [*uses, *uses.values(), *families]
            remedy = did_you_mean(key, list(dict.fromkeys(known)), kind="algorithm")
            problems.append(Problem(("search", "spaces", key), f"the suite has no algorithm '{key}'", remedy))
        said |= dict.fromkeys(group, key)
    return said, problems


def _fixed_of(entry: AlgorithmEntry) -> set[str]:
    """The hyper-parameters that an entry of a suite sets: they are not searched."""
    return set(entry.params).union(*(own.params for own in entry.per_task.values()))


def _of_algorithm(each: OnTasks, said: Any, key: str | None) -> tuple[dict[str, Space], list[Problem]]:
    """The spaces of one algorithm.

    Args:
        said: {hyper-parameter: SpaceKeys} in place of its own spaces, under `key`; None where the suite says nothing.
    """
    named = each.named
    fixed = _fixed_of(named.entry)
    if not each.tasks:
        return {}, []
    if said is None:
        kinds = {
            tuple(sorted((name, str(space)) for name, space in definition.spaces.items() if name not in fixed))
            for _, definition in each.tasks
        }
        if len(kinds) > 1:
            problem = f"{named.name} is searched in other spaces on language tasks than on the others"
            remedy = f"give it spaces for all tasks, under search.spaces.{named.name}"
            return {}, [Problem(named.path, problem, remedy)]
        spaces = {name: space for name, space in each.tasks[0][1].spaces.items() if name not in fixed}
        if problems := _of_file(each, spaces):
            return {}, problems
        return {name: _with_open_ends(each, name, space) for name, space in spaces.items()}, []
    found: dict[str, Space] = {}
    problems = []
    types = {p.name: p.type for p in each.tasks[0][1].describe_parameters()}
    # Without bounds: `float >= 0 | null` is a float or null.
    plain = {name: {one.split()[0] for one in text.split(" | ")} - {"null"} for name, text in types.items()}
    whole = {name for name, own in plain.items() if own == {"int"}}
    numbers = {name for name, own in plain.items() if own and own <= {"int", "float"}}
    for name, keys in said.items():
        path: KeyPath = ("search", "spaces", str(key), name)
        if name in fixed:
            problem = f"{named.name} has {name} under params, so it is not searched"
            problems.append(Problem(path, problem, "remove one of the two"))
            continue
        space = keys.space.whole_numbers() if name in whole else keys.space
        if space.kind != "choices" and name in types and name not in numbers and plain[name] != {"Any"}:
            problem = f"{name} is {types[name]}, and has no range"
            problems.append(Problem(path, problem, "list values of it: {choices: [...]}"))
            continue
        if space.whole and any(value != round(value) for value in space.values):
            problem = f"{name} is a whole number: its range begins and ends with one, got {list(space.values)}"
            problems.append(Problem(path, problem, "give whole numbers, or choices"))
            continue
        if name in numbers and (texts := [value for value in space.values if isinstance(value, str)]):
            problem = f"{name} is a number, and a choice is the text '{texts[0]}'"
            problems.append(Problem((*path, "choices", space.values.index(texts[0])), problem, "remove the quotes"))
            continue
        found[name] = space
    for name, problem, remedy in _refusals(each, found):
        problems.append(Problem(("search", "spaces", str(key), name), problem, remedy))
    return {} if problems else {name: _with_open_ends(each, name, space) for name, space in found.items()}, problems


def _of_file(each: OnTasks, spaces: Mapping[str, Space]) -> list[Problem]:
    """What is wrong with the spaces that a file of the suite's folder says; those of the catalogue are tested."""
    named = each.named
    if not is_file(named.uses):
        return []
    path = (*named.path, "use")
    if len(spaces) > MOST_SEARCHED:
        problem = f"{named.uses} says where {', '.join(spaces)} are searched, and at most {MOST_SEARCHED} may be"
        remedy = f"leave search= out for some of them, or say which under search.spaces.{named.name}"
        return [Problem(path, problem, remedy)]
    return [
        Problem(path, f"{named.uses} says where {name} is searched: {problem}", remedy)
        for name, problem, remedy in _refusals(each, spaces)
    ]


def _refusals(each: OnTasks, spaces: Mapping[str, Space]) -> Iterator[tuple[str, str, str]]:
    """Hyper-parameter, problem and remedy, where a value can be drawn that an algorithm does not take.

    Each value that counts is tried with all ends of the other spaces: any may be drawn with any.
    """
    for name, space in spaces.items():
        others = {key: _ends(own) for key, own in spaces.items() if key != name}
        beside = [dict(zip(others, ends, strict=True)) for ends in product(*others.values())]
        for value in space.probes:
            errors = [(own, _refused(each, {**own, name: value})) for own in beside]
            of_it = [(own, error) for own, error in errors if error is not None and error.parameter == name]
            if of_it:
                own, error = of_it[0]
                always = len(of_it) == len(errors)
                where = "" if always else f" (with {', '.join(f'{key} {other!r}' for key, other in own.items())})"
                yield name, f"{error.problem}{where}", error.remedy or "narrow one of the spaces"
                break


def _refused(each: OnTasks, drawn: Mapping[str, Any]) -> ParameterError | None:
    """Why an algorithm does not take values of hyper-parameters, in words about one of these; None where it does."""
    task, definition = each.tasks[0]
    plain = {p.name: p.default for p in definition.describe_parameters() if p.name in definition.published(task)}
    try:
        definition.configure({**plain, **each.named.entry.params, **drawn}, task)
    except ParameterError as error:
        return next((one for one in (error, *error.also) if one.parameter in drawn), None)
    except UserError:
        return None  # of the task, and said there
    return None


def _ends(space: Space) -> Sequence[Any]:
    """The first and the last of these."""
    return space.probes[0], space.probes[-1]


def _with_open_ends(each: OnTasks, name: str, space: Space) -> Space:
    """The space, knowing beyond which ends the hyper-parameter has values."""
    values = list(filter(is_number, space.values))
    if len(values) < len(space.values):
        return space
    low, high = min(values), max(values)
    if space.whole or all(isinstance(value, int) for value in values):
        beyond: tuple[float, float] = (round(low) - 1, round(high) + 1)
    elif space.kind == "uniform" or low <= 0:
        beyond = (low - (high - low) / 10, high + (high - low) / 10)
    else:
        beyond = (low / 2, high * 2)
    ends: tuple[End, End] = ("low", "high")
    is_open = tuple(end for end, value in zip(ends, beyond, strict=True) if _refused(each, {name: value}) is None)
    return Space(space.kind, space.values, space.whole, is_open)


def _taken(found: Spaces, algorithms: Sequence[OnTasks]) -> list[Problem]:
    """Algorithms with the name of a row that a search makes."""
    problems = []
    for named in (each.named for each in algorithms):
        searched = next((name for name, spaces in found.items() if spaces and made_of(named.name, name)), None)
        if searched is not None:
            key = "use" if named.entry.name is None else "name"
            problem = f"'{named.name}' is what a row is called that the search of {searched} makes"
            problems.append(Problem((*named.path, key), problem, "give it another name"))
    return problems


def _unequal(found: Spaces, said: Mapping[str, str]) -> list[Problem]:
    """Where the suite gives one algorithm another space of what all share."""
    problems = []
    for parameter in SHARED:
        spaces = {name: own[parameter] for name, own in found.items() if parameter in own}
        for name, space in spaces.items():
            other = next((one for one in spaces if str(spaces[one]) != str(space) and name in said), None)
            if other is not None:
                problem = f"{name} is searched in another space of {parameter} than {other} ({spaces[other]})"
                path: KeyPath = ("search", "spaces", said[name], parameter)
                problems.append(
                    Problem(path, problem, "what all algorithms share is searched alike: give all the same")
                )
    return problems
