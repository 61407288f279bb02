"""PPO (arXiv 1707.06347) through Stable-Baselines3, feeding the same recorder at the same marks as native algorithms.

Stable-Baselines3 draws from global random states: they are seeded from the run's seed and put back afterwards. It makes
its own initial weights, so unlike native algorithms it does not share theirs.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch

from haepo_bench.objectives.base import Hyperparameters, hyper
from haepo_bench.results.record import Information
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition, ParameterDescription
from haepo_bench.training.native import Width, check_names, describe_fields, validated
from haepo_bench.training.recorder import Recorder

_SB3 = "Stable-Baselines3"
_ZOO = "RL Baselines3 Zoo, hyperparams/ppo.yml"


class PPOSettings(Hyperparameters):
    """Hyper-parameters of PPO, by Stable-Baselines3's names."""

    n_envs: int = hyper(8, "environments stepped side by side", unit="environments", ge=1, le=1024)
    n_steps: int = hyper(64, "steps of each environment between updates", unit="env steps", ge=1)
    batch_size: int = hyper(64, "steps a minibatch", unit="env steps", source=_SB3, ge=2)
    n_epochs: int = hyper(10, "passes over the collected steps", source=_SB3, ge=1)
    gamma: float = hyper(0.99, "discount factor", source=_SB3, ge=0, le=1)
    gae_lambda: float = hyper(0.95, "lambda of generalised advantage estimation", source=_SB3, ge=0, le=1)
    learning_rate: float = hyper(3e-4, "of Adam", source=_SB3, gt=0)
    learning_rate_schedule: Literal["constant", "linear"] = hyper(
        "constant", "linear: falls to zero at the budget", source=_SB3
    )
    clip_range: float = hyper(0.2, "ratios are clipped to 1 +- this", source=_SB3, gt=0)
    clip_range_schedule: Literal["constant", "linear"] = hyper(
        "constant", "linear: falls to zero at the budget", source=_SB3
    )
    ent_coef: float = hyper(0.0, "weight of the entropy bonus", source=_SB3, ge=0)
    vf_coef: float = hyper(0.5, "weight of the value loss", source=_SB3, ge=0)
    max_grad_norm: float = hyper(0.5, "gradients are scaled down to this norm", source=_SB3, gt=0)
    target_kl: float | None = hyper(
        None, "ends an update early beyond 1.5 times this; null for never", source=_SB3, gt=0
    )
    normalize: bool = hyper(False, "normalise observations and rewards by running statistics", source=_SB3)
    use_sde: bool = hyper(False, "state-dependent exploration, continuous actions only", source=_SB3)
    sde_sample_freq: int = hyper(-1, "steps between draws of its noise; -1: once a rollout", source=_SB3, ge=-1)
    net_arch: tuple[Width, ...] = hyper(
        (64, 64), "tanh layers of policy and of value network", unit="units", source=_SB3
    )
    log_std_init: float = hyper(0.0, "initial log standard deviation, continuous actions only", source=_SB3)
    ortho_init: bool = hyper(True, "orthogonal initial weights", source=_SB3)


