"""EnvPool's environments against gymnasium's, and the promise that seeds do not disturb each other."""

import importlib.util
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from identity_support import code
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from test_tasks import random_actions, returns_of, streams
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.tasks.environments.gym import REFERENCES

needs_envpool = pytest.mark.skipif(
    importlib.util.find_spec("envpool") is None, reason="EnvPool is not installed (extra envpool)"
)
ADDRESSES = ["envpool/Acrobot-v1", "envpool/FrozenLake-v1", "envpool/Pendulum-v1"]


def test_without_envpool_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(TaskError, match=r"pip install 'haepo-bench\[envpool\]', or use gym/"):
        catalogue.task("noise(envpool/CartPole-v1,1)")


@needs_envpool
@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("envpool/CatPole-v1", "did you mean 'envpool/CartPole-v1'"),
        ("envpool/CliffWalking-v1", "give the task a time_limit"),
        ("envpool/MiniGrid-Empty-5x5-v0", "observations of kind Dict"),
    ],
)
def test_bad_addresses(address: str, says: str) -> None:
    with pytest.raises(TaskError, match=says):
        catalogue.task(address)


@needs_envpool
def test_cartpole_moves_as_gymnasiums_does() -> None:
    """Whole episodes from the same start; EnvPool's numbers have single precision."""
    task = catalogue.task("envpool/CartPole-v1")
    vector = task.vector(20)
    shown = vector.reset(streams(0))[0]
    others = [gymnasium.make("CartPole-v1", disable_env_checker=True).unwrapped for _ in range(20)]
    for k, other in enumerate(others):
        other.reset(seed=0)
        other.state = shown[k].astype(np.float64)
    live, rng = np.ones((1, 20), bool), np.random.default_rng(0)
    for _ in range(task.horizon):
        actions = rng.integers(2, size=(1, 20))
        step = vector.step(actions, live)
        for k in np.flatnonzero(live):
            observation, reward, terminated, _, _ = others[k].step(int(actions[0, k]))
            np.testing.assert_allclose(step.observations[0, k], observation, atol=1e-4)
            assert (step.rewards[0, k], step.terminated[0, k]) == (reward, terminated)
        live = live & ~(step.terminated | step.truncated)
        if not live.any():
            break
    assert not live.any()


@needs_envpool
@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_references_hold(name: str) -> None:
    """The uniform policy's mean return over 1,000 episodes lies within 4 standard errors, of both, of the reference,
    found from 10,000 of gymnasium's; the error is no less than that of one episode that reaches the goal.
    """
    task = catalogue.task(f"envpool/{name}")
    rng = np.random.default_rng(2)
    measured = returns_of(task, lambda o, t: random_actions(task, o.shape[:2], rng), streams(0), 1000)
    one = (task.references.solved - task.references.random) / 1000
    error = max(measured.std() * (1 / 1000 + 1 / 10_000) ** 0.5, one)
    assert task.references.random == pytest.approx(measured.mean(), abs=4 * error)
    assert task.horizon == gymnasium.spec(name).max_episode_steps


@needs_envpool
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_seed_sees_the_same_whoever_is_beside_it_and_whichever_episodes_still_live(address: str) -> None:
    """With ends, cut-offs and restarts on the way: seed 3 alone, among ten, and with others that never move."""
    task = catalogue.task(address, time_limit=15)
    actions = random_actions(task, (40, 10, 3), np.random.default_rng(3))

    def play(keys: list[int], still: tuple[int, ...] = ()) -> list[np.ndarray]:
        vector, row = task.vector(3), keys.index(3)
        seen = [vector.reset(streams(*keys))[row]]
        live = np.ones((len(keys), 3), bool)
        live[[keys.index(key) for key in still]] = False
        for t in range(40):
            step = vector.step(actions[t, keys], live)
            over = live & (step.terminated | step.truncated)
            started = np.zeros_like(step.observations)
            if over.any():
                started[over] = vector.restart(over, streams(*np.flatnonzero(over)))
            seen += [*(part[row] for part in step), over[row], started[row]]
        vector.close()
        return seen

    among = play(list(range(10)))
    assert sum(over.sum() for over in among[5::6]) >= 6, "every episode is cut off twice"
    for other in (play([3]), play([9, 3, 0]), play(list(range(10)), still=(0, 1, 2, 9))):
        for one, another in zip(among, other, strict=True):
            np.testing.assert_array_equal(one, another)


@needs_envpool
@pytest.mark.parametrize("algorithm", ["reinforce", "ppo-batched"])
def test_a_run_is_the_same_alone_and_among_others(algorithm: str) -> None:
    """Byte for byte in every column but the clock's."""
    among = train(algorithm, "envpool/CartPole-v1", list(range(10)), 600, 300)
    alone = train(algorithm, "envpool/CartPole-v1", [3], 600, 300)
    assert without_clocks(among[3]) == without_clocks(alone[3])
    assert without_clocks(among[3]) != without_clocks(among[2])


@needs_envpool
def test_a_time_limit_cuts_off_and_an_end_at_the_limit_is_an_end() -> None:
    ends = []
    for limit in (9, 10, 30):
        vector = catalogue.task("envpool/CartPole-v1", time_limit=limit).vector(20)
        vector.reset(streams(0))
        live, length, terminated = np.ones((1, 20), bool), np.zeros((1, 20), int), np.zeros((1, 20), bool)
        while live.any():
            step = vector.step(np.ones((1, 20), int), live)
            length += live
            terminated |= live & step.terminated
            assert not (step.terminated & step.truncated).any()
            live = live & ~(step.terminated | step.truncated)
        ends.append((length, terminated))
    natural, all_ended = ends[-1]
    assert all_ended.all()
    for limit, (length, terminated) in zip((9, 10), ends, strict=False):
        assert (length == np.minimum(natural, limit)).all()
        assert (terminated == (natural <= limit)).all()
    assert (natural == 9).any()


@needs_envpool
@pytest.mark.parametrize("address", [*ADDRESSES, "noise(envpool/Acrobot-v1,0.1)"])
@pytest.mark.filterwarnings("ignore:.*Box.*:UserWarning", "ignore::UserWarning:gymnasium")
def test_single_environments_pass_the_checkers(address: str) -> None:
    task = catalogue.task(address).training()
    check_env(task.environment(), skip_render_check=True)
    check_env_sb3(task.environment(), warn=False)


@needs_envpool
def test_what_steps_a_task_is_part_of_its_identity() -> None:
    assert catalogue.task("delayed(envpool/CartPole-v1)").backend == "envpool"
    assert "package envpool" in code("reinforce", "scale(envpool/CartPole-v1,2)")
    assert "package envpool" not in code("reinforce", "gym/CartPole-v1")
