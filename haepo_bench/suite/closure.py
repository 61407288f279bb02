"""Which modules a program executes that begins in some of them: an import closure read from source.

Imports inside functions count, those under TYPE_CHECKING do not. A module's packages are executed before it and count
with it. Nothing is imported to find out. A module that reads data files declares them in a constant

    DATA = "folder/{name}.npz"

a pattern relative to its own folder, in which the caller fills in the names in braces.
"""

import ast
import hashlib
import tokenize
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import haepo_bench
from haepo_bench.files import read_regular
from haepo_bench.suite.source import code_of, read_source

#: Hexadecimal digits of a hash of source: 64 bits, enough to tell versions of one file apart.
DIGITS = 16
_DATA = "DATA"


class Module(NamedTuple):
    """What the source of a module says.

    Args:
        code: hash of what is left of it without comments and docstrings.
        imports: names of modules, or of what may be one (`from a import b`), that are imported with it.
        later: likewise, imported by its functions.
        data: patterns of the data files that it reads, relative to its folder.
    """

    path: Path
    code: str
    imports: frozenset[str]
    later: frozenset[str]
    data: tuple[str, ...]


class Closure(NamedTuple):
    """What is executed.

    Args:
        modules: by name.
        outside: top-level names that they import and that were not followed.
    """

    modules: dict[str, Module]
    outside: frozenset[str]


def closure(roots: Iterable[str], within: Callable[[str], bool], choosers: Collection[str] = ()) -> Closure:
    """All modules for which `within` is true that executing the roots may execute.

    Args:
        choosers: modules whose functions import one of several others; which one is said by the roots.
    """
    modules: dict[str, Module] = {}
    outside: set[str] = set()
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        package = name.rpartition(".")[0]
        if package:
            waiting.append(package)
        if not within(name):
            outside.add(name.partition(".")[0])
            continue
        path = find_module(name)
        if path is not None:  # else it is not a module but something in one
            modules[name] = module = read_module(name, path)
            waiting += module.imports if name in choosers else module.imports | module.later
    return Closure(modules, frozenset(outside))


def find_module(name: str) -> Path | None:
    """The source file of a module; None where there is none."""
    top, _, inner = name.partition(".")
    folders, file = find_package(top)
    return _find_inside(folders, tuple(inner.split("."))) if inner else file


@cache
def _find_inside(folders: tuple[Path, ...], names: tuple[str, ...]) -> Path | None:
    for folder in folders:
        place = folder.joinpath(*names)
        for candidate in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def find_package(top: str) -> tuple[tuple[Path, ...], Path | None]:
    """Folders and source file of a top-level package or module: no folders for a single file, no file for many."""
    if top == haepo_bench.__name__:
        own = Path(haepo_bench.__file__)
        return (own.parent,), own
    return _find_package(top)


@cache
def _find_package(top: str) -> tuple[tuple[Path, ...], Path | None]:
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return (), None
    folders = tuple(sorted(Path(folder) for folder in spec.submodule_search_locations or ()))
    file = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return folders, file if file is not None and file.is_file() else None


@cache
def read_module(name: str, path: Path) -> Module:
    """What the file of a module says; where that is not Python as this version reads it, a hash of its bytes."""
    try:
        return parse_module(name, path, read_source(path))
    except (OSError, SyntaxError, ValueError, tokenize.TokenError):
        return Module(
            path, _digest(read_regular(path, most=None) if path.is_file() else b""), frozenset(), frozenset(), ()
        )


def parse_module(name: str, path: Path, source: str) -> Module:
    """What the text of a module says.

    Raises:
        SyntaxError, ValueError, tokenize.TokenError: it is not Python as this version reads it.
    """
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    try:
        tree = ast.parse(source)
        code = code_of(source, tree).encode()
        found = list(_imports(tree, package, later=False))
    except (RecursionError, MemoryError):  # the latter is what Python's parser raises where its stack is full
        raise SyntaxError("too deeply nested") from None
    now, later = (frozenset(name for name, later in found if later is kind) for kind in (False, True))
    return Module(path, _digest(code), now, later, _data(tree))


def file_hash(path: Path) -> str:
    """Hash of a file's bytes."""
    return _digest(read_regular(path, most=None))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _imports(node: ast.AST, package: str, *, later: bool) -> Iterator[tuple[str, bool]]:
    """Names that may be modules, and whether only a function imports them."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, later) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
        origin = ".".join([*base, *([node.module] if node.module else [])])
        yield origin, later
        yield from ((f"{origin}.{alias.name}", later) for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.If) and _only_for_types(node.test):
        for other in node.orelse:
            yield from _imports(other, package, later=later)
    elif not isinstance(node, ast.expr):
        inside = later or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.iter_child_nodes(node):
            yield from _imports(inner, package, later=inside)


def _only_for_types(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _data(tree: ast.Module) -> tuple[str, ...]:
    """Patterns written out; whatever else other people call DATA declares nothing."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == _DATA for t in node.targets):
            parts = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
            said = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            return tuple(said) if len(said) == len(parts) else ()
    return ()