#: What RL Baselines3 Zoo publishes (commit 00128b5), by gymnasium id. Values absent there are Stable-Baselines3's
#: defaults, as in the Zoo itself, not ours: hence batch_size 64 and n_steps 2048 where it does not say.
ZOO: dict[str, dict[str, Any]] = {
    "CartPole-v1": {
        "n_envs": 8,
        "n_steps": 32,
        "batch_size": 256,
        "gae_lambda": 0.8,
        "gamma": 0.98,
        "n_epochs": 20,
        "learning_rate": 1e-3,
        "learning_rate_schedule": "linear",
        "clip_range": 0.2,
        "clip_range_schedule": "linear",
    },
    "Pendulum-v1": {
        "n_envs": 4,
        "n_steps": 1024,
        "gamma": 0.9,
        "learning_rate": 1e-3,
        "use_sde": True,
        "sde_sample_freq": 4,
    },
    "MountainCar-v0": {"normalize": True, "n_envs": 16, "n_steps": 16, "gae_lambda": 0.98, "n_epochs": 4},
    "MountainCarContinuous-v0": {
        "normalize": True,
        "n_envs": 1,
        "n_steps": 8,
        "batch_size": 256,
        "gamma": 0.9999,
        "learning_rate": 7.77e-5,
        "ent_coef": 0.00429,
        "clip_range": 0.1,
        "gae_lambda": 0.9,
        "max_grad_norm": 5.0,
        "vf_coef": 0.19,
        "use_sde": True,
        "log_std_init": -3.29,
        "ortho_init": False,
    },
    "Acrobot-v1": {"normalize": True, "n_envs": 16, "n_steps": 256, "gae_lambda": 0.94, "n_epochs": 4},
}


class SB3PPO(Algorithm):
    """PPO with all its settings."""

    batches_seeds = False

    def __init__(self, settings: PPOSettings, notes: tuple[str, ...]) -> None:
        self.settings = settings
        self.parameters = settings.model_dump(mode="json")
        self.information = Information(
            told="per-step rewards", critic=True, discount=settings.gamma, label="PPO (Stable-Baselines3)"
        )
        self.notes = notes

    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        # Imported here: describing PPO must not need Stable-Baselines3's import time.
        from haepo_bench.training.ppo_sb3_run import train_seed

        for seed in seeds:
            with _global_seed_restored():
                train_seed(task, seed, self.settings, recorder, device)


class PPO(AlgorithmDefinition):
    """PPO of Stable-Baselines3."""

    name = "ppo"
    summary = "PPO of Stable-Baselines3"
    version = 1

    @property
    def description(self) -> str:  # type: ignore[override]
        """Formula, sources and whose settings are used where."""
        return _DESCRIPTION + "\n".join(
            f"    {name}: " + ", ".join(f"{key} {value}" for key, value in settings.items())
            for name, settings in ZOO.items()
        )

    def describe_parameters(self) -> list[ParameterDescription]:
        return describe_fields(PPOSettings)

    def refuses(self, task: Task) -> str | None:
        return None

    def configure(self, overrides: Mapping[str, Any], task: Task) -> SB3PPO:
        check_names(overrides, set(PPOSettings.model_fields), self.name)
        family, _, gymnasium_id = task.id.partition("/")
        if family == "gym" and gymnasium_id in ZOO:
            base, whose = ZOO[gymnasium_id], f"PPO: {_ZOO} settings for {gymnasium_id}"
        else:
            base, whose = (
                {},
                "PPO: settings of ours (8 environments, 64 steps), Stable-Baselines3's defaults for the rest",
            )
        if overrides:
            whose += f", except {', '.join(sorted(overrides))}"
        return SB3PPO(validated(PPOSettings, {**base, **overrides}), (whose,))


_DESCRIPTION = f"""Proximal Policy Optimization (arXiv 1707.06347) as Stable-Baselines3 implements it.

    delta_t = r_t + gamma V(s_t+1) - V(s_t),   A_t = delta_t + gamma lambda A_t+1     (V bootstraps at truncation)
    loss = - mean min(r A, clip(r, 1 - clip_range, 1 + clip_range) A) + vf_coef * mean (G - V)^2 - ent_coef * mean H
    A normalised within each minibatch (ddof 1, + 1e-8),   G = A + V

It is told per-step rewards, has a critic and discounts: more than the native algorithms are told. Tasks that RL
Baselines3 Zoo publishes settings for use those ({_ZOO}); all others use settings of ours, the defaults below.
Linear schedules fall to zero at the task's budget. The Zoo's settings:

"""


@contextmanager
def _global_seed_restored() -> Iterator[None]:
    """Puts the global random states back that Stable-Baselines3 seeds."""
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (SB3 uses it)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(pytorch)
