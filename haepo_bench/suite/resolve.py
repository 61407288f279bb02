"""A suite file to a plan: every name looked up, every hyper-parameter resolved, every error with its line."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError, TaskError, UserError, did_you_mean
from haepo_bench.results.claims import CLAIM_NAMES, DeclaredClaims, ScoreBounds, default_baselines, members
from haepo_bench.results.hashing import digest
from haepo_bench.suite.document import KeyPath, Problem, render
from haepo_bench.suite.hushed import hushed
from haepo_bench.suite.identity import code_document, settings_document
from haepo_bench.suite.loading import load_suite
from haepo_bench.suite.local.code import LocalCode, data_hashes
from haepo_bench.suite.local.reference import local_name
from haepo_bench.suite.machine import ChosenEngine, resolve_engine, resolve_execution
from haepo_bench.suite.names import Names
from haepo_bench.suite.overrides import check_filters, selected
from haepo_bench.suite.plan import Cell, Lookup, Plan
from haepo_bench.suite.schema import AlgorithmEntry, Suite
from haepo_bench.suite.shipped import find_suite
from haepo_bench.suite.task_entry import TaskEntry
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import AlgorithmDefinition

_T = TypeVar("_T")


def load_plan(
    suite: str | Path,
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    *,
    say: Callable[[str], None] = lambda line: None,
    run_code: bool = True,
    engine: str | None = None,
    engine_from: str = "--engine",
) -> Plan:
    """Reads a suite file and resolves it against the catalogue, and against Python files in its folder.

    Args:
        suite: a file, or the name of a shipped suite.
        sets: `KEY=VALUE` assignments, applied in order before validation.
        only: patterns of cells to keep (all where empty); the whole file is validated nevertheless.
        say: takes a line for each file of the suite's folder, before its code is run.
        run_code: whether such files are run; otherwise they are only read, and cells that need them are left out.
        engine: in place of the suite's; None: as that says.
        engine_from: who says so.

    Raises:
        UserError: the suite cannot be run as it stands; SuiteError holds every problem found.
    """
    path = find_suite(str(suite))
    loaded = load_suite(path, sets)
    chosen = None if engine is None else resolve_engine(engine, f"{engine_from} says so")
    resolver = _Resolver(loaded.suite, path.absolute().parent, run_code, chosen)
    for line in resolver.files():
        say(line)
    with hushed():
        cells = resolver.cells()
    claims = resolver.claims({cell.algorithm: cell.uses for cell in cells} | resolver.unread)
    if resolver.problems:
        raise loaded.document.error(resolver.problems)
    check_filters(only, [cell.key for cell in cells])
    return Plan(
        suite=loaded.suite.name,
        description=loaded.suite.description,
        cells=tuple(cell for cell in cells if selected(*cell.key, only)),
        unselected=tuple(cell for cell in cells if not selected(*cell.key, only)),
        execution=resolver.execution,
        claims=claims,
        bounds=resolver.bounds,
        uniform_success=resolver.uniform_success,
        source=loaded.text + "".join(f"\n# run with --set {assignment}" for assignment in sets),
    )


class _NamedAlgorithm(NamedTuple):
    """One algorithm of an entry; a family's entry has several."""

    entry: AlgorithmEntry
    path: KeyPath
    name: str
    uses: str
    definition: AlgorithmDefinition


