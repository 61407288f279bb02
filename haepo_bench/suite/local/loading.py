"""Imports files of a suite's folder, under a private name made from the folder, without a change of `sys.path`.

What is executed is the content that was read and hashed (code.py), and no file beyond that: a module that is imported
in a way that cannot be seen in the source is refused, because a change of it would not be noticed.
"""

import hashlib
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from haepo_bench.errors import UserError, in_words
from haepo_bench.files import read_regular
from haepo_bench.suite.local.code import LocalCode, LocalModule

PREFIX = "haepo_bench_local_"
#: Modules that may be imported, by private name of the folder.
_KNOWN: dict[str, dict[str, LocalModule]] = {}
_FOLDERS: dict[str, Path] = {}
#: gymnasium's specifications by id, by private name of the folder whose files registered them.
REGISTERED: dict[str, dict[str, Any]] = {}


def private_name(folder: Path) -> str:
    """The package that a folder's files are modules of; the same in every process."""
    return PREFIX + hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:12]


def is_local(module: str) -> bool:
    """Whether a module's name is that of a file in some suite's folder."""
    return module.startswith(PREFIX)


def load(code: LocalCode) -> ModuleType:
    """The module of a reference; imported anew where a file of the folder has changed since.

    Raises:
        UserError: it cannot be imported.
    """
    top = private_name(code.folder)
    known = _KNOWN.setdefault(top, {})
    _FOLDERS[top] = code.folder
    if any(not _as_on_disk(module) for module in known.values()) or any(
        name in known and known[name] != module for name, module in code.modules.items()
    ):
        known.clear()
        forget(code)
    known.update(code.modules)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    with _registering(top):
        return load_named(code, code.reference.module)


def forget(code: LocalCode | None) -> None:
    """After it `load` imports the folder's files anew; None, which is installed code, stays."""
    if code is None:
        return
    top = private_name(code.folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == top]:
        del sys.modules[name]


@contextmanager
def _in_its_place() -> Iterator[None]:
    """Whatever folder a file changes to while it is imported: paths of the command line count from where it began."""
    place = Path.cwd()
    try:
        yield
    finally:
        os.chdir(place)


@contextmanager
def _registering(top: str) -> Iterator[None]:
    """Remembers which environments the files of a folder register: gymnasium's registry is one for all folders."""
    import gymnasium  # not needed to say whether a name is that of a file

    before = dict(gymnasium.registry)
    try:
        with warnings.catch_warnings():
            # Of another folder's environment of that id, which is kept.
            warnings.filterwarnings("ignore", ".*Overriding environment", UserWarning)
            yield
    finally:
        new = {key: spec for key, spec in gymnasium.registry.items() if before.get(key) is not spec}
        REGISTERED.setdefault(top, {}).update(new)


def load_named(code: LocalCode, module: str) -> ModuleType:
    """A module of a folder after `load`, by its dotted name from the folder on."""
    with blamed(code), _in_its_place():
        return importlib.import_module(f"{private_name(code.folder)}.{module}")


@contextmanager
def blamed(code: LocalCode, passing: type[Exception] = UserError) -> Iterator[None]:
    """Says of whatever is raised within that a suite's own file did it, and on which line.

    Args:
        passing: kind of exception that is let through.
    """
    try:
        yield
    except (UserError, KeyboardInterrupt, passing):
        raise
    except BaseException as error:  # SystemExit and whatever else a file may end with
        said = in_words(error).replace(f"{private_name(code.folder)}.", "")
        raise UserError(
            f"{code.reference.file} fails: {said}",
            where=_line(error, code) or "",
            remedy=f"correct it; `haepo-bench test {code.reference.file}` tries it in isolation",
        ) from error


def _line(error: BaseException, code: LocalCode) -> str | None:
    """The innermost line of the folder's files that an exception passed through."""
    paths = {str(module.path): module.path for module in code.modules.values()}
    frames = traceback.extract_tb(error.__traceback__)
    found = next((frame for frame in reversed(frames) if frame.filename in paths), None)
    return f"{paths[found.filename].relative_to(code.folder)}:{found.lineno}" if found else None


def _as_on_disk(module: LocalModule) -> bool:
    try:
        return read_regular(module.path) == module.content
    except OSError:
        return False


class _Finder(MetaPathFinder):
    """Finds what `load` allows, and answers for nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, _, inner = fullname.partition(".")
        known = _KNOWN.get(top)
        if known is None:
            return None
        module = known.get(inner)
        if module is not None:
            spec = spec_from_loader(fullname, _Loader(module))
            assert spec is not None
            spec.has_location = True
            return spec
        if not inner or any(name.startswith(f"{inner}.") for name in known):  # a folder
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = []
            return spec
        place = _FOLDERS[top].joinpath(*inner.split("."))
        if place.with_name(f"{place.name}.py").exists() or (place / "__init__.py").exists():
            raise ImportError(
                f"{inner.replace('.', '/')}.py is imported in a way that cannot be seen in the source; a change of it "
                "would not be noticed: write an import statement",
                name=fullname,
            )
        return None


class _Loader(SourceLoader):
    """Executes what was read; leaves no bytecode behind."""

    def __init__(self, module: LocalModule) -> None:
        self._module = module

    def get_filename(self, fullname: str) -> str:
        return str(self._module.path)

    def get_data(self, path: Any) -> bytes:
        return self._module.content if path == str(self._module.path) else read_regular(Path(path))
