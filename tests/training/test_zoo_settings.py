"""The settings of RL Baselines3 Zoo, against its file: hyperparams/ppo.yml at commit 22e3ff2, read line by line.

The numbers below were written down from that file, in its order, with Stable-Baselines3's defaults (its ppo.py, commit
e05d2db) where it says nothing.
"""

from typing import Any

import gymnasium
import pytest

from haepo_bench import catalogue
from haepo_bench.training.ppo_settings import ZOO, PPOSettings, zoo_settings

WIDE = {"log_std_init": -2.0, "ortho_init": False, "activation": "relu", "net_arch": (256, 256)}
SDE = {"use_sde": True, "sde_sample_freq": 4}
#: n_envs, n_steps, batch_size, n_epochs | gamma, gae_lambda | learning_rate, clip_range |
#: ent_coef, vf_coef, max_grad_norm | normalize | all else that differs from the defaults.
FILE: dict[str, tuple[str, str, str, str, bool, dict[str, Any]]] = {
    "atari": ("8 128 256 4", "0.99 0.95", "lin_2.5e-4 lin_0.1", "0.01 0.5 0.5", False, {}),
    "Pendulum-v1": ("4 1024 64 10", "0.9 0.95", "1e-3 0.2", "0.0 0.5 0.5", False, SDE),
    "CartPole-v1": ("8 32 256 20", "0.98 0.8", "lin_0.001 lin_0.2", "0.0 0.5 0.5", False, {}),
    "MountainCar-v0": ("16 16 64 4", "0.99 0.98", "3e-4 0.2", "0.0 0.5 0.5", True, {}),
    "MountainCarContinuous-v0": (
        "1 8 256 10", "0.9999 0.9", "7.77e-05 0.1", "0.00429 0.19 5", True,
        {"use_sde": True, "log_std_init": -3.29, "ortho_init": False},
    ),
    "Acrobot-v1": ("16 256 64 4", "0.99 0.94", "3e-4 0.2", "0.0 0.5 0.5", True, {}),
    "BipedalWalker-v3": ("32 2048 64 10", "0.999 0.95", "3e-4 0.18", "0.0 0.5 0.5", True, {}),
    "BipedalWalkerHardcore-v3": ("16 2048 64 10", "0.99 0.95", "lin_2.5e-4 lin_0.2", "0.001 0.5 0.5", True, {}),
    "LunarLander-v3": ("16 1024 64 4", "0.999 0.98", "3e-4 0.2", "0.01 0.5 0.5", False, {}),
    "LunarLanderContinuous-v3": ("16 1024 64 4", "0.999 0.98", "3e-4 0.2", "0.01 0.5 0.5", False, {}),
    "Ant-v4": ("1 2048 64 10", "0.99 0.95", "3e-4 0.2", "0.0 0.5 0.5", True, {}),
    "Swimmer-v4": ("4 1024 256 10", "0.9999 0.98", "6e-4 0.2", "0.0 0.5 0.5", True, {}),
    "HalfCheetah-v4": ("1 512 64 20", "0.98 0.92", "2.0633e-05 0.1", "0.000401762 0.58096 0.8", True, WIDE),
    "Hopper-v4": ("1 512 32 5", "0.999 0.99", "9.80828e-05 0.2", "0.00229519 0.835671 0.7", True, WIDE),
    "HumanoidStandup-v2": ("1 512 32 20", "0.99 0.9", "2.55673e-05 0.3", "3.62109e-06 0.430793 0.7", True, WIDE),
    "Humanoid-v4": ("1 512 256 5", "0.95 0.9", "3.56987e-05 0.3", "0.00238306 0.431892 2", True, WIDE),
    "InvertedDoublePendulum-v2": ("1 128 512 10", "0.98 0.8", "0.000155454 0.4", "1.05057e-06 0.695929 0.5", True, {}),
    "InvertedPendulum-v2": ("1 32 64 5", "0.999 0.9", "0.000222425 0.4", "1.37976e-07 0.19816 0.3", True, {}),
    "Reacher-v2": ("1 512 32 5", "0.9 1.0", "0.000104019 0.3", "7.52585e-08 0.950368 0.9", True, {}),
    "Walker2d-v4": ("1 512 32 20", "0.99 0.95", "5.05041e-05 0.1", "0.000585045 0.871923 1", True, {}),
}  # fmt: skip


