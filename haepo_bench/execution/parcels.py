"""A job on its way to a machine that shares no disk with this one, and the names of what it leaves there.

What is small travels: the files of the suite's folder that a job executes or declares, and the checkpoints that it goes
on from. Models and data that a language task names by a path may be large: those have to be there already.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from haepo_bench.errors import UserError
from haepo_bench.execution.worker import Request
from haepo_bench.files import read_regular, reason_of
from haepo_bench.results.hashing import digest
from haepo_bench.suite.local.code import LocalCode
from haepo_bench.suite.names import Names
from haepo_bench.suite.plan import Cell, PlannedRun
from haepo_bench.tasks.address import parse

#: The log's name in a job's folder.
LOG = "log"
_MODELS = ("reward_model", "gold_model")


@dataclass(frozen=True)
class Parcel:
    """A job as it is sent.

    Args:
        request: every path in it is a name in the job's folder, which is made where it arrives.
        contents: of files that lie in that folder from the beginning, by name.
        place: the folder that this command runs in, which relative paths count from.
        demanded: absolute paths that have to be where it arrives, with what each is.
    """

    request: Request
    contents: Mapping[str, bytes]
    place: str
    demanded: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SuiteFiles:
    """The files of the suite's folder that a job executes or declares.

    Args:
        contents: by name from the folder on.
        name: for the folder, where they arrive; follows from the contents.
    """

    contents: Mapping[str, bytes]
    name: str

    @classmethod
    def of(cls, cells: Iterable[Cell]) -> "SuiteFiles":
        """Those of a job's cells.

        Raises:
            UserError: one of them cannot be read.
        """
        contents = {name: content for cell in cells for name, content in _suite_files(cell)}
        return cls(contents, digest({name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}))

    def write(self, folder: Path) -> None:
        """Writes them into a folder that is not there."""
        begun = folder.with_suffix(".begun")
        for name, content in self.contents.items():
            file = begun / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        begun.rename(folder)


def pack(request: Request) -> tuple[Parcel, dict[str, Path]]:
    """A job to be sent, and where the files belong that it leaves, by their names in its folder."""
    policies = {f"run-{number}.npz": path for number, path in enumerate(request.policies)}
    checkpoints = {f"run-{number}.checkpoint": path for number, path in enumerate(request.checkpoints)}
    places = {LOG: request.log, **policies, **checkpoints}
    parcel = Parcel(
        request=replace(
            request,
            log=Path(LOG),
            policies=[Path(name) for name in policies],
            checkpoints=[Path(name) for name in checkpoints],
        ),
        contents={name: content for name, path in checkpoints.items() if (content := _content(path)) is not None},
        place=str(Path.cwd()),
        demanded=tuple(dict.fromkeys(found for run in request.runs for found in _demanded(run.cell))),
    )
    return parcel, places


def unpack(parcel: Parcel, suite_files: SuiteFiles, job_folder: Path, folder: Path) -> Request:
    """Writes what a parcel holds; the request with paths of this machine.

    Args:
        job_folder: empty.
        folder: what holds the suite's own files, where an earlier job has brought them.
    """
    for name, content in parcel.contents.items():
        (job_folder / name).write_bytes(content)
    request, runs = parcel.request, parcel.request.runs
    if suite_files.contents:
        place = folder / f"suite-{suite_files.name}"
        if not place.exists():
            suite_files.write(place)
        cells = {run.key.folder: _looked_up_in(place, run.cell) for run in runs}
        runs = tuple(PlannedRun(cells[run.key.folder], run.seed) for run in runs)
    return replace(
        request,
        runs=runs,
        log=job_folder / request.log,
        policies=[job_folder / name for name in request.policies],
        checkpoints=[job_folder / name for name in request.checkpoints],
    )


def _looked_up_in(folder: Path, cell: Cell) -> Cell:
    return cell if cell.lookup.folder is None else replace(cell, lookup=replace(cell.lookup, folder=folder))


def missing_from_here(parcel: Parcel) -> list[str]:
    """Paths that have to be on this machine and are not, each with what it is."""
    return [f"{what} {path}" for path, what in parcel.demanded if not Path(path).exists()]


def _suite_files(cell: Cell) -> Iterator[tuple[str, bytes]]:
    folder = cell.lookup.folder
    if folder is None:
        return
    names = Names(folder)
    codes = [names.algorithm_code(cell.uses), names.task_code(cell.lookup.address)]
    codes += [names.wrapper_code(wrapper) for wrapper in cell.options.get("wrappers", ())]
    for code in codes:
        if code is not None:
            yield from _modules(code)
    for name in cell.lookup.files:
        path = folder / name
        try:
            yield name, read_regular(path)
        except OSError as error:
            raise UserError(f"cannot be read: {reason_of(error)}", where=str(path)) from error


def _modules(code: LocalCode) -> Iterator[tuple[str, bytes]]:
    """By the names that they are imported by, which links may have given them."""
    for name, module in code.modules.items():
        path = name.replace(".", "/")
        yield f"{path}/__init__.py" if module.path.name == "__init__.py" else f"{path}.py", module.content


def _demanded(cell: Cell) -> Iterator[tuple[str, str]]:
    address = parse(cell.lookup.address).innermost
    kind, _, model = address.partition("@")
    named = [(model, "the model"), *((cell.options.get(key, ""), f"the {key.replace('_', ' ')}") for key in _MODELS)]
    if kind.startswith("lm/preferences/"):
        named.append((kind.removeprefix("lm/preferences/"), "the data"))
    for name, what in named:
        if isinstance(name, str) and name and Path(name).expanduser().exists():
            yield os.path.abspath(Path(name).expanduser()), what  # noqa: PTH100  # links stay as they are written


def _content(path: Path) -> bytes | None:
    try:
        return read_regular(path, most=None)
    except FileNotFoundError:
        return None
