"""An import, from files to stored runs."""

from collections import defaultdict
from collections.abc import Mapping as AnyMapping
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from haepo_bench.errors import UserError
from haepo_bench.exchange.formats import detect, read
from haepo_bench.exchange.logged import Logged
from haepo_bench.exchange.mapping import KIND, LoadedMapping, Mapping, Settings, Source, load_mapping
from haepo_bench.exchange.own_tables import curves_beside, is_own, read_own
from haepo_bench.exchange.records import run_record, task_marks
from haepo_bench.exchange.series import ALGORITHM_IN_FILE, Series, logged_runs, parts_of_runs, series
from haepo_bench.exchange.sources import Found, find, together
from haepo_bench.exchange.storing import Imported, MissingRun, store_runs
from haepo_bench.files import files_below, reason_of
from haepo_bench.results.record import RunRecord
from haepo_bench.suite.document import SuiteError
from haepo_bench.suite.problems import problems_of


@dataclass(frozen=True)
class Said:
    """What the command line says in place of a mapping file; None where it says nothing.

    Args:
        settings: how files are read, by the names of `Settings`; without those that are not set.
    """

    suite: str | None = None
    task: str | None = None
    algorithm: str | None = None
    seed: int | None = None
    budget: int | None = None
    every: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> list[str]:
        """Names of the options that were given."""
        own = [name for name, value in vars(self).items() if value is not None and name != "settings"]
        return [*(f"--{name}" for name in own), *map(option, self.settings)]


def option(setting: str) -> str:
    """The option of the command that is one of the settings; of a table of settings each entry is one."""
    return "--" + {"columns": "column"}.get(setting, setting).replace("_", "-")


def import_runs(paths: Sequence[Path], said: Said, results: Path, *, dry: bool = False) -> list[Imported]:
    """Imports what the paths name: one mapping file, or tables, files and folders that speak for themselves.

    Raises:
        UserError: what is wrong with the mapping or the files, all of it at once; nothing is stored then.
    """
    mappings = [path for path in paths if path.suffix.lower() in {".yaml", ".yml"}]
    if mappings and (len(paths) > 1 or said.options):
        other = said.options[0] if said.options else "another path"
        raise UserError(
            f"a mapping file has all settings: it cannot be combined with {other}",
            where=str(mappings[0]),
            remedy="import them one after the other, or write it into the mapping file",
        )
    if mappings:
        loaded = load_mapping(mappings[0])
        source = f"# {mappings[0].name}\n{loaded.text}"
        records = _mapped(loaded, [])
        return [_store(results, records, [], loaded.mapping.description, source, dry)]
    own, found = _recognised(paths, said)
    suites: dict[str, tuple[list[RunRecord], list[MissingRun]]] = defaultdict(lambda: ([], []))
    for path in own:
        read_back, missing = read_own(path, said.suite)
        for record in read_back:
            suites[record.suite][0].append(record)
        for run in missing:
            suites[run.suite][1].append(run)
    if found:
        mapping = _from_command_line(found, said)
        records = _mapped(LoadedMapping(mapping, Path()), found)
        suites[mapping.suite][0].extend(records)
    stored = []
    # Look at all suites before writing any.
    for dry_now in (True,) if dry else (True, False):
        stored = [
            _store(results, records, missing, "", f"# imported: {', '.join(map(str, paths))}\n", dry_now)
            for records, missing in suites.values()
            if records
        ]
    if not stored:
        raise UserError("holds no run that was made", where=str(own[0]), remedy="every run in it is missing")
    return stored


def _store(
    results: Path, records: list[RunRecord], missing: list[MissingRun], description: str, source: str, dry: bool
) -> Imported:
    _refuse_duplicates(records)
    root = results / records[0].suite
    return store_runs(root, records, missing, description=description, source=source, dry=dry)


