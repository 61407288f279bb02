"""Results folders of one suite made into one: those of shards, or of machines that ran parts of it.

The sources are only read. Runs that both sides have are compared: equal results are kept once, with the attempts of
both; unequal ones are kept both, the second under `conflicts/`, because nothing says which of two machines is right.
Merging again what was merged changes nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.files import list_folder, read_regular, reason_of
from haepo_bench.results.code import CODE_FILE
from haepo_bench.results.declarations import join
from haepo_bench.results.hashing import digest
from haepo_bench.results.identity import CellKey
from haepo_bench.results.index import refresh
from haepo_bench.results.joined_plans import Disagreement, PlanOf, check_kinds, join_plans
from haepo_bench.results.opening import find_suites, is_suite
from haepo_bench.results.plan_file import PlanFile
from haepo_bench.results.record import FAILED, FINISHED, Failure, RunRecord
from haepo_bench.results.sameness import same_result
from haepo_bench.results.store import (
    LOG_FOLDER,
    SHARDS_FOLDER,
    FileState,
    Store,
    Unusable,
    is_cell,
    put_aside,
    read_record,
    unreadable,
)
from haepo_bench.results.writing import write_atomically

#: Folder of the second of two unequal runs, in the suite's folder; no report reads it.
CONFLICTS_FOLDER = "conflicts"

_SHARD = re.compile(r"\d+-of-\d+")
_NAME_RESULTS = "name folders that `haepo-bench run` wrote to"


@dataclass(frozen=True)
class Conflict:
    """Two unequal results of one run.

    Args:
        kept: machine of the one that is in the cell's folder; `aside` of the one under `conflicts/`.
        path: of the latter.
        chosen: whether a person had said which one to keep.
    """

    cell: CellKey
    seed: int
    kept: str
    aside: str
    path: Path
    chosen: bool


@dataclass
class Merged:
    """What became of one suite's folder.

    Args:
        root: the folder that was merged into.
        added: runs that it did not have.
        completed: runs that it had without a result, and has with one now.
        same: runs that it had already.
        left: files of the sources that cannot be used, and stay where they are.
        disagreements: where the plans of two sources name other settings or code for a cell.
        missing: runs of the plan that are in none.
    """

    root: Path
    added: int = 0
    completed: int = 0
    same: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    left: list[Unusable] = field(default_factory=list)
    disagreements: list[Disagreement] = field(default_factory=list)
    missing: int = 0


def merge(sources: Sequence[Path], into: Path, *, prefer: Path | None = None) -> list[Merged]:
    """Merges results folders, each of one suite or of several, into one.

    Args:
        sources: folders; one that holds the shards of a suite stands for all of them.
        into: folder of the merged suite, or of the merged suites.
        prefer: one of the sources, whose result is kept of two that are unequal.

    Raises:
        UserError: a folder is not there, holds no results or cannot be read; two are of different suites, or one
            of a search and one of other runs; another process holds `into`, or it cannot be written. Nothing has been
            changed then, the last two apart.
    """
    if prefer is not None and prefer.resolve() not in {source.resolve() for source in sources}:
        raise UserError("is not one of the folders that are merged", where=str(prefer), remedy="name it among them")
    targets: dict[Path, list[_Source]] = {}
    for source in sources:
        preferred = prefer is not None and source.resolve() == prefer.resolve()
        for root, target in _pairs(source, into):
            if root.resolve() == target.resolve():
                raise UserError("cannot be merged into itself", where=str(root), remedy="name another --into")
            targets.setdefault(target, []).append(_Source(Store(root), preferred))
    merges = [_Merge(Store(target), found) for target, found in targets.items()]
    for one in merges:
        one.check()
    return [one.run() for one in merges]


@dataclass(frozen=True)
class _Source:
    store: Store
    preferred: bool


def _pairs(source: Path, into: Path) -> Iterator[tuple[Path, Path]]:
    """The suites' folders that a source holds, and the folders that they are merged into."""
    try:
        suites = find_suites(source)
        if suites == [source]:
            found = [(source, into)]
        else:
            found = [pair for shard in _shards(source) for pair in _pairs(shard, into)]
        if not found:
            for path in (source / entry.name for entry in list_folder(source)):
                shards = _shards(path)
                found += [pair for shard in shards for pair in _pairs(shard, into / path.name)]
                found += [(path, into / path.name)] if path in suites and not shards else []
    except OSError as error:
        reason = "there is no such folder" if isinstance(error, FileNotFoundError) else reason_of(error)
        raise UserError(reason, where=str(source), remedy=_NAME_RESULTS) from None
    if not found:
        raise _nothing_in(source)
    yield from found


def _nothing_in(folder: Path) -> UserError:
    return UserError("there are no results in this folder", where=str(folder), remedy=_NAME_RESULTS)


