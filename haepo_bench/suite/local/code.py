"""What a file of a suite's folder executes, read from source: itself and the files next to it that it imports.

The content is read once: what is hashed is what is imported (loading.py). Files import each other relatively, as the
modules of a package do (`from . import helpers`); an absolute import never means a file of the folder, so that one
called `random.py` takes nothing's place.
"""

import os
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.files import read_regular, reason_of
from haepo_bench.suite.closure import file_hash, find_package, parse_module
from haepo_bench.suite.local.reference import Reference
from haepo_bench.suite.source import decode_source

#: Stands for the folder in the names of its modules, where it does not matter which folder it is.
_TOP = "_"
#: A source file beyond this is none.
_MOST_BYTES = 1 << 24
_ONLY_HERE = "code of a suite is taken only from its own folder or below"


class LocalModule(NamedTuple):
    """One file.

    Args:
        path: absolute, without symbolic links.
        content: as it was when the suite was read.
        code: hash of it without comments and docstrings.
    """

    path: Path
    content: bytes
    code: str


class LocalCode(NamedTuple):
    """What a reference executes.

    Args:
        folder: of the suite, absolute, without symbolic links.
        modules: by dotted name from the folder on, the reference's own first.
        imports: absolute names that they import.
    """

    reference: Reference
    folder: Path
    modules: dict[str, LocalModule]
    imports: frozenset[str]

    @property
    def path(self) -> Path:
        """The reference's own file."""
        return self.modules[self.reference.module].path

    @property
    def described(self) -> str:
        """Whose code it is: `your code: /home/me/suite/median.py, helpers.py`."""
        others = [str(module.path) for name, module in self.modules.items() if name != self.reference.module]
        owner = _other_owner(self.path)
        whose = f"code of the user {owner}" if owner else "your code"
        return f"{whose}: {self.path}" + (f" (it imports {', '.join(others)})" if others else "")

    def hashes(self, role: str) -> dict[str, str]:
        """Name to hash; names say nothing of where the files are, nor what the reference's own file is called.

        Args:
            role: what the file is for: `algorithm` or `task`.
        """
        own = self.reference.module
        package = own.split(".")[:-1]
        named = {own: f"local {role} file"}
        named |= {name: f"local {role} {_relative(name.split('.'), package)}" for name in self.modules if name != own}
        return {named[name]: module.code for name, module in self.modules.items()}


class LocalParts(NamedTuple):
    """What of a cell comes from files of the suite's folder.

    Args:
        algorithm: None where it is one of the catalogue; `task` likewise.
        algorithm_id: what stands for it in the settings document; `task_id` likewise. They name what is in the file,
            and neither the file nor its folder.
        data: hash of each declared data file, by its name.
        wrappers: files with wrappers of the environment.
        modules: installed ones with such.
    """

    algorithm: LocalCode | None = None
    algorithm_id: str = ""
    task: LocalCode | None = None
    task_id: str = ""
    data: Mapping[str, str] = MappingProxyType({})
    wrappers: tuple[LocalCode, ...] = ()
    modules: tuple[str, ...] = ()

    @property
    def hashes(self) -> dict[str, str]:
        """Name to hash of all files, as a code document has them."""
        hashes = {} if self.algorithm is None else self.algorithm.hashes("algorithm")
        hashes |= {} if self.task is None else self.task.hashes("task")
        for number, code in enumerate(self.wrappers):
            hashes |= code.hashes(f"wrapper {number}")
        return hashes | {f"data {name}": content for name, content in self.data.items()}

    @property
    def needed(self) -> bool:
        """Whether there is anything."""
        return self.algorithm is not None or self.task is not None or bool(self.data or self.wrappers)

    @property
    def imports(self) -> frozenset[str]:
        """Absolute names that the files import."""
        codes = (self.algorithm, self.task, *self.wrappers)
        return frozenset[str]().union(*(code.imports for code in codes if code is not None))


#: Of a cell that needs no file.
NOTHING_LOCAL = LocalParts()


