"""`normalise` of a task: the statistics of VecNormalize, each seed its own, and evaluations that report raw returns."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from cli_support import run_apart, run_here
from gymnasium.envs.classic_control import PendulumEnv
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.engine import library
from haepo_bench.tasks.base import Normalise, Task
from haepo_bench.training.normalisation import DISCOUNT, Normalisation, NormalisedEnvironment
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.streams import hashed_seed, stream

BOTH = Normalise(True, True)
ENGINES = ["torch", *(["compiled"] if library.status().library is not None else [])]


def asked(address: str, what: Normalise = BOTH, **options: Any) -> Task:
    task = catalogue.task(address, **options)
    task.normalise = what
    return task


class Theirs:
    """What Stable-Baselines3 counts of one seed's episodes, each step's living ones as one batch."""

    def __init__(self, episodes: int, features: int) -> None:
        self.observations, self.returns = RunningMeanStd(shape=(features,)), RunningMeanStd(shape=())
        self.discounted = np.zeros(episodes)

    def step(self, observations: np.ndarray, rewards: np.ndarray, live: np.ndarray, over: np.ndarray) -> np.ndarray:
        """Normalised rewards of the episodes that lived."""
        if (live & ~over).any():
            self.observations.update(observations[live & ~over])
        self.discounted = DISCOUNT * self.discounted + np.where(live, rewards, 0.0)
        self.returns.update(self.discounted[live])
        return np.clip(rewards[live] / np.sqrt(self.returns.var + 1e-8), -10, 10)


@pytest.mark.parametrize(("address", "what"), [("gym/CartPole-v1", 0), ("gym/Pendulum-v1", 1), ("random-walk/5", 0)])
def test_whole_episodes_are_counted_as_vec_normalize_counts(address: str, what: int) -> None:
    """Two seeds, three batches of episodes of different lengths: statistics to 1e-12, what is shown to float32."""
    task = asked(address, time_limit=40) if address.startswith("gym") else asked(address)
    (F,), K, rng = task.observation_space.shape, 5, np.random.default_rng(7)
    ours = Normalisation(2, F, DISCOUNT, BOTH)
    shown_by, plain = NormalisedEnvironment(task.vector(K), ours), task.vector(K)
    theirs = [Theirs(K, F) for _ in range(2)]
    for batch in range(3):
        streams = [[stream("environment", seed, batch) for seed in range(2)] for _ in range(2)]
        shown, raw = shown_by.reset(streams[0]), plain.reset(streams[1])
        received, live = np.zeros((2, K)), np.ones((2, K), bool)
        for seed, own in enumerate(theirs):
            own.discounted[:] = 0
            own.observations.update(raw[seed])
        while live.any():
            for seed, own in enumerate(theirs):
                moments = own.observations
                expected = np.clip((raw[seed] - moments.mean) / np.sqrt(moments.var + 1e-8), -10, 10)
                np.testing.assert_allclose(shown[seed][live[seed]], expected[live[seed]], rtol=2e-6, atol=2e-6)
            space = task.action_space
            space.seed(int(rng.integers(2**31)))
            actions = np.array([[space.sample() for _ in range(K)] for _ in range(2)])
            seen, step = shown_by.step(actions, live), plain.step(actions, live)
            over = step.terminated | step.truncated
            for seed, own in enumerate(theirs):
                if live[seed].any():
                    paid = own.step(step.observations[seed], step.rewards[seed], live[seed], over[seed])
                    np.testing.assert_allclose(seen.rewards[seed][live[seed]], paid, rtol=1e-6)
            received += np.where(live, step.rewards, 0)
            shown, raw, live = seen.observations, step.observations, live & ~over
        np.testing.assert_allclose(shown_by.measures()["train_return"], received, rtol=1e-12)
    arrays = ours.arrays()
    for seed, own in enumerate(theirs):
        for name, moments in (("observations", own.observations), ("returns", own.returns)):
            np.testing.assert_allclose(arrays[f"{name}_mean"][seed], moments.mean, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(arrays[f"{name}_variance"][seed], moments.var, rtol=1e-12, atol=1e-12)
            assert arrays[f"{name}_count"][seed] == pytest.approx(moments.count)


def test_statistics_go_on_from_their_arrays() -> None:
    task, rng = asked("gym/Pendulum-v1"), np.random.default_rng(0)
    first, second = (Normalisation(3, 3, 0.9, task.normalise or BOTH) for _ in range(2))
    first.observe(rng.normal(size=(3, 4, 3)))
    first.rewards(rng.normal(size=(3, 4)), np.zeros((3, 4)), np.zeros((3, 4), bool))
    second.restore(first.arrays())
    x, r = rng.normal(size=(3, 4, 3)), rng.normal(size=(3, 4))
    for one in (first, second):
        one.keep([2, 0])
        one.observe(x[:2])
    np.testing.assert_array_equal(first.observations(x[:2]), second.observations(x[:2]))
    nothing = np.zeros((2, 4)), np.zeros((2, 4), bool)
    np.testing.assert_array_equal(first.rewards(r[:2], *nothing)[0], second.rewards(r[:2], *nothing)[0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("name", "address", "settings"),
    [
        ("reinforce", "gym/CartPole-v1", {"trajectories": 5}),
        ("haepo-weighted", "gym/Pendulum-v1", {"score": "ratio", "trajectories": 3, "hidden": [7]}),
        ("a2po", "random-walk/5", {"trajectories": 3, "reference": 2}),
        ("calibrl", "corridor/8", {"trajectories": 4}),
        ("ppo-batched", "gym/Acrobot-v1", {"n_envs": 3, "n_steps": 60}),
    ],
)
def test_a_seed_has_its_own_statistics(name: str, address: str, settings: dict[str, Any], engine: Any) -> None:
    """The same bytes alone and among others, whose episodes are longer or shorter."""
    if engine == "compiled" and "/Cart" not in address and name != "ppo-batched":
        pytest.skip("one of each loop is enough")
    task = asked(address, time_limit=40) if address.startswith("gym") else asked(address)
    budget = 600

    def trained(seeds: list[int]) -> dict[int, Any]:
        algorithm = catalogue.algorithm(name).configure(settings, task)
        algorithm.engine = engine
        return train(algorithm, task, seeds, budget, 300)

    among, alone, others = trained([0, 1, 2]), trained([1]), trained([2, 1])
    assert without_clocks(among[1]) == without_clocks(alone[1]) == without_clocks(others[1])
    assert without_clocks(among[2]) == without_clocks(others[2])
    assert {result.status for result in among.values()} == {"done"}


def forward(policy: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    x = np.clip((x - policy["observation_mean"]) / np.sqrt(policy["observation_variance"] + 1e-8), -10, 10)
    layers = sum(name.startswith("weight_") for name in policy)
    for layer in range(layers):
        x = x @ policy[f"weight_{layer}"].T.astype(float) + policy[f"bias_{layer}"]
        x = np.tanh(x) if layer < layers - 1 else x
    return x


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["reinforce", "ppo-batched"])
def test_evaluation_is_raw_and_by_frozen_statistics(name: str, engine: Any) -> None:
    """The greedy return at the budget is that of the kept weights and statistics in the task itself."""
    task, kept, results = asked("gym/Pendulum-v1", time_limit=50), {}, []
    recorder = Recorder(
        [5], budget=1600, every=800, episodes=3,
        on_finished=results.append, on_policy=lambda seed, state: kept.update({seed: dict(state)}),
    )  # fmt: skip
    algorithm = catalogue.algorithm(name).configure({"use_sde": False} if name == "ppo" else {}, task)
    algorithm.engine = engine
    algorithm.train(task, [5], recorder, device="cpu")
    environment, live, returns = task.vector(6), np.ones((1, 6), bool), np.zeros((1, 6))
    shown = environment.reset([stream("evaluation", 5, 2)])
    for _ in range(50):
        action = np.clip(forward(kept[5], shown), -2, 2).astype(np.float32)
        step = environment.step(action, live)
        returns += step.rewards
        shown = step.observations
    greedy = results[0].curve["eval_return_greedy"][-1]
    assert greedy == pytest.approx(returns[0, 3:].mean(), rel=1e-4)
    assert greedy < -100  # the task's own scale: normalised rewards of 50 steps would be far smaller


@pytest.mark.parametrize("name", ["ppo", "ppo-batched"])
def test_the_task_and_the_setting_mean_the_same(name: str) -> None:
    """`normalise` of the task is what `normalize` of PPO is, byte for byte; and half of it is not."""
    plain = catalogue.task("gym/Acrobot-v1", time_limit=60)
    own = {"n_envs": 2, "n_steps": 32, "n_epochs": 2}
    by_setting = train(name, plain, [0], 130, 65, normalize=True, **own)[0]
    without = train(name, plain, [0], 130, 65, normalize=False, **own)[0]
    found = {
        what: train(name, asked("gym/Acrobot-v1", what, time_limit=60), [0], 130, 65, **own)[0]
        for what in (BOTH, Normalise(True, False), Normalise(False, True))
    }
    assert without_clocks(found[BOTH]) == without_clocks(by_setting)
    curves = [json.dumps(without_clocks(one)) for one in (without, *found.values())]
    assert len(set(curves)) == 4


def test_training_returns_are_raw_for_all() -> None:
    """Every return of CartPole is a length, and never a normalised sum."""
    task = asked("gym/CartPole-v1")
    for name, own in (("reinforce", {"trajectories": 2}), ("ppo-batched", {}), ("ppo", {}), ("uniform", {})):
        curve = train(name, task, [0], 200, 20, **own)[0].curve
        if name == "reinforce":
            assert all((2 * value).is_integer() for value in curve["train_return"][1:3])
        assert min(curve["train_return"]) >= 8


SUITE = """
name: equal
seeds: 2
budget: {{env_steps: 300}}
evaluation: {{every: 300, episodes: 2}}
tasks:
  - {{id: gym/Pendulum-v1, time_limit: 50, normalise: {normalise}}}
  - {{id: gym/Pendulum-v1, time_limit: 50, name: plain}}