class _Resolver:
    """Resolves a suite; goes on after an error, so that one look finds all of them.

    Args:
        folder: the suite's.
        run_code: whether files of the folder are run, or only read.
        engine: in place of the suite's.
    """

    def __init__(self, suite: Suite, folder: Path, run_code: bool, engine: ChosenEngine | None) -> None:
        self._suite, self._folder, self._run_code = suite, folder, run_code
        self._names = Names(folder)
        #: Algorithms of files that are not run: name to file.
        self.unread: dict[str, str] = {}
        self.problems: list[Problem] = []
        #: Of scores, by task; after `cells`.
        self.bounds: dict[str, ScoreBounds] = {}
        self.uniform_success: dict[str, float] = {}
        options = suite.execution
        if engine is not None:
            options = options.model_copy(update={"engine": engine.name})
        elif self._located(("execution", "engine"), lambda: resolve_engine(options.engine)) is None:
            options = options.model_copy(update={"engine": "torch"})
        execution = self._located(("execution", "device"), lambda: resolve_execution(options))
        execution = execution or resolve_execution(options.model_copy(update={"device": "cpu"}))
        if engine is not None:
            execution = replace(execution, engine_reason=engine.reason, engine_open=engine.open)
        self.execution = execution

    def files(self) -> list[str]:
        """Whose files the suite runs, a line each; what is wrong with them is found later."""
        uses = [(self._names.algorithm_code, entry.use) for entry in self._suite.algorithms]
        addresses = [(self._names.task_code, entry.address) for entry in self._suite.tasks]
        around = [(self._names.wrapper_code, name) for entry in self._suite.tasks for name in entry.wrappers]
        lines = []
        for find, text in (*uses, *addresses, *around):
            with contextlib.suppress(UserError):
                code = find(text)
                lines += [f"{'runs' if self._run_code else 'reads'} {code.described}"] if code is not None else []
        return list(dict.fromkeys(lines))

    def cells(self) -> list[Cell]:
        """Every algorithm on every task that its entry asks for, the tasks in the outer loop."""
        tasks = self._tasks()
        algorithms = self._algorithms()
        cells = (
            self._cell(entry, task, algorithm)
            for entry, task in tasks
            for algorithm in algorithms
            if algorithm.entry.tasks is None or set(entry.aliases) & set(algorithm.entry.tasks)
        )
        return [cell for cell in cells if cell is not None]

    def claims(self, uses: dict[str, str]) -> DeclaredClaims | None:
        """The claims with their names resolved; None where the suite does not have what the default asks for.

        Args:
            uses: name in the suite to catalogue name.
        """
        claims = self._suite.claims
        said = claims.model_fields_set
        candidates = self._members(("claims", "candidate"), claims.candidate, uses, needed="candidate" in said)
        left_out = self._named("left_out", claims.left_out or (), candidates, uses)
        baselines = [name for name in default_baselines(uses, candidates) if name not in left_out]
        if claims.baselines is not None:
            baselines = self._named("baselines", claims.baselines, candidates, uses)
            for index, name in enumerate(claims.left_out or ()):
                both = [one for one in self._members((), name, uses, needed=False) if one in baselines]
                if both:
                    problem = f"'{both[0]}' is one of the baselines"
                    self.problems.append(Problem(("claims", "left_out", index), problem, "name it in one of the two"))
        if not candidates or not baselines:
            if said and not self.problems:
                self.problems.append(_nothing_claimed(claims.candidate, candidates, list(claims.left_out or ())))
            return None
        return DeclaredClaims(
            candidates=candidates,
            baselines=baselines,
            margin=claims.margin,
            threshold=claims.threshold,
            margins=claims.margins,
            rule=claims.rule,
            dependence=claims.dependence,
            left_out=left_out,
            made=[name for name in CLAIM_NAMES if name in (claims.made or ())],
        )

    def _named(self, key: str, names: Sequence[str], candidates: Sequence[str], uses: dict[str, str]) -> list[str]:
        """What a list of the claims means, each once; none may be a candidate."""
        found: list[str] = []
        for index, name in enumerate(names):
            path: KeyPath = ("claims", key, index)
            group = self._members(path, name, uses, needed=True)
            if set(group) & set(candidates):
                problem = "an algorithm cannot be compared with itself: this is the candidate"
                self.problems.append(Problem(path, problem, "name another, or another candidate"))
            found += group
        return list(dict.fromkeys(found))

    def _members(self, path: KeyPath, name: str, uses: dict[str, str], *, needed: bool) -> list[str]:
        found = members(name, uses, families=catalogue.FAMILIES)
        if needed and not found and uses:
            families = [family for family, own in catalogue.FAMILIES.items() if set(own) & set(uses.values())]
            known = [*uses, *uses.values(), *families]
            remedy = did_you_mean(name, list(dict.fromkeys(known)), kind="algorithm")
            self.problems.append(Problem(path, f"the suite has no algorithm '{name}'", remedy))
        return found

    def _located(self, path: KeyPath, make: Callable[[], _T]) -> _T | None:
        try:
            return make()
        except UserError as error:
            self.problems.append(_foreign_problem(path, error))
            return None

    def _tasks(self) -> list[tuple[TaskEntry, Task]]:
        tasks: dict[str, tuple[TaskEntry, Task]] = {}
        for index, entry in enumerate(self._suite.tasks):
            path = ("tasks", index, "id")
            try:
                codes = [self._names.task_code(entry.address), *map(self._names.wrapper_code, entry.wrappers)]
                if self._left_out(next((code for code in codes if code is not None), None), entry.files):
                    continue
                task = self._names.task(entry.address, time_limit=entry.time_limit, options=entry.options)
                self._names.check(entry.address, task)
            except UserError as error:
                self.problems.append(_task_problem(index, entry, error))
                continue
            called = _called(entry, task)
            if called in tasks:
                problem = f"'{entry.address}' and '{tasks[called][0].address}' are the same task"
                self.problems.append(Problem(path, problem, "remove one of the two, or give it a name: of its own"))
            tasks[called] = (entry, task)
            self._bound(index, entry, called, task)
            if task.success_return is not None and task.uniform is not None and task.uniform.success:
                self.uniform_success[called] = task.uniform.steps / task.uniform.success
        return list(tasks.values())

    def _bound(self, index: int, entry: TaskEntry, called: str, task: Task) -> None:
        """The bounds of a task's score: as the suite clips it, else as they follow from those of the return."""
        if task.references is None:
            if entry.clip is not None:
                problem = f"{task.id} has no reference returns, so no score that could be clipped"
                self.problems.append(Problem(("tasks", index, "clip"), problem, "remove clip"))
        elif entry.clip is not None:
            self.bounds[called] = ScoreBounds(low=entry.clip[0], high=entry.clip[1], clipped=True)
        elif task.return_bounds is not None:
            try:
                least, greatest = (float(end) for end in task.return_bounds)
                low, high = sorted(map(task.references.score, (least, greatest)))
                self.bounds[called] = ScoreBounds(low=low, high=high)
            except (TypeError, ValueError):
                problem = f"{task.id} has return_bounds {task.return_bounds!r}"
                remedy = "return_bounds of a task are two numbers, the least and the greatest return, or None"
                self.problems.append(Problem(("tasks", index, "id"), problem, remedy))

    def _algorithms(self) -> list[_NamedAlgorithm]:
        algorithms: dict[str, _NamedAlgorithm] = {}
        for index, entry in enumerate(self._suite.algorithms):
            path = ("algorithms", index)
            members = self._located((*path, "use"), partial(self._members_of, entry)) or ()
            for member in members:
                definition = self._located((*path, "use"), partial(self._names.algorithm, member))
                if definition is None:
                    continue
                name = _name(entry, self._names.name(member))
                if name in algorithms:
                    other = render(algorithms[name].path)
                    problem = f"the name '{name}' is already that of {other}"
                    key = "use" if entry.name is None else "name"
                    self.problems.append(Problem((*path, key), problem, "give one of the two a name: of its own"))
                algorithms[name] = _NamedAlgorithm(entry, path, name, member, definition)
        return list(algorithms.values())

    def _members_of(self, entry: AlgorithmEntry) -> tuple[str, ...]:
        code = self._names.algorithm_code(entry.use)
        if not self._left_out(code, entry.files):
            return self._names.algorithms(entry.use)
        self.unread[_name(entry, self._names.name(entry.use))] = entry.use
        return ()

    def _left_out(self, code: LocalCode | None, files: Sequence[str]) -> bool:
        """Looks at what a file needs, without running it; whether that is all that is wanted."""
        data_hashes(files, self._folder)
        return code is not None and not self._run_code

    def _cell(self, entry: TaskEntry, task: Task, named: _NamedAlgorithm) -> Cell | None:
        try:
            with self._names.blaming(named.uses):
                return self._made_cell(entry, task, named)
        except UserError as error:
            self.problems.append(_foreign_problem((*named.path, "use"), error))
            return None

    def _made_cell(self, entry: TaskEntry, task: Task, named: _NamedAlgorithm) -> Cell | None:
        definition = self._names.algorithm_on(task, named.uses)
        refusal = definition.refuses(task)
        if refusal is not None:
            problem = f"{named.name} cannot be run on {task.id}: {refusal}"
            self.problems.append(Problem(named.path, problem, "take the task or the algorithm out of this suite"))
            return None
        special = _special(named, entry)
        overrides = {**named.entry.params, **special}
        try:
            algorithm = definition.configure(overrides, task)
        except ParameterError as error:
            self.problems += [_parameter_problem(one, named, entry) for one in (error, *error.also)]
            return None
        except UserError as error:
            # What the task needs is missing: a model, a library. Every algorithm says so; once is enough.
            missing = _task_problem(self._suite.tasks.index(entry), entry, error)
            if missing not in self.problems:
                self.problems.append(missing)
            return None
        seeds = named.entry.seeds or self._suite.seeds
        budget = self._suite.budget_of(entry)
        every, episodes = self._suite.evaluation_of(entry)
        files = tuple(dict.fromkeys((*entry.files, *named.entry.files)))
        local = self._names.parts(named.uses, entry.address, files, entry.wrappers)
        settings = settings_document(
            definition,
            algorithm,
            task,
            time_limit=entry.time_limit,
            budget=budget,
            evaluation_every=every,
            evaluation_episodes=episodes,
            device=self.execution.device,
            local=local,
        )
        able = algorithm.engines(task, self.execution.device)
        engine = self.execution.engine if self.execution.engine in able else "torch"
        code = code_document(definition, algorithm, task, local, engine)
        return Cell(
            task=_called(entry, task),
            time_limit=entry.time_limit,
            options=entry.options,
            algorithm=named.name,
            uses=named.uses,
            lookup=Lookup(entry.address, self._folder if local.needed else None, files),
            overrides=overrides,
            parameters=algorithm.parameters,
            seeds=seeds,
            budget=budget,
            evaluation_every=every,
            evaluation_episodes=episodes,
            batches_seeds=algorithm.batches_seeds,
            references=task.references,
            information=algorithm.information,
            notes=algorithm.notes,
            settings=settings,
            settings_hash=digest(settings),
            code=code,
            code_hash=digest(code),
            engine=engine,
            resumes=algorithm.resumes(task),
        )