def expected(entry: str) -> PPOSettings:
    sizes, discounts, steps, weights, normalize, rest = FILE[entry]
    n_envs, n_steps, batch_size, n_epochs = map(int, sizes.split())
    gamma, gae_lambda = map(float, discounts.split())
    ent_coef, vf_coef, max_grad_norm = map(float, weights.split())
    schedules: dict[str, Any] = {}
    for name, text in zip(("learning_rate", "clip_range"), steps.split(), strict=True):
        schedules[name] = float(text.removeprefix("lin_"))
        schedules[f"{name}_schedule"] = "linear" if text.startswith("lin_") else "constant"
    return PPOSettings(
        n_envs=n_envs, n_steps=n_steps, batch_size=batch_size, n_epochs=n_epochs, gamma=gamma, gae_lambda=gae_lambda,
        ent_coef=ent_coef, vf_coef=vf_coef, max_grad_norm=max_grad_norm, normalize=normalize, **schedules,
        **rest,
    )  # fmt: skip


@pytest.mark.parametrize("entry", FILE)
def test_settings_are_those_of_the_file(entry: str) -> None:
    found = zoo_settings(f"gym/{entry}")
    assert found is not None
    assert PPOSettings(**found[1]) == expected(entry)


def test_the_table_has_nothing_else() -> None:
    assert {name.replace("LunarLander-v3", "LunarLander-v2") for name in FILE} | {"LunarLanderContinuous-v2"} == {
        *ZOO,
        "LunarLanderContinuous-v3",
    }


def test_bipedal_walker_hardcore_discounts_less_far_than_the_easy_one() -> None:
    found = {name: zoo_settings(f"gym/{name}") for name in ("BipedalWalker-v3", "BipedalWalkerHardcore-v3")}
    assert [settings[1]["gamma"] for settings in found.values() if settings] == [0.999, 0.99]


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("LunarLander-v3", "LunarLander-v2"),
        ("LunarLanderContinuous-v3", "LunarLanderContinuous-v2"),
        *((f"{name}-v5", f"{name}-v4") for name in ("Ant", "Swimmer", "HalfCheetah", "Hopper", "Humanoid", "Walker2d")),
        *(
            (f"{name}-v5", f"{name}-v2")
            for name in ("HumanoidStandup", "InvertedDoublePendulum", "InvertedPendulum", "Reacher")
        ),
    ],
)
def test_a_newer_version_takes_the_settings_of_the_older_one_and_says_so(newer: str, older: str) -> None:
    assert newer in gymnasium.registry
    found, known = zoo_settings(f"gym/{newer}"), zoo_settings(f"envpool/{older}")
    assert found is not None
    assert known is not None
    assert (known[0], found[0]) == (older, f"{older}, an older version of {newer}")
    assert found[1] == known[1] == {"n_envs": 1, "n_steps": 2048, **ZOO[older]}


@pytest.mark.parametrize(
    "name", ["gym/CartPole-v0", "gym/Pusher-v5", "gym/Blackjack-v1", "gym/MountainCar", "bandit/10-arm"]
)
def test_what_the_zoo_does_not_have_has_none(name: str) -> None:
    assert zoo_settings(name) is None


@pytest.mark.parametrize("algorithm", ["ppo", "ppo-batched"])
def test_runs_say_whose_settings_they_have(algorithm: str) -> None:
    class HalfCheetah:
        """As much of the task as configuring asks for; MuJoCo is not installed here."""

        id = "gym/HalfCheetah-v5"
        action_space = gymnasium.spaces.Box(-1, 1, (6,))
        observation_space = gymnasium.spaces.Box(-10, 10, (17,))
        normalise = None
        image = None

    made = catalogue.algorithm(algorithm).configure({}, HalfCheetah())  # type: ignore[arg-type]
    assert made.notes[0].endswith(
        ": RL Baselines3 Zoo, hyperparams/ppo.yml settings for HalfCheetah-v4, an older version of HalfCheetah-v5"
    )
    assert made.parameters["activation"] == "relu"
    assert made.parameters["net_arch"] == [256, 256]