algorithms:
  - {{use: reinforce, params: {{trajectories: 3}}}}
  - {{use: ppo, params: {{n_envs: 2, n_steps: 64, n_epochs: 2, use_sde: false{more}}}}}
  - {{use: ppo-batched, params: {{n_epochs: 2}}}}
  - uniform
"""


def test_a_suite_normalises_for_all_alike(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE.format(normalise="{observations, rewards}", more=""))
    done = run_apart("run", "s.yaml", "--workers", "1", cwd=tmp_path)
    assert done.code == 0, done.err
    records = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("seed-1.json")]
    assert len(records) == 8
    for record in records:
        task = record["settings"]["task"]
        assert record["status"] == "done"
        if record["task"] == "plain":
            assert "inputs" not in task
        else:
            assert json.loads(task["inputs"]["normalise"]) == {"observations": True, "rewards": True}
        assert all(-1000 < value < -5 for value in record["curve"].get("train_return", []) if value)
    finals = {(r["algorithm"], r["task"]): r["final"]["eval_return"] for r in records}
    assert finals["uniform", "plain"] == finals["uniform", "gym/Pendulum-v1"]
    assert finals["reinforce", "plain"] != finals["reinforce", "gym/Pendulum-v1"]


def test_validate_says_what_is_normalised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.format(normalise="{rewards: false}", more=""))
    done = run_here(capsys, "validate", str(path))
    assert done.code == 0, done.err
    assert (
        "gym/Pendulum-v1 300 training steps, episodes of at most 50, evaluated every 300 with 2 episodes, training"
        in (" ".join(done.out.split()))
    )
    assert "with normalised observations" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("normalise", "more", "said"),
    [
        ("{observations: false, rewards: false}", "", "nothing is normalised"),
        ("{}", ", normalize: true", "says itself what is normalised, for all algorithms alike"),
        ("{epsilon: 1}", "", "epsilon"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], normalise: str, more: str, said: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SUITE.format(normalise=normalise, more=more))
    done = run_here(capsys, "validate", str(path))
    assert done.code == 4
    assert said in done.err
    assert "s.yaml:7" in done.err or "s.yaml:11" in done.err


def test_language_tasks_have_nothing_to_normalise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: s\nseeds: 1\nbudget: {env_steps: 64}\ntasks: [{id: lm/arithmetic, normalise: {}}]\nalgorithms: [grpo]\n"
    )
    done = run_here(capsys, "validate", str(path))
    assert done.code == 4
    assert "tasks[0].normalise" in done.err
    assert "neither is normalised" in done.err


class _Returns(BaseCallback):
    """Returns of training episodes, and env steps at their ends."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, float]] = []

    def _on_step(self) -> bool:
        self.found += [(self.num_timesteps, info["episode"]["r"]) for info in self.locals["infos"] if "episode" in info]
        return True


