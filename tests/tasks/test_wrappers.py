"""Wrappers of tasks: what an address says, what training is paid and shown, and that evaluation stays clean."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3
from test_tasks import random_actions, returns_of, streams

from haepo_bench import catalogue
from haepo_bench.errors import TaskError, UnknownName
from haepo_bench.listed import Listed
from haepo_bench.results.record import References
from haepo_bench.tasks.address import WRAPPERS, canonical, parse
from haepo_bench.tasks.base import Step, Task, Uniform, VectorEnvironment

CLEAN = "gym/CartPole-v1"
NESTED = "noise(scale(gym/CartPole-v1,0.01),0.1)"


def play(task: Task, keys: list[int], steps: int, actions: np.ndarray) -> list[Step]:
    """Steps of two trajectories a seed; `actions` [step, seed, trajectory]; rewards of episodes that are over are 0."""
    vector = task.vector(2)
    vector.reset(streams(*keys))
    live = np.ones((len(keys), 2), bool)
    seen = []
    for t in range(steps):
        step = vector.step(actions[t], live)
        seen.append(
            step._replace(
                observations=np.where(live[..., None], step.observations, 0), rewards=np.where(live, step.rewards, 0)
            )
        )
        live = live & ~(step.terminated | step.truncated)
    vector.close()
    return seen


def rewards(steps: list[Step]) -> np.ndarray:
    """[step, seed, trajectory]."""
    return np.stack([step.rewards for step in steps])


class Counter(Task):
    """Pays 1, 2, 3, ... and shows the count of steps; everything that a task can say is said."""

    id, version, summary, tags, horizon = "test/counter", 3, "counts", ("length",), 6
    observation_space = spaces.Box(0.0, 6.0, (2,), np.float32)
    action_space = spaces.Discrete(3)
    references = References(random=1.0, solved=21.0, source="exact")
    states, goals, success_return, groups, backend = 7, (6,), 21.0, 2, "gymnasium"
    uniform = Uniform(steps=6.0, visits=np.ones(7), success=1.0)

    def vector(self, trajectories: int) -> VectorEnvironment:
        return Counting(trajectories)

    def grouped(self, trajectories: int) -> VectorEnvironment:
        return Counting(2 * trajectories)


class Counting(VectorEnvironment):
    closed = False

    def __init__(self, trajectories: int) -> None:
        self.trajectories = trajectories

    def reset(self, streams):
        self.time = np.zeros((len(streams), self.trajectories), int)
        return self.show()

    def restart(self, where, streams):
        self.time[where] = 0
        return self.show()[where]

    def step(self, actions, live):
        self.time = self.time + live
        return Step(self.show(), self.time * 1.0, self.time == 6, np.zeros_like(live))

    def show(self):
        return np.stack([self.time, 6 - self.time], -1).astype(np.float32)

    def visited(self):
        return self.time

    def measures(self):
        return {"count": self.time * 1.0}

    def close(self):
        Counting.closed = True


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The family `test`, whose only task is the counter."""
    monkeypatch.setitem(catalogue.TASKS, "test", Listed("test/counter", "counts", "test_wrappers:make"))
    monkeypatch.setattr(Counting, "closed", False)


def make(variant: str, *, time_limit: int | None = None) -> Task:
    assert variant == "counter"
    return Counter()


@pytest.mark.parametrize(
    ("written", "spelling"),
    [
        ("noise(gym/CartPole-v1, 5e-1)", "noise(gym/CartPole-v1,0.5)"),
        ("noise( scale(gym/CartPole-v1 , .010), 1)", "noise(scale(gym/CartPole-v1,0.01),1)"),
        ("scale(gym/CartPole-v1,1e3)", "scale(gym/CartPole-v1,1000)"),
        ("noise(gym/CartPole-v1,-0)", "noise(gym/CartPole-v1,0)"),
        ("window(delayed(random-walk/20),4.0)", "window(delayed(random-walk/20),4)"),
        ("noise(maze/f(1,2),+1)", "noise(maze/f(1,2),1)"),
        ("gym/CartPole-v1", "gym/CartPole-v1"),
        ("noise(gym/CartPole-v1,", "noise(gym/CartPole-v1,"),
    ],
)
def test_one_spelling(written, spelling):
    assert canonical(written) == spelling
    assert canonical(spelling) == spelling


