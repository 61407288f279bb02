"""Imported runs into a results folder: all of them or none, and never over what is there."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from haepo_bench import interruption
from haepo_bench.errors import UserError
from haepo_bench.results.claims import DeclaredClaims, declaration_hash
from haepo_bench.results.record import FINISHED, FORMAT_VERSION, Information, RunRecord
from haepo_bench.results.selection import PlanDocument
from haepo_bench.results.store import PLAN_FILE, FileState, Store, Unusable, cell_folder


class MissingRun(NamedTuple):
    """A run that was asked for where the others were made, and has no record; and the cell that it belongs to."""

    suite: str
    task: str
    algorithm: str
    seed: int
    uses: str
    settings_hash: str
    code_hash: str
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
    reason = plan.reason if isinstance(plan, Unusable) else _no_plan(plan) if plan is not None else ""
    if isinstance(plan, Unusable) or reason:
        path = str(store.root / PLAN_FILE)
        raise UserError(f"cannot be read: {reason}", where=path, remedy="fix or move it, then import")
    new = [record for record in records if not _lies_there(store, record)]
    document, replaced = _plan(plan, records, missing, description, source)
    if not dry:
        with interruption.held(), store.lock():
            store.prepare(store.path(_folder(record), record.seed) for record in new)
            for record in new:
                store.write(_folder(record), record)
            if plan is None or _without_time(plan) != _without_time(document):
                store.write_plan(document)
    return Imported(root, len(new), len(records) - len(new), list(records), replaced)


def _no_plan(document: dict[str, Any]) -> str:
    """Why a document is not a plan; empty where it is one."""
    try:
        PlanDocument.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return ""


def _folder(record: RunRecord) -> str:
    return cell_folder(record.task, record.algorithm, record.settings_hash, record.code_hash)


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


def _without_time(plan: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key != "written"}


def _plan(
    before: dict[str, Any] | None,
    records: Sequence[RunRecord],
    missing: Sequence[MissingRun],
    description: str,
    source: str,
) -> tuple[dict[str, Any], list[str]]:
    """The plan with the imported cells in it, and the cells that had another place there."""
    from datetime import UTC, datetime

    plan: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "suite": records[0].suite,
        "description": description,
        "written": "",
        "source": source,
        "claims": None,
        # Nothing was declared before these runs were made.
        "declaration": "",
        "cells": [],
        **(before or {}),
    }
    if before and source and source not in str(plan["source"]):
        plan["source"] = f"{plan['source'].rstrip()}\n\n# imported:\n{source}".lstrip()
    cells: dict[tuple[str, str], dict[str, Any]] = {(cell["task"], cell["algorithm"]): cell for cell in plan["cells"]}
    replaced = []
    for cell in _cells(records, missing):
        key = (cell["task"], cell["algorithm"])
        known = cells.get(key)
        if known is not None and known["folder"] == cell["folder"]:
            cell["seeds"] = sorted({*known["seeds"], *cell["seeds"]})
        elif known is not None:
            replaced.append(f"{cell['algorithm']} on {cell['task']}")
        cells[key] = cell
    plan["cells"] = list(cells.values())
    if plan["declaration"]:
        claims = DeclaredClaims.model_validate(plan["claims"]) if plan["claims"] else None
        plan["declaration"] = declaration_hash(
            claims, [(cell["task"], cell["algorithm"], cell["seeds"]) for cell in plan["cells"]]
        )
    plan["written"] = datetime.now(UTC).isoformat(timespec="seconds")
    return json.loads(json.dumps(plan)), replaced


def _cells(records: Sequence[RunRecord], missing: Sequence[MissingRun]) -> list[dict[str, Any]]:
    groups: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        groups[record.task, record.algorithm].append(record)
    absent: dict[tuple[str, str], list[MissingRun]] = defaultdict(list)
    for run in missing:
        absent[run.task, run.algorithm].append(run)
    cells = []
    for (task, algorithm), group in groups.items():
        sample = group[0]
        others = {_folder(record) for record in group} - {_folder(sample)}
        if others:
            raise UserError(
                f"{algorithm} on {task} has runs with different settings; nothing was imported",
                remedy="give them different names: a name means one setting of an algorithm",
            )
        seeds = absent.pop((task, algorithm), [])
        marks = sample.curve.get("env_steps") or [0]
        information: Information = sample.information
        cells.append(
            {
                "folder": _folder(sample),
                "task": task,
                "algorithm": algorithm,
                "uses": sample.uses,
                "seeds": sorted({*(run.seed for run in seeds), *(record.seed for record in group)}),
                "settings_hash": sample.settings_hash,
                "code_hash": sample.code_hash,
                "information": information.model_dump(mode="json"),
                "budget": marks[-1],
                "evaluation_every": marks[1] if len(marks) > 1 else marks[-1],
            }
        )
    # Cells of which no run was made: what they were to cost is not in the tables.
    for (task, algorithm), runs in absent.items():
        first = runs[0]
        cells.append(
            {
                "folder": cell_folder(task, algorithm, first.settings_hash, first.code_hash),
                "task": task,
                "algorithm": algorithm,
                "uses": first.uses,
                "seeds": sorted({run.seed for run in runs}),
                "settings_hash": first.settings_hash,
                "code_hash": first.code_hash,
                "information": first.information.model_dump(mode="json"),
            }
        )
    return cells
