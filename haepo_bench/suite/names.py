"""What a suite names: algorithms and tasks of the catalogue, and those of Python files in the suite's folder."""

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from haepo_bench import catalogue
from haepo_bench.errors import TaskError, UserError, task_errors
from haepo_bench.results.record import References
from haepo_bench.suite.local import reference as references
from haepo_bench.suite.local.code import LocalCode, LocalParts, data_hashes, has_module, read_code
from haepo_bench.suite.local.loading import blamed
from haepo_bench.suite.task_entry import WRAPPER_REMEDY
from haepo_bench.tasks.address import Address, parse
from haepo_bench.tasks.base import LANGUAGE, Normalise, Task
from haepo_bench.training.algorithm import AlgorithmDefinition


class Names:
    """The names that a suite may use.

    Args:
        folder: the suite's; None where nothing of a folder can be named.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._codes: dict[str, LocalCode] = {}

    def algorithm_code(self, use: str) -> LocalCode | None:
        """What the file that `use` names executes; None for names of the catalogue.

        Raises:
            UserError: there is no such file, or it may not be named.
        """
        return self._code(use)

    def task_code(self, address: str) -> LocalCode | None:
        """What the file that an address names executes; None for tasks of the catalogue.

        Raises:
            UserError: there is no such file, or it may not be named.
        """
        innermost = catalogue.innermost(address)
        module = _registering(innermost)
        if module is not None:
            file = f"./{module.replace('.', '/')}.py"
            return self._code(file) if self._folder is not None and has_module(self._folder, module) else None
        return self._code(innermost)

    def wrapper_code(self, wrapper: str) -> LocalCode | None:
        """What the file of `module:Class` executes; None for installed modules.

        Raises:
            UserError: there is no such file, or it may not be named.
        """
        module = wrapper.partition(":")[0]
        if references.is_file(wrapper):
            try:
                return self._code(wrapper)
            except UserError as error:
                remedy = error.remedy if error.where else WRAPPER_REMEDY
                raise TaskError(error.problem, where=error.where, remedy=remedy, key="wrappers") from error
        if self._folder is None or not has_module(self._folder, module):
            return None
        return self._code(f"./{module.replace('.', '/')}.py:{wrapper.partition(':')[2]}")

    def _code(self, text: str) -> LocalCode | None:
        if not references.is_file(text):
            return None
        named = references.parse(text)
        if self._folder is None:
            raise UserError(f"'{text}' is a file, and no suite says in which folder", remedy="name it in a suite")
        if text not in self._codes:
            self._codes[text] = read_code(named, self._folder)
        return self._codes[text]

    def parts(self, use: str, address: str, files: Iterable[str] = (), wrappers: Iterable[str] = ()) -> LocalParts:
        """All that a cell needs of the folder.

        Args:
            files: data files that the suite declares.

        Raises:
            UserError: something is missing or elsewhere.
        """
        data = {} if self._folder is None else data_hashes(files, self._folder)
        algorithm, task = self.algorithm_code(use), self.task_code(address)
        algorithm_id = task_id = ""
        if algorithm is not None:
            algorithm_id = f"file:{_found(algorithm, 'algorithm')}"
        if task is not None and _registering(parse(address).innermost) is None:
            variant = f"/{task.reference.variant}" if task.reference.variant else ""
            task_id = str(Address(parse(address).layers, f"file:{_found(task, 'task')}{variant}"))
        around = {wrapper: self.wrapper_code(wrapper) for wrapper in wrappers}  # once each: only their source counts
        return LocalParts(
            algorithm,
            algorithm_id,
            task,
            task_id,
            data,
            tuple(code for code in around.values() if code is not None),
            tuple(wrapper.partition(":")[0] for wrapper, code in around.items() if code is None),
        )

    def algorithms(self, use: str) -> tuple[str, ...]:
        """The algorithms that `use` stands for: a family's members, else itself.

        Raises:
            UserError: there is none.
        """
        return catalogue.expand(use) if self._code(use) is None else (use,)

    def algorithm(self, use: str) -> AlgorithmDefinition:
        """The algorithm of that name, as it trains on all but language tasks.

        Raises:
            UserError: there is none, or its code fails.
        """
        return self._definition(use, language=False)

    def language_algorithm(self, use: str) -> AlgorithmDefinition:
        """As `algorithm`, as it trains on language tasks.

        Raises:
            UserError: there is none, or its code fails.
        """
        return self._definition(use, language=True)

    def algorithm_on(self, task: Task, use: str) -> AlgorithmDefinition:
        """The algorithm of that name, as it trains on `task`.

        Raises:
            UserError: there is none, or its code fails.
        """
        return self._definition(use, language=task.backend == LANGUAGE)

    def name(self, use: str) -> str:
        """What an algorithm is called where the suite does not say."""
        code = self._code(use)
        return use if code is None else code.reference.stem

    def task(self, address: str, *, time_limit: int | None = None, options: Mapping[str, Any]) -> Task:
        """The task at an address, whose innermost part may be a file.

        Args:
            options: what else the suite says of it: the family's own (`catalogue.task`), `wrappers` as `module:Class`,
                and what is declared of any task.

        Raises:
            UserError: there is none, it takes no such keys, or its code fails.
        """
        given = {key: value for key, value in options.items() if key not in _DECLARED}
        if "wrappers" in given:
            given["wrappers"] = [(name, self._wrapper(name)) for name in given["wrappers"]]
        code, parsed = self.task_code(address), parse(address)
        with blamed(code) if code is not None else contextlib.nullcontext():
            task = self._innermost(parsed.innermost, code, time_limit, given)
            _declare(task, options)
            return catalogue.wrapped(task, parsed.layers)

    def _innermost(
        self, address: str, code: LocalCode | None, time_limit: int | None, options: Mapping[str, Any]
    ) -> Task:
        if code is None:
            return catalogue.task(address, time_limit=time_limit, options=options)
        from haepo_bench.suite.local import environments, objects
        from haepo_bench.tasks.environments.gym import GymTask

        for key in options:
            if key not in ("kwargs", "wrappers"):
                raise TaskError(f"{code.reference.file} has no {key}", remedy="remove it", key=key)
        if _registering(address) is None:
            return objects.task(code, time_limit=time_limit, **options)
        variant = address.partition("/")[2]
        spec = environments.registration(code, variant.partition(":")[2])
        return GymTask(variant, time_limit, spec=spec, **options)

    def _wrapper(self, wrapper: str) -> Callable[[Any], Any]:
        """The class or function that `module:Class` names."""
        code = self.wrapper_code(wrapper)
        module, _, attribute = wrapper.partition(":")
        with task_errors("wrappers"):
            if code is not None:
                from haepo_bench.suite.local import objects

                return objects.find_wrapper(code)
            found: Callable[[Any], Any] | None = catalogue.attribute(module, attribute) if attribute else None
        if found is None or not callable(found):
            raise TaskError(f"'{wrapper}' names no wrapper", remedy=WRAPPER_REMEDY, key="wrappers")
        return found

    def check(self, address: str, task: Task) -> None:
        """Tries what only a first step of the task shows.

        Raises:
            UserError: it fails.
        """
        code = self.task_code(address)
        with blamed(code) if code is not None else contextlib.nullcontext():
            task.check()

    def blaming(self, use: str) -> contextlib.AbstractContextManager[None]:
        """Blames the file that `use` names, if it names one, for what is raised within."""
        code = self.algorithm_code(use)
        return blamed(code) if code is not None else contextlib.nullcontext()

    def _definition(self, use: str, *, language: bool) -> AlgorithmDefinition:
        code = self._code(use)
        if code is None:
            return catalogue.language_algorithm(use) if language else catalogue.algorithm(use)
        from haepo_bench.suite.local import objects

        return objects.definition(code, language=language)


def _found(code: LocalCode, role: str) -> str:
    from haepo_bench.suite.local import objects

    return (objects.find_algorithm if role == "algorithm" else objects.find_task)(code).attribute


def _registering(address: str) -> str | None:
    """The module that registers the environment of an address: `maze` of `gym/maze:Maze-v0`."""
    family, _, variant = address.partition("/")
    module, colon, _ = variant.partition(":")
    return module if family == "gym" and colon else None


#: What a suite says of tasks of any family.
_DECLARED = ("references", "bounds", "normalise")


def _declare(task: Task, options: Mapping[str, Any]) -> None:
    """Gives a task the reference returns, bounds and normalisation that the suite says."""
    said: dict[str, Any] = {}
    if (own := options.get("references")) is not None:
        if task.references is not None or task.backend == LANGUAGE:
            raise TaskError(f"{task.id} has reference returns of its own", remedy="remove them", key="references")
        task.references = References(**own)
        said["references"] = [task.references.random, task.references.solved]
    if (bounds := options.get("bounds")) is not None:
        if task.return_bounds is not None:
            low, high = task.return_bounds
            raise TaskError(
                f"the bounds of {task.id} are known: [{low:g}, {high:g}]", remedy="remove them", key="bounds"
            )
        task.return_bounds = (float(bounds[0]), float(bounds[1]))
        said["bounds"] = list(task.return_bounds)
    if (normalise := options.get("normalise")) is not None:
        if task.backend == LANGUAGE:
            raise TaskError(
                f"{task.id} shows texts, and its rewards are scores of whole responses: neither is normalised by "
                "running statistics",
                remedy="remove normalise",
                key="normalise",
            )
        task.normalise = Normalise(**normalise)
        said["normalise"] = task.normalise._asdict()
    if said:
        task.inputs = {**task.inputs, **{key: json.dumps(value) for key, value in said.items()}}
