"""What other people's gymnasium environments may return, and what becomes of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from cli_support import run_apart, run_here
from gymnasium import spaces

from haepo_bench import catalogue
from haepo_bench.errors import EnvironmentFault, TaskError
from haepo_bench.tasks.base import Normalise
from haepo_bench.training.recorder import Recorder, SeedResult

ID = "Odd-v0"
ALGORITHMS = {
    "reinforce": {"trajectories": 2},
    "ppo-batched": {"n_envs": 2, "n_steps": 8, "batch_size": 8, "n_epochs": 1},
    "ppo": {"n_envs": 2, "n_steps": 8, "batch_size": 8, "n_epochs": 1},
    "uniform": {},
}


class Odd(gymnasium.Env):
    """Episodes of five steps, with whatever a test puts in place of what it returns."""

    def __init__(self, **odd: Any) -> None:
        self.odd = odd
        self.observation_space = odd.get("observation_space", spaces.Box(-1.0, 1.0, (2,)))
        self.action_space = odd.get("action_space", spaces.Discrete(2))

    def _said(self, name: str, usual: Any) -> Any:
        value = self.odd.get(name, usual)
        return value(self) if callable(value) else value

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.now = 0
        self.lot = self.np_random.random()
        observation = self._said("first", None)
        return self._said("reset", (np.zeros(2, np.float32) if observation is None else observation, {}))

    def step(self, action: Any) -> Any:
        self.action, self.now = action, self.now + 1
        return self._said(
            "step",
            (
                self._said("observation", np.zeros(2, np.float32)),
                self._said("reward", 1.0),
                self._said("terminated", self.now == 5),
                False,
                self._said("info", {}),
            ),
        )


@pytest.fixture
def odd() -> Iterator[Callable[..., str]]:
    """Registers the environment with what it is to return; gives its address."""

    def register(*, limit: int | None = 20, **kwargs: Any) -> str:
        gymnasium.registry.pop(ID, None)
        gymnasium.register(ID, entry_point=Odd, max_episode_steps=limit, kwargs=kwargs)
        return f"gym/{ID}"

    yield register
    gymnasium.registry.pop(ID, None)


class Ended(Recorder):
    """Remembers how each seed ended."""

    def __init__(self, seeds: list[int], budget: int = 60) -> None:
        self.results: dict[int, SeedResult] = {}
        self.faults: dict[int, Exception] = {}
        super().__init__(
            seeds,
            budget=budget,
            every=budget,
            episodes=2,
            on_finished=lambda result: self.results.__setitem__(result.seed, result),
            on_failed=self.faults.__setitem__,
        )

    def statuses(self) -> dict[int, str]:
        return {seed: result.status for seed, result in self.results.items()} | dict.fromkeys(self.faults, "failed")


def train(
    address: str, algorithm: str, seeds: list[int], budget: int = 60, normalise: Normalise | None = None
) -> Ended:
    task = catalogue.task(address)
    task.normalise = normalise
    definition = catalogue.algorithm(algorithm)
    assert definition.refuses(task) is None
    recorder = Ended(seeds, budget)
    definition.configure(ALGORITHMS[algorithm], task).train(task, seeds, recorder, device="cpu")
    return recorder


REWARDS: list[Any] = [
    1,
    True,
    np.float32(1),
    np.int64(1),
    np.bool_(True),
    [1.0],
    torch.tensor(1.0),
    torch.tensor([1.0], requires_grad=True),
    np.array(1.0),
    np.array([1.0]),
    np.array([[1]]),
]


@pytest.mark.parametrize(
    ("algorithm", "reward"),
    [*(("reinforce", reward) for reward in REWARDS), ("ppo", REWARDS[-2]), ("ppo-batched", REWARDS[-2])],
    ids=repr,
)
def test_rewards_of_one_element_are_numbers(odd: Callable[..., str], algorithm: str, reward: Any) -> None:
    ended = train(odd(reward=reward), algorithm, [0])
    assert ended.statuses() == {0: "done"}
    assert ended.results[0].final["eval_return"] == 5.0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.array([np.nan])], ids=repr)
def test_a_reward_that_is_no_number_is_the_environments_fault(
    odd: Callable[..., str], algorithm: str, value: Any
) -> None:
    # Only in some episodes, never in the first step: validation does not see it.
    ended = train(odd(reward=lambda env: value if env.now == 3 else 1.0), algorithm, [0, 1])
    assert ended.statuses() == {0: "failed", 1: "failed"}
    fault = ended.faults[1]
    assert isinstance(fault, EnvironmentFault)
    assert (
        f"the environment gym/{ID} returned the reward {float(np.ravel(value)[0])} at step 3 after reset(seed="
        in str(fault)
    )
    assert "not the algorithm's doing" in fault.remedy


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    ("reward", "said"),
    [
        (lambda env: float("nan") if env.now == 3 else 1.0, "returned the reward nan at step 3"),
        (lambda env: float("-inf") if env.now == 3 else 1.0, "returned the reward -inf at step 3"),
        (lambda env: 1 / (env.now != 3), "raised ZeroDivisionError: division by zero, at step 3"),
        (1e300, ""),
    ],
)
def test_normalising_hides_no_fault(
    odd: Callable[..., str], algorithm: str, reward: Callable[[Odd], float], said: str
) -> None:
    ended = train(odd(reward=reward), algorithm, [0], normalise=Normalise(True, True))
    assert ended.statuses() == {0: "failed" if said else "diverged"}
    if said:
        assert isinstance(ended.faults[0], EnvironmentFault)
        assert said in str(ended.faults[0])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_faulty_episode_costs_no_other_seed(odd: Callable[..., str], algorithm: str) -> None:
    alone = {seed: train(odd(), algorithm, [seed]) for seed in (0, 1)}
    lots: list[float] = []
    sound = odd(reward=lambda env: lots.append(env.lot) or 1.0)
    train(sound, algorithm, [0])
    unlucky = lots[len(lots) // 2]  # of an episode that seed 0 alone plays
    ended = train(odd(reward=lambda env: float("nan") if env.lot == unlucky else 1.0), algorithm, [0, 1])
    assert ended.statuses() == {0: "failed", 1: "done"}
    assert ended.results[1].final == alone[1].results[1].final
    assert ended.results[1].curve["train_return"] == alone[1].results[1].curve["train_return"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_environment_that_raises_costs_no_other_seed(odd: Callable[..., str], algorithm: str) -> None:
    lots: list[float] = []
    train(odd(reward=lambda env: lots.append(env.lot) or 1.0), algorithm, [0])
    unlucky = lots[len(lots) // 2]
    ended = train(odd(reward=lambda env: 1 / (env.lot != unlucky)), algorithm, [0, 1])
    assert ended.statuses() == {0: "failed", 1: "done"}
    fault = ended.faults[0]
    assert isinstance(fault, EnvironmentFault)
    assert f"the environment gym/{ID} raised ZeroDivisionError: division by zero, at step" in str(fault)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_observations_that_are_not_finite_are_the_environments_fault(odd: Callable[..., str], algorithm: str) -> None:
    later = lambda env: np.array([0.0, 1e300 if env.now == 2 else 0.0])  # noqa: E731
    ended = train(odd(observation=later), algorithm, [0])
    assert "returned the observation 1e+300 (element 1), which single precision cannot hold at step 2" in str(
        ended.faults[0]
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("reward", [1e300, -1e300, 1e39, 1.7e308])
def test_returns_beyond_single_precision_diverge(odd: Callable[..., str], algorithm: str, reward: float) -> None:
    ended = train(odd(reward=reward), algorithm, [0, 1])
    assert ended.statuses() == {0: "diverged", 1: "diverged"}
    assert "single precision" in ended.results[0].reason or "is not finite" in ended.results[0].reason


def test_nothing_in_info_reaches_the_libraries(odd: Callable[..., str]) -> None:
    infos = {"episode": {"r": 1e9, "l": 1}, "measures": 5, "state": 3, "TimeLimit.truncated": True}
    ended = train(odd(info=infos), "ppo", [0])
    assert ended.results[0].curve["train_return"][-1] == 5.0


@pytest.mark.parametrize("kind", [np.bool_, int, lambda end: np.array([end]), torch.tensor])
def test_what_ends_an_episode_may_be_any_truth_value(odd: Callable[..., str], kind: Callable[[bool], Any]) -> None:
    ended = train(odd(terminated=lambda env: kind(env.now == 4)), "reinforce", [0])
    assert ended.results[0].final["eval_return"] == 4.0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no reward": (
        {"reward": lambda env: None},
        "returned None as reward, not one number, at step 1 after reset(seed=0)",
    ),
    "text as a reward": ({"reward": "1.0"}, "returned '1.0' as reward"),
    "two rewards": ({"reward": np.zeros(2)}, "returned array([0., 0.]) as reward"),
    "a reward for each agent": ({"reward": {"a": 1.0}}, "as reward, not one number"),
    "a complex reward": ({"reward": 1j}, "as reward"),
    "an integer beyond floats": ({"reward": 10**400}, "as reward"),
    "no word on the end": ({"terminated": lambda env: None}, "returned None as terminated"),
    "an end that is no truth value": ({"terminated": np.nan}, "returned nan as terminated, neither true nor false"),
    "observations of another length": (
        {"observation": np.zeros(3)},
        "its shape is (3,), where its space says (2,)) at step 1",
    ),
    "a first observation of another length": ({"first": np.zeros(5)}, "from reset(seed=0)"),
    "a dictionary where the space is a Box": ({"observation": {"a": 1}}, "is not an array of real numbers"),
    "nothing observed": ({"observation": lambda env: None}, "a NoneType is not an array of real numbers"),
    "a first observation of NaN": ({"first": np.full(2, np.nan)}, "returned the observation nan (element 0)"),
    "the old reset": ({"reset": np.zeros(2)}, "returned a ndarray, not (observation, info), from reset(seed=0)"),
    "the old step": ({"step": (np.zeros(2), 1.0, False, {})}, "raised ValueError"),
    "a step that raises": ({"reward": lambda env: 1 // 0}, "raised ZeroDivisionError"),
    "a number outside of a Discrete": (
        {"observation_space": spaces.Discrete(3, start=1), "first": np.int64(1), "observation": np.int64(4)},
        "is not one of Discrete(3, start=1)",
    ),
    "no Dict": ({"observation_space": spaces.Dict({"a": spaces.Discrete(2)})}, "its space has the keys ['a']"),
    "no Tuple": ({"observation_space": spaces.Tuple([spaces.Discrete(2)])}, "is not 1 values"),
    "a text": ({"observation_space": spaces.Text(3)}, "observations of kind Text"),
    "actions by name": ({"action_space": spaces.Dict({"a": spaces.Discrete(2)})}, "actions of kind Dict"),
    "too many choices": ({"action_space": spaces.Box(0, 10**6, (1,), np.int32)}, "actions with 1,000,001 values"),
    "as many choices as there are integers": (
        {"action_space": spaces.Box(-(2**63), 2**63 - 1, (1,), np.int64)},
        "actions with 18,446,744,073,709,551,616 values",
    ),
    "a choice of a billion": ({"action_space": spaces.Discrete(10**9)}, "actions with 1,000,000,000 values"),
    "no action": ({"action_space": spaces.Box(-1.0, 1.0, (0,))}, "actions without any number"),
    "nothing to observe": ({"observation_space": spaces.Box(-1.0, 1.0, (0,))}, "observations without any number"),
    "no time limit": ({"limit": None}, "has no time limit of its own"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_breaks_the_contract_is_refused_before_anything_trains(
    odd: Callable[..., str], case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    returned, said = REFUSED[case]
    suite = tmp_path / "mine.yaml"
    address = odd(**returned)
    suite.write_text(
        f"name: mine\nseeds: 1\nbudget: {{env_steps: 10}}\ntasks:\n  - {address}\nalgorithms: [reinforce]\n"
    )
    code, _, err = run_here(capsys, "validate", str(suite))
    assert code == 4
    assert err.startswith("error: mine.yaml:5: tasks[0]")
    assert said in err
    assert "\n  " in err  # a remedy


def test_an_environment_that_cannot_be_made_says_all_that_is_known(odd: Callable[..., str]) -> None:
    def broken(**_: Any) -> Odd:
        try:
            raise OSError("libodd.so is not there")
        except OSError as error:
            raise gymnasium.error.DependencyNotInstalled("Odd is not installed, run `pip install odd`") from error

    gymnasium.register(ID, entry_point=broken, max_episode_steps=5)
    with pytest.raises(TaskError, match=r"pip install odd`; because of OSError: libodd\.so is not there"):
        catalogue.task(f"gym/{ID}")
    gymnasium.registry.pop(ID)
    gymnasium.register(ID, entry_point=lambda: {}["key"], max_episode_steps=5)
    with pytest.raises(TaskError, match="KeyError"):
        catalogue.task(f"gym/{ID}")


@pytest.mark.filterwarnings("error")
def test_bounds_of_double_precision_become_infinite_without_a_warning(odd: Callable[..., str]) -> None:
    most = np.finfo(np.float64).max
    space = spaces.Box(np.array([-most, -1.0]), np.array([most, 1.0]), dtype=np.float64)
    task = catalogue.task(odd(observation_space=space, first=np.zeros(2), observation=np.zeros(2)))
    assert task.observation_space.low.tolist() == [-np.inf, -1.0]
    assert task.observation_space.high.tolist() == [np.inf, 1.0]


@pytest.mark.parametrize(("low", "high"), [(-np.inf, np.inf), (0.0, np.inf), (-np.finfo(np.float64).max, 1.0)])
def test_actions_without_bounds_are_refused_for_ppo_alone(
    odd: Callable[..., str], low: float, high: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = odd(action_space=spaces.Box(low, high, (1,), np.float64))
    suite = tmp_path / "mine.yaml"
    suite.write_text(
        f"name: mine\nseeds: 1\nbudget: {{env_steps: 10}}\ntasks: [{address}]\n"
        "algorithms:\n  - ppo-batched\n  - reinforce\n  - ppo\n"
    )
    code, _, err = run_here(capsys, "validate", str(suite))
    assert code == 4
    assert err.startswith(f"error: mine.yaml:8: algorithms[2]: ppo cannot be run on {address}")
    assert "only actions with finite bounds; ppo-batched needs none" in err
    for algorithm in ("reinforce", "ppo-batched"):
        assert train(address, algorithm, [0]).statuses() == {0: "done"}


def test_actions_are_numbered_as_the_environment_numbers_them(odd: Callable[..., str]) -> None:
    seen: set[int] = set()
    address = odd(action_space=spaces.Discrete(3, start=-1), reward=lambda env: seen.add(env.action) or 1.0)
    for algorithm in ALGORITHMS:
        seen.clear()
        train(address, algorithm, [0])
        assert seen == {-1, 0, 1}


MODULE = """
import gymnasium
import numpy as np


