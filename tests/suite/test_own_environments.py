"""Environments of a suite's folder: keyword arguments, dictionaries, references, bounds, wrappers, several actions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import run_apart, run_here

from haepo_bench.errors import UserError
from haepo_bench.suite.local.loading import PREFIX
from haepo_bench.suite.names import Names
from haepo_bench.suite.plan import Cell
from haepo_bench.suite.resolve import load_plan
from haepo_bench.tasks.measuring import random_returns

GRID = """
import gymnasium
import numpy as np
from gymnasium import spaces

REWARD = 1.0

class Grid(gymnasium.Env):
    def __init__(self, size=3, bonus=0.0):
        self.size, self.bonus = size, bonus
        self.observation_space = spaces.Dict({"at": spaces.MultiDiscrete([size, size]), "t": spaces.Box(0, 1, (1,))})
        self.action_space = spaces.MultiDiscrete([3, 3])

    def see(self):
        return {"at": self.place, "t": np.array([self.t / 10], np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.t = self.np_random.integers(self.size, size=2), 0
        return self.see(), {}

    def step(self, action):
        self.t += 1
        self.place = np.clip(self.place + np.asarray(action) - 1, 0, self.size - 1)
        over = bool((self.place == self.size - 1).all())
        return self.see(), (REWARD + self.bonus) * over, over, False, {}

class Clip(gymnasium.RewardWrapper):
    def reward(self, reward):
        return min(reward, 0.5)

class Double(gymnasium.RewardWrapper):
    def reward(self, reward):
        return 2 * reward

class Odd(Grid):
    def __init__(self, config={}, most=np.int64(4), time_limit=7):
        super().__init__(config.pop("size", 3))
        self.max_episode_steps, self.own_limit = most, time_limit

class Turned(Grid):
    def __init__(self):
        super().__init__()
        self.observation_space = spaces.Box(0, 1, (2, 3))
    def see(self):
        return np.zeros((3, 2), np.float32)

class Exact(Grid):
    def __init__(self):
        super().__init__()
        self.observation_space, self.action_space = spaces.Box(0, 1, (1, 2)), spaces.Box(-0.1, 0.1, (2,), np.float64)
    def see(self):
        return np.zeros(2, np.float32)
    def step(self, action):
        assert self.action_space.contains(action), action
        return self.see(), float(np.abs(action).sum()), False, False, {}

gymnasium.register("Grid-v0", entry_point="grid:Grid", max_episode_steps=10)
"""
SUITE = """
name: grids
seeds: 1
budget: {{env_steps: 64}}
evaluation: {{every: 64, episodes: 4}}
tasks: [{task}]
algorithms: [{algorithms}]
execution: {{device: cpu}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "grid.py").write_text(GRID)
    return tmp_path


def cells(folder: Path, task: str, algorithms: str = "reinforce") -> tuple[Cell, ...]:
    suite = folder / "suite.yaml"
    suite.write_text(SUITE.format(task=task, algorithms=algorithms))
    return load_plan(suite).cells


def problem(folder: Path, task: str) -> str:
    with pytest.raises(UserError) as caught:
        cells(folder, task)
    return str(caught.value)


REFERENCES = "references: {random: 0.5, solved: 1, source: mine}, bounds: [0, 1]"


@pytest.mark.parametrize(
    ("more", "inputs"),
    [
        ("", {}),
        (", kwargs: {}, wrappers: []", {}),
        (", kwargs: {size: 5}", {"kwargs": '{"size": 5}'}),
        (", kwargs: {bonus: 0.5, size: 5}", {"kwargs": '{"bonus": 0.5, "size": 5}'}),
        (f", {REFERENCES}", {"references": "[0.5, 1.0]", "bounds": "[0.0, 1.0]"}),
        (", wrappers: ['grid:Clip']", {"wrappers": '["grid:Clip"]'}),
        (", wrappers: ['gymnasium.wrappers:FlattenObservation', 'grid:Clip']",
         {"wrappers": '["gymnasium.wrappers:FlattenObservation", "grid:Clip"]'}),
    ],
)  # fmt: skip
def test_each_key_is_part_of_the_identity_where_it_is_used(folder: Path, more: str, inputs: dict[str, str]) -> None:
    (cell,) = cells(folder, f"{{id: 'gym/grid:Grid-v0'{more}}}")
    assert cell.settings["task"].get("inputs", {}) == inputs
    assert ("inputs" in cell.settings["task"]) is bool(inputs)
    if "references" in inputs:
        assert cell.references is not None
        assert cell.references.score(0.75) == 0.5


def test_where_the_module_is_makes_no_difference(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (one,) = cells(folder, "'gym/grid:Grid-v0'")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "grid.py").write_text(GRID)
    (other,) = cells(elsewhere, "'gym/grid:Grid-v0'")
    assert (one.settings_hash, one.code_hash) == (other.settings_hash, other.code_hash)
    assert not any(PREFIX in text for pair in one.code.items() for text in pair)
    assert "environment grid:Grid-v0 entry_point" in one.code
    (folder / "grid.py").write_text(GRID.replace("REWARD = 1.0", "REWARD = 2.0"))
    (changed,) = cells(folder, "'gym/grid:Grid-v0'")
    assert changed.code_hash != one.code_hash


def test_two_folders_register_one_id(tmp_path: Path) -> None:
    """In one process, in turns: each has its own, what it pays included."""
    for name, reward in (("a", "1.0"), ("b", "7.0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "grid.py").write_text(GRID.replace("REWARD = 1.0", f"REWARD = {reward}"))
    for name, highest in (("a", 1.0), ("b", 7.0), ("a", 1.0)):
        task = Names(tmp_path / name).task("gym/grid:Grid-v0", options={})
        assert random_returns(task, 50).max() == highest
        assert task.horizon == 10


def test_keyword_arguments_and_wrappers_reach_the_environment(folder: Path) -> None:
    names = Names(folder)
    plain = random_returns(names.task("gym/grid:Grid-v0", options={}), 200)
    paid = random_returns(names.task("gym/grid:Grid-v0", options={"kwargs": {"bonus": 0.5}}), 200)
    np.testing.assert_allclose(paid, plain * 1.5)
    clipped = names.task("gym/grid:Grid-v0", options={"wrappers": ("grid:Clip",)})
    np.testing.assert_allclose(random_returns(clipped, 200), plain / 2)
    file = names.task("./grid.py:Grid", time_limit=10, options={"wrappers": ("./grid.py:Clip",)})
    np.testing.assert_allclose(random_returns(file, 200), plain / 2)
    assert names.task("gym/grid:Grid-v0", options={"kwargs": {"size": 6}}).observation_space.shape == (13,)
    double = {"wrappers": ("grid:Double", "grid:Clip", "grid:Double", "grid:Double")}
    np.testing.assert_allclose(random_returns(names.task("gym/grid:Grid-v0", options=double), 200), plain * 2)
    # The array version of an environment knows nothing of either.
    assert names.task("gym/CartPole-v1", options={"kwargs": {"sutton_barto_reward": True}}).backend == "gymnasium"
    assert names.task("gym/CartPole-v1", options={"kwargs": {"sutton_barto_reward": True}}).references is None
    assert names.task("gym/CartPole-v1", options={}).backend == "array"


def test_each_environment_gets_arguments_of_its_own(folder: Path) -> None:
    """One that takes something out of a dictionary changes neither the others nor what the run is known by."""
    given: dict[str, Any] = {"config": {"size": 5}}
    for address in ("./grid.py:Odd", "gym/grid:Odd-v0"):
        (folder / "grid.py").write_text(GRID + 'gymnasium.register("Odd-v0", "grid:Odd", max_episode_steps=4)\n')
        task = Names(folder).task(address, options={"kwargs": given})
        assert task.horizon == 4
        assert task.observation_space.shape == (11,)
        sizes = [task.environment().unwrapped.size for _ in range(3)]  # type: ignore[attr-defined]
        assert sizes == [5, 5, 5]
        assert json.loads(task.inputs["kwargs"]) == given == {"config": {"size": 5}}


def test_what_an_environment_calls_time_limit_is_its_own(folder: Path) -> None:
    names = Names(folder)
    for options, limit, own, horizon in (({}, None, 7, 4), ({}, 3, 7, 3), ({"kwargs": {"time_limit": 9}}, 3, 9, 3)):
        task = names.task("./grid.py:Odd", time_limit=limit, options=options)
        assert task.horizon == horizon
        assert task.environment().unwrapped.own_limit == own  # type: ignore[attr-defined]


def test_actions_on_a_bound_are_within_bounds_of_double_precision(folder: Path) -> None:
    """0.1 in single precision is more than 0.1."""
    task = Names(folder).task("./grid.py:Exact", time_limit=3, options={})
    environment = task.environment()
    environment.reset(seed=0)
    for action in (task.action_space.low, task.action_space.high):  # type: ignore[union-attr]
        _, reward, *_ = environment.step(action)
        assert reward == 0.2


def test_a_file_that_changes_folders_leaves_results_where_they_were_asked_for(folder: Path) -> None:
    (folder / "away").mkdir()
    (folder / "grid.py").write_text(f"import os\nos.chdir({str(folder / 'away')!r})\n{GRID}")
    (folder / "suite.yaml").write_text(SUITE.format(task="{id: ./grid.py:Grid, time_limit: 5}", algorithms="reinforce"))
    outcome = run_apart("run", "suite.yaml", "--quiet", cwd=folder)
    assert outcome.code == 0, outcome.err
    assert list((folder / "results" / "grids").rglob("seed-0.json"))
    assert not list((folder / "away").iterdir())


def test_bounds_and_references_of_wrapped_tasks_are_those_of_what_is_evaluated(folder: Path) -> None:
    options = {"references": {"random": 0.5, "solved": 1.0, "source": "mine"}, "bounds": (0, 1)}
    task = Names(folder).task("noise(gym/grid:Grid-v0,0.5)", options=options)
    assert task.return_bounds == (0.0, 1.0)
    assert task.references is not None
    assert set(task.inputs) == {"references", "bounds"}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("{id: 'gym/grid:Gone-v0'}", "registers no environment 'Gone-v0'"),
        (
            "{id: 'gym/gone:Grid-v0'}",
            "the module 'gone', which should register the environment 'gone:Grid-v0', was not found",
        ),
        ("{id: 'gym/my-grid:Grid-v0'}", "'my-grid' cannot be the name of a module"),
        ("{id: 'gym/os:Grid-v0'}", "gymnasium has no environment"),
        ("{id: 'gym/grid:Grid-v0', kwargs: {colour: red}}", "tasks[0].kwargs: gymnasium cannot make"),
        ("{id: ./grid.py:Grid, time_limit: 5, kwargs: {colour: red}}", "tasks[0].kwargs: Grid takes no 'colour'"),
        ("{id: ./grid.py:Grid}", "has no time limit of its own"),
        ("{id: ./grid.py:Grid/5, time_limit: 5, wrappers: ['gone:Clip']}", "the module 'gone' cannot be imported"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['grid:Gone']}", "defines no 'Gone'"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['gymnasium:Gone']}", "names no wrapper"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['../grid.py:Clip']}", "not below the suite's folder"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['grid.Clip']}", "tasks[0].wrappers[0]"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['gymnasium.wrappers:TimeLimit']}", "cannot go around grid"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['./grid.py']}", "'./grid.py' names no wrapper"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['gone:Clip']}", "tasks[0].wrappers: "),
        ('{id: ./grid.py:Grid, time_limit: 5, files: ["a\\0b"]}', "tasks[0].files: "),
        ("{id: bandit/10-arm, kwargs: {arms: 3}}", "have no kwargs"),
        ("{id: bandit/10-arm, wrappers: ['grid:Clip']}", "have no wrappers"),
        ("{id: bandit/10-arm, references: {random: 0, solved: 1}}", "has reference returns of its own"),
        ("{id: bandit/10-arm, bounds: [0, 1]}", "are known"),
        ("{id: 'gym/grid:Grid-v0', bounds: [1, 0]}", "must be below the greatest"),
        ("{id: 'gym/grid:Grid-v0', bounds: [0]}", "tasks[0].bounds"),
        ("{id: 'gym/grid:Grid-v0', references: {random: 1, solved: 1}}", "are the same return"),
        ("{id: 'gym/grid:Grid-v0', references: {random: 1}}", "solved: is missing"),
        ("{id: 'gym/grid:Grid-v0', references: {random: 1, solved: 0.5}}", "solved (0.5) is below random (1)"),
        ("{id: 'gym/grid:Grid-v0', references: {random: -1, solved: 1}, bounds: [0, 1]}", "random (-1) is outside of"),
        ("{id: ./grid.py:Grid, time_limit: 5, files: ['*.json']}", "tasks[0].files: there is no file '*.json'"),
        ("{id: ./grid.py:Grid, time_limit: 5, wrappers: ['./gone.py:Clip']}", "tasks[0].wrappers: there is no file"),
        ("{id: ./grid.py:Odd, kwargs: {most: '10'}}", "Odd.max_episode_steps is '10', not a whole number"),
        ("{id: ./grid.py:Turned, time_limit: 5}", "its shape is (3, 2), where its space says (2, 3)"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, task: str, said: str) -> None:
    message = problem(folder, task)
    assert said in message
    assert "suite.yaml:6" in message


def test_references_are_measured(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    """On a bandit of the catalogue, whose random return is exact; the interval misses it once in ten thousand."""
    monkeypatch.chdir(folder)
    outcome = run_here(capsys, "references", "random-walk/20", "--episodes", "4000")
    assert outcome.code == 0
    numbers = outcome.out.split("mean ")[1].split()
    mean, half = float(numbers[0].rstrip(",")), float(numbers[5].rstrip(",")) - float(numbers[3])
    exact = Names(None).task("random-walk/20", options={}).references
    assert exact is not None
    assert abs(mean - exact.random) < half
    outcome = run_here(capsys, "references", "./grid.py:Grid", "--episodes", "100", "--time-limit", "10")
    assert outcome.code == 0
    assert "references:\n  random: " in outcome.out
    assert "bounds" in outcome.out
    assert "runs your code" in outcome.err
    outcome = run_here(capsys, "references", "lm/arithmetic")
    assert outcome.code == 4


@pytest.mark.parametrize(
    "given", ["array.array('d', [1.0])", "random.random", "np.exp", "len", "[1, {2, 3}, 'a'].append", "object()"]
)
def test_anything_may_be_registered(folder: Path, given: str) -> None:
    own = "import array, random\n\nclass Own(Grid):\n    def __init__(self, given):\n        super().__init__()\n\n"
    register = f'gymnasium.register("Own-v0", entry_point=Own, max_episode_steps=4, kwargs={{"given": {given}}})\n'
    (folder / "grid.py").write_text(GRID + own + register)
    first, second = (cells(folder, "gym/grid:Own-v0")[0] for _ in range(2))
    assert first.settings_hash == second.settings_hash


def test_what_is_registered_with_itself_is_refused(folder: Path) -> None:
    held = "held = [1]\nheld.append(held)\n\n"
    held += "class Own(Grid):\n    def __init__(self, held):\n        super().__init__()\n\n"
    register = 'gymnasium.register("Own-v0", entry_point=Own, max_episode_steps=4, kwargs={"held": held})\n'
    (folder / "grid.py").write_text(GRID + held + register)
    assert "holds itself" in problem(folder, "gym/grid:Own-v0")


#: Reads a file at every reset, which somebody edits meanwhile.
READER = """
from pathlib import Path

import gymnasium
from gymnasium import spaces

FILE = Path(__file__).with_name("reward.txt")

class Reader(gymnasium.Env):
    max_episode_steps = 5
    observation_space, action_space = spaces.Box(0, 1, (1,)), spaces.Discrete(2)
    resets = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Reader.resets += 1
        if Reader.resets == 40:
            FILE.write_text("100.0")
        self.reward = float(FILE.read_text())
        return self.observation_space.low, {}

    def step(self, action):
        return self.observation_space.low, self.reward, False, False, {}
"""


@pytest.mark.slow
def test_a_data_file_that_changes_during_a_run_makes_no_result(folder: Path) -> None:
    (folder / "reader.py").write_text(READER)
    (folder / "reward.txt").write_text("1.0")
    cells(folder, "{id: ./reader.py, files: [reward.txt], budget: {env_steps: 320}}")
    outcome = run_apart("run", "suite.yaml", "--quiet", "--workers", "1", cwd=folder)
    assert outcome.code != 0
    (record,) = (json.loads(path.read_text()) for path in (folder / "results" / "grids").rglob("seed-*.json"))
    assert record["status"] == "failed"
    assert "reward.txt" in record["error"]["message"]
    logs = "".join(path.read_text() for path in (folder / "results" / "grids" / "logs").rglob("*.log"))
    assert "reward.txt changed while the run may have read from it" in logs
    (folder / "reward.txt").write_text("1.0")
    (folder / "reader.py").write_text(READER.replace("== 40", "== 0"))
    assert run_apart("run", "suite.yaml", "--quiet", cwd=folder).code == 0


@pytest.mark.slow
def test_threads_of_an_environment_do_not_keep_the_program(folder: Path) -> None:
    thread = "        threading.Thread(target=lambda: time.sleep(1e6)).start()\n"
    old = "        self.size, self.bonus = size, bonus\n"
    assert old in GRID
    (folder / "grid.py").write_text(f"import threading, time\n{GRID.replace(old, old + thread)}")
    outcome = run_apart("references", "./grid.py:Grid", "--episodes", "10", "--time-limit", "5", cwd=folder)
    assert outcome.code == 0
    assert "references:" in outcome.out


@pytest.mark.slow
def test_an_own_environment_to_results(folder: Path) -> None:
    """Through worker processes: a dictionary, several actions at once, kwargs, references, bounds, a wrapper."""
    task = f"{{id: 'gym/grid:Grid-v0', kwargs: {{size: 4}}, wrappers: ['grid:Clip'], {REFERENCES}}}"
    cells(folder, task, "reinforce, ppo-batched, ppo, uniform")
    outcome = run_apart("run", "suite.yaml", "--quiet", cwd=folder)
    assert outcome.code == 0, outcome.err
    records = [json.loads(path.read_text()) for path in (folder / "results" / "grids").rglob("seed-*.json")]
    assert {record["algorithm"] for record in records} == {"reinforce", "ppo-batched", "ppo", "uniform"}
    for record in records:
        assert record["references"] == {"random": 0.5, "solved": 1.0, "source": "mine"}
        assert 0 <= record["final"]["eval_return"] <= 0.5
        assert record["final"]["score"] == pytest.approx((record["final"]["eval_return"] - 0.5) / 0.5)