def _recognised(paths: Sequence[Path], said: Said) -> tuple[list[Path], list[Found]]:
    """Run tables of exports, and all other files that hold curves."""
    own: list[Path] = []
    found: list[Found] = []
    settings = _settings(said)
    for path in paths:
        try:
            inside = files_below(path) if path.is_dir() else [path]
            path.stat()
        except FileNotFoundError:
            raise UserError("there is no such file or folder", where=str(path)) from None
        except OSError as error:
            place = str(error.filename or path)
            raise UserError(f"cannot be read: {reason_of(error)}", where=place, remedy="make it readable") from None
        tables = [file for file in inside if is_own(file)]
        if path.is_file() and path.stem == "curves" and is_own(path.with_name(f"runs{path.suffix}")):
            tables = [path.with_name(f"runs{path.suffix}")]
        own += tables
        taken = {*tables, *map(curves_beside, tables)}
        files = [file for file in inside if file not in taken]
        formats = [(file, detect(file)) for file in files]
        wanted = settings.format
        if wanted and not path.is_dir():
            formats = [(file, wanted) for file in files]
        elif wanted:
            formats = [(file, form) for file, form in formats if form == wanted]
        if not path.is_dir() and formats and formats[0][1] is None:
            raise UserError(
                "cannot tell what kind of file this is",
                where=str(path),
                remedy="say --format, or write a mapping file that does (docs/how-to/import.md)",
            )
        kinds = sorted({form for _, form in formats if form})
        if len(kinds) > 1:
            raise UserError(
                f"holds files of several kinds: {', '.join(kinds)}",
                where=str(path),
                remedy="the same runs must not count twice: say --format, name the files of one kind, or write a "
                "mapping file",
            )
        for file, form in formats:
            if form:
                found.append(Found((file,), form, _source(file, said, settings), {}))
        if not tables and not kinds:
            raise UserError(
                "holds nothing that looks like runs",
                where=str(path),
                remedy="known are the tables of `haepo-bench export`, CSV, JSON lines, trainer_state.json, "
                "monitor.csv, evaluations.npz, result.json, progress.txt, MLflow's metrics, TensorBoard's event files",
            )
    return own, found


def _settings(said: Said) -> Settings:
    from pydantic import ValidationError

    try:
        return Settings.model_validate(said.settings)
    except ValidationError as error:
        problem = problems_of(error, Settings)[0]
        where = option(str(problem.path[0])) if problem.path else "--column"
        raise UserError(problem.problem, where=where, remedy=problem.remedy) from None


def _source(file: Path, said: Said, settings: Settings) -> Source:
    return Source(files=str(file), task=said.task, algorithm=said.algorithm, seed=said.seed, **settings.model_dump())


