"""What `run --tuned` notes: how the suite differs from the one that was searched."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from haepo_bench.results.searches import DeclaredSearch
from haepo_bench.suite.plan import Cell
from haepo_bench.suite.tuned import TunedFile, TunedSearch


def notes(tuned: TunedFile, cells: Sequence[Cell], search: DeclaredSearch | None) -> Iterator[str]:
    """A line for each difference between what was searched and the suite as it is now.

    Args:
        cells: of the suite, with the settings of the file.
        search: of the suite; None where it says nothing of searches.
    """
    yield from _of_tasks(tuned.search, {cell.task: cell.budget for cell in cells})
    if search is not None and search.measure != tuned.search.measure:
        yield f"note: searched for was {tuned.search.measure}, and the suite now says {search.measure}"
    own = set_by_suite(cells, {name: found.settings for name, found in tuned.algorithms.items()})
    for name, found in tuned.algorithms.items():
        if search is not None and found.spaces != search.spaces.get(name):
            yield f"note: {name} was searched in other spaces than the suite has now"
        now = {task: params for task, params in own[name].items() if found.uses and task in tuned.search.tasks}
        for change in _changes(found.params, now):
            yield f"note: {name} was searched {change}"


def _of_tasks(searched: TunedSearch, budgets: Mapping[str, int]) -> Iterator[str]:
    for task, then in searched.tasks.items():
        now = budgets.get(task)
        if now is None:
            yield f"note: the settings found are for {task}, too, which the suite does not have"
        elif now != then:
            steps = f"{task} was searched with {then:,} env steps, and is run with {now:,}"
            yield f"note: {steps}: the settings found may be wrong for that"
    for task in budgets if searched.tasks else ():
        if task not in searched.tasks:
            yield f"note: {task} was not searched: it is run with the settings found for other tasks"


def set_by_suite(
    cells: Iterable[Cell], searched: Mapping[str, Collection[str]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """{algorithm: {task: the hyper-parameters that the suite sets itself}}.

    Args:
        searched: of every algorithm to look at, the hyper-parameters that are searched.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in searched}
    for cell in cells:
        if cell.algorithm in found:
            own = {key: value for key, value in cell.overrides.items() if key not in searched[cell.algorithm]}
            found[cell.algorithm][cell.task] = to_jsonable_python(own)
    return found


def _changes(then: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A text for each hyper-parameter that the suite sets otherwise than it did, on some task that it has now."""
    texts = []
    for task, set_now in now.items():
        set_then = then.get(task, {})
        for key in sorted({*set_then, *set_now}):
            before, after = (
                f"{key} {json.dumps(own[key])}" if key in own else f"the default of {key}"
                for own in (set_then, set_now)
            )
            texts += [] if before == after else [f"with {before}, and is run with {after}"]
    return list(dict.fromkeys(texts))
