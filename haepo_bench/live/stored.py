"""What is stored of a suite's plan, kept up to date by reading only what has changed."""

import contextlib
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haepo_bench.files import list_folder
from haepo_bench.live.inside import stays_inside
from haepo_bench.results.index import Index
from haepo_bench.results.plan_file import PlanFile, PlannedCell
from haepo_bench.results.record import RunRecord
from haepo_bench.results.store import FileState, Store, Unusable, read_record

#: One letter per run, in the order of a cell's seeds.
LETTERS = {
    "done": "d",
    "diverged": "x",
    "failed": "f",
    "timed_out": "t",
    "interrupted": "i",
    "unusable": "u",
    "missing": ".",
}
#: Modification times have the grain of their file system: what changed less than that ago is looked at again.
_GRAIN_NS = 2_000_000_000
_FAILURES = 100

Stamp = tuple[int, int]


@dataclass
class _File:
    stamp: Stamp
    letter: str
    failure: dict[str, Any] | None
    #: Could not be opened or read, which may change without its stamp.
    unreadable: bool = False


@dataclass
class _Folder:
    stamp: int = 0
    settled: bool = False
    files: dict[int, _File] = field(default_factory=dict)
    stamps: tuple[tuple[int, Stamp], ...] = ()


class StoredRuns:
    """The runs of a suite's folder, or of a shard's.

    Args:
        root: the folder with the plan.
        within: a folder that no link may lead out of.
    """

    def __init__(self, root: Path, within: Path) -> None:
        self._store = Store(root)
        self._within = within
        self._plan: PlanFile | Unusable | None = None
        self._plan_stamp: Stamp | None = None
        self._folders: dict[str, _Folder] = {}
        self.cells: list[dict[str, Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.fingerprint: tuple[Any, ...] = ()
        self.problem = ""

    def refresh(self) -> None:
        """Looks at what has changed since the last time."""
        stamp = _stamp(self._store.plan_path)
        if stamp != self._plan_stamp or stamp is None:
            self._plan, self._plan_stamp = self._store.read_plan(), stamp
        plan = self._plan
        self.problem = f"plan.json: {plan.state}: {plan.reason}" if isinstance(plan, Unusable) else ""
        planned = plan.cells if isinstance(plan, PlanFile) else []
        planned = [cell for cell in planned if cell.has_own_folder]
        names = dict.fromkeys(cell.folder for cell in planned)
        # Opening the index costs more than a look at what has changed: it is for the first one.
        opened = Index(self._store.root) if names.keys() - self._folders.keys() else contextlib.nullcontext()
        with opened as index:
            for name in names:
                self._look(name, index)
        self.cells = [self._cell(cell) for cell in planned]
        self.failures = [failure for cell in planned for failure in self._failures_of(cell)][:_FAILURES]
        # Of the runs, not of their folders, which change with each checkpoint.
        self.fingerprint = (stamp, *((name, self._folders[name].stamps) for name in sorted(names)))

    def counts(self) -> Counter[str]:
        """Runs by letter."""
        return Counter(letter for cell in self.cells for letter in cell["states"])

    def _failures_of(self, cell: PlannedCell) -> list[dict[str, Any]]:
        """One entry per failure with the seeds that it befell: thirty runs that fail alike are one thing to read."""
        found: dict[str, dict[str, Any]] = {}
        files = self._folders[cell.folder].files
        for seed in cell.seeds:
            failure = files[seed].failure if seed in files else None
            if failure is not None:
                key = json.dumps([failure.get(name) for name in ("status", "type", "message")])
                entry = found.setdefault(key, {"task": cell.task, "algorithm": cell.algorithm, "seeds": [], **failure})
                entry["seeds"].append(seed)
        return list(found.values())

    def _cell(self, cell: PlannedCell) -> dict[str, Any]:
        files = self._folders[cell.folder].files
        states = "".join(files[seed].letter if seed in files else LETTERS["missing"] for seed in cell.seeds)
        return {
            "task": cell.task,
            "algorithm": cell.algorithm,
            "folder": cell.folder,
            "seeds": cell.seeds,
            "states": states,
        }

    def _look(self, name: str, index: Index | None) -> None:
        known = self._folders.setdefault(name, _Folder())
        path = self._store.root / name
        try:
            changed = path.stat().st_mtime_ns
            if changed == known.stamp and known.settled:
                return
            settled = time.time_ns() - changed > _GRAIN_NS
            entries = list_folder(path) if self._is_ours(path, link=path.is_symlink()) else []
        except (OSError, ValueError):
            self._folders[name] = _Folder()
            return
        indexed = index.folder(name, curves=False) if index is not None and not known.files else {}
        found: dict[int, _File] = {}
        for entry in entries:
            seed = entry.name.removeprefix("seed-").removesuffix(".json")
            if entry.name != f"seed-{seed}.json" or not (seed.isascii() and seed.isdecimal()):
                continue
            if not self._is_ours(path / entry.name, link=entry.is_symlink()):
                continue
            stamp = _stamp(path / entry.name)
            before = known.files.get(int(seed))
            if before is not None and before.stamp == stamp and not before.unreadable:
                found[int(seed)] = before
            elif stamp is not None:
                entry_there = indexed.get(entry.name)
                record = entry_there.record if entry_there is not None else read_record(path / entry.name)
                if record is not None:
                    found[int(seed)] = _file(stamp, record)
        known.stamp, known.files = changed, found
        known.stamps = tuple((seed, file.stamp) for seed, file in sorted(found.items()))
        # One that is still being copied changes without its folder.
        known.settled = settled and all(file.letter != LETTERS["unusable"] for file in found.values())

    def _is_ours(self, path: Path, *, link: bool) -> bool:
        return not link or stays_inside(path, self._within.resolve())


def _file(stamp: Stamp, record: RunRecord | Unusable) -> _File:
    if isinstance(record, Unusable):
        about = {"status": record.state.value, "message": record.reason}
        return _File(stamp, LETTERS["unusable"], about, unreadable=record.state is FileState.UNREADABLE)
    failure = None
    # A diverged run is a result, and an interrupted one is run again.
    if record.error is not None and record.status not in {"diverged", "interrupted"}:
        error = record.error
        failure = {
            "status": record.status,
            "type": error.type,
            "message": error.message,
            "remedy": error.remedy,
            "log": str(record.provenance.get("log", "")),
        }
    return _File(stamp, LETTERS[record.status], failure)


def _stamp(path: Path) -> Stamp | None:
    """Size and modification time; None where there is nothing."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns
