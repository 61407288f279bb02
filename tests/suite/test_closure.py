"""What a run executes: import closures of made-up packages, and of every algorithm and task against what they load."""

import json
import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_support import make_cell

import haepo_bench
from haepo_bench import catalogue
from haepo_bench.suite import closure as closure_module
from haepo_bench.suite import identity
from haepo_bench.suite.closure import closure, find_module, read_module
from haepo_bench.suite.identity import APART, code_document
from haepo_bench.suite.plan import Cell

PACKAGE = Path(haepo_bench.__file__).parent
ROOT = PACKAGE.parent

FILES = {
    "__init__.py": "",
    "root.py": """
        import os, zoo.top
        from typing import TYPE_CHECKING
        import typing
        from . import beside
        from .inner import attribute, submodule
        if TYPE_CHECKING:
            import zoo.for_types
            from elsewhere import types
        elif os.environ:
            import zoo.otherwise
        if typing.TYPE_CHECKING:
            import zoo.for_types
        else:
            import zoo.at_runtime
        try:
            import zoo.tried
        except ImportError:
            import zoo.instead
        class A:
            import zoo.in_a_class
            def method(self):
                from zoo.in_a_method import x
                if self:
                    import third_party.inner
        with open(x) as y:
            import zoo.missing
        match y:
            case 1:
                import zoo.matched
        """,
    **{
        f"{name}.py": ""
        for name in (
            "top", "beside", "for_types", "otherwise", "at_runtime", "tried", "instead", "in_a_class", "in_a_method",
            "matched", "unused",
        )
    },
    "inner/__init__.py": "from ..deep import Deep",
    "inner/submodule.py": "from .. import root\nfrom ..inner.last import x as z\nDATA = ('a/{name}.txt', 'b')",
    "inner/last.py": "raise SystemExit('never executed')",
    "deep.py": "import numpy as np",
}  # fmt: skip


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in FILES.items():
        file = tmp_path / "zoo" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for cached in (closure_module._find_package, closure_module._find_inside, read_module):
        cached.cache_clear()


@pytest.mark.usefixtures("zoo")
def test_which_imports_count() -> None:
    found = closure(["zoo.root"], lambda name: name.split(".")[0] == "zoo")
    used = {name.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for name in FILES} - {"__init__"}
    assert set(found.modules) == {"zoo", *(f"zoo.{name}" for name in used - {"for_types", "unused"})}
    assert found.outside == {"os", "typing", "third_party", "numpy"}
    assert found.modules["zoo.inner.submodule"].data == ("a/{name}.txt", "b")
    assert not {name for name in sys.modules if name.split(".")[0] == "zoo"}


@pytest.mark.usefixtures("zoo")
def test_functions_of_choosers_are_not_followed() -> None:
    found = closure(["zoo.root"], lambda name: name.split(".")[0] == "zoo", {"zoo.root"})
    assert "zoo.in_a_class" in found.modules
    assert "zoo.in_a_method" not in found.modules
    assert "third_party" not in found.outside


#: A task of each family, and wrappers; those of extras that need not be installed are in test_envpool.py and others.
TASKS = (
    "bandit/10-arm", "bandit/pi-squared", "random-walk/20", "corridor/8", "deep-sea/4", "multi-goal/4", "key-door/5",
    "umbrella/10", "t-maze/10", "gym/CartPole-v1", "gym/FrozenLake-v1", "noise(random-walk/20,1)",
    "window(gym/CartPole-v1,2)", "random-reward(corridor/8)",
)  # fmt: skip
#: Whatever a language model can do to be short.
SHORT = {"prompts": 2, "completions": 2, "fine_tuning_steps": 0}
LANGUAGE_TASKS = ("lm/arithmetic", "lm/scratchpad", "lm/synthetic-summary", "lm/long-horizon/32")
STEPPED = sorted(set(catalogue.ALGORITHMS) - {"dpo-offline", "genpo"})


