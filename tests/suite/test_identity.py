"""What a run's two hashes depend on: nothing that could change a result is left out, nothing else is in."""

import dataclasses
import importlib
import importlib.metadata
import json
import math
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from cli_support import write_plugin
from hypothesis import given
from hypothesis import strategies as st
from identity_support import code, code_hash, make_cell
from pydantic import BaseModel

from haepo_bench import catalogue
from haepo_bench.execution.records import failure_record
from haepo_bench.results.code import changes, packages_of
from haepo_bench.results.hashing import canonical_json, digest
from haepo_bench.results.record import Failure
from haepo_bench.suite import closure, identity
from haepo_bench.suite.plan import Cell, Execution, Plan
from haepo_bench.suite.resolve import load_plan
from haepo_bench.suite.schema import Suite

SUITE = """\
name: small
description: text
seeds: 3
budget: {env_steps: 1000}
evaluation: {every: 100, episodes: 7}
tasks: [gym/CartPole-v1]
algorithms: [grpo, dpo, haepo-weighted]
"""

#: Every key of a suite file: an assignment that changes it, by what it does to the first cell's identity. Those of
#: language tasks alone (None) are in test_language_suites.py.
IDENTITY = {
    "budget.env_steps": "budget.env_steps=2000",
    "evaluation.every": "evaluation.every=200",
    "evaluation.episodes": "evaluation.episodes=8",
    "tasks.id": "tasks[0].id=bandit/10-arm",
    "tasks.budget.env_steps": "tasks[0].budget.env_steps=2000",
    "tasks.evaluation.every": "tasks[0].evaluation.every=50",
    "tasks.evaluation.episodes": "tasks[0].evaluation.episodes=3",
    "tasks.time_limit": "tasks[0].time_limit=100",
    "tasks.normalise.observations": "tasks[0].normalise={observations: true}",
    "tasks.normalise.rewards": "tasks[0].normalise={rewards: true}",
    "tasks.files": None,  # like those of algorithms in test_local_files.py
    "algorithms.files": None,
    "tasks.kwargs": None,  # these in test_own_environments.py
    "tasks.wrappers": None,
    "tasks.references.random": None,
    "tasks.references.solved": None,
    "tasks.bounds": None,
    "tasks.model": None,
    "tasks.data": None,
    "tasks.reward_model": None,
    "tasks.gold_model": None,
    "algorithms.use": "algorithms[0].use=reinforce",
    "algorithms.params": "algorithms[0].params.learning_rate=0.5",
    "algorithms.per_task.params": "algorithms[0].per_task[gym/CartPole-v1].params.epochs=2",
    "execution.device": "execution.device=cuda",
}
RUNTIME_ONLY = {
    "name": "name=other",
    "description": "description=other",
    "seeds": "seeds=[1, 5]",
    "algorithms.name": "algorithms[0].name=other",
    "tasks.name": "tasks[0].name=other",
    "algorithms.tasks": "algorithms[0].tasks=[gym/CartPole-v1]",
    "algorithms.seeds": "algorithms[0].seeds=1",
    "claims.candidate": "claims.candidate=grpo",
    "claims.baselines": "claims.baselines=[dpo]",
    "claims.margin": "claims.margin=0.2",
    "claims.margins": "claims.margins={robust: 0.3}",
    "claims.made": "claims.made=[robust]",
    "claims.rule": "claims.rule=wins",
    "claims.dependence": "claims.dependence=any",
    "claims.left_out": "claims.left_out=[dpo]",
    "claims.threshold": "claims.threshold=0.5",
    "tasks.clip": "tasks[0].clip=[0, 1]",
    "execution.workers": "execution.workers=7",
    "search.trials": "search.trials=3",
    "search.seeds": "search.seeds=3",
    "search.final": "search.final=1",
    "search.replicates": "search.replicates=[4, 7]",
    "search.measure": "search.measure=final_score",
    **{
        f"search.spaces.{kind}": f"search.spaces={{grpo: {{beta: {{{kind}: [0.1, 0.2]}}}}}}"
        for kind in ("log", "uniform", "zero_or_log", "choices")
    },
    "execution.timeout": "execution.timeout=5m",
    "execution.executor": "execution.executor=ray",
    "execution.ray.num_gpus": "execution.ray.num_gpus=0.25",
    "execution.ray.resources": "execution.ray.resources={fast: 1}",
    "execution.ray.runtime_env": "execution.ray.runtime_env={env_vars: {A: b}}",
    "execution.checkpoint": "execution.checkpoint=5m",
    "execution.log": "execution.log=[tensorboard]",
    **{
        f"execution.slurm.{key}": f"execution.slurm.{key}={value}"
        for key, value in (
            *(("cluster", "local"), ("partition", "short"), ("account", "a"), ("qos", "q"), ("constraint", "c")),
            *(("cpus", 2), ("gpus", 1), ("memory", 4), ("time", "2h"), ("chunk", "30m"), ("parallel", 9)),
            *(("setup", "[module load x]"), ("extra", "{nice: 1}")),
        )
    },
}

