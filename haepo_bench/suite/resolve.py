"""A suite file to a plan: every name looked up, every hyper-parameter resolved, every error with its line."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from haepo_bench.errors import ParameterError, UserError, task_errors
from haepo_bench.results.claims import DeclaredClaims, ScoreBounds
from haepo_bench.results.hashing import digest
from haepo_bench.results.searches import FIRST_SEED, TUNED, DeclaredSearch
from haepo_bench.suite.claim_names import ClaimNames
from haepo_bench.suite.document import KeyPath, Problem, render
from haepo_bench.suite.hushed import hushed
from haepo_bench.suite.identity import batch_digest, code_document, settings_document
from haepo_bench.suite.loading import load_suite, read_text
from haepo_bench.suite.local.code import LocalCode, data_hashes
from haepo_bench.suite.machine import ChosenEngine, resolve_engine, resolve_execution
from haepo_bench.suite.named import (
    NamedAlgorithm,
    called_in_results,
    foreign_problem,
    name_in_suite,
    parameter_problem,
    special_parameters,
    task_problem,
)
from haepo_bench.suite.names import Names
from haepo_bench.suite.overrides import check_filters, selected
from haepo_bench.suite.own_files import named_codes
from haepo_bench.suite.plan import Cell, Lookup, Plan
from haepo_bench.suite.schema import AlgorithmEntry, Suite
from haepo_bench.suite.search_keys import Search
from haepo_bench.suite.search_spaces import OnTasks, resolve_spaces
from haepo_bench.suite.shipped import find_suite
from haepo_bench.suite.task_entry import TaskEntry
from haepo_bench.suite.tuned import read_tuned
from haepo_bench.suite.tuned_notes import notes
from haepo_bench.suite.variants import AsTheyStand, FoundVariants, Trials, Variant, Variants
from haepo_bench.tasks.base import Task
from haepo_bench.wording import many

_T = TypeVar("_T")


def load_plan(
    suite: str | Path,
    sets: Sequence[str] = (),
    only: Sequence[str] = (),
    *,
    say: Callable[[str], None] = lambda line: None,
    doing: Callable[[str, str], None] = lambda where, what: None,
    run_code: bool = True,
    engine: str | None = None,
    engine_from: str = "--engine",
    tune: bool = False,
    tuned: str | None = None,
    per_task: bool = False,
) -> Plan:
    """Reads a suite file and resolves it against the catalogue, and against Python files in its folder.

    Args:
        suite: a file, or the name of a shipped suite.
        sets: `KEY=VALUE` assignments, applied in order before validation.
        only: patterns of cells to keep (all where empty); the whole file is validated nevertheless.
        say: takes a line for each file of the suite's folder, before its code is run, and notes about `tuned`.
        doing: takes, before code of others is run, where the suite asks for it and in words what is done. A process
            that such code ends cannot say it afterwards.
        run_code: whether such files are run; otherwise they are only read, and cells that need them are left out.
        engine: in place of the suite's; None: as that says.
        engine_from: who says so.
        tune: the plan of all trials of the suite's search, in place of its own runs.
        tuned: file of settings that a search found, with which the suite's runs are made; None: without.
        per_task: with `tuned`, also those found for each task, as algorithms of their own.

    Raises:
        UserError: the suite cannot be run as it stands; SuiteError holds every problem found.
    """
    path = find_suite(str(suite))
    loaded = load_suite(path, sets)
    chosen = None if engine is None else resolve_engine(engine, f"{engine_from} says so")
    found = None if tuned is None else read_tuned(Path(tuned), loaded.suite.name)
    resolver = _Resolver(
        loaded.suite,
        path.absolute().parent,
        run_code,
        chosen,
        lambda path, what: doing(loaded.document.where(path), what),
    )
    for line in resolver.files():
        say(line)
    if tune and (search := loaded.suite.search) is not None:
        say(f"sets up {many(search.trials * len(search.replicates), 'configuration')} of each algorithm")
    with hushed():
        cells = resolver.cells(
            tune=tune, variants=AsTheyStand() if found is None else FoundVariants(found.file, per_task=per_task)
        )
    if found is not None:
        # Before anything else: settings of another algorithm are wrong for this one in any case.
        found.check_algorithms(resolver.uses)
        for place, seed in loaded.suite.seeds_of_searches():
            problem = f"the seed {seed} is one that the search may have tuned on"
            resolver.problems.append(Problem(place, problem, f"choose seeds below {FIRST_SEED:_}"))
    claims = resolver.claims()
    if resolver.problems:
        raise loaded.document.error(resolver.problems)
    if found is not None:
        spaces = {} if resolver.search is None else resolver.search.spaces
        found.check(resolver.own_params, [name for name, own in spaces.items() if own])
        for line in notes(found.file, cells, resolver.own_params, resolver.search):
            say(line)
    check_filters(only, [cell.key for cell in cells])
    return Plan(
        suite=loaded.suite.name if found is None else f"{loaded.suite.name}{TUNED}",
        description=loaded.suite.description,
        cells=tuple(cell for cell in cells if selected(*cell.key, only)),
        unselected=tuple(cell for cell in cells if not selected(*cell.key, only)),
        execution=resolver.execution,
        claims=claims,
        bounds=resolver.bounds,
        uniform_success=resolver.uniform_success,
        source=loaded.text
        + "".join(f"\n# run with --set {assignment}" for assignment in sets)
        + ("" if tuned is None else f"\n# run with --tuned {Path(tuned).name}{' --per-task' if per_task else ''}"),
        search=resolver.search if tune else None,
        declared_search=resolver.search,
        own_params=resolver.own_params,
        tuned="" if found is None else found.file.declaration,
        tuned_source="" if tuned is None else read_text(Path(tuned), kind="file of tuned settings"),
    )


class _Resolver:
    """Resolves a suite; goes on after an error, so that one look finds all of them.

    Args:
        folder: the suite's.
        run_code: whether files of the folder are run, or only read.
        engine: in place of the suite's.
        doing: takes what is done before code of others is run.
    """

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        run_code: bool,
        engine: ChosenEngine | None,
        doing: Callable[[KeyPath, str], None],
    ) -> None:
        self._suite, self._folder, self._run_code, self._doing = suite, folder, run_code, doing
        self._names = Names(folder)
        #: Algorithms that cannot be looked at, such as those of files that are not run: name to what they use.
        self.unread: dict[str, str] = {}
        self.problems: list[Problem] = []
        #: Of scores, by task; after `cells`.
        self.bounds: dict[str, ScoreBounds] = {}
        self.uniform_success: dict[str, float] = {}
        #: By algorithm, what it is of the catalogue, or its file; after `cells`.
        self.uses: dict[str, str] = {}
        #: By algorithm and task, the hyper-parameters that its entry sets; likewise.
        self.own_params: dict[str, dict[str, dict[str, Any]]] = {}
        #: Where the suite declares one; after `cells`.
        self.search: DeclaredSearch | None = None
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
        """Whose files the suite runs, a line each."""
        done = "runs" if self._run_code else "reads"
        return list(dict.fromkeys(f"{done} {code.described}" for code in named_codes(self._suite, self._names)))

    def cells(self, *, tune: bool, variants: Variants) -> list[Cell]:
        """Every algorithm on every task that its entry asks for, the tasks in the outer loop.

        Args:
            tune: in place of `variants` the trials of the suite's search.
        """
        tasks = self._tasks()
        algorithms = self._algorithms()
        asked = [
            (entry, task, algorithm)
            for entry, task in tasks
            for algorithm in algorithms
            if algorithm.entry.tasks is None or set(entry.aliases) & set(algorithm.entry.tasks)
        ]
        driven = [each for each in asked if self._drives(*each)]
        self.uses = {named.name: named.uses for _, _, named in asked} | self.unread
        for entry, task, named in driven:
            own = {**named.entry.params, **special_parameters(named, entry)}
            self.own_params.setdefault(named.name, {})[called_in_results(entry, task)] = own
        search = self._suite.search
        if search is not None:
            trials = self._trials(search, driven)
            variants = trials if tune else variants
        elif tune:
            raise UserError(
                f"the suite {self._suite.name} does not say how it is searched",
                remedy="add search: {trials: 8, seeds: 2, replicates: 30} to it (docs/how-to/tune.md)",
            )
        cells: list[Cell | None] = []
        for entry, task, named in driven:
            published = self._names.algorithm_on(task, named.uses).published(task)
            asked_for = variants.of(named.name, called_in_results(entry, task), published=bool(published))
            self._setting_up(task, named)
            cells += [self._cell(entry, task, named, variant) for variant in asked_for]
        return [cell for cell in cells if cell is not None]

    def _trials(self, search: Search, driven: Sequence[tuple[TaskEntry, Task, NamedAlgorithm]]) -> Trials:
        """The search as it is declared, every space resolved."""
        on: dict[str, OnTasks] = {}
        for _, task, named in driven:
            definition = self._names.algorithm_on(task, named.uses)
            on.setdefault(named.name, OnTasks(named, [])).tasks.append((task, definition))
        spaces, problems = resolve_spaces(search, list(on.values()), self.unread)
        self.problems += problems
        self.search = DeclaredSearch(
            trials=search.trials,
            seeds=search.seeds,
            final=search.final,
            replicates=list(search.replicates),
            measure=search.measure,
            published=[
                name for name, each in on.items() if any(definition.published(task) for task, definition in each.tasks)
            ],
            spaces={name: {key: space.document for key, space in own.items()} for name, own in spaces.items()},
        )
        return Trials(self._suite.name, self.search, spaces)

    def claims(self) -> DeclaredClaims | None:
        """The claims with their names resolved; None where the suite does not have what the default asks for."""
        names = ClaimNames(self.uses)
        # Without the code of tasks there may be no cells, whose algorithms could be named.
        claims = names.resolve(self._suite.claims, quiet=bool(self.problems) or not self._run_code)
        self.problems += names.problems
        return claims

    def _located(self, path: KeyPath, make: Callable[[], _T]) -> _T | None:
        try:
            return make()
        except UserError as error:
            self.problems.append(foreign_problem(path, error))
            return None

    def _tasks(self) -> list[tuple[TaskEntry, Task]]:
        tasks: dict[str, tuple[TaskEntry, Task]] = {}
        for index, entry in enumerate(self._suite.tasks):
            path = ("tasks", index, "id")
            try:
                codes = [self._names.task_code(entry.address), *map(self._names.wrapper_code, entry.wrappers)]
                if self._left_out(next((code for code in codes if code is not None), None), entry.files):
                    continue
                self._doing(path, f"{entry.address} was imported and made")
                task = self._names.task(entry.address, time_limit=entry.time_limit, options=entry.options)
                self._doing(path, f"a first step of {entry.address} was tried")
                self._names.check(entry.address, task)
            except UserError as error:
                self.problems.append(task_problem(index, entry, error))
                continue
            called = called_in_results(entry, task)
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

    def _algorithms(self) -> list[NamedAlgorithm]:
        algorithms: dict[str, NamedAlgorithm] = {}
        for index, entry in enumerate(self._suite.algorithms):
            path = ("algorithms", index)
            members = self._located((*path, "use"), partial(self._members_of, entry))
            if members is None:  # said already: claims and spaces that name it are not wrong for that
                self.unread[entry.name or entry.use] = entry.use
                continue
            for member in members:
                self._doing((*path, "use"), f"{member} was imported")
                definition = self._located((*path, "use"), partial(self._names.algorithm, member))
                name = name_in_suite(entry, self._names.name(member))
                if definition is None:
                    self.unread[name] = member
                    continue
                if name in algorithms:
                    other = render(algorithms[name].path)
                    problem = f"the name '{name}' is already that of {other}"
                    key = "use" if entry.name is None else "name"
                    self.problems.append(Problem((*path, key), problem, "give one of the two a name: of its own"))
                algorithms[name] = NamedAlgorithm(entry, path, name, member, definition)
        return list(algorithms.values())

    def _members_of(self, entry: AlgorithmEntry) -> tuple[str, ...]:
        code = self._names.algorithm_code(entry.use)
        if not self._left_out(code, entry.files):
            return self._names.algorithms(entry.use)
        self.unread[name_in_suite(entry, self._names.name(entry.use))] = entry.use
        return ()

    def _left_out(self, code: LocalCode | None, files: Sequence[str]) -> bool:
        """Looks at what a file needs, without running it; whether that is all that is wanted."""
        with task_errors("files"):
            data_hashes(files, self._folder)
        return code is not None and not self._run_code

    def _drives(self, entry: TaskEntry, task: Task, named: NamedAlgorithm) -> bool:
        """Whether an algorithm can drive a task; it is a problem where it cannot."""
        self._setting_up(task, named)
        try:
            with self._names.blaming(named.uses):
                refusal = self._names.algorithm_on(task, named.uses).refuses(task)
        except UserError as error:
            self.problems.append(foreign_problem((*named.path, "use"), error))
            return False
        if refusal is not None:
            problem = f"{named.name} cannot be run on {task.id}: {refusal}"
            self.problems.append(Problem(named.path, problem, "take the task or the algorithm out of this suite"))
        return refusal is None

    def _setting_up(self, task: Task, named: NamedAlgorithm) -> None:
        self._doing((*named.path, "use"), f"{named.uses} was set up for {task.id}")

    def _cell(self, entry: TaskEntry, task: Task, named: NamedAlgorithm, variant: Variant) -> Cell | None:
        try:
            with self._names.blaming(named.uses):
                return self._made_cell(entry, task, named, variant)
        except UserError as error:
            self.problems.append(foreign_problem((*named.path, "use"), error))
            return None

    def _made_cell(self, entry: TaskEntry, task: Task, named: NamedAlgorithm, variant: Variant) -> Cell | None:
        definition = self._names.algorithm_on(task, named.uses)
        special = special_parameters(named, entry)
        published = definition.published(task) if variant.plain else {}
        described = definition.describe_parameters() if published else ()
        plain = {each.name: each.default for each in described if each.name in published}
        overrides = {**plain, **named.entry.params, **special, **variant.params}
        try:
            algorithm = definition.configure(overrides, task)
        except ParameterError as error:
            self.problems += [parameter_problem(one, named, entry, variant.params) for one in (error, *error.also)]
            return None
        except UserError as error:
            # What the task needs is missing: a model, a library. Every algorithm says so; once is enough.
            missing = task_problem(self._suite.tasks.index(entry), entry, error)
            if missing not in self.problems:
                self.problems.append(missing)
            return None
        seeds = variant.seeds or named.entry.seeds or self._suite.seeds
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
        code_hash = digest(code)
        return Cell(
            task=called_in_results(entry, task),
            time_limit=entry.time_limit,
            options=entry.options,
            algorithm=variant.name,
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
            code_hash=code_hash,
            engine=engine,
            resumes=algorithm.resumes(task),
            batch=batch_digest(algorithm, settings, code_hash, engine),
        )
