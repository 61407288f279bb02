"""Hyper-parameters of PPO, and what RL Baselines3 Zoo publishes for them."""

from collections.abc import Mapping
from typing import Any, Literal

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.hyperparameters import Hyperparameters, hyper
from haepo_bench.objectives.ppo import PpoHyperparameters
from haepo_bench.objectives.spaces import EPOCHS, GAE, LEARNING_RATE, N_STEPS
from haepo_bench.policies.mlp import Activation
from haepo_bench.tasks.address import parse
from haepo_bench.tasks.base import Normalise, Task
from haepo_bench.training.encoders import EncoderName, check_encoder, check_memory, encoder_parameter
from haepo_bench.training.heads import PolicyName, check_policy, policy_parameter
from haepo_bench.training.settings import Width

CriticName = Literal["scalar", "flow"]

_SB3 = "Stable-Baselines3"
ZOO_SOURCE = "RL Baselines3 Zoo, hyperparams/ppo.yml"
OURS_SOURCE = "settings of ours (8 environments, 64 steps), Stable-Baselines3's defaults for the rest"


class SegmentSettings(Hyperparameters):
    """What is collected and how it is learnt from, for objectives that collect segments; Stable-Baselines3's names."""

    n_envs: int = hyper(8, "environments stepped side by side", unit="environments", ge=1, le=1024)
    n_steps: int = hyper(64, "steps of each environment between updates", unit="env steps", ge=1, search=N_STEPS)
    batch_size: int = hyper(64, "steps a minibatch", unit="env steps", source=_SB3, ge=2)
    n_epochs: int = hyper(10, "passes over the collected steps", source=_SB3, ge=1, search=EPOCHS)
    gamma: float = hyper(0.99, "discount factor", source=_SB3, ge=0, le=1)
    gae_lambda: float = hyper(0.95, "lambda of generalised advantage estimation", source=_SB3, ge=0, le=1, search=GAE)
    learning_rate: float = hyper(3e-4, "of Adam", source=_SB3, gt=0, search=LEARNING_RATE)
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
    encoder: EncoderName = encoder_parameter()
    policy: PolicyName = policy_parameter()
    critic: CriticName = hyper(
        "scalar",
        "what the value network learns; scalar: V; flow: the distribution of the return, as a flow from noise, after "
        "Value Flows, whose mean is V",
        omit_at="scalar",
    )


def normalised_by(task: Task, settings: SegmentSettings) -> Normalise | None:
    """What training normalises: what the task says, else both where the settings say so."""
    return task.normalise or (Normalise(True, True) if settings.normalize else None)


def check_normalize(overrides: Mapping[str, Any], task: Task) -> None:
    """Refuses `normalize` where the task says what is normalised, for all algorithms alike.

    Raises:
        ParameterError: both are there.
    """
    if task.normalise is not None and "normalize" in overrides:
        raise ParameterError(
            "normalize",
            f"{task.id} says itself what is normalised, for all algorithms alike",
            remedy="remove normalize here, or normalise from the task",
        )


class PPOSettings(PpoHyperparameters, SegmentSettings):
    """Hyper-parameters of Stable-Baselines3's PPO."""

    use_sde: bool = hyper(False, "state-dependent exploration, continuous actions only", source=_SB3)
    sde_sample_freq: int = hyper(-1, "steps between draws of its noise; -1: once a rollout", source=_SB3, ge=-1)


def check_segments(task: Task, settings: SegmentSettings) -> None:
    """Refuses settings that tasks with images or with discrete actions do not go with.

    Raises:
        ParameterError: says why.
    """
    check_encoder(task, settings.encoder)
    check_policy(task, settings.policy)
    if settings.normalize and settings.encoder != "none":
        raise ParameterError(
            "normalize",
            "an encoder sees pixels, which are never normalised one by one",
            remedy="normalize: false; `normalise: {rewards: true}` of the task for rewards",
        )
    check_memory(task, "n_steps", settings.n_envs * settings.n_steps, "fewer n_steps or n_envs")


def zoo_settings(task_id: str, normalise: Normalise | None = None) -> tuple[str, dict[str, Any]] | None:
    """The Zoo's settings for a task such as `gym/CartPole-v1`, wrapped or not; None where it has none.

    A version that the Zoo does not know takes the settings of the newest older one. What the Zoo does not say is
    Stable-Baselines3's default, as in the Zoo itself, and not ours.

    Args:
        normalise: what the task says; then the Zoo's setting is not among those returned.

    Returns:
        Whose they are (the Zoo's id, and that it is an older version where it is), and the settings.
    """
    family, _, gymnasium_id = parse(task_id).innermost.partition("/")
    if family not in ("gym", "envpool"):
        return None
    name, version = _versioned(gymnasium_id)
    known = [v for n, v in map(_versioned, ZOO) if n == name and v <= version]
    if not known:
        return None
    published = name if name == _ATARI else f"{name}-v{max(known)}"
    older = published not in (gymnasium_id, _ATARI)
    whose = f"{published}, an older version of {gymnasium_id}" if older else published
    settings = {"n_envs": 1, "n_steps": 2048, **ZOO[published]}
    if normalise is not None:
        settings.pop("normalize", None)
    return whose, settings


def _versioned(gymnasium_id: str) -> tuple[str, int]:
    """(name, version) of an id such as `CartPole-v1`; without a version it is -1."""
    if gymnasium_id.startswith("ALE/") or gymnasium_id == _ATARI:
        return _ATARI, -1  # one for all games
    name, _, version = gymnasium_id.rpartition("-v")
    return (name, int(version)) if name and version.isdecimal() else (gymnasium_id, -1)