def test_numbers_survive_their_spelling():
    for value in (0.1, 1 / 3, 1e-300, 123456.789, 1e6):
        (layer,) = parse(f"noise(a/b,{value!r})").layers
        assert layer.value == value
        assert parse(layer.around("a/b")).layers == (layer,)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        (
            "noise(gym/CartPole-v1)",
            r"noise takes a task and sigma: noise\(<task>,<sigma>\)\n.*noise\(gym/CartPole-v1,0",
        ),
        ("noise(scale(gym/CartPole-v1,2))", "noise takes a task and sigma"),
        ("noise(gym/CartPole-v1,1,2)", "noise takes a task and sigma"),
        ("delayed(gym/CartPole-v1,2)", "delayed takes a task and nothing else"),
        ("noise(gym/CartPole-v1,0.5", "a bracket that is not closed\n.*needs quotes"),
        ("noise(gym/CartPole-v1,1)x", "goes on behind its closing bracket\n  remove 'x'"),
        ("nose(gym/CartPole-v1,1)", "unknown wrapper 'nose'\n  did you mean 'noise'"),
        ("noise(,1)", "wraps no task"),
        ("noise(gym/CartPole-v1,-1)", "sigma is a number from 0 to 1000000, not '-1'"),
        ("scale(gym/CartPole-v1,0)", "factor is a number from 0.001 to 1000, not '0'"),
        ("scale(gym/CartPole-v1,nan)", "not 'nan'"),
        ("scale(gym/CartPole-v1,1_0)", "not '1_0'"),
        ("window(gym/CartPole-v1,1.5)", "n is a whole number from 1 to 1000, not '1.5'"),
        ("delayed(gym/CatPole-v1)", "did you mean 'gym/CartPole-v1'"),
        ("delayed(delayed)", "unknown task 'delayed'"),
        ("delayed(bandit)", "names a family without a variant"),
        ("delayed(" * 9 + "bandit/10-arm" + ")" * 9, "more than 8 wrappers"),
        ("delayed(" * 100_000, "not closed"),
        ("normalised(gym/CartPole-v1)", "no finite bounds for its observations 1, 3"),
        ("window(random-walk/1000,1000)", "allows windows up to 100"),
    ],
    ids=lambda text: text[:40],
)
def test_bad_addresses(address, says):
    with pytest.raises((TaskError, UnknownName), match=says):
        catalogue.task(address)


def test_a_proxy_needs_bounded_actions():
    gymnasium.register("Unbounded-v0", entry_point=Unbounded, max_episode_steps=5)
    try:
        with pytest.raises(TaskError, match="actions from -inf to inf"):
            catalogue.task("proxy(gym/Unbounded-v0,1)")
    finally:
        gymnasium.registry.pop("Unbounded-v0")


class Unbounded(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (1,))
    action_space = spaces.Box(-np.inf, np.inf, (1,))