#: Fields of a cell, by where their value stands in the identity document.
CELL_IDENTITY = {
    "task": ("task", "id"),
    "time_limit": ("task", "time_limit"),
    "uses": ("algorithm", "id"),
    "parameters": ("algorithm", "parameters"),
    "budget": ("budget", "env_steps"),
    "evaluation_every": ("evaluation", "every"),
    "evaluation_episodes": ("evaluation", "episodes"),
}
#: Hyper-parameters of grpo that came later.
LATER = {
    "encoder",
    "policy",
    "critic",
    "dual_clip",
    "two_sided_clip",
    "advantage_scale",
    "baseline",
    "kl_correction",
    "kl_estimator",
    "pretraining",
    "pretraining_features",
    "pretraining_neighbours",
    "pretraining_rewards",
}
#: What changes the code and not the settings (tests/engine/test_engine_choice.py).
CODE_ONLY = {"execution.engine"}
#: Fields that follow from the identity: overrides from the parameters, the rest from the algorithm and the task.
CELL_DERIVED = {"options", "overrides", "batches_seeds", "references", "information", "notes", "resumes", "batch"}
CELL_RUNTIME_ONLY = {"algorithm", "seeds", "lookup"}
CELL_HASHES = {"settings", "settings_hash", "code", "code_hash", "engine"}


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = inner_model(field.annotation)
        if inner is None:
            yield prefix + name
        else:
            yield from leaves(inner, f"{prefix}{name}.")


def inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := inner_model(part))), None)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    file = tmp_path / "small.yaml"
    file.write_text(SUITE)
    return file


def test_every_key_of_a_suite_is_classified() -> None:
    # Where reference returns come from changes no run; test_own_environments.py has them.
    assert set(leaves(Suite)) == set(IDENTITY) | set(RUNTIME_ONLY) | CODE_ONLY | {"tasks.references.source"}
    assert not set(IDENTITY) & set(RUNTIME_ONLY)


@pytest.mark.parametrize("key", [key for key, assignment in IDENTITY.items() if assignment])
def test_what_is_part_of_the_identity(path: Path, key: str) -> None:
    # By torch, which computes all of them.
    before, after = (load_plan(path, sets, engine="torch").cells[0] for sets in ([], [IDENTITY[key]]))
    assert before.settings_hash != after.settings_hash
    # Another task or algorithm is other code, or it is the same with other settings.
    assert (before.code_hash != after.code_hash) is (key in ("tasks.id", "algorithms.use"))


@pytest.mark.parametrize("key", RUNTIME_ONLY)
def test_what_is_not(path: Path, key: str) -> None:
    before, after = load_plan(path), load_plan(path, [RUNTIME_ONLY[key]])
    assert before != after  # the assignment does something
    assert before.cells[0].settings_hash == after.cells[0].settings_hash
    assert before.cells[0].code_hash == after.cells[0].code_hash


