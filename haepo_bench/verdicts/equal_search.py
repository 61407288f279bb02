"""Algorithms at equal search: replicates in the place of seeds, for everything that judges or shows runs.

The score of a replicate is one draw of "this algorithm with this much search": what it chose, trained again on a seed
of its own. So all replicates of an algorithm are its sample, and a selection of them is judged as one of seeds is. It
says nothing of the settings found, which are one configuration chosen from all replicates.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

from haepo_bench.results.record import FINISHED
from haepo_bench.results.searches import default_name, final_seed, own_seed, per_task_name, published_name, tuning_seeds
from haepo_bench.results.selection import AbsentRun, SelectedCell, Selection, failure_reason, preceded
from haepo_bench.verdicts.choosing import Chooser

#: tuned: what each replicate chose for all tasks. per task: what it chose for the task. default: the default settings,
#: on the same seeds as the former. published: settings that others tuned, likewise.
Row = Literal["tuned", "per task", "default", "published"]

#: What counts as a seed.
REPLICATES = "each seed is a replicate of the whole search"


def equal_search(selection: Selection, rows: Sequence[Row] = ("tuned",)) -> Selection:
    """The selection of a search's store, with replicates in the place of seeds.

    Seed r of an algorithm is the run of what replicate r chose; it is missing while that is not known. An algorithm
    with nothing to search has its only settings. Rows beside `tuned` have names of their own (`per_task_name`,
    `default_name`, `published_name`), so that no claim is about them.

    Args:
        selection: of a store that `tune` wrote.
        rows: which of them, a cell per row, algorithm and task.

    Raises:
        ValueError: it is not one of a search.
    """
    chooser = Chooser(selection)
    cells = {(cell.task, cell.algorithm): cell for cell in selection.cells}
    made = [
        cell
        for algorithm in chooser.search.spaces
        for row in rows
        for task in chooser.all_tasks(algorithm)
        for cell in _row(chooser, cells, algorithm, task, row)
    ]
    order = {task: place for place, task in enumerate(dict.fromkeys(cell.task for cell in selection.cells))}
    made.sort(key=lambda cell: order[cell.task])
    exploratory = selection.exploratory or preceded(selection.claims, made)
    return replace(selection, cells=tuple(made), exploratory=exploratory, earlier=(), not_shown=())


def as_reported(selection: Selection) -> Selection:
    """With the rows that a report has of a search in place of its trials; a selection of no search as it is."""
    if selection.search is None:
        return selection
    return equal_search(selection, ("tuned", "per task", "default", "published"))


_Cells = dict[tuple[str, str], SelectedCell]
#: The cell, the seed and the seeds that decided on it, of a replicate; None while that is not known.
_Source = tuple[SelectedCell, int, list[SelectedCell]]


def _row(chooser: Chooser, cells: _Cells, algorithm: str, task: str, row: Row) -> Iterator[SelectedCell]:
    base = cells[task, algorithm]
    search = chooser.search
    searched = bool(search.spaces[algorithm])
    tasks = chooser.tasks(algorithm)

    def trials(replicate: int, among: Sequence[str]) -> list[SelectedCell]:
        names = [f"{algorithm}.{replicate}.{number}" for number in range(search.trials)]
        return [cells[each, name] for name in names for each in among if (each, name) in cells]

    def chosen(replicate: int, among: Sequence[str], seed: int) -> _Source | None:
        best = chooser.best(algorithm, replicate, among)
        if best is None or (task, best.trial.name) not in cells:
            return None
        return cells[task, best.trial.name], seed, trials(replicate, among)

    def tuned(replicate: int) -> _Source | None:
        if not searched:
            return base, final_seed(replicate), []
        return chosen(replicate, tasks, final_seed(replicate))

    if row == "tuned":
        yield _cell(chooser, base, algorithm, tuned)
    elif row == "per task" and searched and task in tasks and len(chooser.all_tasks(algorithm)) > 1:
        yield _cell(chooser, base, per_task_name(algorithm), lambda r: chosen(r, [task], own_seed(r)))
    elif row == "default" and searched:
        yield _cell(chooser, base, default_name(algorithm), lambda r: (base, final_seed(r), []))
    elif row == "published" and (task, published_name(algorithm)) in cells:
        published = cells[task, published_name(algorithm)]
        yield _cell(chooser, published, published_name(algorithm), lambda r: (published, final_seed(r), []))


def _cell(chooser: Chooser, base: SelectedCell, name: str, source: Callable[[int], _Source | None]) -> SelectedCell:
    """A cell whose seeds are replicates."""
    runs, unfinished, absent, preceding = [], [], [], []
    for replicate in chooser.search.replicates:
        found = source(replicate)
        if found is None:
            absent.append(AbsentRun(replicate, "missing", "its search has not ended"))
            continue
        cell, seed, deciding = found
        run = next((each for each in (*cell.runs, *cell.unfinished) if each.record.seed == seed), None)
        if run is None:
            lost = next((each for each in cell.absent if each.seed == seed), None)
            absent.append(replace(lost, seed=replicate) if lost else AbsentRun(replicate, "missing", "no file"))
            continue
        as_replicate = run.called(name, replicate)
        if run.record.status in FINISHED:
            runs.append(as_replicate)
        else:
            unfinished.append(as_replicate)
            status = run.record.status
            if status != "done" and status != "diverged":
                absent.append(AbsentRun(replicate, status, failure_reason(run.record)))
        tuning = set(tuning_seeds(replicate, chooser.search.seeds))
        if seed in cell.preceding or any(tuning & set(each.preceding) for each in deciding):
            preceding.append(replicate)
    by_seed = sorted(runs, key=lambda run: run.record.seed)
    return replace(
        base,
        algorithm=name,
        seeds=tuple(chooser.search.replicates),
        runs=tuple(by_seed),
        unfinished=tuple(unfinished),
        absent=tuple(absent),
        preceding=tuple(sorted(preceding)),
        siblings=0,
    )