def cells() -> dict[str, Cell]:
    """Every algorithm on one task, every task with one algorithm of each trainer."""
    by_file = {catalogue.ALGORITHMS[name].target.partition(":")[0]: name for name in STEPPED}
    pairs = dict.fromkeys([*((name, "corridor/8") for name in by_file.values()), *(("grpo", task) for task in TASKS)])
    pairs |= dict.fromkeys((name, task) for name in ("ppo", "ppo-batched") for task in TASKS[9:11])
    pairs["genpo", "gym/Pendulum-v1"] = None
    made = {f"{name} on {task}": make_cell(name, task) for name, task in pairs}
    once = (("ppo-batched", "lm/arithmetic"), ("uniform", "lm/arithmetic"))
    for name, task in [*(("grpo", task) for task in LANGUAGE_TASKS), *once]:
        made[f"{name} on {task}"] = make_cell(name, task, steps=100, **SHORT)
    offline = {"prompts": 2, "fine_tuning_steps": 0}
    made["dpo-offline on lm/arithmetic"] = make_cell("dpo-offline", "lm/arithmetic", steps=100, **offline)
    return made


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Cell, set[str]]]:
    """Cells, and the modules of ours that were loaded after a process of its own had run each."""
    made = cells()
    file = tmp_path_factory.mktemp("cells") / "cells"
    file.write_bytes(pickle.dumps([pickle.dumps(cell) for cell in made.values()]))
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent.parent / "executed_modules.py"), str(file)],
        capture_output=True, text=True, timeout=600, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(file.parent)},
    )  # fmt: skip
    answers = json.loads(done.stdout)
    assert not {name: answer["error"] for name, answer in zip(made, answers, strict=True) if answer["error"]}
    return {name: (cell, set(answer["modules"])) for (name, cell), answer in zip(made.items(), answers, strict=True)}


def hashed(cell: Cell) -> set[str]:
    return {key.removeprefix("module ") for key in cell.code if key.startswith("module ")}


def apart(module: str) -> bool:
    parents = [".".join(module.split(".")[:end]) for end in range(2, module.count(".") + 2)]
    return module in APART or any(parent in APART for parent in parents)


def test_all_that_a_run_loads_is_hashed_or_named_with_a_reason(executed: dict[str, tuple[Cell, set[str]]]) -> None:
    forgotten = {
        name: missing
        for name, (cell, loaded) in executed.items()
        if (missing := {module for module in loaded - hashed(cell) if not apart(module)})
    }
    assert not forgotten
    assert all(reason for reason in APART.values())


def test_nothing_is_hashed_that_no_run_loads(executed: dict[str, tuple[Cell, set[str]]]) -> None:
    idle = {name: modules for name, (cell, loaded) in executed.items() if (modules := hashed(cell) - loaded)}
    assert not idle


