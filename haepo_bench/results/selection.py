"""Which runs of a store belong together.

The plan that the last `run` left behind names the cells, their folders and their seeds. Without a readable plan the
runs that lie there say it: for each algorithm on each task the newest settings and code. Runs of other settings or
other code are never mixed in; they are listed as not shown.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from haepo_bench.results.claims import PROVENANCE_KEY, DeclaredClaims, declaration_hash, default_claims
from haepo_bench.results.record import FINISHED, FORMAT_VERSION, Information, RunRecord
from haepo_bench.results.store import PLAN_FILE, Damaged, Store

#: Where `clean` moves things to, in a results folder or a suite's; no command reads it.
TRASH_FOLDER = ".trash"

#: `missing`: no file. `damaged`: a file that cannot be read as a run.
AbsentStatus = Literal["failed", "timed_out", "interrupted", "missing", "damaged"]


@dataclass(frozen=True)
class Run:
    """A stored run.

    Args:
        path: relative to the store.
        record: with an empty curve.
        curve: named columns [mark] float64, NaN where undefined.
    """

    path: Path
    record: RunRecord
    curve: dict[str, NDArray[Any]]


@dataclass(frozen=True)
class AbsentRun:
    """A run that was asked for and has no result."""

    seed: int
    status: AbsentStatus
    reason: str


@dataclass(frozen=True)
class SelectedCell:
    """One algorithm on one task: the runs that have a result, and those that have none.

    Args:
        seeds: asked for.
        runs: done or diverged, by seed, all with the same marks.
        unfinished: readable records of runs without a result.
        added: of the seeds of `runs`, those made under another declaration of claims, tasks, algorithms and seeds than
            the cell's first run: somebody may have looked at results before they were asked for.
        information: from a record, else from the plan; None where neither says it.
    """

    folder: str
    task: str
    algorithm: str
    uses: str
    settings_hash: str
    code_hash: str
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    absent: tuple[AbsentRun, ...]
    unfinished: tuple[Run, ...]
    added: tuple[int, ...]
    information: Information | None

    @property
    def sample(self) -> RunRecord | None:
        """A record of the cell, for what all of them share (references, notes); None where none is readable."""
        return next((run.record for run in (*self.runs, *self.unfinished)), None)


@dataclass(frozen=True)
class NotShown:
    """Readable runs that are left out, by folder."""

    folder: str
    runs: int
    reason: str


@dataclass(frozen=True)
class Selection:
    """One suite's runs, sorted out.

    Args:
        name: the suite's.
        plan: whether a plan said what belongs together.
        source: text of the suite file, empty where unknown.
        damaged: files that could not be read; paths relative to the store.
        claims: as declared, else the default ones; None where there is nothing to claim.
        exploratory: why the claims are not those that stood before the runs were made; empty where they are.
    """

    name: str
    plan: bool
    description: str
    source: str
    claims: DeclaredClaims | None
    exploratory: str
    cells: tuple[SelectedCell, ...]
    not_shown: tuple[NotShown, ...]
    damaged: tuple[Damaged, ...]


class PlannedCell(BaseModel):
    """A cell in plan.json; fields beyond these are for other readers."""

    model_config = ConfigDict(strict=True)

    folder: str
    task: str
    algorithm: str
    uses: str
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]]
    settings_hash: str
    code_hash: str
    information: Information | None = None


class PlanDocument(BaseModel):
    """plan.json: what the last `run` asked for."""

    model_config = ConfigDict(strict=True)

    format_version: int = Field(ge=1)
    suite: str
    description: str = ""
    source: str = ""
    claims: DeclaredClaims | None = None
    declaration: str = ""
    cells: list[PlannedCell]

    @model_validator(mode="after")
    def _each_cell_once(self) -> "PlanDocument":
        twice = [key for key, n in Counter((cell.task, cell.algorithm) for cell in self.cells).items() if n > 1]
        if twice:
            raise ValueError(f"names {twice[0][1]} on {twice[0][0]} twice")
        return self


def find_suites(results: Path) -> list[Path]:
    """The suite folders that `results` means: itself where it holds a plan or cells, else all folders in it.

    The trash is none.
    """
    if _is_suite(results):
        return [results]
    folders = (path for path in results.iterdir() if path.is_dir() and path.name != TRASH_FOLDER)
    return sorted(path for path in folders if _is_suite(path) or _is_foreign(path))


def select(store: Store) -> Selection:
    """Reads a store and sorts out which runs belong together."""
    runs: list[Run] = []
    damaged: list[Damaged] = []
    for path, record in store.records():
        if isinstance(record, Damaged):
            damaged.append(replace(record, path=path.relative_to(store.root)))
        else:
            curve = {name: np.array(column, dtype=float) for name, column in record.curve.items()}
            runs.append(Run(path.relative_to(store.root), record.model_copy(update={"curve": {}}), curve))
    strangers = [path for path in store.root.glob("*.json") if path.name != PLAN_FILE]
    damaged += [Damaged(path.relative_to(store.root), "not the plan, and no run lies here") for path in strangers]
    kept, strange = _common_marks(runs)
    damaged += strange
    plan = _read_plan(store)
    if isinstance(plan, Damaged):
        damaged.append(replace(plan, path=Path(PLAN_FILE)))
    name = plan.suite if isinstance(plan, PlanDocument) else _suite_name(kept, store.root.resolve().name)
    planned = plan.cells if isinstance(plan, PlanDocument) else _plan_from(kept, damaged, name)
    by_cell: dict[_Key, list[Run]] = defaultdict(list)
    for run in kept:
        by_cell[_key(run.path.parts[0], run.record)].append(run)
    cells = tuple(_cell(cell, by_cell[_key(cell.folder, cell)], damaged) for cell in planned)
    shown = {run.path for cell in cells for run in (*cell.runs, *cell.unfinished)}
    claims, exploratory = _claims(plan if isinstance(plan, PlanDocument) else None, cells)
    return Selection(
        name=name,
        plan=isinstance(plan, PlanDocument),
        description=plan.description if isinstance(plan, PlanDocument) else "",
        source=plan.source if isinstance(plan, PlanDocument) else "",
        claims=claims,
        exploratory=exploratory,
        cells=cells,
        not_shown=_not_shown([run for run in kept if run.path not in shown], planned, name),
        damaged=tuple(sorted(damaged, key=lambda file: str(file.path))),
    )


def _claims(plan: PlanDocument | None, cells: Iterable[SelectedCell]) -> tuple[DeclaredClaims | None, str]:
    """The claims, and why they are exploratory."""
    if plan is None or not plan.declaration:
        uses = {cell.algorithm: cell.uses for cell in cells}
        return default_claims(uses), "no claims were declared before the runs were made"
    if plan.declaration != declaration_hash(
        plan.claims, [(cell.task, cell.algorithm, cell.seeds) for cell in plan.cells]
    ):
        return plan.claims, "the plan was edited by hand"
    made_under = {str(run.record.provenance.get(PROVENANCE_KEY)) for cell in cells for run in cell.runs}
    if made_under - {plan.declaration}:
        return plan.claims, "claims, algorithms, tasks or seeds were changed after some of the runs had been made"
    return plan.claims, ""


def _is_suite(folder: Path) -> bool:
    return (folder / PLAN_FILE).is_file() or any(folder.glob("*--*/seed-*.json"))


def _is_foreign(folder: Path) -> bool:
    """Whether a folder without cells should be named as such: it is empty, or holds JSON files that are no runs."""
    return not folder.name.startswith(".") and (any(folder.glob("*/*.json")) or not any(folder.iterdir()))


def _read_plan(store: Store) -> PlanDocument | Damaged | None:
    document = store.read_plan()
    if document is None or isinstance(document, Damaged):
        return document
    path = store.root / PLAN_FILE
    version = document.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        return Damaged(path, f"written by a newer version of haepo-bench (format {version})")
    try:
        return PlanDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        return Damaged(path, ": ".join([".".join(map(str, first["loc"])), first["msg"]]).lstrip(": "))


def _common_marks(runs: Iterable[Run]) -> tuple[list[Run], list[Damaged]]:
    """Runs of one cell share their marks: sets apart those with results whose marks are not their cell's usual ones."""
    cells: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    kept: list[Run] = []
    for run in runs:
        if run.record.status in FINISHED:
            cells[run.path.parts[0], run.record.settings_hash, run.record.code_hash].append(run)
        else:
            kept.append(run)
    strange: list[Damaged] = []
    for group in cells.values():
        usual = Counter(run.curve["env_steps"].tobytes() for run in group).most_common(1)[0][0]
        for run in group:
            if run.curve["env_steps"].tobytes() == usual:
                kept.append(run)
            else:
                strange.append(Damaged(run.path, "its marks are not those of the other runs of its cell"))
    return kept, strange