@pytest.mark.usefixtures("counter")
@pytest.mark.parametrize("wrapper", sorted(WRAPPERS))
def test_what_a_wrapper_does_not_change_is_the_inner_tasks(wrapper):
    signature = WRAPPERS[wrapper]
    address = signature.example.replace("gym/CartPole-v1", "test/counter")
    task = catalogue.task(address)
    changed = {"id", "summary", "tags", "observation_space", *(["flip"] if wrapper == "flip" else [])}
    for one in (task, task.training(), task.training().training()):
        # Pairs are flipped by the trainer, not by an environment.
        assert one.id == address or (wrapper == "flip" and one is not task)
        for name in set(Task.__annotations__) - changed:
            assert getattr(one, name) is getattr(Counter, name), name
        assert set(one.tags) >= {"length"}
        assert one.vector(3).reset(streams(0)).shape[:2] == (1, 3)
        environment = one.grouped(3)
        assert environment.reset(streams(0)).shape[:2] == (1, 6)
        step = environment.step(np.zeros((1, 6), int), np.ones((1, 6), bool))
        assert step.observations.shape[2:] == one.observation_space.shape
        assert environment.visited().tolist() == [[1] * 6]
        assert environment.measures()["count"].tolist() == [[1.0] * 6]
        environment.close()
        assert Counting.closed
        Counting.closed = False