def test_what_a_closure_does_not_hold(executed: dict[str, tuple[Cell, set[str]]]) -> None:
    def has(name: str, *parts: str) -> set[str]:
        return {module for module in hashed(executed[name][0]) if any(part in module for part in parts)}

    assert not has("grpo on gym/CartPole-v1", "language", ".lm", "segment", "sb3", "corridor", "objectives.haepo")
    assert not has("ppo on gym/CartPole-v1", "language", ".lm", "trainer", "segments", "objectives.grpo")
    assert not has("ppo-batched on gym/CartPole-v1", "language", ".lm", "episodes.trainer", "sb3")
    assert not has(
        "grpo on lm/arithmetic", "training.trainer", "episodes.trainer", "rollout", "gym", "sb3", "synthetic_summary"
    )
    assert has("grpo on gym/CartPole-v1", "episodes.trainer", "episodes.rollout", "training.recorder")
    assert "package stable-baselines3" in executed["ppo on gym/CartPole-v1"][0].code
    assert "package stable-baselines3" not in executed["grpo on gym/CartPole-v1"][0].code
    assert {"package transformers", "package tokenizers"} <= set(executed["grpo on lm/arithmetic"][0].code)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that closures are read from, each file again only where the test has changed it."""
    import shutil

    copy = tmp_path / "haepo_bench"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "static", "templates"))
    monkeypatch.setattr(haepo_bench, "__file__", str(copy / "__init__.py"))
    yield copy
    forget()


def forget() -> None:
    for cached in (closure_module._find_inside, read_module, identity._executed):
        cached.cache_clear()


@pytest.mark.usefixtures("copied")
def test_mutations_of_every_module(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code changes exactly the runs whose closure holds the module; comments and docstrings change none."""
    known: dict[tuple[str, Path], closure_module.Module] = {}

    def read_once(name: str, path: Path) -> closure_module.Module:
        if (name, path) not in known:
            known[name, path] = read_module.__wrapped__(name, path)
        return known[name, path]

    monkeypatch.setattr(closure_module, "read_module", read_once)
    pairs = [("grpo", "gym/CartPole-v1"), ("soup", "corridor/8"), ("ppo", "noise(gym/FrozenLake-v1,1)")]
    pairs += [("ppo-batched", "bandit/contextual"), ("grpo", "lm/arithmetic"), ("dpo-offline", "lm/synthetic-summary")]
    made = []
    for name, address in pairs:
        task = catalogue.task(address)
        definition = catalogue.algorithm_on(task, name)
        made.append((definition, definition.configure({}, task), task))

    def documents() -> list[dict[str, str]]:
        identity._executed.cache_clear()
        return [code_document(*one) for one in made]

    before = documents()
    files = sorted(copied.rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    seen = 0
    for path in files:
        parts = ("haepo_bench", *path.relative_to(copied).with_suffix("").parts)
        name = ".".join(parts).removesuffix(".__init__")
        path.write_text(texts[path] + "\n_mutation = 1\n", encoding="utf-8")
        known.pop((name, path), None)
        for old, new in zip(before, documents(), strict=True):
            changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
            assert changed == {f"module {name}"} & old.keys(), (name, changed)
            seen += len(changed)
        path.write_text(texts[path], encoding="utf-8")
        known.pop((name, path), None)
    assert seen == sum(key.startswith("module ") for document in before for key in document)
    for path in files:
        path.write_text(f"# a comment\n{texts[path]}\n\n# another\n\n'a docstring'\n", encoding="utf-8")
    known.clear()
    assert documents() == before


def test_a_new_module_reruns_nothing_and_data_count(copied: Path) -> None:
    def now(address: str) -> dict[str, str]:
        forget()
        task = catalogue.task(address)
        definition = catalogue.algorithm_on(task, "grpo")
        return code_document(definition, definition.configure({}, task), task)

    before, other = now("corridor/8"), now("corridor/16")
    (copied / "objectives" / "new.py").write_text("x = 1\n")
    (copied / "tasks" / "probe_sets" / "corridor%2F9@1.npz").write_bytes(b"of another task")
    assert now("corridor/8") == before
    (copied / "tasks" / "probe_sets" / "corridor%2F8@1.npz").write_bytes(b"changed")
    changed = now("corridor/8")
    assert [key for key in before if before[key] != changed[key]] == [
        "data haepo_bench.tasks.probes/probe_sets/corridor%2F8@1.npz"
    ]
    assert now("corridor/16") == other
    base = copied / "tasks" / "finite" / "corridor.py"
    base.write_text("import haepo_bench.objectives.new\n" + base.read_text())
    assert "module haepo_bench.objectives.new" in now("corridor/8")


def test_modules_that_read_files_declare_them() -> None:
    """By DATA: what stands beside a module is found through `__file__` or importlib.resources, and no other way."""
    readers = {}
    for room in ("objectives", "policies", "statistics", "tasks", "training"):
        for path in sorted((PACKAGE / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if "Path(__file__)" in text or "importlib.resources" in text or "pkgutil" in text:
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                readers[name] = read_module(name, path).data
    assert readers == {"haepo_bench.tasks.probes": ("probe_sets/{probe_name}.npz",)}


def test_a_module_nested_too_deeply_counts_as_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "deep.py").write_text(f"import os\nx={'-' * 20_000}1\n")
    found = read_module("deep", tmp_path / "deep.py")
    assert (found.code, found.imports) == (closure_module.file_hash(tmp_path / "deep.py"), frozenset())


def test_where_modules_lie() -> None:
    assert find_module("haepo_bench") == PACKAGE / "__init__.py"
    assert find_module("haepo_bench.tasks.lm") == PACKAGE / "tasks" / "lm" / "__init__.py"
    assert find_module("haepo_bench.tasks.base.Task") is None
    assert find_module("no_such_package.inner") is None