def _from_command_line(found: Sequence[Found], said: Said) -> Mapping:
    if said.suite is None:
        kinds = ", ".join(sorted({one.format for one in found}))
        raise UserError(
            f"these files ({kinds}) do not say which suite, task and algorithm they are of",
            where=str(found[0].files[0]),
            remedy="say --suite, --task and --algorithm, or write a mapping file (docs/how-to/import.md)",
        )
    from pydantic import ValidationError

    try:
        return Mapping(
            suite=said.suite, budget=said.budget, every=said.every, sources=tuple(one.source for one in found)
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(str(first["msg"]), where=f"--{first['loc'][0]}") from None


def _mapped(loaded: LoadedMapping, found: Sequence[Found]) -> list[RunRecord]:
    """The records of everything that a mapping names.

    Args:
        found: files that were named already; those of the mapping's patterns where empty.
    """
    problems: list[UserError] = []
    runs: list[Series] = []
    groups: list[tuple[Found, int]] = []
    if found:
        # Files of one folder have a source each: those of one run go together all the same.
        shared = [Found(one.files, one.format, found[0].source, one.captured) for one in found]
        try:
            groups = [(one, 0) for one in together(shared)]
        except UserError as error:
            problems.append(error)
    else:
        for i, source in enumerate(loaded.mapping.sources):
            where = loaded.where("sources", i, "files")
            try:
                groups += [(one, i) for one in find(source, loaded.folder, where)]
            except UserError as error:
                problems.append(error)
    logged: dict[int, list[Logged]] = defaultdict(list)
    for group, i in groups:
        try:
            rows = read(group.format, group.files, group.source)
            logged[i] += logged_runs(group, rows, loaded.where("sources", i))
        except UserError as error:
            problems.append(error)
    for of_source in logged.values():
        for parts in parts_of_runs(of_source):
            try:
                runs.append(series(parts))
            except UserError as error:
                problems.append(error)
    if not problems:
        problems += _unused_renames(loaded, logged)
    _refuse(problems)
    _refuse_same_seed(runs)
    _refuse_same_name(runs)
    records = []
    tasks: dict[str, list[Series]] = defaultdict(list)
    for run in runs:
        tasks[run.task].append(run)
    for task, group_of_runs in tasks.items():
        try:
            marks = task_marks(task, group_of_runs, loaded.mapping)
        except UserError as error:
            problems.append(error)
            continue
        for run in group_of_runs:
            try:
                records.append(run_record(run, marks, loaded.mapping))
            except UserError as error:
                problems.append(error)
    problems += _unused(loaded, runs)
    _refuse(problems)
    return records


def _unused(loaded: LoadedMapping, runs: Sequence[Series]) -> list[UserError]:
    """Tasks and algorithms that the mapping speaks of and no run has: a misspelt name would lose what is said there."""
    problems = []
    for section, said, met in (
        ("tasks", loaded.mapping.tasks, {run.task for run in runs}),
        ("algorithms", loaded.mapping.algorithms, {run.algorithm for run in runs}),
    ):
        problems += [
            UserError(
                f"no run is of '{name}'",
                where=loaded.where(section, name),
                remedy=f"the runs found are of {', '.join(sorted(met))}",
            )
            for name in said
            if name not in met
        ]
    return problems


def _unused_renames(loaded: LoadedMapping, logged: AnyMapping[int, Sequence[Logged]]) -> list[UserError]:
    problems = []
    for i, runs in logged.items():
        met = {text for run in runs for text in run.raw}
        problems += [
            UserError(
                f"no algorithm or task is called '{old[:60]}'",
                where=loaded.where("sources", i, "rename") or option("rename"),
                remedy=f"they are called {', '.join(sorted(met))}",
            )
            for old in (runs[0].found.source.rename if runs else ())
            if old not in met
        ]
    return problems


def _refuse(problems: list[UserError]) -> None:
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise SuiteError(problems, kind=f"{KIND} or its files")


def _refuse_same_seed(runs: Sequence[Series]) -> None:
    first: dict[tuple[str, str, int], Series] = {}
    problems = []
    for run in runs:
        key = (run.task, run.algorithm, run.seed)
        if key in first:
            problems.append(
                UserError(
                    f"{run.algorithm} on {run.task}, seed {run.seed} is already in {first[key].place}",
                    where=run.place,
                    remedy="a seed counts once: tell the runs apart by {seed} or {algorithm} in the pattern, or leave "
                    "one out; parts of one run: `resumed: continued` or `resumed: restarted`",
                )
            )
        first.setdefault(key, run)
    _refuse(problems)


def _refuse_same_name(runs: Sequence[Series]) -> None:
    """Algorithms whose names could not be kept must not meet under one."""
    first: dict[str, tuple[str, Series]] = {}
    for run in runs:
        called = str(run.facts.get(ALGORITHM_IN_FILE, run.algorithm))
        before, other = first.setdefault(run.algorithm, (called, run))
        if before != called:
            raise UserError(
                f"'{called[:60]}' would be called {run.algorithm}, as '{before[:60]}' in {other.place}",
                where=run.place,
                remedy=f"give them different names: `rename: {{{called[:60]!r}: ...}}` (--rename OLD=NEW)",
            )


def _refuse_duplicates(records: Sequence[RunRecord]) -> None:
    first: set[tuple[str, str, int]] = set()
    for record in records:
        key = (record.task, record.algorithm, record.seed)
        if key in first:
            raise UserError(
                f"{record.algorithm} on {record.task}, seed {record.seed} is there twice",
                where=record.suite,
                remedy="a seed counts once: leave one out, or name another --suite",
            )
        first.add(key)