def read_code(reference: Reference, folder: Path) -> LocalCode:
    """Reads a file and all that it imports from the folder; imports nothing.

    Args:
        folder: of the suite.

    Raises:
        UserError: a file is missing, is not Python, or leads out of the folder.
    """
    top = Path(os.path.realpath(folder))
    modules: dict[str, LocalModule] = {}
    imports: set[str] = set()
    waiting, seen = [f"{_TOP}.{reference.module}"], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        inner = name.removeprefix(_TOP).removeprefix(".")
        if not inner:  # the folder itself: its __init__.py, if it has one, is another package's business
            continue
        waiting.append(name.rpartition(".")[0])
        file = _find(top, inner)
        if file is None:
            if inner == reference.module:
                raise UserError(
                    f"there is no file {reference.file} in the suite's folder",
                    remedy="`haepo-bench new algorithm FILE` or `new task FILE` writes one to start from",
                )
            continue  # not a module but something in one
        path = _inside(top, file)
        content = _content(path, file.relative_to(top))
        try:
            module = parse_module(name, file, decode_source(content))
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
            said = error.msg if isinstance(error, SyntaxError) else str(error)
            raise UserError(f"is not Python: {said}", where=f"{file.relative_to(top)}{line}") from None
        modules[inner] = LocalModule(path, content, module.code)
        found = module.imports | module.later
        waiting += sorted(each for each in found if each == _TOP or each.startswith(f"{_TOP}."))
        absolute = {each for each in found if each.partition(".")[0] not in ("", _TOP)}
        _refuse_siblings(absolute, file, top)
        imports |= absolute
    return LocalCode(reference, top, modules, frozenset(imports))


def has_module(folder: Path, name: str) -> bool:
    """Whether the folder holds a module of that dotted name."""
    return all(part.isidentifier() for part in name.split(".")) and _find(folder, name) is not None


def data_hashes(files: Iterable[str], folder: Path) -> dict[str, str]:
    """Hashes of data files that a suite declares, by the name that it gives them.

    Raises:
        UserError: a file is missing, or is not in the folder or below it.
    """
    top = Path(os.path.realpath(folder))
    hashes = {}
    for name in files:
        place = Path(name)
        if place.is_absolute() or ".." in place.parts or not place.parts or "\0" in name:
            raise UserError(
                f"'{name}' is not below the suite's folder",
                remedy="copy the file there and name it from there, such as maze.json",
            )
        path = _inside(top, top / place)
        try:
            hashes[place.as_posix()] = file_hash(path)
        except FileNotFoundError:
            remedy = "name each file: patterns are not filled in" if set(name) & set("*?[") else "correct its name"
            raise UserError(f"there is no file '{name}' in the suite's folder", remedy=remedy) from None
        except OSError as error:
            raise UserError(f"'{name}' cannot be read: {reason_of(error)}") from None
    return hashes


def changed_data(hashes: Mapping[str, str], folder: Path | None) -> list[str]:
    """Data files that are not what they were when `data_hashes` gave these hashes, or are gone."""
    if folder is None:
        return []
    changed = []
    for name, before in hashes.items():
        try:
            same = data_hashes([name], folder)[name] == before
        except UserError:
            same = False
        changed += [] if same else [name]
    return changed


def _other_owner(path: Path) -> str:
    """Who owns a file; empty where it is the user who runs the program."""
    uid = path.stat().st_uid
    if uid == os.getuid():
        return ""
    try:
        return path.owner()
    except KeyError:
        return str(uid)


def _find(top: Path, inner: str) -> Path | None:
    """The file of a module.

    Raises:
        UserError: there are two, of which Python would take the package.
    """
    place = top.joinpath(*inner.split("."))
    package, file = place / "__init__.py", place.with_name(f"{place.name}.py")
    found = [candidate for candidate in (package, file) if os.path.lexists(candidate)]
    if len(found) == 2:
        raise UserError(
            f"{file.relative_to(top)} and {package.relative_to(top)} are both the module {inner}", remedy="rename one"
        )
    return found[0] if found else None


def _inside(top: Path, path: Path) -> Path:
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(top):
        raise UserError(
            f"'{path.relative_to(top)}' is a symbolic link that leads out of the suite's folder: {_ONLY_HERE}",
            remedy="copy the file there",
        )
    return real


def _content(path: Path, named: Path) -> bytes:
    try:
        return read_regular(path, most=_MOST_BYTES)
    except OSError as error:
        raise UserError(f"'{named}' cannot be read: {reason_of(error)}") from None


def _refuse_siblings(names: Iterable[str], file: Path, top: Path) -> None:
    """Refuses an absolute import that only a file of the folder could satisfy."""
    for name in sorted({name.partition(".")[0] for name in names}):
        sibling = next(
            (s for s in (file.parent / f"{name}.py", file.parent / name / "__init__.py") if s.exists()), None
        )
        if sibling is None:
            continue
        _, installed = find_package(name)
        if installed is None or os.path.realpath(installed) == os.path.realpath(sibling):
            raise UserError(
                f"imports {name} as if it were installed; it is {sibling.relative_to(top)}",
                where=str(file.relative_to(top)),
                remedy=f"write `from . import {name}` or `from .{name} import ...`",
            )


def _relative(name: list[str], package: list[str]) -> str:
    """A module as another one, in `package`, would import it: `.helpers`, `..common`."""
    shared = 0
    while shared < min(len(name), len(package)) and name[shared] == package[shared]:
        shared += 1
    return "." * (len(package) - shared + 1) + ".".join(name[shared:])
