"""Imported runs into a results folder: all of them or none, and never over what is there."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from haepo_bench import interruption
from haepo_bench.errors import UserError
from haepo_bench.results.identity import CellIdentity, CellKey, cell_folder
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.record import FINISHED, Information, RunRecord
from haepo_bench.results.store import PLAN_FILE, FileState, Store, Unusable


class MissingRun(NamedTuple):
    """A run that was asked for where the others were made, and has no record; and what is known of its cell."""

    suite: str
    cell: CellIdentity
    seed: int
    uses: str
    information: Information


class Imported(NamedTuple):
    """What became of a suite's runs.

    Args:
        new: records written.
        known: runs that lay there already, byte for byte the same but for who imported them.
        replaced: names of cells of the plan that the imported ones took the place of.
    """

    folder: Path
    new: int
    known: int
    records: list[RunRecord]
    replaced: list[str]


def store_runs(
    root: Path,
    records: Sequence[RunRecord],
    missing: Sequence[MissingRun],
    *,
    description: str,
    source: str,
    dry: bool = False,
) -> Imported:
    """Stores the runs of one suite, and adds their cells to its plan so that reports show them.

    Args:
        root: the suite's folder.
        source: text that says what was imported, kept in the plan.
        dry: look only.

    Raises:
        UserError: one of them is there already with other numbers, the plan cannot be read, the folder not be
            written. Nothing is stored then.
    """
    store = Store(root)
    plan = store.read_plan()
    if isinstance(plan, Unusable) and plan.state is not FileState.DAMAGED:
        raise plan.error()
    if isinstance(plan, Unusable):
        path = str(store.root / PLAN_FILE)
        raise UserError(f"cannot be read: {plan.reason}", where=path, remedy="fix or move it, then import")
    new = [record for record in records if not _lies_there(store, record)]
    changed, replaced = _with_imported(plan, records, missing, description, source)
    if not dry:
        with interruption.held(), store.lock():
            store.prepare(store.path(_folder(record), record.seed) for record in new)
            for record in new:
                store.write(_folder(record), record)
            if changed != plan:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                store.write_plan(changed.model_copy(update={"written": now}))
    return Imported(root, len(new), len(records) - len(new), list(records), replaced)


def _folder(record: RunRecord) -> str:
    return cell_folder(record.identity)


def _lies_there(store: Store, record: RunRecord) -> bool:
    """Whether that very run is stored.

    Raises:
        UserError: another is, or nobody can say which.
    """
    before = store.read(_folder(record), record.seed)
    if isinstance(before, Unusable) and before.state is not FileState.DAMAGED:
        raise before.error()
    if before is None or isinstance(before, Unusable):
        return False
    if _comparable(before) == _comparable(record):
        return True
    if before.status not in FINISHED:
        return False
    raise UserError(
        f"holds another run of {record.algorithm} on {record.task}, seed {record.seed}; nothing was imported",
        where=str(store.path(_folder(record), record.seed)),
        remedy="nothing stored is ever overwritten: import under another `suite:`, or say under `algorithms:` by "
        "`code:` what made the new runs",
    )


def _comparable(record: RunRecord) -> dict[str, Any]:
    document = record.model_dump(mode="json")
    imported = document["provenance"].get("imported")
    if isinstance(imported, dict):
        # The same content from another place, or read by another version, is the same run.
        document["provenance"]["imported"] = imported.get("sha256")
    return document


def _with_imported(
    plan: PlanFile | None,
    records: Sequence[RunRecord],
    missing: Sequence[MissingRun],
    description: str,
    source: str,
) -> tuple[PlanFile, list[str]]:
    """The plan with the imported cells in it, and the cells that had another place there."""
    imported = PlanFile(
        suite=records[0].suite,
        description=description,
        source=source,
        cells=_cells(records, missing),
    )
    if plan is None:  # nothing was declared before these runs were made
        return imported, []
    cells = {cell.identity.key: cell for cell in plan.cells}
    replaced = []
    for cell in imported.cells:
        key = cell.identity.key
        known = cells.get(key)
        if known is not None and known.folder == cell.folder:
            cell = cell.model_copy(update={"seeds": sorted({*known.seeds, *cell.seeds})})
        elif known is not None:
            replaced.append(str(key))
        cells[key] = cell
    text = plan.source
    if imported.source and imported.source not in text:
        text = f"{text.rstrip()}\n\n# imported:\n{imported.source}".lstrip()
    changed = plan.model_copy(update={"source": text, "cells": [*cells.values()]})
    return changed.model_copy(update={"declaration": changed.declared if plan.declaration else ""}), replaced


def _cells(records: Sequence[RunRecord], missing: Sequence[MissingRun]) -> list[PlannedCell]:
    groups: dict[CellKey, list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[record.identity.key].append(record)
    absent: dict[CellKey, list[MissingRun]] = defaultdict(list)
    for run in missing:
        absent[run.cell.key].append(run)
    cells = []
    for key, group in groups.items():
        sample = group[0]
        others = {_folder(record) for record in group} - {_folder(sample)}
        if others:
            raise UserError(
                f"{key} has runs with different settings; nothing was imported",
                remedy="give them different names: a name means one setting of an algorithm",
            )
        seeds = absent.pop(key, [])
        marks = sample.curve.get("env_steps") or [0]
        cells.append(
            PlannedCell.of(
                sample.identity,
                uses=sample.uses,
                seeds=sorted({*(run.seed for run in seeds), *(record.seed for record in group)}),
                information=sample.information,
                budget=marks[-1],
                evaluation_every=marks[1] if len(marks) > 1 else marks[-1],
            )
        )
    # Cells of which no run was made: what they were to cost is not in the tables.
    for runs in absent.values():
        first, asked = runs[0], sorted({run.seed for run in runs})
        cells.append(PlannedCell.of(first.cell, uses=first.uses, seeds=asked, information=first.information))
    return cells
