"""One step of each environment that the kernels have, against gymnasium's own."""

import gymnasium
import numpy as np
import pytest

from haepo_bench.engine import collector
from haepo_bench.engine.architecture import Architecture
from haepo_bench.engine.library import opened
from haepo_bench.policies.heads import Categorical, DiagonalGaussian
from haepo_bench.policies.mlp import Network
from haepo_bench.tasks.environments.classic_control import ARRAY_ENVIRONMENTS

CASES = {
    "CartPole-v1": ([2.5, 3.0, 0.25, 4.0], 4, Categorical(2)),
    "MountainCar-v0": ([0.3, 0.07], 2, Categorical(3)),
    "Acrobot-v1": ([np.pi, np.pi, 4 * np.pi, 9 * np.pi], 6, Categorical(3)),
    "Pendulum-v1": ([60.0, 8.0], 3, DiagonalGaussian(1)),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_one_step_is_gymnasiums(name):
    """From 400 states all over the space, ends and walls among them; what is observed next within single precision."""
    widest, features, head = CASES[name]
    generator = np.random.default_rng(0)
    K, V = 400, len(widest)
    states = generator.uniform(-1, 1, (V, 1, K)) * np.array(widest)[:, None, None]
    if name == "MountainCar-v0":
        states[0] = generator.uniform(-1.2, 0.6, (1, K))
    environment = ARRAY_ENVIRONMENTS[name](K, 1)
    environment.state = states.copy()
    network = Network(features, (8,), head)
    parameters = network.initial(np.random.default_rng(1))[None]
    noise = generator.standard_normal((1, K, 1, *head.action_shape)) * 3
    noise = (noise if isinstance(head, DiagonalGaussian) else np.abs(noise) % 1).astype(np.float32)
    architecture = Architecture(network)
    kept = collector.KeptSteps.room(architecture, 1, K, 1)
    ended = collector.play(opened(), architecture, parameters, environment, 1, lambda live: noise, 1, kept=kept)
    single = gymnasium.make(name).unwrapped
    single.reset(seed=0)
    ends = 0
    for k in range(K):
        first = environment.observe(states[:, 0, k])
        assert kept.observations[0, k, 0] == pytest.approx(first, rel=1e-6, abs=1e-7)
        single.state = states[:, 0, k].copy()
        if name == "CartPole-v1":
            single.steps_beyond_terminated = None
        action = kept.actions[0, k, 0]
        _, reward, terminated, *_ = single.step(action if isinstance(head, DiagonalGaussian) else int(action))
        assert ended.state[0, k] == pytest.approx(np.array(single.state), rel=1e-12, abs=1e-12)
        assert float(kept.rewards[0, k, 0]) == pytest.approx(float(reward), rel=1e-12, abs=1e-12)
        ends += bool(terminated)
    assert (ends > 0) == (name != "Pendulum-v1")
