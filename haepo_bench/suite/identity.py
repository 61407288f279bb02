"""What a run depends on, as two hashes: `settings` (what was asked for) and `code` (what carried it out).

Names, seed lists, workers, timeouts and paths are in neither: changing them runs nothing again.
"""

import hashlib
import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import haepo_bench
from haepo_bench import catalogue
from haepo_bench.catalogue import Listed
from haepo_bench.results.hashing import digest
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition

#: Rooms whose source a training run executes.
ROOMS = ("objectives", "policies", "tasks", "training")
#: Packages whose version can move a number; one that is not installed counts as none.
PACKAGES = ("torch", "numpy", "gymnasium", "stable-baselines3", "transformers")
#: Packages that step the tasks whose innermost address begins so.
TASK_PACKAGES = {"envpool/": "envpool", "gym/MiniGrid-": "minigrid"}


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
) -> dict[str, Any]:
    """The document that `settings_hash` is the hash of; JSON types only."""
    parameters = {name: value for name, value in algorithm.parameters.items() if name not in algorithm.omitted}
    described = {"id": task.id, "version": task.version, "time_limit": time_limit, "backend": task.backend}
    return {
        "task": described | ({"inputs": dict(task.inputs)} if task.inputs else {}),
        "algorithm": {"id": definition.name, "version": definition.version, "parameters": parameters},
        "budget": {"env_steps": budget},
        "evaluation": {"every": evaluation_every, "episodes": evaluation_episodes},
        "device": device,
    }


def code_hash(algorithm: str, task: str) -> str:
    """Hash of the source and the package versions that a run executes.

    Args:
        algorithm: catalogue name.
        task: address.
    """
    plugins = [
        _plugin(entry)
        for entry in (
            _entry(algorithm, catalogue.list_algorithms()),
            _entry(catalogue.innermost(task).partition("/")[0], catalogue.list_tasks()),
        )
        if entry.origin != "haepo-bench"
    ]
    address = catalogue.innermost(task)
    stepped_by = {package: _version(package) for start, package in TASK_PACKAGES.items() if address.startswith(start)}
    return digest({"rooms": _rooms_hash(), "versions": _versions() | stepped_by, "plugins": plugins})


def _entry(name: str, entries: list[Listed]) -> Listed:
    return next(entry for entry in entries if name in (entry.name, entry.name.split("/")[0]))


@cache
def _rooms_hash() -> str:
    package = Path(haepo_bench.__file__).parent
    return _source_hash(package, [path for room in ROOMS for path in (package / room).rglob("*.py")])


@cache
def _versions() -> dict[str, str | None]:
    return {package: _version(package) for package in PACKAGES}


@cache
def _plugin(entry: Listed) -> dict[str, str | None]:
    """Distribution, version and source of somebody else's algorithm or task: all of the package its module is in."""
    module = entry.target.partition(":")[0]
    spec = importlib.util.find_spec(module.partition(".")[0])
    source = None
    if spec is not None and spec.submodule_search_locations:
        # A namespace package lies in several folders.
        folders = sorted(Path(location) for location in spec.submodule_search_locations)
        source = digest([_source_hash(folder, list(folder.rglob("*.py"))) for folder in folders])
    elif spec is not None and spec.origin and Path(spec.origin).is_file():
        source = _source_hash(Path(spec.origin).parent, [Path(spec.origin)])
    return {"name": entry.name, "distribution": entry.origin, "version": _version(entry.origin), "source": source}


def _source_hash(root: Path, files: list[Path]) -> str:
    contents = {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return digest(contents)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