def _name(entry: AlgorithmEntry, member: str) -> str:
    """The name in the suite: a family's name gives way to the entry's, `haepo-weighted` to `mine-weighted`."""
    if entry.name is None:
        return member
    if member == entry.use:
        return entry.name
    return f"{entry.name}-{member.removeprefix(f'{entry.use}-')}"


def _foreign_problem(path: KeyPath, error: UserError) -> Problem:
    """An error raised elsewhere; a place of its own is one in another file, such as a line of the data."""
    return Problem(path, f"{error.where}: {error.problem}" if error.where else error.problem, error.remedy)


def _task_problem(index: int, entry: TaskEntry, error: UserError) -> Problem:
    """At the key that is to blame where the user wrote it; else it is part of the address."""
    key = error.key if isinstance(error, TaskError) else ""
    return _foreign_problem(("tasks", index, key if key in entry.model_fields_set else "id"), error)


def _called(entry: TaskEntry, task: Task) -> str:
    """What results call a task."""
    return entry.name or local_name(entry.address) or task.id


def _special(named: _NamedAlgorithm, entry: TaskEntry) -> dict[str, Any]:
    """The hyper-parameters of an algorithm that hold on one task only."""
    found = (named.entry.per_task[name].params for name in entry.aliases if name in named.entry.per_task)
    return next(found, {})


def _parameter_problem(error: ParameterError, named: _NamedAlgorithm, entry: TaskEntry) -> Problem:
    name, task = error.parameter, entry.aliases[0]
    if name in _special(named, entry):
        key = next(alias for alias in entry.aliases if alias in named.entry.per_task)
        return Problem((*named.path, "per_task", key, "params", name), error.problem, error.remedy)
    if name in named.entry.params:
        return Problem((*named.path, "params", name), error.problem, error.remedy)
    # Not a parameter that the suite sets: the algorithm refuses its own default here, or several together.
    return Problem(named.path, f"{name}: {error.problem} (on {task})", error.remedy)


def _nothing_claimed(candidate: str, candidates: Sequence[str], left_out: Sequence[str]) -> Problem:
    """Why what a suite says of its claims compares nothing."""
    if not candidates:
        problem = f"the suite has no algorithm '{candidate}', the candidate where none is named"
        return Problem(("claims",), problem, "name one under claims.candidate, or remove claims")
    but = " that is not left out" if left_out else ""
    problem = f"'{candidate}' is compared with nothing: the suite has no other algorithm that learns{but}"
    return Problem(("claims",), problem, "add one, name one under claims.baselines, or remove claims")
