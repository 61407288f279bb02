"""A folder that any static host can serve: page, figures, tables, suites and the runs that all of it was made from.

The runs are copied first, without what says who made them and where, and the report is made of the copies: so nothing
in it can say more than they do, and the same report can be made from the folder again.
"""

import getpass
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, NamedTuple

from haepo_bench import __version__, interruption
from haepo_bench.errors import UserError
from haepo_bench.files import files_below, list_folder, read_regular, reason_of
from haepo_bench.publishing.cleaning import Cleaner, users_in
from haepo_bench.publishing.digests import DIGESTS_FILE, digest_of, digests
from haepo_bench.report.csv_files import more_csv
from haepo_bench.report.figures.formats import FigureRequest
from haepo_bench.report.files import render, write_report
from haepo_bench.report.numbers.build import build_report
from haepo_bench.results.opening import find_suites, open_results
from haepo_bench.results.record import RunRecord
from haepo_bench.results.searches import SEARCH_FOLDER, TUNED
from haepo_bench.results.store import DECLARATIONS_FILE, LOG_FOLDER, PLAN_FILE, Store
from haepo_bench.results.writing import translate_os_errors

RUNS_FOLDER, TABLES_FOLDER, SUITES_FOLDER = "runs", "tables", "suites"
_CODE_FILE = "code.txt"
_README = """\
# Results of haepo-bench {version}

{suites}

- `index.html`: the report; opens in any browser, offline too
- `report.json`, `tables/`, `figures/`: the same as data and pictures
- `runs/`: every run as one JSON file; `haepo-bench report runs --out ELSEWHERE` makes the report again
- `suites/`: the suites as they were run, with the tuned settings (`*.tuned.yaml`) where there are any
- `digests.sha256`: `haepo-bench verify .` (or `sha256sum -c digests.sha256`) says whether this is what was published

Host names, user names and absolute paths were removed{logs}. {licence}
"""


class Published(NamedTuple):
    """What was published.

    Args:
        digest: of the whole folder, as `verify` gives it.
        runs: how many were copied.
        files: how many the folder has.
    """

    digest: str
    runs: int
    files: int


def publish(results: Path, out: Path, *, with_logs: bool = False, licence: Path | None = None) -> Published:
    """Writes the folder, whole or not at all.

    Args:
        out: a folder that is not there yet, or is empty.
        with_logs: whether to take the logs of runs, cleaned like the rest.
        licence: file with the terms under which others may use the results; copied as LICENSE.

    Raises:
        UserError: nothing to publish, `out` has something in it, or a file cannot be read or written.
    """
    _refuse_occupied(out)
    terms = None if licence is None else _read(licence)
    open_results(results)  # says what is wrong with it before anything is written
    suites = [suite.resolve() for suite in find_suites(results)]  # `.` has no name
    cleaner = _cleaner(suites)
    with interruption.held(), translate_os_errors(out, option="--publish"):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name[:100]}."))
        try:
            runs = sum(_copy_runs(suite, folder, cleaner, with_logs=with_logs) for suite in suites)
            _write_report(folder)
            names = [_name(suite) for suite in suites]
            _write(folder / "README.md", _readme(names, licence, with_logs=with_logs))
            _write(folder / "LICENSE-haepo-bench", _own_licence())
            if terms is not None:
                _write(folder / "LICENSE", terms)
            every = [file.relative_to(folder).as_posix() for file in files_below(folder)]
            listed = digests(folder, every)
            _write(folder / DIGESTS_FILE, listed)
            folder.chmod(0o755)
            folder.replace(out)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return Published(digest_of(listed), runs, len(every) + 1)


def _name(suite: Path) -> str:
    """What a suite's results are called where they are published: those of a search by what was searched, too."""
    return f"{suite.parent.name}-{SEARCH_FOLDER}" if suite.name == SEARCH_FOLDER else suite.name


def _refuse_occupied(out: Path) -> None:
    try:
        occupied = bool(list_folder(out))
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"cannot be written to: {reason_of(error)}", where=str(out)) from None
    if occupied:
        raise UserError(
            "the folder is not empty, and what is published is never changed",
            where=str(out),
            remedy="name another folder, or remove this one first",
        )


