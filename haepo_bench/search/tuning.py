"""Searches at equal cost: which trials to run next, what was chosen, and what is trained again.

First come all trials of all replicates, with the default settings beside them; then what each replicate chose, for all
tasks and for each, is trained again on seeds of its own; then the best configurations of all replicates on the seeds
that decide which settings were found. A trial is a cell, and whatever is trained again a seed of that cell, so that
resume, shards and executors are those of any plan. What is proposed follows from the store alone.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.results.identity import CellKey
from haepo_bench.results.searches import (
    FINALISTS,
    DeclaredSearch,
    Trial,
    deciding_seeds,
    final_seed,
    own_seed,
    published_name,
)
from haepo_bench.results.selection import SelectedCell, Selection, select
from haepo_bench.results.store import Store
from haepo_bench.suite.plan import Cell, Plan
from haepo_bench.suite.planned import plan_file
from haepo_bench.suite.shards import Shard, cost_of, deal
from haepo_bench.verdicts.choosing import Chooser
from haepo_bench.verdicts.claims import CLAIMS
from haepo_bench.verdicts.measured import is_control
from haepo_bench.verdicts.paths import failed_by_algorithm


class Searched(NamedTuple):
    """How far an algorithm is.

    Args:
        replicates: that are to be made here.
        chosen: of these, how many have chosen.
        found: whether the settings found are known.
    """

    algorithm: str
    replicates: int
    chosen: int
    found: bool


@dataclass
class Tuning:
    """Proposes the runs of a search, as plans, until nothing is left to run.

    Args:
        plan: of all trials (`load_plan(tune=True)`).
        store: the search's own.
        shard: whose replicates are made; the settings found, which take all of them, are for after merging. None:
            all of it.
        retry_failed: whether runs that the algorithm failed before this are run again, once.
    """

    plan: Plan
    store: Store
    shard: Shard | None = None
    retry_failed: bool = False

    def __post_init__(self) -> None:
        if self.plan.search is None:
            raise UserError(f"the suite {self.plan.suite} does not say how it is searched")
        self.search: DeclaredSearch = self.plan.search
        self._check_references()
        self._retried: set[tuple[CellKey, int]] = set()
        self._cells = {cell.key: cell for cell in self.plan.cells}
        self._mine = self._units()
        self._seeds = {key: dict.fromkeys(seeds) for key, seeds in self._first().items()}
        self.progress: list[Searched] = []
        #: Of the store as it was looked at last; None before.
        self.selection: Selection | None = None
        self.chooser: Chooser | None = None

    def _check_references(self) -> None:
        """Nothing could be chosen by scores where no task has any."""
        claim = next(each for each in CLAIMS if each.measure == self.search.measure)
        if claim.bounds is not None:
            return
        for name in self._searched:
            tasks = {cell.task: cell.references for cell in self.plan.cells if self.owner(cell.algorithm) == name}
            if not any(references and not is_control(task) for task, references in tasks.items()):
                raise UserError(
                    f"{name} is searched for {self.search.measure}, a score, and none of its tasks "
                    f"({', '.join(tasks)}) has the reference returns that scores need",
                    remedy="give a task of the suite references, which `haepo-bench references TASK` measures",
                )

    def _check_measured(self, chooser: Chooser) -> None:
        """What is not a score may be undefined on a task, which its runs say."""
        for name in self._searched:
            if self.replicates_of(name) and not chooser.tasks(name):
                raise UserError(
                    f"{name} is searched for {self.search.measure}, which the runs of none of its tasks "
                    f"({', '.join(chooser.all_tasks(name))}) have",
                    where="search.measure",
                    remedy="choose another measure, or tasks that have it (docs/explanation/statistics.md, claims)",
                )

    def next(self) -> Plan | None:
        """The runs to be made next, as a plan; None where nothing is left. `progress` says how far it is.

        Raises:
            UserError: all have been made, and nothing can be chosen by them.
        """
        while True:
            taken = self.taken
            selection = select(self.store, plan_file(taken))
            self.selection, self.chooser = selection, Chooser(selection)
            # What has chosen is trained again whether the others have or not.
            if self._take(self._chosen(self.chooser)):
                continue
            # Verdicts rest on the searches, so what they need comes before the settings found.
            for cells in (_without(taken.cells, deciding_seeds()), taken.cells):
                missing = tuple(self._missing(cells, selection))
                if missing:
                    return replace(taken, cells=missing, whole=taken.declared_cells)
            self._check_measured(self.chooser)
            return None

    @property
    def taken(self) -> Plan:
        """The plan of all runs that are known to be needed; of a shard its own."""
        cells = tuple(
            replace(cell, seeds=tuple(self._seeds[cell.key])) for cell in self.plan.cells if self._seeds[cell.key]
        )
        if self.shard is None:
            return replace(self.plan, cells=cells)
        # A shard declares what all declare.
        whole = tuple(
            replace(cell, seeds=tuple(dict.fromkeys((*cell.seeds, *self._seeds[cell.key])))) for cell in self.plan.cells
        )
        return replace(self.plan, cells=cells, whole=whole)

    def at_most(self) -> dict[CellKey, int]:
        """{task and algorithm of the suite: runs that its search takes at most}; of a shard its own."""
        runs: dict[CellKey, int] = defaultdict(int)
        for key, seeds in self._first().items():
            runs[CellKey(key.task, self.owner(key.algorithm))] += len(seeds)
        finalists = min(FINALISTS, self.search.trials * len(self.search.replicates))
        deciding = 0 if self.shard else finalists * len(deciding_seeds())
        for algorithm in self._searched:
            own = [cell.key for cell in self.plan.cells if cell.algorithm == algorithm]
            for key in own:
                # What was chosen for the task, too, where that is not the choice for all.
                runs[key] += (len(self.replicates_of(algorithm)) + deciding) * (1 + (len(own) > 1))
        return dict(runs)

    @property
    def _searched(self) -> list[str]:
        return [name for name, spaces in self.search.spaces.items() if spaces]

    def replicates_of(self, algorithm: str) -> list[int]:
        """Those of an algorithm that are made here."""
        return [replicate for replicate in self.search.replicates if (algorithm, replicate) in self._mine]

    def owner(self, name: str) -> str:
        """The suite's algorithm that a cell belongs to."""
        trial = self.search.trial(name)
        if isinstance(trial, Trial):
            return trial.algorithm
        return next((each for each in self.search.published if published_name(each) == name), name)

    def _units(self) -> set[tuple[str, int]]:
        """The (algorithm, replicate) that are made here: whole replicates, which can choose by themselves."""
        units = [(name, replicate) for name in self.search.spaces for replicate in self.search.replicates]
        if self.shard is None:
            return set(units)
        own: dict[str, int] = defaultdict(int)
        for cell in self.plan.cells:
            own[cell.algorithm] += cost_of(cell)
        runs = self.search.trials * self.search.seeds + 3
        costs = [own[name] * (runs if self.search.spaces[name] else 1) for name, _ in units]
        dealt = deal(units, costs, self.shard.of)
        return {unit for unit, number in zip(units, dealt, strict=True) if number == self.shard.number - 1}

    def _first(self) -> dict[CellKey, tuple[int, ...]]:
        """The seeds that are known from the beginning."""
        first = {}
        for key, cell in self._cells.items():
            trial = self.search.trial(key.algorithm)
            if isinstance(trial, Trial):
                first[key] = cell.seeds if (trial.algorithm, trial.replicate) in self._mine else ()
            else:
                own = self.replicates_of(self.owner(key.algorithm))
                first[key] = tuple(final_seed(replicate) for replicate in own)
        return first

    def _missing(self, cells: Iterable[Cell], selection: Selection) -> Iterator[Cell]:
        """The cells with those of their seeds that have not ended."""
        known = {cell.key: cell for cell in selection.cells}
        for cell in cells:
            ended = self._ended(known[cell.key], cell.seeds)
            missing = tuple(seed for seed in cell.seeds if seed not in ended)
            if missing:
                yield replace(cell, seeds=missing)

    def _ended(self, cell: SelectedCell, seeds: Collection[int]) -> set[int]:
        """The seeds that have ended; of those asked for, not what failed and is to be run again, once."""
        failed = failed_by_algorithm(cell)
        if self.retry_failed:
            again = {seed for seed in failed.intersection(seeds) if (cell.key, seed) not in self._retried}
            self._retried.update((cell.key, seed) for seed in again)
            failed -= again
        return {run.record.seed for run in cell.runs} | failed

    def _chosen(self, chooser: Chooser) -> dict[CellKey, list[int]]:
        """What is to be trained again, as seeds of trials' cells. Renews `progress`."""
        seeds: dict[CellKey, list[int]] = defaultdict(list)
        self.progress = []
        for algorithm in self._searched:
            tasks, every = chooser.tasks(algorithm), chooser.all_tasks(algorithm)
            chosen = 0
            for replicate in self.replicates_of(algorithm):
                best = chooser.best(algorithm, replicate, tasks)
                if best is None:
                    continue
                chosen += 1
                _add(seeds, best.trial, every, [final_seed(replicate)])
                for task in tasks if len(every) > 1 else ():
                    own = chooser.best(algorithm, replicate, [task])
                    if own is not None:
                        _add(seeds, own.trial, [task], [own_seed(replicate)])
            found = False
            if self.shard is None:
                for trial in chooser.finalists(algorithm, tasks):
                    _add(seeds, trial, tasks, deciding_seeds())
                for task in tasks if len(tasks) > 1 else ():
                    for trial in chooser.finalists(algorithm, [task]):
                        _add(seeds, trial, [task], deciding_seeds())
                found = chooser.found(algorithm, tasks) is not None
            self.progress.append(Searched(algorithm, len(self.replicates_of(algorithm)), chosen, found))
        return seeds

    def _take(self, chosen: dict[CellKey, list[int]]) -> bool:
        """Adds seeds to what is needed; whether any is new."""
        new = False
        for key, seeds in chosen.items():
            before = len(self._seeds[key])
            self._seeds[key] |= dict.fromkeys(seeds)
            new = new or len(self._seeds[key]) > before
        return new


def _without(cells: Iterable[Cell], seeds: Collection[int]) -> Iterator[Cell]:
    for cell in cells:
        own = tuple(seed for seed in cell.seeds if seed not in seeds)
        if own:
            yield replace(cell, seeds=own)


def _add(seeds: dict[CellKey, list[int]], trial: Trial, tasks: Iterable[str], more: Iterable[int]) -> None:
    for task in tasks:
        seeds[CellKey(task, trial.name)] += more
