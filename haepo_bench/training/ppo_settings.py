"""Hyper-parameters of PPO, and what RL Baselines3 Zoo publishes for them."""

from typing import Any, Literal

from haepo_bench.objectives.base import Hyperparameters, hyper
from haepo_bench.objectives.ppo import PpoHyperparameters
from haepo_bench.policies.mlp import Activation
from haepo_bench.tasks.address import parse
from haepo_bench.training.settings import Width

_SB3 = "Stable-Baselines3"
ZOO_SOURCE = "RL Baselines3 Zoo, hyperparams/ppo.yml"
OURS_SOURCE = "settings of ours (8 environments, 64 steps), Stable-Baselines3's defaults for the rest"


class SegmentSettings(Hyperparameters):
    """What is collected and how it is learnt from, for objectives that collect segments; Stable-Baselines3's names."""

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
    max_grad_norm: float = hyper(0.5, "gradients are scaled down to this norm", source=_SB3, gt=0)
    target_kl: float | None = hyper(
        None, "ends an update early beyond 1.5 times this; null for never", source=_SB3, gt=0
    )
    normalize: bool = hyper(False, "normalise observations and rewards by running statistics", source=_SB3)
    net_arch: tuple[Width, ...] = hyper(
        (64, 64), "hidden layers of policy and of value network", unit="units", source=_SB3
    )
    log_std_init: float = hyper(0.0, "initial log standard deviation, continuous actions only", source=_SB3)
    ortho_init: bool = hyper(True, "orthogonal initial weights", source=_SB3)
    activation: Activation = hyper("tanh", "of the hidden layers", source=_SB3, omit_at="tanh")


class PPOSettings(PpoHyperparameters, SegmentSettings):
    """Hyper-parameters of Stable-Baselines3's PPO."""

    use_sde: bool = hyper(False, "state-dependent exploration, continuous actions only", source=_SB3)
    sde_sample_freq: int = hyper(-1, "steps between draws of its noise; -1: once a rollout", source=_SB3, ge=-1)


def zoo_settings(task_id: str) -> tuple[str, dict[str, Any]] | None:
    """(gymnasium id, the Zoo's settings for it) of a task such as `gym/CartPole-v1`, wrapped or not; None for others.

    What the Zoo does not say is Stable-Baselines3's default, as in the Zoo itself, and not ours.
    """
    family, _, gymnasium_id = parse(task_id).innermost.partition("/")
    if family not in ("gym", "envpool") or gymnasium_id not in ZOO:
        return None
    return gymnasium_id, {"n_envs": 1, "n_steps": 2048, **ZOO[gymnasium_id]}


#: What RL Baselines3 Zoo publishes (commit 00128b5), by gymnasium id.
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
    "BipedalWalker-v3": {
        "normalize": True,
        "n_envs": 32,
        "gae_lambda": 0.95,
        "gamma": 0.999,
        "clip_range": 0.18,
    },
    "BipedalWalkerHardcore-v3": {
        "normalize": True,
        "n_envs": 16,
        "gae_lambda": 0.95,
        "gamma": 0.999,
        "ent_coef": 0.001,
        "learning_rate": 2.5e-4,
        "learning_rate_schedule": "linear",
        "clip_range_schedule": "linear",
    },
    "Acrobot-v1": {"normalize": True, "n_envs": 16, "n_steps": 256, "gae_lambda": 0.94, "n_epochs": 4},
}