class Unwell(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.now = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.now += 1
        reward = np.array([np.nan]) if self.now == 4 else np.array([1.0])
        return np.zeros(2, np.float32), reward, self.now == 5, False, {}


gymnasium.register("Unwell-v0", entry_point=Unwell, max_episode_steps=9)
"""


def write_environment(folder: Path, module: str = MODULE) -> dict[str, str]:
    """Registers the environment whenever Python starts; the environment variables with which it does."""
    folder.mkdir()
    (folder / "unwell.py").write_text(module)
    (folder / "sitecustomize.py").write_text("import unwell\n")
    root = Path(__file__).parent.parent.parent
    return {"PYTHONPATH": f"{root}:{folder}", "OMP_NUM_THREADS": "1"}


def test_a_run_that_its_environment_fails_says_so(tmp_path: Path) -> None:
    environment = write_environment(tmp_path / "site")
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nseeds: 2\nbudget: {env_steps: 40}\ntasks: [gym/Unwell-v0]\n"
        "algorithms: [{use: reinforce, params: {trajectories: 2}}]\n"
    )
    done = run_apart("run", "mine.yaml", "--workers", "1", cwd=tmp_path, environment=environment)
    assert done.code == 2
    said = "EnvironmentFault: the environment gym/Unwell-v0 returned the reward nan at step 4 after reset(seed="
    assert said in done.out
    assert said in done.err
    assert "2 runs failed" in done.err
    for seed in (0, 1):
        (path,) = (tmp_path / "results" / "mine").rglob(f"seed-{seed}.json")
        record = json.loads(path.read_text())
        assert (record["status"], record["error"]["type"]) == ("failed", "EnvironmentFault")


LOUD = """
import logging
import warnings

import gymnasium
import numpy as np


class Loud(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self):
        print("PRINTED when made")
        warnings.warn("WARNED when made", DeprecationWarning, stacklevel=1)
        gymnasium.logger.warn("WARNED by gymnasium")
        logging.getLogger("loud").warning("LOGGED when made")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.now = 0
        warnings.warn("WARNED at reset", UserWarning, stacklevel=2)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.now += 1
        with warnings.catch_warnings():  # which forgets what has been shown
            warnings.simplefilter("ignore")
        warnings.warn("WARNED at a step", UserWarning, stacklevel=1)
        return np.zeros(2, np.float32), 1.0, self.now == 5, False, {}


gymnasium.register("Unwell-v0", entry_point=Loud, max_episode_steps=9)
"""


@pytest.mark.slow
def test_what_libraries_warn_of_is_in_the_runs_log_once_and_on_no_terminal(tmp_path: Path) -> None:
    environment = write_environment(tmp_path / "site", LOUD)
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nseeds: 2\nbudget: {env_steps: 40}\ntasks: [gym/Unwell-v0]\n"
        "algorithms: [{use: reinforce, params: {trajectories: 2}}]\n"
    )
    for command in ("validate mine.yaml", "describe gym/Unwell-v0", "run mine.yaml --workers 1", "report results/mine"):
        done = run_apart(*command.split(), cwd=tmp_path, environment=environment)
        assert done.code == 0
        for word in ("WARN", "PRINTED", "LOGGED"):
            assert word not in done.out + done.err
    (log,) = (tmp_path / "results" / "mine").rglob("*.log")
    said = log.read_text()
    for warning in ("WARNED by gymnasium", "WARNED at reset", "WARNED at a step"):
        assert said.count(f"Warning: {warning}") + said.count(f"WARN: {warning}") == 1, said
