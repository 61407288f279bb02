"""What a suite names: algorithms and tasks of the catalogue, and those of Python files in the suite's folder."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from haepo_bench import catalogue
from haepo_bench.errors import TaskError, UserError
from haepo_bench.suite.local import reference as references
from haepo_bench.suite.local.code import LocalCode, LocalParts, data_hashes, read_code
from haepo_bench.suite.local.loading import blamed
from haepo_bench.tasks.address import Address, parse
from haepo_bench.tasks.base import LANGUAGE, Task
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
        return self._code(catalogue.innermost(address))

    def _code(self, text: str) -> LocalCode | None:
        if not references.is_file(text):
            return None
        named = references.parse(text)
        if self._folder is None:
            raise UserError(f"'{text}' is a file, and no suite says in which folder", remedy="name it in a suite")
        if text not in self._codes:
            self._codes[text] = read_code(named, self._folder)
        return self._codes[text]

    def parts(self, use: str, address: str, files: Iterable[str] = ()) -> LocalParts:
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
        if task is not None:
            variant = f"/{task.reference.variant}" if task.reference.variant else ""
            task_id = str(Address(parse(address).layers, f"file:{_found(task, 'task')}{variant}"))
        return LocalParts(algorithm, algorithm_id, task, task_id, data)

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

    def task(self, address: str, *, time_limit: int | None = None, options: Mapping[str, str]) -> Task:
        """The task at an address, whose innermost part may be a file.

        Raises:
            UserError: there is none, it takes no such keys, or its code fails.
        """
        code = self.task_code(address)
        if code is None:
            return catalogue.task(address, time_limit=time_limit, options=options)
        from haepo_bench.suite.local import objects

        if options:
            key = next(iter(options))
            raise TaskError(f"{code.reference.file} has no {key}", remedy="remove it", key=key)
        with blamed(code):
            return catalogue.wrapped(objects.task(code, time_limit=time_limit), parse(address).layers)

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
