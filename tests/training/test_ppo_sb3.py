"""The adapter to Stable-Baselines3's PPO: honest counts, undisturbed training, what is evaluated, divergence."""

from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch
from torch import Tensor
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError
from haepo_bench.training.ppo_settings import zoo_settings
from haepo_bench.training.sb3 import run as ppo_sb3_run


def test_ppo_is_reproducible_and_leaves_global_random_states_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = train("ppo", "gym/CartPole-v1", [1, 0], 600, 300)
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    torch.manual_seed(99)
    second = train("ppo", "gym/CartPole-v1", [0], 600, 300)
    assert without_clocks(first[0]) == without_clocks(second[0])
    assert without_clocks(first[0]) != without_clocks(first[1])


def test_ppo_counts_honestly():
    """CartPole's settings collect 8 x 32 = 256 steps before an update of 20 epochs in one minibatch."""
    (result,) = train("ppo", "gym/CartPole-v1", [0], 1_000, 256).values()
    assert result.cost["env_steps_collected"] == 1_000
    assert result.curve["env_steps"] == [0, 256, 512, 768, 1000]
    assert result.curve["gradient_steps"] == [0, 20, 40, 60, 60]
    assert result.cost["gradient_steps"] == 60


def models(monkeypatch: pytest.MonkeyPatch, budget: int, every: int, **parameters: Any) -> list[Any]:
    """The model of each seed that `ppo` trains."""
    made = []

    class Kept(stable_baselines3.PPO):
        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            made.append(self)

    monkeypatch.setattr(ppo_sb3_run, "PPO", Kept)
    train("ppo", "gym/CartPole-v1", [0], budget, every, **parameters)
    return made


def test_training_is_not_disturbed_by_evaluation(monkeypatch):
    often, seldom = (models(monkeypatch, 1_000, every)[0] for every in (50, 1_000))
    for one, two in zip(often.policy.parameters(), seldom.policy.parameters(), strict=True):
        assert torch.equal(one, two)


def test_schedules_fall_to_zero_at_the_budget(monkeypatch):
    rates: list[float] = []
    start = ppo_sb3_run._Reporter._on_rollout_start

    def watched(self: Any) -> None:
        if self._gradient_steps:
            rates.append(self.model.policy.optimizer.param_groups[0]["lr"])
        start(self)

    monkeypatch.setattr(ppo_sb3_run._Reporter, "_on_rollout_start", watched)
    models(monkeypatch, 1_024, 1_024)
    assert rates == pytest.approx([7.5e-4, 5e-4, 2.5e-4])


def test_evaluation_is_greedy_where_asked_and_normalised_where_training_is(monkeypatch):
    seen: list[Tensor] = []
    (model,) = models(monkeypatch, 600, 600, normalize=True)
    forward = model.policy.forward

    def watched(rows: Tensor, deterministic: bool = False) -> Any:
        seen.append(rows)
        return forward(rows, deterministic)

    monkeypatch.setattr(model.policy, "forward", watched)
    observations = torch.linspace(-1, 1, 4 * 40).view(1, 4, 40)
    greedy = torch.arange(40) >= 20
    actions = [ppo_sb3_run._actor(model)(observations, torch.zeros(0), greedy)[0] for _ in range(20)]
    normalised = model.get_vec_normalize_env().normalize_obs(observations[0].T.numpy())
    assert np.allclose(seen[0], normalised)
    assert not np.allclose(seen[0], observations[0].T)
    best = forward(seen[0], deterministic=True)[0]
    assert all(torch.equal(a[greedy], best[greedy]) for a in actions)
    assert not all(torch.equal(a[~greedy], best[~greedy]) for a in actions)


@pytest.mark.parametrize("name", ["ppo", "ppo-batched"])
def test_a_seed_that_becomes_nan_diverges(name):
    results = train(name, "gym/CartPole-v1", [0, 1], 1_000, 250, learning_rate=1e30)
    assert [results[seed].status for seed in (0, 1)] == ["diverged", "diverged"]
    assert "not finite" in results[0].reason
    assert results[1].curve["eval_return"][0] is not None
    assert results[1].curve["eval_return"][-1] is None


def test_settings_that_cannot_train_are_refused():
    task = catalogue.task("gym/CartPole-v1")
    with pytest.raises(ParameterError, match="continuous actions"):
        catalogue.algorithm("ppo").configure({"use_sde": True}, task)
    with pytest.raises(ParameterError, match="single step"):
        catalogue.algorithm("ppo").configure({"n_envs": 1, "n_steps": 1}, task)


def test_its_options_reach_stable_baselines3(monkeypatch):
    options = {"clip_range_vf": 0.3, "normalize_advantage": False, "activation": "relu", "net_arch": [8]}
    (model,) = models(monkeypatch, 32, 32, **options)
    assert (model.clip_range_vf(1.0), model.normalize_advantage) == (0.3, False)
    assert [type(layer).__name__ for layer in model.policy.mlp_extractor.policy_net] == ["Linear", "ReLU"]
    (model,) = models(monkeypatch, 32, 32, net_arch=[8])
    assert (model.clip_range_vf, model.normalize_advantage) == (None, True)
    assert [type(layer).__name__ for layer in model.policy.mlp_extractor.policy_net] == ["Linear", "Tanh"]


def test_what_the_zoo_does_not_say_is_stable_baselines3s_default():
    published = zoo_settings("gym/BipedalWalker-v3")
    assert published is not None
    assert published[1]["n_steps"] == 2048
    assert zoo_settings("bandit/10-arm") is None
    clean = zoo_settings("gym/CartPole-v1")
    assert clean is not None
    # Else a comparison of clean and noisy rewards would be one of settings.
    assert zoo_settings("noise(scale(gym/CartPole-v1,2),0.5)") == zoo_settings("envpool/CartPole-v1") == clean
