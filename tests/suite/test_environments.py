"""Environments of other packages behind `gym/`: all that decides what they do is part of what a run executes."""

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from cli_support import run_apart
from gymnasium.envs.registration import WrapperSpec
from identity_support import code
from test_identity import forget

from haepo_bench.results.code import changes
from haepo_bench.suite import identity
from haepo_bench.suite.environments import registered

ENVIRONMENT = """
import gymnasium
import numpy as np
from gymnasium.envs.registration import register

REWARD = 1.0

class Counted(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, bonus=0.0, **others):
        self._bonus = bonus

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), REWARD + self._bonus, False, False, {}

def make(**given):
    return Counted(**given)

register("Counted-v0", entry_point="counted:Counted", kwargs={"bonus": 1.0}, max_episode_steps=5)
"""
WRAPPER = """
import gymnasium

class Same(gymnasium.Wrapper):
    def __init__(self, env, scale):
        super().__init__(env)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution `counted-envs` 1.0 that registers an environment when it is imported."""
    folder = tmp_path / "site"
    information = folder / "counted_envs-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "counted.py").write_text(ENVIRONMENT)
    (folder / "around.py").write_text(WRAPPER)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: counted-envs\nVersion: 1.0\n")
    (information / "top_level.txt").write_text("counted\n")
    monkeypatch.syspath_prepend(folder)
    before = dict(gymnasium.registry)
    forget()
    importlib.import_module("counted")
    yield folder
    gymnasium.registry.clear()
    gymnasium.registry.update(before)
    for name in ("counted", "around"):
        sys.modules.pop(name, None)
    forget()


def changed_by(edit: Any) -> list[str]:
    """What an edit changes of a run on the environment."""
    forget()
    before = code("grpo", "gym/Counted-v0")
    edit()
    forget()
    return changes(before, code("grpo", "gym/Counted-v0"))


def again(**fields: Any) -> None:
    """Registers the environment anew."""
    spec = gymnasium.registry.pop("Counted-v0")
    given = {
        "entry_point": spec.entry_point, "kwargs": spec.kwargs, "max_episode_steps": spec.max_episode_steps,
        "additional_wrappers": spec.additional_wrappers,
    }  # fmt: skip
    gymnasium.register("Counted-v0", **{**given, **fields})


def test_its_source_counts(site: Path) -> None:
    source, other = site / "counted.py", code("grpo", "gym/FrozenLake-v1")
    assert changed_by(lambda: source.write_text(source.read_text() + "\n# a comment\n")) == []
    assert changed_by(lambda: source.write_text(source.read_text().replace("REWARD = 1.0", "REWARD = 100.0"))) == [
        "counted"
    ]
    assert code("grpo", "gym/FrozenLake-v1") == other


def test_its_distribution_counts(site: Path) -> None:
    metadata = site / "counted_envs-1.0.dist-info" / "METADATA"
    new = metadata.read_text().replace("Version: 1.0", "Version: 1.1")
    assert changed_by(lambda: metadata.write_text(new)) == ["counted-envs 1.0 -> 1.1"]
    information = site / "drawn-9.9.dist-info"

    def import_drawn() -> None:
        """What its module imports counts with its version."""
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: drawn\nVersion: 9.9\n")
        (information / "top_level.txt").write_text("drawn\n")
        (site / "drawn.py").touch()
        (site / "counted.py").write_text(ENVIRONMENT + "def render(self):\n    import drawn\n")

    assert changed_by(import_drawn) == ["counted", "drawn 9.9 (new)"]