def _started(run: Run) -> str:
    """Start time, ISO 8601; the empty string, which sorts first, where unknown."""
    started = run.record.provenance.get("started")
    return started if isinstance(started, str) else ""


def _suite_name(runs: list[Run], folder: str) -> str:
    """The suite of a folder without a plan: as the folder is called, else that of the newest run."""
    names = {run.record.suite for run in runs}
    if folder in names or not runs:
        return folder
    return max(runs, key=lambda run: (_started(run), str(run.path))).record.suite


def _plan_from(runs: list[Run], damaged: list[Damaged], suite: str) -> list[PlannedCell]:
    """The newest settings and code of each algorithm on each task."""
    groups: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        if run.record.suite == suite:
            groups[run.path.parts[0], run.record.settings_hash, run.record.code_hash].append(run)
    newest: dict[tuple[str, str], list[Run]] = {}
    for group in sorted(groups.values(), key=lambda group: (max(map(_started, group)), str(group[0].path))):
        newest[group[0].record.task, group[0].record.algorithm] = group
    cells = []
    for (task, algorithm), group in sorted(newest.items()):
        record, folder = group[0].record, group[0].path.parts[0]
        seeds = {run.record.seed for run in group} | {seed for seed, _ in _damaged_seeds(damaged, folder)}
        cells.append(
            PlannedCell(
                folder=folder,
                task=task,
                algorithm=algorithm,
                uses=record.uses,
                seeds=sorted(seeds),
                settings_hash=record.settings_hash,
                code_hash=record.code_hash,
            )
        )
    return cells


