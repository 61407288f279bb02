"""Tasks against gymnasium, against exact calculations, and the promise that seeds do not disturb each other."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from haepo_bench import catalogue
from haepo_bench.errors import TaskError, UnknownName
from haepo_bench.tasks.bandit.arms import VARIANTS
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.environments.classic_control import ARRAY_ENVIRONMENTS
from haepo_bench.tasks.environments.gym import REFERENCES
from haepo_bench.tasks.finite.random_walk import uniform_return

BANDITS = [f"bandit/{variant}" for variant in VARIANTS]
OWN = [*BANDITS, "random-walk/20", "gym/CartPole-v1", "gym/Pendulum-v1", "gym/MountainCarContinuous-v0"]


def streams(*keys: int) -> list[np.random.Generator]:
    return [np.random.default_rng(key) for key in keys]


def random_actions(task: Task, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if isinstance(task.action_space, spaces.Discrete):
        return rng.integers(task.action_space.n, size=shape)
    low, high = task.action_space.low, task.action_space.high
    return rng.uniform(low, high, (*shape, *low.shape)).astype(np.float32)


def returns_of(task: Task, policy, seeds: list[np.random.Generator], trajectories: int) -> np.ndarray:
    """Returns [seed, trajectory] of `policy(observations, step)`."""
    vector = task.vector(trajectories)
    observations = vector.reset(seeds)
    live = np.ones(observations.shape[:2], bool)
    total = np.zeros(live.shape)
    for t in range(task.horizon):
        step = vector.step(policy(observations, t), live)
        total += np.where(live, step.rewards, 0.0)
        live &= ~(step.terminated | step.truncated)
        observations = step.observations
        if not live.any():
            break
    assert not live.any(), "the horizon ends every episode"
    vector.close()
    return total


@pytest.mark.parametrize("name", sorted(ARRAY_ENVIRONMENTS))
def test_array_environments_step_as_gymnasium_does(name):
    """10,000 random steps, each from the same state as gymnasium's own environment, on the way through 50 episodes."""
    task = catalogue.task(f"gym/{name}")
    vector = task.vector(50)
    vector.reset(streams(0))
    inner = gymnasium.make(name, disable_env_checker=True).unwrapped
    inner.reset(seed=0)
    rng = np.random.default_rng(1)
    for _ in range(200):
        before = vector.state[:, 0].T.copy()
        actions = random_actions(task, (1, 50), rng)
        step = vector.step(actions, np.ones((1, 50), bool))
        for k in range(50):
            inner.state = before[k].copy()
            inner.steps_beyond_terminated = None
            observation, reward, terminated, _, _ = inner.step(actions[0, k])
            np.testing.assert_allclose(step.observations[0, k], observation, rtol=1e-6, atol=1e-6)
            np.testing.assert_allclose(vector.state[:, 0, k], inner.state, atol=1e-11)
            assert step.rewards[0, k] == pytest.approx(float(reward), abs=1e-6)
            assert step.terminated[0, k] == terminated
        if step.terminated.any():
            vector.reset([rng])