@pytest.mark.usefixtures("site")
def test_what_it_is_registered_with_counts() -> None:
    assert changed_by(lambda: again(kwargs={"bonus": 2.0})) == ['Counted-v0 kwargs {"bonus":"1.0"} -> {"bonus":"2.0"}']
    assert changed_by(lambda: again(kwargs={"bonus": 2.0})) == []
    assert changed_by(lambda: again(max_episode_steps=6)) == ["Counted-v0 max_episode_steps 5 -> 6"]
    assert changed_by(lambda: again(entry_point="counted:make")) == [
        'Counted-v0 entry_point "counted:Counted" -> "counted:make"'
    ]
    wrapped = WrapperSpec("Same", "around:Same", {"scale": 2})
    found = changed_by(lambda: again(additional_wrappers=(wrapped,)))
    assert found == ['Counted-v0 wrappers [["Same","around:Same",{"scale":2}]] (new)', "around (new)"]
    assert changed_by(lambda: again(additional_wrappers=())) == [
        'Counted-v0 wrappers [["Same","around:Same",{"scale":2}]] (gone)', "around (gone)"
    ]  # fmt: skip


@pytest.mark.usefixtures("site")
def test_what_is_given_says_the_same_in_every_process() -> None:
    counted = sys.modules["counted"]

    class Odd:
        pass

    given = {
        "function": counted.make, "class": counted.Counted, "set": {"b", "a"}, "array": np.arange(3.0),
        "object": Odd(), "tuple": (1, None, True), "nested": {"x": [float("inf")]},
    }  # fmt: skip
    again(entry_point=counted.Counted, kwargs=given)
    found = registered("Counted-v0")
    assert found.facts["entry_point"] == '"counted:Counted"'
    facts = json.loads(found.facts["kwargs"])
    assert facts["function"] == "counted:make"
    assert facts["class"] == "counted:Counted"
    assert facts["set"] == ["a", "b"]
    assert " at 0x" not in facts["object"]
    assert facts["tuple"] == [1, None, True]
    assert facts["nested"] == {"x": ["inf"]}
    given["array"] = np.arange(3.0) + 1
    assert json.loads(registered("Counted-v0").facts["kwargs"])["array"] != facts["array"]
    assert "counted" in found.modules


def test_libraries_of_gymnasiums_own_environments() -> None:
    """By their names; which of them are installed, and in which version, is looked up then."""
    assert {"Box2D", "gymnasium", "numpy"} <= identity._imported_beside("gymnasium.envs.box2d.lunar_lander")
    assert "mujoco" in identity._imported_beside("gymnasium.envs.mujoco.half_cheetah_v5")
    assert not {"mujoco", "Box2D"} & identity._imported_beside("gymnasium.envs.toy_text.frozen_lake")


@pytest.mark.slow
def test_an_edited_environment_is_run_again(site: Path, tmp_path: Path) -> None:
    """As a user meets it: the reward is multiplied by 100, and the stored return is not shown as its own."""
    suite = tmp_path / "suite.yaml"
    document = {
        "name": "counted", "description": "-", "seeds": 1, "budget": {"env_steps": 40},
        "evaluation": {"every": 40, "episodes": 2}, "tasks": [{"id": "gym/Counted-v0"}],
        "algorithms": [{"use": "reinforce", "params": {"trajectories": 2}}], "execution": {"device": "cpu"},
    }  # fmt: skip
    suite.write_text(json.dumps(document))
    (site / "sitecustomize.py").write_text("import counted\n")  # registers it in every process
    environment = {"PYTHONPATH": f"{site}:{Path(__file__).parent.parent.parent}"}

    def run(*arguments: str) -> str:
        done = run_apart("run", str(suite), "--quiet", *arguments, cwd=tmp_path, environment=environment)
        assert done.code == 0, done.err
        return done.out

    run()
    (record,) = [json.loads(path.read_bytes()) for path in tmp_path.glob("results/counted/*/seed-0.json")]
    assert record["final"]["eval_return"] == 10.0
    source = site / "counted.py"
    source.write_text(source.read_text().replace("REWARD = 1.0", "REWARD = 100.0"))
    said = run("--dry-run")
    assert re.search("^1 runs? to do", said, re.MULTILINE)
    assert "reinforce on gym/Counted-v0 (1 run): changed since: counted\n" in said