def _shards(folder: Path) -> list[Path]:
    """The shards in a folder, or in that of a suite of which there is nothing but shards; in their order."""
    if is_suite(folder):
        return []
    for place in (folder, folder / SHARDS_FOLDER):
        found = [path for path in Store(place).folders() if _SHARD.fullmatch(path.name)]
        if found:
            return sorted(found, key=lambda path: [int(part) for part in path.name.split("-of-")])
    return []


class _Merge:
    """One suite."""

    def __init__(self, target: Store, sources: list[_Source]) -> None:
        self._target = target
        # What is preferred comes first, so that the others are compared with it.
        self._sources = sorted(sources, key=lambda source: not source.preferred)
        self._found = Merged(target.root)

    def check(self) -> None:
        """Reads all there is.

        Raises:
            UserError: something cannot be read, or two folders are of different suites or kinds.
        """
        names: dict[str, Path] = {}
        plans: list[PlanOf] = []
        empty = True
        for store in (self._target, *(source.store for source in self._sources)):
            for path, found in store.records():
                empty = False
                if isinstance(found, Unusable) and found.state is not FileState.DAMAGED:
                    raise found.error()
                if isinstance(found, RunRecord) and is_cell(path.parent.name):
                    names.setdefault(found.suite, store.root)
            plan = store.read_plan()
            empty = empty and plan is None
            if isinstance(plan, Unusable) and plan.state is not FileState.DAMAGED:
                raise plan.error()
            if isinstance(plan, PlanFile):
                names.setdefault(plan.suite, store.root)
                plans.append(PlanOf(store.root, plan))
        if empty:
            raise _nothing_in(self._sources[0].store.root)
        if len(names) > 1:
            (one, first), (other, second) = list(names.items())[:2]
            raise UserError(
                f"holds runs of the suite '{other}', and {first} of '{one}'",
                where=str(second),
                remedy="merge each suite into a folder of its own",
            )
        check_kinds(plans)

    def run(self) -> Merged:
        with self._target.lock():
            for source in self._sources:
                for folder in (folder for folder in source.store.folders() if is_cell(folder.name)):
                    self._cell(source, folder)
                self._earlier_conflicts(source)
                self._logs(source.store)
            self._plan()
            refresh(self._target)
        return self._found

    def _cell(self, source: _Source, folder: Path) -> None:
        target = self._target.root / folder.name
        for file in source.store.files(folder):
            if file.name.startswith("seed-") and file.suffix == ".json":
                record = read_record(file)
                if isinstance(record, RunRecord):
                    self._run(source, file, record)
                elif record is not None:
                    self._found.left.append(record)
        for file in source.store.files(folder):
            if file.name.startswith("seed-") and file.suffix == ".checkpoint":
                there = read_record((target / file.name).with_suffix(".json"))
                if not (isinstance(there, RunRecord) and there.status in FINISHED):
                    _copy_if_absent(file, target / file.name)
        _copy_if_absent(folder / CODE_FILE, target / CODE_FILE)

    def _run(self, source: _Source, file: Path, record: RunRecord) -> None:
        path = self._target.root / file.parent.name / file.name
        there = read_record(path)
        if not isinstance(there, RunRecord):
            if there is not None:
                put_aside(path)
            _copy(file, path)
            self._found.added += 1
        elif record.status not in FINISHED or there.status not in FINISHED:
            self._settle(file, record, path, there)
        elif same_result(there, record):
            self._found.same += 1
            _join(path, there, record.attempts)
        else:
            self._conflict(source, file, record, path, there)

    def _settle(self, file: Path, record: RunRecord, path: Path, there: RunRecord) -> None:
        """One of the two has no result: keeps the other, with the attempts of both."""
        if _rank(record) > _rank(there):
            self._found.completed += record.status in FINISHED
            self._found.same += record.status not in FINISHED
            _copy(file, path)
            _join(path, record, _attempts(there))
            if record.status in FINISHED:
                self._target.drop_checkpoint(path.parent.name, record.seed)
        else:
            self._found.same += 1
            _join(path, there, _attempts(record))

    def _conflict(self, source: _Source, file: Path, record: RunRecord, path: Path, there: RunRecord) -> None:
        kept, aside, aside_file = there, record, file
        if source.preferred:
            kept, aside, aside_file = record, there, path
        place = self._set_aside(aside_file, aside)
        if source.preferred:
            _copy(file, path)
        self._found.conflicts.append(
            Conflict(
                cell=record.identity.key,
                seed=record.seed,
                kept=machine_of(kept),
                aside=machine_of(aside),
                path=place,
                chosen=any(each.preferred and _holds(each.store, path, kept) for each in self._sources),
            )
        )

    def _set_aside(self, file: Path, record: RunRecord) -> Path:
        """Copies a run to `conflicts/`, unless an equal one is there; where it is."""
        folder = self._target.root / CONFLICTS_FOLDER / file.parent.name
        n = 1
        while True:
            place = folder / (f"seed-{record.seed}.json" if n == 1 else f"seed-{record.seed}.{n}.json")
            before = _parsed(place)
            if before is None:
                _copy(file, place)
                return place
            if same_result(before, record):
                return place
            n += 1

    def _earlier_conflicts(self, source: _Source) -> None:
        """What merging into a source had set aside."""
        below = source.store.root / CONFLICTS_FOLDER
        for folder in Store(below).folders():
            for file in source.store.files(folder):
                record = _parsed(file)
                there = read_record(self._target.root / folder.name / f"seed-{record.seed}.json") if record else None
                if record is not None and not (isinstance(there, RunRecord) and same_result(there, record)):
                    self._set_aside(file, record)

    def _logs(self, source: Store) -> None:
        for folder in Store(source.root / LOG_FOLDER).folders():
            for file in source.files(folder):
                if file.suffix == ".log":
                    _copy_log(file, self._target.root / LOG_FOLDER / folder.name / file.name)

    def _plan(self) -> None:
        before = self._target.read_plan()
        plans = [(source.store.root, source.store.read_plan()) for source in self._sources]
        known = [PlanOf(root, plan) for root, plan in plans if isinstance(plan, PlanFile)]
        joined, self._found.disagreements = join_plans(before if isinstance(before, PlanFile) else None, known)
        if joined is None:
            return
        if joined != before:
            self._target.write_plan(joined)
        join(self._target, [source.store for source in self._sources])
        files = (self._target.path(cell.folder, seed) for cell in joined.cells for seed in cell.seeds)
        self._found.missing = sum(not file.is_file() for file in files)


