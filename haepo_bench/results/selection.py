"""Which runs of a store belong together.

The plan that the last `run` left behind names the cells, their folders and their seeds. Without a readable plan the
runs that are there say it: for each algorithm on each task the newest settings and code. Runs of other settings or
other code are never mixed in; they are listed as not shown.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from haepo_bench.results.claims import DeclaredClaims, ScoreBounds
from haepo_bench.results.declarations import read_declarations
from haepo_bench.results.history import History, other_settings
from haepo_bench.results.identity import CellIdentity, CellKey
from haepo_bench.results.index import Index
from haepo_bench.results.not_shown import NotShown, why_not_shown
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.record import FINISHED, Information, RunRecord
from haepo_bench.results.searches import DeclaredSearch
from haepo_bench.results.store import DECLARATIONS_FILE, PLAN_FILE, FileState, Store, Unusable, read_record

#: Where `clean` moves things to, in a results folder or a suite's; no command reads it.
TRASH_FOLDER = ".trash"

#: `missing`: no file. `damaged`, `newer`, `unreadable`: a file that cannot be used, as FileState says.
AbsentStatus = Literal["failed", "timed_out", "interrupted", "missing", "damaged", "newer", "unreadable"]


@dataclass(frozen=True)
class Run:
    """A stored run.

    Args:
        path: relative to the store.
        record: with an empty curve.
        curve: named columns [point] float64, NaN where undefined; empty where the run has no result.
    """

    path: Path
    record: RunRecord
    curve: Mapping[str, NDArray[Any]]

    def called(self, algorithm: str, seed: int) -> "Run":
        """The same run under another name and seed, as the rows of a search have it."""
        return replace(self, record=self.record.model_copy(update={"algorithm": algorithm, "seed": seed}))


@dataclass(frozen=True)
class AbsentRun:
    """A run that was asked for and has no result."""

    seed: int
    status: AbsentStatus
    reason: str


@dataclass(frozen=True)
class SelectedCell(CellIdentity):
    """The runs of a cell that have a result, and those that have none.

    Args:
        folder: the one that holds them.
        uses: catalogue name of the algorithm.
        seeds: asked for.
        runs: done or diverged, by seed, all with the same evaluation points.
        unfinished: readable records of runs without a result.
        preceding: of the seeds of `runs`, those whose run was there before the claims were declared: they may have been
            looked at, and never confirm a claim.
        siblings: other settings of this algorithm on this task that were run or declared in this folder.
        information: from a record, else from the plan; None where neither says it.
    """

    folder: str
    uses: str
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    absent: tuple[AbsentRun, ...]
    unfinished: tuple[Run, ...]
    preceding: tuple[int, ...]
    siblings: int
    information: Information | None

    @property
    def sample(self) -> RunRecord | None:
        """A record of the cell, for what all of them share (references, notes); None where none is readable."""
        return next((run.record for run in (*self.runs, *self.unfinished)), None)


@dataclass(frozen=True)
class Selection:
    """One suite's runs, sorted out.

    Args:
        name: the suite's.
        plan: whether a plan said what belongs together.
        source: text of the suite file, empty where unknown.
        damaged: files and folders that cannot be used; paths relative to the store.
        claims: as declared, else the default ones; None where there is nothing to claim.
        bounds: of scores, by task; those of other tasks are not known.
        uniform_success: env steps until a uniform policy's first success, by task that counts successes.
        exploratory: why the claims are not those that stood before the runs were made; empty where they are.
        declaration_number: which declaration about its candidates in the folder the plan's is, from 1; None where
            nothing was declared.
        earlier: runs of other code or other settings of what is planned, each with the seeds that were recorded.
        search: of which these runs are the trials; None where the suite's own runs are here.
        tuned: declaration of the search that found the settings of the runs; empty where none did.
    """

    name: str
    plan: bool
    description: str
    source: str
    claims: DeclaredClaims | None
    bounds: Mapping[str, ScoreBounds]
    uniform_success: Mapping[str, float]
    exploratory: str
    declaration_number: int | None
    cells: tuple[SelectedCell, ...]
    earlier: tuple[SelectedCell, ...]
    not_shown: tuple[NotShown, ...]
    damaged: tuple[Unusable, ...]
    search: DeclaredSearch | None = None
    tuned: str = ""

    @property
    def unreadable(self) -> tuple[Unusable, ...]:
        """Of those the ones that could not be read: what they hold is not known."""
        return tuple(file for file in self.damaged if file.state is FileState.UNREADABLE)


def select(store: Store, plan: PlanFile | None = None) -> Selection:
    """Reads a store and sorts out which runs belong together.

    Args:
        plan: what says so; by default the one in the store.
    """
    return _sorted_out(store, store.read_plan() if plan is None else plan)


def _sorted_out(store: Store, plan: PlanFile | Unusable | None) -> Selection:
    runs: list[Run] = []
    damaged: list[Unusable] = []

    def take(path: Path, found: RunRecord | Unusable) -> None:
        if isinstance(found, Unusable):
            damaged.append(replace(found, path=path))
        else:
            # What a run without a result had reached is for people who read its file: no number is made of it.
            columns = found.curve.items() if found.status in FINISHED else ()
            curve = {name: np.array(column, dtype=float) for name, column in columns}
            runs.append(Run(path, found.model_copy(update={"curve": {}}), curve))

    with Index(store.root) as index:
        for folder, names in store.record_files():
            if isinstance(names, Unusable):
                damaged.append(replace(names, path=folder.relative_to(store.root)))
                continue
            indexed = index.folder(folder.name, curves=True)
            for name in names:
                path, entry = Path(folder.name, name), indexed.get(name)
                if entry is not None:
                    runs.append(Run(path, entry.record, entry.curve))
                elif (found := read_record(folder / name)) is not None:
                    take(path, found)
    hidden: dict[Path, Unusable] = {}
    if isinstance(plan, PlanFile):
        for path, found in _unlisted(store, plan.cells, {run.path for run in runs} | {file.path for file in damaged}):
            if isinstance(found, Unusable):
                hidden[path] = found
            else:
                take(path, found)
    damaged += _folders_of(hidden, damaged)
    strangers = [path for path in store.files(store.root) if path.suffix == ".json" and path.name != PLAN_FILE]
    damaged += [
        Unusable(path.relative_to(store.root), "not the plan, and no run belongs here", FileState.DAMAGED)
        for path in strangers
    ]
    kept, strange = _common_marks(runs)
    damaged += strange
    if isinstance(plan, Unusable) and Path() not in {file.path for file in damaged}:  # of the whole it is said already
        damaged.append(replace(plan, path=Path(PLAN_FILE)))
    unusable = {file.path: file for file in damaged} | hidden
    name = plan.suite if isinstance(plan, PlanFile) else _suite_name(kept, _name_of(store.root))
    planned = plan.cells if isinstance(plan, PlanFile) else _plan_from(kept, unusable, name)
    by_cell: dict[_Place, list[Run]] = defaultdict(list)
    for run in kept:
        by_cell[_place(run)].append(run)
    declarations = read_declarations(store)
    if isinstance(declarations, Unusable) and Path() not in {file.path for file in damaged}:
        damaged.append(replace(declarations, path=Path(DECLARATIONS_FILE)))
    history = History(plan if isinstance(plan, PlanFile) else None, declarations, tuple(run.record for run in kept))
    siblings = history.siblings()
    cells = tuple(
        _cell(cell, by_cell[cell.folder, cell.identity], unusable, history, other_settings(siblings, cell))
        for cell in planned
    )
    shown = {run.path for cell in cells for run in (*cell.runs, *cell.unfinished)}
    left = [run for run in kept if run.path not in shown]
    reasons = {cell.identity.key: cell for cell in planned}
    counts = Counter((run.path.parts[0], why_not_shown(run.path, run.record, reasons, name)) for run in left)
    claims = history.claims({cell.algorithm: cell.uses for cell in cells})
    return Selection(
        name=name,
        plan=isinstance(plan, PlanFile),
        description=plan.description if isinstance(plan, PlanFile) else "",
        source=plan.source if isinstance(plan, PlanFile) else "",
        claims=claims,
        bounds=plan.bounds if isinstance(plan, PlanFile) else {},
        uniform_success=plan.uniform_success if isinstance(plan, PlanFile) else {},
        exploratory=history.undeclared or preceded(claims, cells),
        declaration_number=history.declaration_number,
        cells=cells,
        earlier=_earlier(left, planned, name, history),
        not_shown=tuple(NotShown(folder, n, reason) for (folder, reason), n in sorted(counts.items())),
        damaged=tuple(sorted(damaged, key=lambda file: str(file.path))),
        search=plan.search if isinstance(plan, PlanFile) else None,
        tuned=plan.tuned if isinstance(plan, PlanFile) else "",
    )


def _unlisted(
    store: Store, cells: Iterable[PlannedCell], listed: Container[Path]
) -> Iterator[tuple[Path, RunRecord | Unusable]]:
    """Runs that the plan names and no listing showed: what is asked for by name may still be there, or out of reach."""
    for cell in cells:
        if not cell.has_own_folder:
            continue
        for seed in cell.seeds:
            path = Path(cell.folder, f"seed-{seed}.json")
            found = None if path in listed else store.read(cell.folder, seed)
            if found is not None:
                yield path, found


def _folders_of(hidden: Mapping[Path, Unusable], named: Iterable[Unusable]) -> list[Unusable]:
    """The folders whose runs are out of reach, each once, but for those that are named already."""
    known = {file.path for file in named}
    first: dict[Path, Unusable] = {}
    for path, file in hidden.items():
        first.setdefault(path.parent, file)
    return [replace(file, path=folder) for folder, file in first.items() if not known & {folder, *folder.parents}]


def preceded(claims: DeclaredClaims | None, cells: Iterable[SelectedCell]) -> str:
    """Why claims are exploratory whose declaration some of the runs preceded; empty where none did."""
    named = set() if claims is None else {*claims.candidates, *claims.baselines}
    if not any(cell.preceding for cell in cells if cell.algorithm in named):
        return ""
    return "claims, settings, code, algorithms, tasks or seeds were changed after some of the runs had been made"


def _common_marks(runs: Iterable[Run]) -> tuple[list[Run], list[Unusable]]:
    """Sets apart those runs with results whose evaluation points are not their cell's usual ones."""
    cells: dict[_Place, list[Run]] = defaultdict(list)
    kept: list[Run] = []
    for run in runs:
        if run.record.status in FINISHED:
            cells[_place(run)].append(run)
        else:
            kept.append(run)
    strange: list[Unusable] = []
    for group in cells.values():
        usual = Counter(run.curve["env_steps"].tobytes() for run in group).most_common(1)[0][0]
        for run in group:
            if run.curve["env_steps"].tobytes() == usual:
                kept.append(run)
            else:
                reason = "its evaluation points are not those of the other runs of its cell"
                strange.append(Unusable(run.path, reason, FileState.DAMAGED))
    return kept, strange


