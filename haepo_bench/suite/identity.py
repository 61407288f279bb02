"""What a run depends on, as two hashes: `settings` (what was asked for) and `code` (what carried it out).

Names, seed lists, workers, timeouts and paths are in neither: changing them runs nothing again.

The code document names all that a run executes: our modules that its algorithm and its task lead to, and what those
read and import. Of other people's packages the version counts, and the source as well where it holds the algorithm,
the task or the environment, or belongs to no installed distribution.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import Any

import haepo_bench
from haepo_bench import catalogue
from haepo_bench.listed import Listed
from haepo_bench.results.hashing import digest
from haepo_bench.results.record import Engine
from haepo_bench.suite.closure import DIGITS, Module, closure, file_hash, find_package, read_module
from haepo_bench.suite.environments import registered
from haepo_bench.suite.local.code import NOTHING_LOCAL, LocalParts
from haepo_bench.suite.local.loading import is_local
from haepo_bench.tasks.address import WRAPPERS, parse
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition

#: Modules and rooms of ours that a run loads and that are not hashed, each with the reason.
APART = {
    "haepo_bench": "holds nothing but the version of the package",
    "haepo_bench.__main__": "starts the program",
    "haepo_bench.api": "names: every run executes the modules that they stand for as far as it needs them",
    "haepo_bench.catalogue": "names: the modules that they stand for are followed one by one",
    "haepo_bench.listed": "likewise",
    "haepo_bench.tasks.address": "names: how addresses are written; what they come to is in the settings",
    "haepo_bench.objectives.ranges": "what spaces are made of",
    "haepo_bench.objectives.spaces": "where hyper-parameters are searched; what they are is in the settings",
    "haepo_bench.errors": "what is said of mistakes: a run that has a result made none",
    "haepo_bench.files": "opens files",
    "haepo_bench.wording": "how numbers are said",
    "haepo_bench.text": "how other people's text is shown",
    "haepo_bench.terminal": "prints",
    "haepo_bench.interruption": "listens to signals",
    "haepo_bench.engine.build": "compiles the kernels, whose sources count",
    "haepo_bench.cli": "starts runs",
    "haepo_bench.suite": "reads what is asked for; what it comes to is in the settings",
    "haepo_bench.execution": "starts runs in their processes, watches them and stores their records",
    "haepo_bench.results": "the format of records and where they are: numbers pass through as they are",
    "haepo_bench.regression": "reads stored runs",
    "haepo_bench.report": "reads stored runs",
    "haepo_bench.search": "proposes what to run; what is run is in the settings",
    "haepo_bench.compare": "reads stored runs",
}
#: Modules whose functions import one of several others: a task or an algorithm says itself which module it is from.
CHOOSERS = {
    "haepo_bench.training.episodes.engines",
    "haepo_bench.training.episodes.trainers",
    "haepo_bench.training.segments.engines",
    "haepo_bench.tasks.lm.family",
    "haepo_bench.training.uniform",
}
#: Imported by modules that every gym/ task executes, for the sake of its own environments alone: it counts where one
#: of them is the task's, as the package that holds the environment.
BY_ENVIRONMENT = {"ale_py", "imageio", "minatar", "minigrid", "mujoco"}
_GYM, _GYMNASIUM = "gym", "gymnasium"

#: What a run executes: `module <name>`, `data <file>`, `source <package>` to a hash, `package <distribution>` to its
#: version, `environment <id> <fact>` to text.
CodeDocument = dict[str, str]


def settings_document(
    definition: AlgorithmDefinition,
    algorithm: Algorithm,
    task: Task,
    *,
    time_limit: int | None,
    budget: int,
    evaluation_every: int,
    evaluation_episodes: int,
    device: str,
    local: LocalParts = NOTHING_LOCAL,
) -> dict[str, Any]:
    """The document that `settings_hash` is the hash of; JSON types only.

    Args:
        local: files of the suite's folder; where they are and what they are called is not part of the document.
    """
    parameters = {name: value for name, value in algorithm.parameters.items() if name not in algorithm.omitted}
    described = {
        "id": local.task_id or task.id,
        "version": task.version,
        "time_limit": time_limit,
        "backend": task.backend,
    }
    return {
        "task": described | ({"inputs": dict(task.inputs)} if task.inputs else {}),
        "algorithm": {
            "id": local.algorithm_id or definition.name,
            "version": definition.version,
            "parameters": parameters,
        },
        "budget": {"env_steps": budget},
        "evaluation": {"every": evaluation_every, "episodes": evaluation_episodes},
        "device": device,
    }


def batch_digest(algorithm: Algorithm, settings: Mapping[str, Any], code_hash: str, engine: Engine) -> str:
    """What runs must share to train as rows of one batch; empty where only those of one configuration do."""
    shape = algorithm.shape
    if shape is None or not algorithm.batches_seeds:
        return ""
    about = {**settings["algorithm"], "parameters": shape}
    return digest({**settings, "algorithm": about, "code": code_hash, "engine": engine})


def code_document(
    definition: AlgorithmDefinition,
    algorithm: Algorithm,
    task: Task,
    local: LocalParts = NOTHING_LOCAL,
    engine: Engine = "torch",
) -> CodeDocument:
    """The document that `code_hash` is the hash of.

    Args:
        engine: what computes the run; one of the algorithm's `engines`.
    """
    address = parse(task.id)
    family, _, variant = address.innermost.partition("/")
    entries = [] if local.algorithm else [_entry(definition.name, catalogue.list_algorithms())]
    entries += [] if local.task else [_entry(family, catalogue.list_tasks())]
    targets = [*(entry.target for entry in entries), *(WRAPPERS[layer.wrapper].target for layer in address.layers)]
    roots = {target.partition(":")[0] for target in targets}
    roots |= {type(definition).__module__, type(algorithm).__module__, task.module, *algorithm.executes}
    roots |= {name for name in local.imports if _is_own(name) or not _known(_top(name))}
    roots = {name for name in roots if not is_local(name)}
    document: CodeDocument = local.hashes
    if engine != "torch":
        document |= {f"engine {engine}": ""}
        roots |= {algorithm.compiled_by}
    libraries = {_top(name) for name in local.imports}
    roots |= {name for name in local.modules if _top(name) != _GYMNASIUM}
    if family == _GYM and task.backend == _GYMNASIUM:
        environment = registered(variant, task.registration if local.task else None)
        document |= {f"environment {variant} {name}": text for name, text in environment.facts.items()}
        own = {name for name in environment.modules if _top(name) == _GYMNASIUM}
        roots |= {name for name in set(environment.modules) - own if not is_local(name)}
        for name in own:
            libraries |= _imported_beside(name)
    document |= _executed(frozenset(roots), task.probe_name)
    document |= _versions({*libraries, *(entry.origin for entry in entries)})
    return dict(sorted(document.items()))


def _known(top: str) -> bool:
    """Whether a version says what a package is: it is Python's own or was installed."""
    return top in sys.stdlib_module_names or bool(_distributions(top))


