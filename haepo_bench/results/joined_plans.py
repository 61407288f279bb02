"""The plans of several results folders of one suite, joined into one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.results.identity import CellKey
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.searches import SEARCH_FOLDER, TUNED


@dataclass(frozen=True)
class PlanOf:
    """The plan of a results folder."""

    root: Path
    plan: PlanFile


@dataclass(frozen=True)
class Disagreement:
    """A cell that two plans name with other settings or other code.

    Args:
        what: `settings`, `engine` where the two were made with different ones, else `code`.
        kept: folder whose plan was followed.
        other: folder whose runs are kept, and not shown.
    """

    cell: CellKey
    what: str
    kept: Path
    other: Path


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
    found: dict[tuple[CellKey, Path], Disagreement] = {}
    for each in plans:
        for cell in each.plan.cells:
            known, of = first.setdefault(cell.identity.key, (cell, each))
            if known.identity != cell.identity:
                code = "code" if of.plan.engine == each.plan.engine else "engine"
                what = "settings" if known.settings_hash != cell.settings_hash else code
                found[cell.identity.key, each.root] = Disagreement(cell.identity.key, what, of.root, each.root)
    return list(found.values())