#: Folder and cell: what the runs of a cell share that lie together.
_Place = tuple[str, CellIdentity]


def _place(run: Run) -> _Place:
    return run.path.parts[0], run.record.identity


def _started(run: Run) -> str:
    """Start time, ISO 8601; the empty string, which sorts first, where unknown."""
    started = run.record.provenance.get("started")
    return started if isinstance(started, str) else ""


def _name_of(folder: Path) -> str:
    return folder.resolve().name if os.path.isdir(folder) else folder.name  # noqa: PTH112  # Path.is_dir may raise


def _suite_name(runs: list[Run], folder: str) -> str:
    """The suite of a folder without a plan: as the folder is called, else that of the newest run."""
    names = {run.record.suite for run in runs}
    if folder in names or not runs:
        return folder
    return max(runs, key=lambda run: (_started(run), str(run.path))).record.suite


def _plan_from(runs: list[Run], unusable: Mapping[Path, Unusable], suite: str) -> list[PlannedCell]:
    """The newest settings and code of each algorithm on each task."""
    groups: dict[_Place, list[Run]] = defaultdict(list)
    for run in runs:
        if run.record.suite == suite:
            groups[_place(run)].append(run)
    newest: dict[CellKey, list[Run]] = {}
    for group in sorted(groups.values(), key=lambda group: (max(map(_started, group)), str(group[0].path))):
        newest[group[0].record.identity.key] = group
    cells = []
    for _, group in sorted(newest.items()):
        record, folder = group[0].record, group[0].path.parts[0]
        seeds = {run.record.seed for run in group} | set(_unusable_seeds(unusable, folder))
        cells.append(PlannedCell.of(record.identity, folder=folder, uses=record.uses, seeds=sorted(seeds)))
    return cells