def test_every_field_of_a_cell_is_classified(path: Path) -> None:
    fields = {field.name for field in dataclasses.fields(Cell)}
    assert fields == {*CELL_IDENTITY, *CELL_DERIVED, *CELL_RUNTIME_ONLY, *CELL_HASHES}
    assert {field.name for field in dataclasses.fields(Execution)} == {
        "workers", "device", "device_reason", "engine", "engine_reason", "engine_open", "timeout_seconds",
        "checkpoint_seconds", "executor", "ray", "slurm", "log",
    }  # fmt: skip
    assert {field.name for field in dataclasses.fields(Plan)} == {
        "suite",
        "description",
        "cells",
        "unselected",
        "execution",
        "source",
        "claims",
        "bounds",
        "uniform_success",
        "search",
        "declared_search",
        "own_params",
        "tuned",
        "tuned_source",
        "whole",
    }
    cell = load_plan(path, ["tasks[0].time_limit=77"]).cells[0]
    for name, (section, key) in CELL_IDENTITY.items():
        expected = getattr(cell, name)
        if name == "parameters":  # but for later ones at the values of before (test_settings_stability.py)
            expected = {key: value for key, value in expected.items() if key not in LATER}
        assert cell.settings[section][key] == expected
    assert cell.settings_hash == digest(cell.settings)
    assert cell.code_hash == digest(cell.code)
    assert cell.settings["task"]["backend"] == "array"
    assert cell.settings["task"]["version"] == catalogue.task("gym/CartPole-v1").version
    assert cell.settings["algorithm"]["version"] == catalogue.algorithm("grpo").version