def _cleaner(suites: list[Path]) -> Cleaner:
    """By the names of every machine and user that any run names, and those of here."""
    nodes, users = [], {getpass.getuser(), Path.home().name}
    for suite in suites:
        for _, record in _records(Store(suite)):
            text = json.dumps(record.model_dump(mode="json", exclude={"curve"}))
            users |= users_in(text)
            nodes += [record.provenance.get("node", "")]
    return Cleaner([*nodes, socket.gethostname()], users)


def _records(store: Store) -> Iterator[tuple[Path, RunRecord]]:
    for path, found in store.records():
        if isinstance(found, RunRecord):
            yield path, found


def _copy_runs(suite: Path, folder: Path, cleaner: Cleaner, *, with_logs: bool) -> int:
    """Copies plan, declarations and all readable runs of a suite; returns how many runs."""
    store, target = Store(suite), folder / RUNS_FOLDER / _name(suite)
    runs = 0
    cells = set()
    for path, record in _records(store):
        cleaned = RunRecord.model_validate(
            {**record.model_dump(), **cleaner.document(record.model_dump(mode="json", exclude={"curve"}))}
        )
        if not with_logs:  # no link to what is not there
            cleaned = cleaned.model_copy(update={"provenance": {**cleaned.provenance, "log": None}})
        _write(target / path.parent.name / path.name, cleaned.to_json())
        cells.add(path.parent)
        runs += 1
    for cell in cells:
        _copy_text(cell / _CODE_FILE, target / cell.name / _CODE_FILE, cleaner)
    for name in (PLAN_FILE, DECLARATIONS_FILE):
        _copy_json(suite / name, target / name, cleaner)
    plan = store.read_plan()
    source = getattr(plan, "source", "")
    if source:
        _write(folder / SUITES_FOLDER / f"{_name(suite)}.yaml", cleaner.text(source))
    tuned = getattr(plan, "tuned_source", "")
    if tuned:
        _write(folder / SUITES_FOLDER / f"{suite.name.removesuffix(TUNED)}.tuned.yaml", cleaner.text(tuned))
    logs = suite / LOG_FOLDER
    if with_logs and logs.is_dir():
        for log in files_below(logs):
            _copy_text(log, target / LOG_FOLDER / log.relative_to(logs), cleaner)
    return runs


def _copy_text(path: Path, target: Path, cleaner: Cleaner) -> None:
    try:
        text = read_regular(path).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return
    _write(target, cleaner.text(text))


def _copy_json(path: Path, target: Path, cleaner: Cleaner) -> None:
    """A JSON document, or one per line."""
    try:
        text = read_regular(path).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return
    try:
        cleaned = json.dumps(cleaner.document(json.loads(text)), indent=1) + "\n"
    except ValueError:
        cleaned = "".join(f"{json.dumps(cleaner.document(entry))}\n" for entry in _entries(text))
    _write(target, cleaned)


def _entries(text: str) -> Iterator[Any]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # a damaged line, which reports do not use either


def _write_report(folder: Path) -> None:
    document = build_report(folder / RUNS_FOLDER)
    (page, *_) = write_report(document, "html", folder, FigureRequest(("png", "svg")), runs=f"{RUNS_FOLDER}/")
    page.replace(folder / "index.html")
    _write(folder / "report.json", render(document, "json"))
    for name, text in {"report.csv": render(document, "csv"), **more_csv(document)}.items():
        _write(folder / TABLES_FOLDER / name, text)


def _readme(suites: list[str], licence: Path | None, *, with_logs: bool) -> str:
    terms = "LICENSE has the terms of use" if licence is not None else "No terms of use were given"
    logs = ", also from the logs of runs" if with_logs else "; logs of runs are left out"
    return _README.format(
        version=__version__,
        suites="Suites: " + ", ".join(suites) + ".",
        logs=logs,
        licence=f"{terms}; LICENSE-haepo-bench is that of the program, parts of which are in the page.",
    )


def _own_licence() -> str:
    return distribution("haepo-bench").read_text("licenses/LICENSE") or "haepo-bench: MIT licence\n"


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise UserError(
            f"cannot be read: {reason_of(error)}", where=str(path), remedy="--licence names a file"
        ) from None


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", errors="replace"))
