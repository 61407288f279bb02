"""The rooms and the arrows between them (docs/explanation/architecture.md), read from the import statements."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic_runs import put, record, showcase

import haepo_bench
from haepo_bench.results.store import Store

PACKAGE = Path(haepo_bench.__file__).parent
ROOT = PACKAGE.parent

#: Modules of the ground floor that all may import.
EVERYWHERE = ("apart", "errors", "files", "interruption", "terminal", "text", "wording")

#: Room (or top-level module): rooms that it may import, beside those of the ground floor and the package itself.
ARROWS: dict[str, set[str]] = {
    "cli": {
        "loggers",
        "conformance",
        "execution",
        "search",
        "engine",
        "suite",
        "catalogue",
        "listed",
        "training",
        "exchange",
        "regression",
        "publishing",
        "live",
        "report",
        "compare",
        "verdicts",
        "objectives",
        "tasks",
        "results",
        "statistics",
    },
    "api": {
        "loggers",
        "execution",
        "suite",
        "training",
        "exchange",
        "regression",
        "report",
        "compare",
        "verdicts",
        "objectives",
        "tasks",
        "results",
    },
    "loggers": {"execution", "suite", "exchange", "publishing", "results"},
    "conformance": {"training", "objectives", "tasks"},
    "execution": {
        "engine",
        "suite",
        "catalogue",
        "training",
        "regression",
        "verdicts",
        "tasks",
        "results",
        "statistics",
    },
    # A Python file next to a suite defines objectives.
    "search": {"suite", "objectives", "verdicts", "results", "statistics"},
    "suite": {"engine", "catalogue", "listed", "training", "objectives", "tasks", "results"},
    "catalogue": {"listed", "training", "objectives", "tasks"},
    "listed": set(),
    "registration": {"catalogue"},
    "pytest_plugin": set(),
    "training": {"engine", "objectives", "policies", "tasks", "results", "statistics"},
    "engine": {"policies", "tasks"},
    "exchange": {"suite", "tasks", "results"},
    "regression": {"results", "statistics"},
    "publishing": {"report", "results"},
    "live": {"results"},
    "compare": {"report", "verdicts", "results", "statistics"},
    "report": {"verdicts", "results", "statistics"},
    "verdicts": {"results", "statistics"},
    "objectives": set(),
    "policies": set(),
    "tasks": set(),
    "results": set(),
    "statistics": set(),
    "apart": set(),
    "errors": set(),
    "interruption": set(),
    "terminal": set(),
    "text": set(),
    "files": set(),
    "wording": set(),
    "__main__": {"cli"},
    "": set(),
}
#: Arrows between ground rooms, each for one purpose (room, module, name).
EXCEPTIONS = {
    # A task knows its reference returns, whose type is part of the run record.
    ("tasks", "haepo_bench.results.record", "References"),
    # What an objective or a task records of its own is declared beside it, as the registry of columns does.
    ("tasks", "haepo_bench.results.columns", "Column"),
    ("objectives", "haepo_bench.results.columns", "Column"),
    # Where a hyper-parameter was searched says whether a value that was chosen is at an end.
    ("report", "haepo_bench.objectives.spaces", "Space"),
    # A plan that declares a search is read, if its spaces are.
    ("results", "haepo_bench.objectives.spaces", "Space"),
    # Data frames hold the numbers that a curve is reduced to, for the report and for whatever else reads runs.
    ("results", "haepo_bench.statistics.curves", "area_under_curve"),
    ("results", "haepo_bench.statistics.curves", "area_until"),
    ("results", "haepo_bench.statistics.curves", "last_defined"),
    ("results", "haepo_bench.statistics.curves", "random_once_diverged"),
    ("results", "haepo_bench.statistics.curves", "value_at"),
}

#: Packages that a room may not import at all.
FORBIDDEN = {
    "regression": {"torch", "stable_baselines3", "gymnasium"},
    "live": {"torch", "stable_baselines3", "gymnasium"},
    "report": {"torch", "stable_baselines3", "gymnasium"},
    "verdicts": {"torch", "stable_baselines3", "gymnasium"},
    "compare": {"torch", "stable_baselines3", "gymnasium"},
    "statistics": {"torch", "stable_baselines3", "gymnasium", "pathlib", "os", "json"},
    "results": {"torch", "stable_baselines3", "gymnasium"},
    "objectives": {"gymnasium", "stable_baselines3", "pathlib", "os", "json"},
    "policies": {"gymnasium", "stable_baselines3", "pathlib", "os", "json"},
    "tasks": {"torch", "stable_baselines3"},
    "errors": {"pydantic", "typer", "torch"},
    # The program listens to signals before it imports anything that takes time.
    "__main__": {"typer", "rich", "numpy", "pydantic"},
    "apart": {"typer", "rich", "numpy", "pydantic"},
    "interruption": {"typer", "rich", "numpy", "pydantic"},
}

HEAVY = ("torch", "stable_baselines3", "gymnasium", "pandas", "scipy", "matplotlib", "jinja2", "ray")


def room_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] if parts != ("__init__",) else ""


def imports(path: Path) -> list[tuple[str, str, int]]:
    """(module, imported name or "", line) of every import, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found += [(alias.name, "", node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            found += [(node.module or "", alias.name, node.lineno) for alias in node.names]
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_the_plan_names_every_room() -> None:
    assert {room_of(path) for path in SOURCES} <= set(ARROWS)
    assert len(SOURCES) > 30


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_arrows(path: Path) -> None:
    room = room_of(path)
    wrong = []
    for module, name, line in imports(path):
        package, *inner = module.split(".")
        if package in FORBIDDEN.get(room, ()):
            wrong.append(f"{path}:{line}: {room} imports {package}")
        if package != "haepo_bench":
            continue
        # `from haepo_bench import catalogue` names the room last.
        target = inner[0] if inner else name if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() else ""
        if target in {room, *EVERYWHERE, ""} or target in ARROWS[room] or (room, module, name) in EXCEPTIONS:
            continue
        wrong.append(f"{path}:{line}: {room} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_arrow_leads_back() -> None:
    """The allowed arrows have an order; a room allowed to import a room that may import it would have none."""
    order = [
        "__main__",
        "cli",
        "api",
        "loggers",
        "exchange",
        "execution",
        "search",
        "suite",
        "registration",
        "catalogue",
    ]
    order += ["conformance", "training"]
    order += ["engine", "regression", "publishing", "live", "compare", "report", "verdicts"]
    for room, targets in ARROWS.items():
        for target in targets:
            assert target not in order or order.index(target) > order.index(room), (room, target)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def graph() -> dict[str, set[str]]:
    """Module to the modules that it imports, inside functions and for types alone included."""
    names = {module_name(path): path for path in SOURCES}
    return {
        name: {
            target
            for module, imported, _ in imports(path)
            if (target := f"{module}.{imported}" if f"{module}.{imported}" in names else module) in names
        }
        - {name}
        for name, path in names.items()
    }


def test_no_circles() -> None:
    """Modules can be put in an order: taking away those that import none of the rest, nothing is left."""
    rest = graph()
    while ready := {name for name, targets in rest.items() if not targets & rest.keys()}:
        rest = {name: targets for name, targets in rest.items() if name not in ready}
    assert not rest, "circles among: " + ", ".join(sorted(rest))


def test_class_names_are_unique() -> None:
    found: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(module_name(path))
    assert not {name: modules for name, modules in found.items() if len(modules) > 1}


def test_an_objective_is_a_small_file() -> None:
    """At most 80 lines of code; what several share is in base.py, and haepo.py has three readings side by side."""
    sizes = {}
    for path in sorted((PACKAGE / "objectives").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        said = {
            line
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        lines = enumerate(map(str.strip, text.splitlines()), 1)
        sizes[path.name] = sum(bool(line) and not line.startswith("#") and i not in said for i, line in lines)
    assert len(sizes) > 25
    # Where hyper-parameters are searched is beside them, and is not an objective.
    assert {name for name, size in sizes.items() if size > 80} == {"base.py", "haepo.py", "spaces.py"}


def test_no_import_is_hidden_in_a_string() -> None:
    """`import_module` would lead past the arrows; names are looked up in the catalogue alone."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        if any(name in {"import_module", "__import__"} or module == "importlib" for module, name, _ in imports(path))
    }
    assert users <= {"catalogue.py", "suite/local/loading.py"}


def loaded_by(arguments: list[str], folder: Path) -> set[str]:
    """Heavy packages that a command has loaded when it ends."""
    script = (
        "import json, sys\n"
        "from haepo_bench.cli.main import program\n"
        f"program({arguments!r})\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, cwd=folder, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["run", "--help"],
        ["report", "--help"],
        ["compare", "--help"],
        ["export", "--help"],
        ["import", "--help"],
        ["init", "new.yaml"],
        ["schema"],
        ["baseline", "--help"],
        ["check", "--help"],
        ["gate", "--help"],
        ["clean", "--help"],
        ["merge", "--help"],
        ["view", "--help"],
    ],
    ids=" ".join,
)
def test_light_commands_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert loaded_by(arguments, tmp_path) == set()


def test_report_loads_no_training_library(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert not loaded_by(["report"], tmp_path) & {"torch", "stable_baselines3", "gymnasium"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", str(ROOT / "examples" / "import_curves" / "mapping.yaml")],
        ["export", "--out", "tables"],
        ["compare", "results", "results"],
        ["compare", "results", "results", "--format", "html"],
    ],
    ids=" ".join,
)
def test_exchange_and_comparison_load_no_training_library(arguments: list[str], tmp_path: Path) -> None:
    """On runs that were imported, as a machine without torch would do it."""
    if arguments[0] != "import":
        loaded_by(["import", str(ROOT / "examples" / "import_curves" / "mapping.yaml")], tmp_path)
    assert not loaded_by(arguments, tmp_path) & {"torch", "stable_baselines3", "gymnasium"}
    assert (tmp_path / "results" / "elsewhere" / "plan.json").is_file()


def test_a_run_leaves_the_training_libraries_to_its_workers(tmp_path: Path) -> None:
    suite = "name: small\nseeds: 1\nbudget: {env_steps: 20}\ntasks: [bandit/10-arm]\nalgorithms: [grpo]\n"
    (tmp_path / "small.yaml").write_text(suite, encoding="utf-8")
    heavy = {"torch", "stable_baselines3", "gymnasium", "ray"}
    assert not loaded_by(["run", "small.yaml", "--quiet"], tmp_path) & heavy
    assert len(list((tmp_path / "results").rglob("seed-*.json"))) == 1


def test_recording_and_checking_load_no_training_library(tmp_path: Path) -> None:
    showcase(tmp_path / "made-up", seeds=2, only=("bandit/10-arm",))
    put(Store(tmp_path / "made-up"), record("bandit/10-arm", "ppo", 4))
    record_it = ["baseline", "made-up", "--out", "b.json", "--reason", "why", "--min-seeds", "2", "--allow-dirty"]
    heavy = {"torch", "stable_baselines3", "gymnasium"}
    assert not loaded_by(record_it, tmp_path) & heavy
    assert (tmp_path / "b.json").is_file()
    assert not loaded_by(["check", "made-up", "--baseline", "b.json"], tmp_path) & heavy
    assert not loaded_by(["clean", "made-up"], tmp_path) & heavy
    assert not loaded_by(["merge", "made-up", "--into", "merged"], tmp_path) & {*HEAVY}


def test_the_pytest_plugin_costs_other_test_suites_nothing() -> None:
    script = "import json, sys; import haepo_bench.pytest_plugin; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    loaded = set(json.loads(done.stdout))
    assert not loaded & {*HEAVY, "numpy", "pydantic", "typer"}
    assert {name for name in loaded if name.startswith("haepo_bench")} == {"haepo_bench", "haepo_bench.pytest_plugin"}


def test_validate_shows_that_the_check_can_fail(tmp_path: Path) -> None:
    assert "gymnasium" in loaded_by(["validate", "quickstart"], tmp_path)


def test_the_reports_class_names_are_its_own() -> None:
    """Every class of report/ has a name that no other class of the package has."""
    where: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(str(path.relative_to(PACKAGE)))
    assert len(where) > 100
    report = str(Path("report") / "")
    assert {name: own for name, own in where.items() if len(own) > 1 and any(o.startswith(report) for o in own)} == {}
