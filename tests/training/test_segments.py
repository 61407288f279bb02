"""Collecting segments: advantages, normalisation, and episodes that start anew by themselves."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from haepo_bench import catalogue
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.heads import Categorical
from haepo_bench.tasks.base import Normalise, Step, Task, VectorEnvironment
from haepo_bench.training.advantages import generalised_advantages
from haepo_bench.training.exploration import Exploration
from haepo_bench.training.normalisation import Normalisation, normalise
from haepo_bench.training.ppo_settings import SegmentSettings
from haepo_bench.training.segments.collector import SegmentCollector
from haepo_bench.training.streams import stream


def random_segment(rng: np.random.Generator, S: int, K: int, T: int) -> tuple[np.ndarray, ...]:
    """Rewards, values, last values, and ends in the middle and at the last step."""
    rewards, values = rng.normal(size=(2, S, K, T)).astype(np.float32)
    over = rng.random((S, K, T)) < 0.3
    over[0, 0, -1], over[0, 1, -1] = True, False
    assert over[:, :, :-1].any()
    return rewards, values, rng.normal(size=(S, K)).astype(np.float32), over


def test_advantages_equal_a_plain_sum():
    """A_t = sum_l (gamma lambda)^l delta_t+l up to the end of the episode or of the segment; in float64."""
    rewards, values, last, over = random_segment(np.random.default_rng(0), 2, 3, 12)
    gamma, lam = 0.9, 0.7
    ours = generalised_advantages(rewards, values, last, over, gamma=gamma, gae_lambda=lam)
    for s in range(2):
        for k in range(3):
            for t in range(12):
                expected, weight = 0.0, 1.0
                for u in range(t, 12):
                    following = float(values[s, k, u + 1]) if u < 11 else float(last[s, k])
                    following = 0.0 if over[s, k, u] else following
                    expected += weight * (float(rewards[s, k, u]) + gamma * following - float(values[s, k, u]))
                    weight *= gamma * lam
                    if over[s, k, u]:
                        break
                assert ours[s, k, t] == pytest.approx(expected, abs=1e-5)


def test_advantages_equal_stable_baselines3s():
    rewards, values, last, over = random_segment(np.random.default_rng(1), 1, 4, 20)
    buffer = RolloutBuffer(20, spaces.Box(0, 1, (1,)), spaces.Discrete(2), gamma=0.98, gae_lambda=0.8, n_envs=4)
    buffer.rewards[:], buffer.values[:] = rewards[0].T, values[0].T
    buffer.episode_starts[1:] = over[0].T[:-1]
    buffer.compute_returns_and_advantage(torch.from_numpy(last[0]), over[0, :, -1])
    ours = generalised_advantages(rewards, values, last, over, gamma=0.98, gae_lambda=0.8)
    np.testing.assert_allclose(ours[0].T, buffer.advantages, atol=1e-6)


def test_normalisation_is_vec_normalizes():
    """The same numbers from the same environments over 60 steps with episodes that end and are cut off."""
    task = catalogue.task("gym/CartPole-v1", time_limit=15)
    theirs = VecNormalize(DummyVecEnv([task.environment] * 3), gamma=0.9)
    theirs.seed(0)
    ours, discounted = Normalisation(1, 4, 0.9, Normalise(True, True)), np.zeros((1, 3))
    shown = theirs.reset()
    rng, ends = np.random.default_rng(0), 0
    for _ in range(60):
        raw = theirs.get_original_obs()[None]
        ours.observe(raw)
        np.testing.assert_array_equal(ours.observations(raw)[0], shown)
        frozen = normalise(ours.frozen(0)[None], torch.from_numpy(raw).transpose(1, 2))
        np.testing.assert_array_equal(frozen[0].T.numpy(), shown)
        shown, rewards, over, infos = theirs.step(rng.integers(2, size=3))
        ends += over.sum()
        paid, discounted = ours.rewards(theirs.get_original_reward()[None], discounted, over[None])
        np.testing.assert_array_equal(paid[0], rewards)
        for row in np.flatnonzero(over):
            assert infos[row]["terminal_observation"].shape == (4,)
    assert ends > 5


class Clock(Task):
    """Pays 1 a step and shows the step number and the stream's number of the episode; ends after 3 steps or is cut
    off after 5, whichever the action says: action 0 lets it end."""

    version, horizon, states = 1, 5, None
    id, summary = "test/clock", "test"
    observation_space, action_space = spaces.Box(0, 10, (2,), np.float32), spaces.Discrete(2)

    def vector(self, trajectories: int):
        class Clocks(VectorEnvironment):
            def reset(self, streams):
                self.time = np.zeros((len(streams), trajectories))
                self.name = np.array([[stream.random() for _ in range(trajectories)] for stream in streams])
                return self.observe()

            def restart(self, where, streams):
                self.time[where] = 0
                self.name[where] = [stream.random() for stream in streams]
                return self.observe()[where]

            def observe(self):
                return np.stack([self.time, self.name], -1).astype(np.float32)

            def step(self, actions, live):
                self.time += live
                ended = (self.time == 3) & (actions == 0)
                return Step(self.observe(), np.ones(live.shape), ended, ~ended & (self.time == 5))

        return Clocks()


@pytest.mark.parametrize("always", [0, 1])
def test_segments_go_on_where_they_stopped_and_bootstrap_only_where_cut_off(always):
    settings = SegmentSettings(n_envs=2, n_steps=7, gamma=0.5, gae_lambda=0.25)
    network = ActorCritic(2, (8,), Categorical(2))
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(2, sum(network.policy.sizes) + sum(network.value.sizes))).astype(np.float32)
    parameters[:, sum(network.policy.sizes) - network.policy.sizes[-1] - 2 :][:, :2] = [[40, -40], [-40, 40]][always]
    parameters = torch.from_numpy(parameters)
    folded = network.fold(parameters)
    collector = SegmentCollector(Clock(), network, settings, [5, 9], Exploration(Clock(), 2))
    length = 5 if always else 3
    t = 0
    episode = np.zeros((2, 2), int)
    for iteration in range(3):
        segments = collector.collect(parameters, iteration, 7)
        observations = segments.observations.view(2, 2, 2, 7).numpy()  # [seed, feature, environment, step]
        rewards, values = segments.rewards.view(2, 2, 7).numpy(), segments.values.view(2, 2, 7).numpy()
        over = np.zeros((2, 2, 7), bool)
        for step in range(7):
            assert (segments.actions.view(2, 2, 7)[:, :, step] == always).all()
            assert (observations[:, 0, :, step] == t % length).all()
            over[:, :, step] = (t + 1) % length == 0
            for s, seed in enumerate([5, 9]):
                first = stream("environment", seed).random(2).astype(np.float32)
                for k in range(2):
                    name = first[k]
                    if episode[s, k]:
                        name = np.float32(stream("environment", seed, k, int(episode[s, k])).random())
                    assert observations[s, 1, k, step] == name
                    last = torch.zeros(2, 2, 32)
                    last[s, :, 0] = torch.tensor([5.0, name])
                    bootstrapped = always and over[s, k, step]
                    cut = 0.5 * float(network.values(folded, last)[s, 0]) if bootstrapped else 0.0
                    assert rewards[s, k, step] == pytest.approx(1 + cut, abs=1e-6)
            episode += over[:, :, step]
            t += 1
        again = torch.zeros(2, 2, 32)
        again[:, :, :14] = segments.observations
        assert torch.allclose(network.values(folded, again)[:, :14], segments.values, atol=1e-6)
        following = torch.zeros(2, 2, 32)
        following[:, :, :2] = torch.from_numpy(collector._current).transpose(1, 2)
        expected = generalised_advantages(
            rewards, values, network.values(folded, following)[:, :2].numpy(), over, gamma=0.5, gae_lambda=0.25
        )
        np.testing.assert_allclose(segments.advantages.view(2, 2, 7).numpy(), expected, atol=1e-6)
        assert [len(e.returns) for e in segments.episodes] == [int(over[s].sum()) for s in range(2)]
        assert all(r == length for e in segments.episodes for r in e.returns)


@pytest.mark.parametrize(
    "address", ["bandit/10-arm", "random-walk/20", "gym/CartPole-v1", "gym/MountainCarContinuous-v0"]
)
def test_restarting_an_episode_is_its_own_streams_business(address):
    """An episode restarted in the middle goes as it would alone, and those beside it go on undisturbed."""
    task = catalogue.task(address, **({} if address.startswith("bandit") else {"time_limit": 6}))
    discrete = isinstance(task.action_space, spaces.Discrete)

    def actions(shape):
        return np.zeros(shape, int) if discrete else np.full((*shape, 1), 0.5, np.float32)

    def play(seeds: list[int], restarted: bool) -> list[np.ndarray]:
        vector = task.vector(2)
        vector.reset([np.random.default_rng(seed) for seed in seeds])
        every = np.ones((len(seeds), 2), bool)
        if not address.startswith("bandit"):
            vector.step(actions(every.shape), every)
        seen = []
        if restarted:
            where = np.zeros_like(every)
            where[-1, 1] = True
            seen.append(vector.restart(where, [np.random.default_rng(77)]))
            assert seen[0].shape == (1, *task.observation_space.shape)
        for _ in range(1 if address.startswith("bandit") else 6):
            seen += list(vector.step(actions(every.shape), every))
        vector.close()
        return seen

    def last(seen):
        return [seen[0][0], *(part[-1, 1] for part in seen[1:])]

    together, alone, undisturbed = play([1, 2], True), play([2], True), play([1, 2], False)
    for a, b in zip(last(together), last(alone), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(together[1:], undisturbed, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1, 0], b[1, 0])
    if address == "gym/CartPole-v1":
        truncated = np.array(undisturbed[3::4]), np.array(together[1:][3::4])
        assert truncated[0][:, 1, 1].tolist() == [False] * 4 + [True] * 2  # a clock an episode
        assert truncated[1][:, 1, 1].tolist() == [False] * 5 + [True]


def test_a_task_that_cannot_restart_episodes_is_refused():
    class Old(Clock):
        def vector(self, trajectories: int):
            class Environment(VectorEnvironment):
                def reset(self, streams): ...
                def step(self, actions, live): ...

            return Environment()

    definition = catalogue.algorithm("ppo-batched")
    assert "has no `restart`" in definition.refuses(Old())
    assert definition.refuses(Clock()) is None