def _damaged_seeds(damaged: Iterable[Damaged], folder: str) -> list[tuple[int, str]]:
    """Seed and reason of the damaged run files in a cell's folder."""
    found = []
    for file in damaged:
        match = re.fullmatch(r"seed-(\d{1,18})\.json", file.path.name)
        if match and file.path.parts[0] == folder:
            found.append((int(match[1]), file.reason))
    return found


def _cell(planned: PlannedCell, runs: list[Run], damaged: list[Damaged]) -> SelectedCell:
    seeds = dict.fromkeys(planned.seeds)
    found = {run.record.seed: run for run in runs if run.record.seed in seeds}
    unreadable = dict(_damaged_seeds(damaged, planned.folder))
    absent = []
    for seed in seeds:
        run = found.get(seed)
        if run is None and seed in unreadable:
            absent.append(AbsentRun(seed, "damaged", unreadable[seed]))
        elif run is None:
            absent.append(AbsentRun(seed, "missing", "no file"))
        elif run.record.status == "failed" or run.record.status == "timed_out" or run.record.status == "interrupted":
            absent.append(AbsentRun(seed, run.record.status, failure_reason(run.record)))
    order = [found[seed] for seed in sorted(seeds) if seed in found]
    information = next((run.record.information for run in order), planned.information)
    shown = tuple(run for run in order if run.record.status in FINISHED)
    return SelectedCell(
        folder=planned.folder,
        task=planned.task,
        algorithm=planned.algorithm,
        uses=planned.uses,
        settings_hash=planned.settings_hash,
        code_hash=planned.code_hash,
        seeds=tuple(seeds),
        runs=shown,
        absent=tuple(absent),
        unfinished=tuple(run for run in order if run.record.status not in FINISHED),
        added=_added(shown),
        information=information,
    )


def _added(runs: Iterable[Run]) -> tuple[int, ...]:
    """Seeds made under another declaration than the first of some runs of a cell."""
    ordered = sorted(runs, key=lambda run: (_started(run), run.record.seed))
    under = [run.record.provenance.get(PROVENANCE_KEY) for run in ordered]
    return tuple(sorted(run.record.seed for run, made in zip(ordered, under, strict=True) if made != under[0]))


def failure_reason(record: RunRecord) -> str:
    """Why a run has no complete result, and what to do about it; empty where it does not say."""
    if record.error is None:
        return ""
    # Of the other states the type only repeats the status.
    kind = record.error.type if record.status == "failed" else ""
    reason = ": ".join(part for part in (kind, record.error.message) if part)
    return "; ".join(part for part in (reason, record.error.remedy) if part)


#: Folder, task, algorithm, settings and code: what the runs of a cell share.
_Key = tuple[str, str, str, str, str]


def _key(folder: str, of: RunRecord | PlannedCell) -> _Key:
    return folder, of.task, of.algorithm, of.settings_hash, of.code_hash


def _not_shown(runs: list[Run], planned: list[PlannedCell], suite: str) -> tuple[NotShown, ...]:
    cells = {(cell.task, cell.algorithm): cell for cell in planned}
    counts = Counter((run.path.parts[0], _why_not_shown(run, cells, suite)) for run in runs)
    return tuple(NotShown(folder, n, reason) for (folder, reason), n in sorted(counts.items()))


def _why_not_shown(run: Run, cells: dict[tuple[str, str], PlannedCell], suite: str) -> str:
    record = run.record
    cell = cells.get((record.task, record.algorithm))
    if cell is None:
        return f"of the suite '{record.suite}'" if record.suite != suite else "not asked for by the plan"
    if record.settings_hash != cell.settings_hash:
        return "other settings than those shown"
    if record.code_hash != cell.code_hash:
        return "other code than that shown"
    if run.path.parts[0] != cell.folder:
        return "a copy in another folder"
    return "a seed that the plan does not ask for"