def test_ppo_is_what_stable_baselines3_does_by_itself() -> None:
    """The same seed gives the same training returns, update after update, as VecNormalize and PPO without us."""
    gymnasium.register("Swing-v0", entry_point=PendulumEnv, max_episode_steps=50)
    try:
        task = asked("gym/Swing-v0")
        assert task.backend == "gymnasium"
        sizes = {"n_steps": 100, "batch_size": 50, "n_epochs": 3, "gamma": 0.9, "learning_rate": 1e-3}
        curve = train("ppo", task, [4], 1000, 200, n_envs=2, **sizes)[4].curve
        alone = VecNormalize(DummyVecEnv([lambda: Monitor(gymnasium.make("Swing-v0"))] * 2), gamma=0.9)
        callback, sb3_seed = _Returns(), hashed_seed("ppo", 4)
        PPO("MlpPolicy", alone, seed=sb3_seed, device="cpu", **sizes).learn(1000, callback)
    finally:
        gymnasium.registry.pop("Swing-v0")
    # A point has the episodes of the update that crosses it: the first point those of the first 200 steps.
    for start, ours in zip(range(0, 1000, 200), curve["train_return"], strict=False):
        theirs = np.mean([value for steps, value in callback.found if start < steps <= start + 200])
        assert ours == pytest.approx(theirs, rel=1e-9)
    assert len(set(curve["train_return"])) > 4
