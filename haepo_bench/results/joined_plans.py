"""The plans of several results folders of one suite, joined into one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.results.code import changes, of_own_files, read_code
from haepo_bench.results.identity import CellKey
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.searches import SEARCH_FOLDER, TUNED, Trial
from haepo_bench.results.store import Store


@dataclass(frozen=True)
class PlanOf:
    """The plan of a results folder."""

    root: Path
    plan: PlanFile


@dataclass(frozen=True)
class Disagreement:
    """Cells of one algorithm that two plans name with other settings or other code, for the same reason.

    Args:
        algorithm: name in the suite; of a search, what is searched.
        tasks: those of the cells, each once.
        what: `settings`; `engine` where the two were made with different ones; `files` where the code differs in
            nothing but files of the suites' folders; else `code`.
        kept: folder whose plan was followed.
        other: folder whose runs are kept, and not shown.
        changed: what differs between the codes, in words; empty for the former two, and where nothing says it.
    """

    algorithm: str
    tasks: tuple[str, ...]
    what: str
    kept: Path
    other: Path
    changed: tuple[str, ...]


def check_kinds(plans: Sequence[PlanOf]) -> None:
    """Whether folders may be one: a search, runs with the settings that one found, and other runs are apart.

    Raises:
        UserError: two are of different kinds.
    """
    first: dict[str, PlanOf] = {}
    for each in plans:
        first.setdefault(_kind(each.plan), each)
    if len(first) > 1:
        (kind, one), (other, second) = list(first.items())[:2]
        suite = second.plan.suite.removesuffix(TUNED)
        raise UserError(
            f"holds {other}, and {one.root} holds {kind}",
            where=str(second.root),
            remedy="merge each into a folder of its own, as `tune` and `run` have them: "
            f"{suite}/{SEARCH_FOLDER} for the search, {suite}{TUNED} for runs with the settings it found",
        )


def _kind(plan: PlanFile) -> str:
    if plan.search is not None:
        return "a search"
    return "runs with the settings that a search found" if plan.tuned else "runs with the suite's own settings"


def join_plans(before: PlanFile | None, plans: Sequence[PlanOf]) -> tuple[PlanFile | None, list[Disagreement]]:
    """One plan with the cells and seeds of all.

    Where two name a cell with other settings or code, the plan that was written last is followed, as by `run`; among
    the plans that are merged that is a disagreement.

    Args:
        before: of the folder that is merged into.
    """
    ordered = sorted(plans, key=lambda found: found.plan.written, reverse=True)
    if not ordered:
        return before, []
    base = ordered[0].plan
    others = [found.plan for found in ordered[1:]]
    if before is not None:
        newer = before.written >= base.written
        base, others = (before, [base, *others]) if newer else (base, [*others, before])
    cells: dict[CellKey, PlannedCell] = {cell.identity.key: cell for cell in base.cells}
    for plan in others:
        for cell in plan.cells:
            known = cells.setdefault(cell.identity.key, cell)
            more = [seed for seed in cell.seeds if seed not in set(known.seeds)]
            if more and known.identity == cell.identity:
                cells[cell.identity.key] = known.model_copy(update={"seeds": [*known.seeds, *more]})
    joined = base.model_copy(update={"cells": list(cells.values())})
    if joined != base and base.declaration:
        joined = joined.model_copy(update={"declaration": joined.declared})
    return joined, list(_disagreements(ordered))


def _disagreements(plans: Sequence[PlanOf]) -> list[Disagreement]:
    """Each cell that later ones of the plans name otherwise than the first one that names it."""
    first: dict[CellKey, tuple[PlannedCell, PlanOf]] = {}
    tasks: dict[tuple[str, str, Path, Path, tuple[str, ...]], dict[str, None]] = {}
    difference = _Differences()
    for each in plans:
        for cell in each.plan.cells:
            known, of = first.setdefault(cell.identity.key, (cell, each))
            if known.identity != cell.identity:
                what, changed = difference(known, of, cell, each)
                cause = (_searched(cell, each.plan), what, of.root, each.root, changed)
                tasks.setdefault(cause, {})[cell.task] = None
    return [
        Disagreement(algorithm, tuple(on), what, kept, other, changed)
        for (algorithm, what, kept, other, changed), on in tasks.items()
    ]


def _searched(cell: PlannedCell, plan: PlanFile) -> str:
    """The cell's algorithm; of a trial, the one that is searched."""
    found = cell.algorithm if plan.search is None else plan.search.trial(cell.algorithm)
    return found.algorithm if isinstance(found, Trial) else found


class _Differences:
    """What differs between the cells of two plans; the code of each folder is read once."""

    def __init__(self) -> None:
        self._codes: dict[tuple[Path, str], dict[str, str] | None] = {}

    def __call__(self, a: PlannedCell, of_a: PlanOf, b: PlannedCell, of_b: PlanOf) -> tuple[str, tuple[str, ...]]:
        """Of `Disagreement`, `what` and `changed`."""
        if a.settings_hash != b.settings_hash:
            return "settings", ()
        if of_a.plan.engine != of_b.plan.engine:
            return "engine", ()
        before, now = self._code(of_a, a), self._code(of_b, b)
        if before is None or now is None:
            return "code", ()
        return "files" if of_own_files(before, now) else "code", tuple(changes(before, now))

    def _code(self, of: PlanOf, cell: PlannedCell) -> dict[str, str] | None:
        """What a cell executes; a shard that has none of its runs may have others of the same code."""
        key = (of.root, cell.code_hash)
        if key not in self._codes:
            store = Store(of.root)
            same = (each for each in of.plan.cells if each.code_hash == cell.code_hash and each.has_own_folder)
            documents = (read_code(store, each.folder) for each in same)
            self._codes[key] = next((document for document in documents if document is not None), None)
        return self._codes[key]