@pytest.mark.parametrize("name", sorted(ARRAY_ENVIRONMENTS))
def test_array_environments_start_as_gymnasium_does(name):
    """Start states fill the same range: extremes of 2,000 draws lie within 1 % of gymnasium's range of each other."""
    vector = catalogue.task(f"gym/{name}").vector(2000)
    vector.reset(streams(0))
    ours = vector.state[:, 0].T
    inner = gymnasium.make(name, disable_env_checker=True).unwrapped
    theirs = np.array([(inner.reset(seed=s), np.array(inner.state))[1] for s in range(2000)])
    span = np.ptp(theirs, axis=0)
    np.testing.assert_allclose(ours.min(0), theirs.min(0), atol=float(span.max()) * 0.01)
    np.testing.assert_allclose(ours.max(0), theirs.max(0), atol=float(span.max()) * 0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_random_references(name):
    """The uniform policy's mean return lies within 4 standard errors, of both, of one found from 10,000 episodes.

    Over 2,000 episodes, or 200 where gymnasium steps them one after the other; the standard error is no less than that
    of one episode that reaches the goal, which may be too rare to be seen.
    """
    task = catalogue.task(f"gym/{name}")
    rng = np.random.default_rng(2)
    each = 1000 if task.backend == "array" else 100
    measured = returns_of(task, lambda o, t: random_actions(task, o.shape[:2], rng), streams(*range(2)), each)
    one = (task.references.solved - task.references.random) / measured.size
    error = max(measured.std() * (1 / measured.size + 1 / 10_000) ** 0.5, one)
    assert task.references.random == pytest.approx(measured.mean(), abs=4 * error)
    if "threshold" in task.references.source:
        assert task.references.solved == gymnasium.spec(name).reward_threshold


def test_random_walk_returns():
    task = catalogue.task("random-walk/20")
    always_right = returns_of(task, lambda o, t: np.ones(o.shape[:2], int), streams(0), 3)
    assert (always_right == task.references.solved).all()
    always_left = returns_of(task, lambda o, t: np.zeros(o.shape[:2], int), streams(0), 3)
    assert (always_left == 0.1).all()
    rng = np.random.default_rng(0)
    uniform = returns_of(task, lambda o, t: rng.integers(2, size=o.shape[:2]), streams(0), 40_000)
    assert uniform.mean() == pytest.approx(task.references.random, abs=4 * uniform.std() / 200)
    # Carried forward step by step, without the closed form.
    for states, horizon in ((4, 1), (5, 7), (20, 100), (33, 40)):
        at, expected = np.eye(states)[1], 0.0
        for _ in range(horizon):
            moved = np.convolve(at, [0.5, 0, 0.5])[1:-1]
            expected += 0.1 * moved[0] + moved[-1]
            moved[[0, -1]] = 0
            at = moved
        assert uniform_return(states, horizon) == pytest.approx(expected, abs=1e-12)
    # Without a time limit the far end is reached with probability 1/(n-1), by the gambler's ruin.
    assert uniform_return(20, 100_000) == pytest.approx(1 / 19 + 0.1 * 18 / 19)


def test_random_walk_is_truncated_not_terminated_at_its_time_limit():
    vector = catalogue.task("random-walk/20", time_limit=4).vector(1)
    vector.reset(streams(0))
    for t, action in enumerate([1, 0, 1, 0]):
        step = vector.step(np.array([[action]]), np.ones((1, 1), bool))
        assert not step.terminated.any()
        assert step.truncated.all() == (t == 3)
    assert vector.visited().tolist() == [[1]]


@pytest.mark.parametrize("address", OWN)
def test_a_seed_sees_the_same_whoever_is_beside_it_and_whichever_episodes_still_live(address):
    task = catalogue.task(address)
    rng = np.random.default_rng(3)
    actions = random_actions(task, (12, 3, 2), rng)

    def play(keys: list[int]) -> list[np.ndarray]:
        vector = task.vector(2)
        seen = [vector.reset(streams(*keys))]
        live = np.ones((len(keys), 2), bool)
        for t in range(12):
            step = vector.step(actions[t, keys], live)
            seen += [np.where(live[..., None], step.observations, 0), np.where(live, step.rewards, 0)]
            live = live & ~(step.terminated | step.truncated)
        vector.close()
        return seen

    together = play([0, 1, 2])
    for keys in ([1], [2, 0]):
        for full, part in zip(together, play(keys), strict=True):
            np.testing.assert_array_equal(full[keys], part)


@pytest.mark.parametrize("address", OWN)
@pytest.mark.filterwarnings("ignore:.*Box.*:UserWarning", "ignore::UserWarning:gymnasium")
def test_single_environments_pass_the_checkers(address):
    check_env(catalogue.task(address).environment(), skip_render_check=True)
    check_env_sb3(catalogue.task(address).environment(), warn=False)


def test_discrete_observations_become_one_hot():
    task = catalogue.task("gym/FrozenLake-v1")
    assert task.observation_space.shape == (16,)
    observation, _ = task.environment().reset(seed=0)
    assert observation.tolist() == [1.0] + [0.0] * 15


def test_frozen_lake_is_driven_by_one_hot_observations():
    """Actions by the shown state reach the goal of the map without ice; its state number is what is shown."""
    gymnasium.register(
        "FirmLake-v0",
        entry_point="gymnasium.envs.toy_text.frozen_lake:FrozenLakeEnv",
        max_episode_steps=20,
        kwargs={"map_name": "4x4", "is_slippery": False},
    )
    way = np.zeros(16, int)
    way[[0, 4]], way[[8, 13, 14]], way[9] = 1, 2, 1  # down, down, right, down, right, right: around the holes
    try:
        task = catalogue.task("gym/FirmLake-v0")
        returns = returns_of(task, lambda o, t: way[o.argmax(-1)], streams(0, 1), 2)
    finally:
        gymnasium.registry.pop("FirmLake-v0")
    assert (returns == 1).all()
    assert catalogue.task("gym/FrozenLake-v1").horizon == 100


def test_time_limits():
    short = catalogue.task("gym/CartPole-v1", time_limit=7)
    assert short.horizon == 7
    assert short.references is None
    always = returns_of(short, lambda o, t: np.full(o.shape[:2], t % 2), streams(0), 2)
    assert (always == 7).all()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("bandit", "without a variant"),
        ("bandit/11-arm", "did you mean 'bandit/10-arm'"),
        ("random-walk/two", "4 to 10000 states"),
        ("random-walk/3", "4 to 10000 states"),
        ("gym/CartPole-v9", "no environment"),
        ("gym/CatPole-v1", "did you mean 'gym/CartPole-v1'"),
        ("nothing/here", "known tasks"),
    ],
)
def test_bad_addresses(address, says):
    with pytest.raises((TaskError, UnknownName), match=says):
        catalogue.task(address)


def test_tuples_are_flattened():
    assert catalogue.task("gym/Blackjack-v1", time_limit=10).observation_space.shape == (32 + 11 + 2,)


def test_an_environment_without_a_time_limit_needs_one():
    gymnasium.register("Endless-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv")
    try:
        with pytest.raises(TaskError, match="give the task a time_limit"):
            catalogue.task("gym/Endless-v0")
        assert catalogue.task("gym/Endless-v0", time_limit=9).backend == "gymnasium"
    finally:
        gymnasium.registry.pop("Endless-v0")