#: Its settings for all of Atari's games, under the name that it has for them.
_ATARI = "atari"

#: The networks of the Zoo's tuned MuJoCo settings; on Swimmer, Ant, Walker2d and the pendulums it has the defaults.
_WIDE: dict[str, Any] = {"log_std_init": -2.0, "ortho_init": False, "activation": "relu", "net_arch": (256, 256)}

#: What RL Baselines3 Zoo publishes (commit 22e3ff2), by gymnasium id. Its Lunar Landers stand under the version that
#: they were tuned on: the Zoo renamed them to -v3 and changed nothing else (commit ad1ae18).
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
    "atari": {
        "n_envs": 8,
        "n_steps": 128,
        "n_epochs": 4,
        "batch_size": 256,
        "learning_rate": 2.5e-4,
        "learning_rate_schedule": "linear",
        "clip_range": 0.1,
        "clip_range_schedule": "linear",
        "vf_coef": 0.5,
        "ent_coef": 0.01,
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
        "gamma": 0.99,
        "ent_coef": 0.001,
        "learning_rate": 2.5e-4,
        "learning_rate_schedule": "linear",
        "clip_range_schedule": "linear",
    },
    "Acrobot-v1": {"normalize": True, "n_envs": 16, "n_steps": 256, "gae_lambda": 0.94, "n_epochs": 4},
    "LunarLander-v2": {
        "n_envs": 16,
        "n_steps": 1024,
        "gae_lambda": 0.98,
        "gamma": 0.999,
        "n_epochs": 4,
        "ent_coef": 0.01,
    },
    "LunarLanderContinuous-v2": {
        "n_envs": 16,
        "n_steps": 1024,
        "gae_lambda": 0.98,
        "gamma": 0.999,
        "n_epochs": 4,
        "ent_coef": 0.01,
    },
    "Ant-v4": {"normalize": True},
    "Swimmer-v4": {
        "normalize": True,
        "n_envs": 4,
        "n_steps": 1024,
        "batch_size": 256,
        "gamma": 0.9999,
        "learning_rate": 6e-4,
        "gae_lambda": 0.98,
    },
    "HalfCheetah-v4": {
        "normalize": True,
        "n_steps": 512,
        "gamma": 0.98,
        "learning_rate": 2.0633e-05,
        "ent_coef": 0.000401762,
        "clip_range": 0.1,
        "n_epochs": 20,
        "gae_lambda": 0.92,
        "max_grad_norm": 0.8,
        "vf_coef": 0.58096,
        **_WIDE,
    },
    "Hopper-v4": {
        "normalize": True,
        "n_steps": 512,
        "batch_size": 32,
        "gamma": 0.999,
        "learning_rate": 9.80828e-05,
        "ent_coef": 0.00229519,
        "n_epochs": 5,
        "gae_lambda": 0.99,
        "max_grad_norm": 0.7,
        "vf_coef": 0.835671,
        **_WIDE,
    },
    "HumanoidStandup-v2": {
        "normalize": True,
        "n_steps": 512,
        "batch_size": 32,
        "learning_rate": 2.55673e-05,
        "ent_coef": 3.62109e-06,
        "clip_range": 0.3,
        "n_epochs": 20,
        "gae_lambda": 0.9,
        "max_grad_norm": 0.7,
        "vf_coef": 0.430793,
        **_WIDE,
    },
    "Humanoid-v4": {
        "normalize": True,
        "n_steps": 512,
        "batch_size": 256,
        "gamma": 0.95,
        "learning_rate": 3.56987e-05,
        "ent_coef": 0.00238306,
        "clip_range": 0.3,
        "n_epochs": 5,
        "gae_lambda": 0.9,
        "max_grad_norm": 2.0,
        "vf_coef": 0.431892,
        **_WIDE,
    },
    "InvertedDoublePendulum-v2": {
        "normalize": True,
        "n_steps": 128,
        "batch_size": 512,
        "gamma": 0.98,
        "learning_rate": 0.000155454,
        "ent_coef": 1.05057e-06,
        "clip_range": 0.4,
        "gae_lambda": 0.8,
        "vf_coef": 0.695929,
    },
    "InvertedPendulum-v2": {
        "normalize": True,
        "n_steps": 32,
        "gamma": 0.999,
        "learning_rate": 0.000222425,
        "ent_coef": 1.37976e-07,
        "clip_range": 0.4,
        "n_epochs": 5,
        "gae_lambda": 0.9,
        "max_grad_norm": 0.3,
        "vf_coef": 0.19816,
    },
    "Reacher-v2": {
        "normalize": True,
        "n_steps": 512,
        "batch_size": 32,
        "gamma": 0.9,
        "learning_rate": 0.000104019,
        "ent_coef": 7.52585e-08,
        "clip_range": 0.3,
        "n_epochs": 5,
        "gae_lambda": 1.0,
        "max_grad_norm": 0.9,
        "vf_coef": 0.950368,
    },
    "Walker2d-v4": {
        "normalize": True,
        "n_steps": 512,
        "batch_size": 32,
        "learning_rate": 5.05041e-05,
        "ent_coef": 0.000585045,
        "clip_range": 0.1,
        "n_epochs": 20,
        "max_grad_norm": 1.0,
        "vf_coef": 0.871923,
    },
}