def _entry(name: str, entries: list[Listed]) -> Listed:
    return next(entry for entry in entries if name in (entry.name, entry.name.split("/")[0]))


@cache
def _executed(roots: frozenset[str], probe_name: str) -> CodeDocument:
    """Modules, data, other people's source, and versions."""
    document: CodeDocument = {}
    foreign = {_top(root) for root in roots if not _is_own(root)}
    begun = {root for root in roots if _is_own(root)}
    libraries: set[str] = set()
    seen: set[str] = set()
    while foreign:
        package = foreign.pop()
        seen.add(package)
        source, imports = _package(package)
        if source:
            document[f"source {package}"] = source
        libraries.add(package)
        begun |= {name for name in imports if _is_own(name)}
        tops = {_top(name) for name in imports if not _is_own(name)}
        libraries |= tops
        foreign |= {top for top in tops - sys.stdlib_module_names if not _distributions(top)} - seen
    found = closure(begun, _is_hashed, CHOOSERS)
    for name, module in found.modules.items():
        document[f"module {name}"] = module.code
        folder = module.path.parent
        for pattern in module.data:
            for path in sorted(folder.glob(pattern.format(probe_name=probe_name))):
                document[f"data {name}/{path.relative_to(folder).as_posix()}"] = file_hash(path)
    return document | _versions(libraries | (found.outside - BY_ENVIRONMENT))


def _is_own(name: str) -> bool:
    return _top(name) == haepo_bench.__name__


def _is_hashed(name: str) -> bool:
    parts = name.split(".")
    rooms = (".".join(parts[:end]) for end in range(2, len(parts) + 1))
    return _is_own(name) and name not in APART and not any(room in APART for room in rooms)


def _imported_beside(name: str) -> set[str]:
    """Packages that a module of gymnasium imports, itself or through modules of its own folder.

    Its source is gymnasium's, whose version counts anyway.
    """
    folder = name.rpartition(".")[0]
    return set(closure([name], lambda other: other.startswith(f"{folder}.") or other == folder).outside)


@cache
def _package(top: str) -> tuple[str, frozenset[str]]:
    """Hash of the source of other people's package, all of it, and what it imports; empty where there is no source."""
    folders, file = find_package(top)
    if not folders:
        if file is None:
            return "", frozenset()
        module = read_module(top, file)
        return module.code, module.imports | module.later
    codes, imports = [], set[str]()
    for folder in folders:
        modules = {path: _module_in(folder, path, top) for path in sorted(folder.rglob("*.py"))}
        codes.append({path.relative_to(folder).as_posix(): module.code for path, module in modules.items()})
        imports |= {name for module in modules.values() for name in module.imports | module.later}
    # A namespace package lies in several folders.
    return digest(codes)[:DIGITS], frozenset(name for name in imports if _top(name) != top)


def _module_in(folder: Path, path: Path, top: str) -> Module:
    parts = path.relative_to(folder).with_suffix("").parts
    return read_module(".".join([top, *(part for part in parts if part != "__init__")]), path)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _versions(names: Iterable[str]) -> CodeDocument:
    """Versions of the distributions that top-level packages, or distributions, come from; what is missing has none."""
    others = (name for name in names if not _is_own(name.replace("-", "_")))
    return {f"package {name}": version for top in others for name, version in _distributions(top).items()}


@cache
def _distributions(top: str) -> dict[str, str]:
    """Name and version of what a top-level package was installed with; nothing for files that are merely there."""
    if top in sys.stdlib_module_names:
        return {}
    # Most are called like their package, and to ask for one is quick.
    known = _installed(top)
    if not known and find_package(top) != ((), None):
        known = {name: version for other in _owners().get(top, ()) for name, version in _installed(other).items()}
    return known


@cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


def _installed(name: str) -> dict[str, str]:
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        return {}
    return {re.sub(r"[-_.]+", "-", found.name).lower(): found.version}
