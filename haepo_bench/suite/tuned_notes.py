"""What `run --tuned` notes: how the suite differs from the one that was searched."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from haepo_bench.results.hashing import digest
from haepo_bench.results.searches import DeclaredSearch
from haepo_bench.suite.plan import Cell
from haepo_bench.suite.tuned import TunedAlgorithm, TunedFile, TunedSearch

#: {task: hyper-parameters that a suite sets itself}.
OwnParams = Mapping[str, Mapping[str, Any]]


def notes(
    tuned: TunedFile, cells: Sequence[Cell], own_params: Mapping[str, OwnParams], search: DeclaredSearch | None
) -> Iterator[str]:
    """A line for each difference between what was searched and the suite as it is now.

    Args:
        cells: of the suite, with the settings of the file.
        own_params: by algorithm.
        search: of the suite; None where it says nothing of searches.
    """
    yield from _of_tasks(tuned.search, {cell.task: cell.budget for cell in cells}, task_hashes(cells))
    if search is not None and search.measure != tuned.search.measure:
        yield f"note: searched for was {tuned.search.measure}, and the suite now says {search.measure}"
    for name, found in tuned.algorithms.items():
        if search is not None and found.spaces != search.spaces.get(name):
            yield f"note: {name} was searched in other spaces than the suite has now"
        if found.uses:  # else an old file, which says neither
            yield from _of_algorithm(name, found, own_params.get(name, {}), tuned.search)


def task_hashes(cells: Iterable[Cell]) -> dict[str, str]:
    """By task, a hash of what it is and is made with."""
    return {cell.task: digest([cell.lookup.address, cell.settings["task"]])[:16] for cell in cells}


def _of_tasks(searched: TunedSearch, budgets: Mapping[str, int], hashes: Mapping[str, str]) -> Iterator[str]:
    for task, then in searched.tasks.items():
        now = budgets.get(task)
        if now is None:
            yield f"note: the settings found are for {task}, too, which the suite does not have"
        elif now != then:
            steps = f"{task} was searched with {then:,} env steps, and is run with {now:,}"
            yield f"note: {steps}: the settings found may be wrong for that"
        if task in hashes and searched.task_hashes.get(task, hashes[task]) != hashes[task]:
            yield f"note: {task} is another task than the one that was searched, or is made otherwise"
    for task in budgets if searched.tasks else ():
        if task not in searched.tasks:
            yield f"note: {task} was not searched: it is run with the settings found for other tasks"


def _of_algorithm(name: str, found: TunedAlgorithm, own: OwnParams, searched: TunedSearch) -> Iterator[str]:
    changes: dict[str, list[str]] = {}
    for task in (task for task in own if task in searched.tasks):
        if task not in found.params:
            yield f"note: {name} was not searched on {task}: it is run with the settings found for other tasks"
            continue
        then, now = found.params[task], own[task]
        for key in sorted({*then, *now} - found.settings.keys()):
            if (key in then, then.get(key)) != (key in now, now.get(key)):
                before = f"{key} {json.dumps(then[key])}" if key in then else f"the default of {key}"
                after = json.dumps(now[key]) if key in now else "its default"
                changes.setdefault(f"with {before}, and is run with {after}", []).append(task)
    for change, tasks in changes.items():
        where = "" if len(tasks) == len(own) else f" on {', '.join(tasks)}"
        yield f"note: {name} was searched{where} {change}"