def test_the_version_of_an_algorithm_and_of_a_task_count(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_plan(path).cells[0].settings_hash
    with monkeypatch.context() as patch:
        patch.setattr(catalogue.algorithm("grpo"), "version", 99)
        assert load_plan(path).cells[0].settings_hash != before
    for attribute, value in (("version", 99), ("backend", "other")):
        made = catalogue.task

        def changed(address: str, *, made=made, attribute=attribute, value=value, **given: Any) -> Any:
            task = made(address, **given)
            setattr(task, attribute, value)
            return task

        with monkeypatch.context() as patch:
            patch.setattr(catalogue, "task", changed)
            assert load_plan(path).cells[0].settings_hash != before, attribute
    assert load_plan(path).cells[0].settings_hash == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


def same(a: Any, b: Any) -> bool:
    """Equal with equal types, unlike Python's 1 == 1.0 == True and 0.0 == -0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(value, b[key]) for key, value in a.items())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b and (not isinstance(a, float) or math.copysign(1, a) == math.copysign(1, b))


@given(json_values)
def test_canonical_json_comes_back(value: Any) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert same(json.loads(text), value)


@given(json_values, json_values)
def test_canonical_json_is_equal_exactly_for_equal_documents(a: Any, b: Any) -> None:
    assert (canonical_json(a) == canonical_json(b)) == same(a, b)


@given(st.dictionaries(st.text(max_size=5), json_values, min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_count(document: dict[str, Any], random: Any) -> None:
    items = list(document.items())
    random.shuffle(items)
    assert canonical_json(dict(items)) == canonical_json(document)


@pytest.mark.parametrize("value", [{1: 2}, {"a": [{None: 1}]}, {True: 1}, {1, 2}, object(), b"x"])
def test_canonical_json_takes_json_only(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf]])
def test_canonical_json_takes_finite_numbers_only(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json(value)


def test_a_known_digest() -> None:
    # echo -n '{"a":[1,2.5,null],"b":"\u00e9"}' | sha256sum
    assert canonical_json({"b": "é", "a": [1, 2.5, None]}) == '{"a":[1,2.5,null],"b":"\\u00e9"}'
    assert digest({"b": "é", "a": [1, 2.5, None]}) == KNOWN_DIGEST


KNOWN_DIGEST = "45584828a616e524473fb887d415f828918fb9676efdaa57c062231771111499"


@pytest.fixture
def fresh_caches() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    """As in a process that has just been started."""
    importlib.invalidate_caches()
    for cached in (
        identity._executed,
        identity._package,
        identity._distributions,
        identity._owners,
        closure._find_package,
        closure._find_inside,
        closure.read_module,
        catalogue._plugins,
        catalogue.algorithm,
        catalogue.language_algorithm,
    ):
        cached.cache_clear()


PACKAGES = ("torch", "numpy", "gymnasium", "pydantic")


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize(
    ("algorithm", "task", "packages"),
    [
        ("grpo", "bandit/10-arm", PACKAGES),
        ("ppo", "bandit/10-arm", (*PACKAGES, "stable-baselines3")),
        (
            "grpo",
            "lm/arithmetic",
            (*PACKAGES, "transformers", "tokenizers", "safetensors", "huggingface-hub", "peft"),
        ),
    ],
)
def test_the_versions_of_packages_count(
    algorithm: str, task: str, packages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that are imported, and of no others."""
    before = make_cell(algorithm, task)
    known = packages_of(before.code)
    assert set(known) == {name for name in packages if installed(name)}
    assert all(version == importlib.metadata.version(name) for name, version in known.items())
    real = identity._installed
    for changed in ("torch", "stable-baselines3", "tokenizers", "pandas"):
        monkeypatch.setattr(
            identity, "_installed", lambda name, changed=changed: dict.fromkeys(real(name), "9.9") if
            name.replace("_", "-") == changed else real(name)
        )  # fmt: skip
        forget()
        after = make_cell(algorithm, task)
        assert (after.code_hash != before.code_hash) is (changed in packages)
        if changed in packages:
            assert changes(before.code, after.code) == [f"{changed} {known[changed]} -> 9.9"]


def installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


@pytest.mark.usefixtures("fresh_caches")
def test_records_list_the_packages_of_the_code() -> None:
    """One list: what a record's provenance says of versions is what its code hash is made of."""
    cell = make_cell("ppo", "bandit/10-arm")
    failure = Failure(status="failed", type="ValueError", message="no")
    record = failure_record("suite", cell, 0, failure, {"started": "now"})
    versions = {"python": platform.python_version(), **packages_of(cell.code)}
    assert record.provenance == {"started": "now", "versions": versions}
    assert {f"package {name}" for name in versions} - {"package python"} <= set(cell.code)


@pytest.mark.usefixtures("fresh_caches")
def test_a_plugin_counts_where_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plugin(tmp_path)
    (tmp_path / "picky_beside.py").write_text("from haepo_bench.objectives.credit import implicit_value\n")
    module = tmp_path / "picky_module.py"
    module.write_text(module.read_text() + "import picky_beside, numpy\n")
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    own = code_hash("grpo", "bandit/10-arm")
    before = code("picky", "bandit/10-arm")
    assert before["package picky-plugin"] == "2.1"
    # What it imports counts too: of files that merely lie there the source, of ours the modules, of others the version.
    assert {"source picky_module", "source picky_beside", "package numpy"} <= set(before)
    assert "module haepo_bench.objectives.credit" in before
    assert "package torch" in before  # which that one imports
    assert "module haepo_bench.training.episodes.trainer" not in before

    def changed() -> list[str]:
        forget()
        return changes(before, code("picky", "bandit/10-arm"))

    module.write_text(module.read_text() + "# changed\n")
    assert changed() == []
    module.write_text(module.read_text() + "changed = 1\n")
    assert changed() == ["picky_module"]
    beside = tmp_path / "picky_beside.py"
    beside.write_text(beside.read_text() + "changed = 1\n")
    assert changed() == ["picky_beside", "picky_module"]
    metadata = tmp_path / "picky_plugin-2.1.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("\nVersion: 2.1", "\nVersion: 2.2"))
    assert changed() == ["picky-plugin 2.1 -> 2.2", "picky_beside", "picky_module"]
    assert code_hash("grpo", "bandit/10-arm") == own
    sys.modules.pop("picky_module", None)


@pytest.mark.usefixtures("fresh_caches")
def test_a_plugin_may_be_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it counts, whichever of its modules holds the algorithm, and whatever it is called."""
    write_plugin(tmp_path)
    package = tmp_path / "picky_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "picky_module.py").rename(package / "inner.py")
    points = tmp_path / "picky_plugin-2.1.dist-info" / "entry_points.txt"
    points.write_text(points.read_text().replace("picky_module", "picky_package.inner"))
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    before = code("picky", "bandit/10-arm")
    (package / "other.py").write_text("x = 1\n")
    forget()
    assert changes(before, code("picky", "bandit/10-arm")) == ["picky_package"]
    for name in [name for name in sys.modules if name.startswith("picky_package")]:
        del sys.modules[name]


BASELINE = Path(__file__).parent.parent.parent / "baselines" / "regression.json"


def test_the_settings_hashes_of_the_regression_baseline_stay() -> None:
    """Every cell of the baseline has the settings that the suite has now: no key was added, none changed."""
    recorded = {(cell["task"], cell["algorithm"]): cell for cell in json.loads(BASELINE.read_bytes())["cells"]}
    cells = {
        (cell.task, cell.algorithm): cell for cell in load_plan(BASELINE.parent.parent / "suites/regression.yaml").cells
    }
    assert set(cells) == set(recorded)
    for key, cell in cells.items():
        assert cell.settings == recorded[key]["settings"], key
        assert cell.settings_hash == digest(recorded[key]["settings"]) == recorded[key]["settings_hash"], key