def _unusable_seeds(unusable: Mapping[Path, Unusable], folder: str) -> dict[int, Unusable]:
    """By seed, the run files in a cell's folder that cannot be used."""
    found = {}
    for path, file in unusable.items():
        match = re.fullmatch(r"seed-(\d{1,18})\.json", path.name)
        if match and path.parts[0] == folder:
            found[int(match[1])] = file
    return found


def _cell(
    planned: PlannedCell, runs: list[Run], unusable: Mapping[Path, Unusable], history: History, siblings: int
) -> SelectedCell:
    seeds = dict.fromkeys(planned.seeds)
    found = {run.record.seed: run for run in runs if run.record.seed in seeds}
    files = _unusable_seeds(unusable, planned.folder)
    absent = []
    for seed in seeds:
        run = found.get(seed)
        if run is None and seed in files:
            absent.append(AbsentRun(seed, files[seed].state.value, files[seed].reason))
        elif run is None:
            absent.append(AbsentRun(seed, "missing", "no file"))
        elif run.record.status == "failed" or run.record.status == "timed_out" or run.record.status == "interrupted":
            absent.append(AbsentRun(seed, run.record.status, failure_reason(run.record)))
    order = [found[seed] for seed in sorted(seeds) if seed in found]
    information = next((run.record.information for run in order), planned.information)
    shown = tuple(run for run in order if run.record.status in FINISHED)
    return SelectedCell(
        task=planned.task,
        algorithm=planned.algorithm,
        settings_hash=planned.settings_hash,
        code_hash=planned.code_hash,
        folder=planned.folder,
        uses=planned.uses,
        seeds=tuple(seeds),
        runs=shown,
        absent=tuple(absent),
        unfinished=tuple(run for run in order if run.record.status not in FINISHED),
        preceding=history.preceding(run.record for run in shown),
        siblings=siblings,
        information=information,
    )