@pytest.mark.parametrize("wrapper", [name for name in WRAPPERS if name not in {"window", "normalised"}])
def test_evaluation_sees_the_clean_task(wrapper):
    clean, task = catalogue.task(CLEAN), catalogue.task(WRAPPERS[wrapper].example)
    actions = random_actions(task, (30, 2, 2), np.random.default_rng(0))
    for ours, theirs in zip(play(task, [0, 1], 30, actions), play(clean, [0, 1], 30, actions), strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
    assert task.references == clean.references
    assert type(task.environment().unwrapped) is type(clean.environment().unwrapped)


@pytest.mark.parametrize("wrapper", [name for name in WRAPPERS if name not in {"window", "normalised", "flip"}])
def test_training_changes_rewards_and_nothing_else(wrapper):
    """Start states, observations and ends are those of the clean task with the same streams."""
    clean, task = catalogue.task(CLEAN), catalogue.task(WRAPPERS[wrapper].example).training()
    actions = random_actions(task, (30, 2, 2), np.random.default_rng(0))
    ours, theirs = play(task, [0, 1], 30, actions), play(clean, [0, 1], 30, actions)
    assert not np.array_equal(rewards(ours), rewards(theirs))
    for one, other in zip(ours, theirs, strict=True):
        for name in ("observations", "terminated", "truncated"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_noise_is_gaussian_and_fresh_at_every_step():
    """The mean of 40,000 draws lies within 4 standard errors of 0, their standard deviation within 4 of 0.5, and
    neighbours are uncorrelated to 4 standard errors: each fails for one seed in 16,000, and the seeds are fixed.
    """
    task = catalogue.task("noise(gym/Pendulum-v1,0.5)")
    actions = np.zeros((200, 1, 2, 1), np.float32)
    noise = np.concatenate(
        [rewards(play(task.training(), [seed], 200, actions)) - rewards(play(task, [seed], 200, actions))
         for seed in range(100)], 1
    )  # fmt: skip
    n = noise.size
    assert n == 40_000
    assert noise.mean() == pytest.approx(0, abs=4 * 0.5 / n**0.5)
    assert noise.std() == pytest.approx(0.5, abs=4 * 0.5 / (2 * n) ** 0.5)
    for axis in (0, 2):
        first, second = np.split(noise, [1], axis) if axis else (noise[:-1], noise[1:])
        assert np.corrcoef(first.ravel(), second.ravel())[0, 1] == pytest.approx(0, abs=4 / first.size**0.5)


def test_scale():
    task = catalogue.task("scale(random-walk/20,0.01)")
    right = returns_of(task.training(), lambda o, t: np.ones(o.shape[:2], int), streams(0), 2)
    assert right.tolist() == [[0.01, 0.01]]


@pytest.mark.usefixtures("counter")
def test_delayed_pays_the_whole_return_at_the_end():
    task = catalogue.task("delayed(test/counter)")
    paid = rewards(play(task.training(), [0], 6, np.zeros((6, 1, 2), int)))
    assert paid[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 21]
    cut = catalogue.task("delayed(gym/Pendulum-v1)", time_limit=4)
    actions = np.zeros((4, 1, 2, 1), np.float32)
    paid, clean = rewards(play(cut.training(), [0], 4, actions)), rewards(play(cut, [0], 4, actions))
    assert (paid[:3] == 0).all()
    np.testing.assert_allclose(paid[3], clean.sum(0))


def test_proxy_pays_for_the_first_action():
    task = catalogue.task("proxy(bandit/10-arm,2)")
    for arm in (0, 4):
        pull = np.full((1, 1, 2), arm)
        bonus = rewards(play(task.training(), [0], 1, pull)) - rewards(play(task, [0], 1, pull))
        np.testing.assert_allclose(bonus, 2 if arm == 0 else 0, atol=1e-9)
    task = catalogue.task("proxy(gym/Pendulum-v1,2)")
    for torque, share in ((-2.0, 0.0), (0.0, 0.5), (1.0, 0.75), (2.0, 1.0)):
        push = np.full((1, 1, 2, 1), torque, np.float32)
        bonus = rewards(play(task.training(), [0], 1, push)) - rewards(play(task, [0], 1, push))
        np.testing.assert_allclose(bonus, 2 * share, atol=1e-9)


def test_the_best_policy_for_a_proxy_is_not_the_best_policy():
    """On the walk, dithering beside the start earns 50 bonuses of 0.1 and misses the far reward of 1."""
    task = catalogue.task("proxy(random-walk/20,0.1)")

    def dither(observations: np.ndarray, t: int) -> np.ndarray:
        return np.full(observations.shape[:2], 1 - t % 2)

    def right(observations: np.ndarray, t: int) -> np.ndarray:
        return np.ones(observations.shape[:2], int)

    assert returns_of(task.training(), dither, streams(0), 1).item() == pytest.approx(5.0)
    assert returns_of(task.training(), right, streams(0), 1).item() == pytest.approx(1.0)
    assert returns_of(task, dither, streams(0), 1).item() == 0.0
    assert returns_of(task, right, streams(0), 1).item() == 1.0


def test_corruptions_nest_and_the_clean_return_is_measured():
    task, clean = catalogue.task(NESTED).training(), catalogue.task(CLEAN)
    actions = random_actions(task, (30, 2, 2), np.random.default_rng(0))
    paid, right = rewards(play(task, [0, 1], 30, actions)), rewards(play(clean, [0, 1], 30, actions))
    alone = rewards(play(catalogue.task("noise(gym/CartPole-v1,0.1)").training(), [0, 1], 30, actions))
    # Noise of 0.1 on rewards of 0.01, the same noise as on rewards of 1.
    np.testing.assert_allclose(paid - 0.01 * right, alone - right, atol=1e-12)
    for address in (
        NESTED,
        f"window({NESTED},3)",
        f"delayed(window({NESTED},3))",
        "scale(delayed(gym/CartPole-v1),10)",
    ):
        vector = catalogue.task(address).training().vector(2)
        vector.reset(streams(0, 1))
        live = np.ones((2, 2), bool)
        for t in range(30):
            step = vector.step(actions[t], live)
            live = live & ~(step.terminated | step.truncated)
        assert not live.any()
        assert (vector.measures()["clean_return"] == right.sum(0)).all(), address


@pytest.mark.parametrize("address", [NESTED, "noise(delayed(gym/CartPole-v1),1)", "window(noise(gym/CartPole-v1,1),3)"])
def test_restarted_episodes_depend_on_their_own_stream_only(address):
    """An episode that starts anew does as the same stream's does elsewhere, whoever is beside it, however late."""
    task = catalogue.task(address).training()

    def restarted(seeds: int, before: int, other: int) -> list[list[float]]:
        vector = task.vector(3)
        vector.reset(streams(*range(seeds)))
        live = np.ones((seeds, 3), bool)
        for _ in range(before):
            vector.step(np.zeros((seeds, 3), int), live)
        where = np.zeros((seeds, 3), bool)
        where[0, [0, 1]] = True
        first = vector.restart(where, streams(other, 77))
        seen = [first[1].tolist()]
        for t in range(8):
            step = vector.step(np.full((seeds, 3), t % 2), live)
            seen += [step.observations[0, 1].tolist(), step.rewards[0, 1].tolist()]
        assert vector.measures()["clean_return"][0, 1] == 8
        return seen

    assert restarted(1, 2, 5) == restarted(4, 7, 6)


@pytest.mark.usefixtures("counter")
def test_window_shows_the_last_observations():
    task = catalogue.task("window(test/counter,3)")
    assert task.training() is task
    vector = task.vector(1)
    first = vector.reset(streams(0))
    assert first.tolist() == [[[0, 0, 0, 0, 0, 6]]]
    live = np.ones((1, 1), bool)
    shown = [vector.step(np.zeros((1, 1), int), live).observations.tolist()[0][0] for _ in range(3)]
    assert shown == [[0, 0, 0, 6, 1, 5], [0, 6, 1, 5, 2, 4], [1, 5, 2, 4, 3, 3]]
    assert vector.restart(live, streams(1)).tolist() == [[0, 0, 0, 0, 0, 6]]
    assert vector.step(np.zeros((1, 1), int), live).observations.tolist() == [[[0, 0, 0, 6, 1, 5]]]
    assert first.tolist() == [[[0, 0, 0, 0, 0, 6]]], "what was handed out stays as it was"


@pytest.mark.usefixtures("counter")
def test_normalised_brings_observations_from_their_bounds_to_one():
    vector = catalogue.task("normalised(test/counter)").vector(1)
    assert vector.reset(streams(0)).tolist() == [[[-1, 1]]]
    live = np.ones((1, 1), bool)
    shown = [vector.step(np.zeros((1, 1), int), live).observations for _ in range(6)]
    np.testing.assert_allclose(np.array(shown)[:, 0, 0, 0], np.linspace(-1, 1, 7)[1:], atol=1e-6)
    task = catalogue.task("normalised(gym/MountainCar-v0)")
    position, _ = vector_start = task.vector(1).reset(streams(0))[0, 0]
    assert vector_start.dtype == np.float32
    assert -0.34 < position < -0.11  # starts lie in [-0.6, -0.4] of [-1.2, 0.6]


def test_a_wrapper_can_start_episodes_anew_exactly_where_the_inner_task_can():
    class Stubborn(Counting):
        restart = VectorEnvironment.restart

    for address in (NESTED, "window(delayed(random-walk/20),2)"):
        assert catalogue.task(address).training().vector(1).restarts
    task = catalogue.task("delayed(random-walk/20)").training()
    assert not task._wrap(Stubborn(1)).restarts


@pytest.mark.parametrize("address", [NESTED, "delayed(gym/FrozenLake-v1)", "window(proxy(gym/Pendulum-v1,1),2)"])
@pytest.mark.filterwarnings("ignore:.*Box.*:UserWarning", "ignore::UserWarning:gymnasium")
def test_single_environments_are_corrupted_too(address):
    task = catalogue.task(address).training()
    check_env(task.environment(), skip_render_check=True)
    check_env_sb3(task.environment(), warn=False)
    environment = task.environment()
    environment.reset(seed=1)
    over, returns, actions = False, 0.0, task.action_space
    actions.seed(0)
    while not over:
        _, reward, terminated, truncated, information = environment.step(actions.sample())
        over, returns = terminated or truncated, returns + reward
    environment.close()
    if address == NESTED:
        assert information["measures"]["clean_return"] >= 8
        assert abs(returns) < information["measures"]["clean_return"] / 4
    elif "delayed" in address:
        assert information["measures"]["clean_return"] == returns == reward
    else:
        assert information["measures"]["clean_return"] < returns < 0
