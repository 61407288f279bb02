"""Readable runs that a selection leaves out, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from haepo_bench.results.identity import CellKey
from haepo_bench.results.plan_file import PlannedCell
from haepo_bench.results.record import RunRecord

OTHER_SETTINGS, OTHER_CODE = "other settings than those shown", "other code than that shown"


@dataclass(frozen=True)
class NotShown:
    """Readable runs that are left out, by folder."""

    folder: str
    runs: int
    reason: str


def why_not_shown(path: Path, record: RunRecord, cells: Mapping[CellKey, PlannedCell], suite: str) -> str:
    """Why a run is none of those that the cells ask for.

    Args:
        path: relative to the store.
        suite: the one whose cells these are.
    """
    cell = cells.get(record.identity.key)
    if cell is None:
        return f"of the suite '{record.suite}'" if record.suite != suite else "not asked for by the plan"
    if record.settings_hash != cell.settings_hash:
        return OTHER_SETTINGS
    if record.code_hash != cell.code_hash:
        return OTHER_CODE
    if path.parts[0] != cell.folder:
        return "a copy in another folder"
    return "a seed that the plan does not ask for"