def _earlier(
    runs: Iterable[Run], planned: Iterable[PlannedCell], suite: str, history: History
) -> tuple[SelectedCell, ...]:
    """What is left of the planned algorithms' runs on their tasks, made into cells."""
    uses = {cell.identity.key: cell.uses for cell in planned}
    asked = {cell.identity for cell in planned}
    groups: dict[_Place, list[Run]] = defaultdict(list)
    for run in runs:
        identity = run.record.identity
        if run.record.suite == suite and identity.key in uses and identity not in asked:
            groups[_place(run)].append(run)
    cells: dict[CellIdentity, SelectedCell] = {}
    for (folder, identity), group in sorted(groups.items(), key=lambda each: each[0][0]):
        seeds = sorted({run.record.seed for run in group})
        cell = PlannedCell.of(identity, folder=folder, uses=uses[identity.key], seeds=seeds)
        # A copy in another folder says nothing more.
        cells.setdefault(identity, _cell(cell, group, {}, history, 0))
    return tuple(cells.values())


def failure_reason(record: RunRecord) -> str:
    """Why a run has no complete result, and what to do about it; empty where it does not say."""
    if record.error is None:
        return ""
    # Of the other states the type only repeats the status.
    kind = record.error.type if record.status == "failed" else ""
    reason = ": ".join(part for part in (kind, record.error.message) if part)
    return "; ".join(part for part in (reason, record.error.remedy) if part)