def machine_of(record: RunRecord) -> str:
    """The machine that made a run, as its record says."""
    said = [record.provenance.get(name) for name in ("node", "cpu", "device_name")]
    named = ", ".join(text for text in said if isinstance(text, str) and text)
    return named or "an unnamed machine"


def _rank(record: RunRecord) -> tuple[int, str]:
    """Of two records without two results, the greater one is kept: a result, then a failure, then the later one."""
    return (2 if record.status in FINISHED else int(record.status in FAILED), _started(record))


def _started(record: RunRecord) -> str:
    return str(record.provenance.get("started", ""))


def _attempts(record: RunRecord) -> list[Failure]:
    own = [record.error] if record.error is not None and record.status in FAILED else []
    return [*record.attempts, *own]


def _join(path: Path, record: RunRecord, more: Sequence[Failure]) -> None:
    """Writes a record with the attempts of another, where it does not have them."""
    own = _attempts(record)
    new = [attempt for attempt in more if attempt not in own]
    if new:
        attempts = sorted([*record.attempts, *new], key=lambda attempt: attempt.started)
        write_atomically(path, record.model_copy(update={"attempts": attempts}).to_json(), option="--into")


def _holds(store: Store, path: Path, record: RunRecord) -> bool:
    found = read_record(store.root / path.parent.name / path.name)
    return isinstance(found, RunRecord) and same_result(found, record)


def _parsed(path: Path) -> RunRecord | None:
    """A run under whatever name; None where there is none that can be read."""
    try:
        return RunRecord.from_json(read_regular(path))
    except (OSError, ValueError):
        return None


def _copy(file: Path, path: Path) -> None:
    """Copies a run, and its final policy where that is kept."""
    for suffix in (".npz", ".json"):  # the run last: what is there belongs to it
        try:
            content = read_regular(file.with_suffix(suffix), most=None)
        except FileNotFoundError:
            if suffix == ".npz" and path.with_suffix(suffix).is_file():
                put_aside(path.with_suffix(suffix))  # the policy of the run that gives way
            continue
        except OSError as error:
            raise unreadable(file, reason_of(error)) from None
        write_atomically(path.with_suffix(suffix), content, option="--into")


def _copy_if_absent(file: Path, path: Path) -> None:
    try:
        content = read_regular(file, most=None)
    except OSError:
        return
    if not path.exists():
        write_atomically(path, content, option="--into")


def _copy_log(file: Path, path: Path) -> None:
    """Copies a log; where another of that name is there that does not begin it, beside it under a name of its own."""
    try:
        content = read_regular(file, most=None)
    except OSError:
        return
    try:
        before = read_regular(path, most=None)
    except FileNotFoundError:
        before = b""
    if before.startswith(content):
        return
    if not content.startswith(before):
        path = path.with_suffix(f".{digest(content.hex())[:8]}.log")
    if not path.exists() or content.startswith(before):
        write_atomically(path, content, option="--into")
