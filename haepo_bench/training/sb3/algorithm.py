"""PPO (arXiv 1707.06347) through Stable-Baselines3, feeding the same recorder at the same points as native algorithms.

Stable-Baselines3 draws from global random states: they are seeded from the run's seed and put back afterwards. It makes
its own initial weights, so unlike native algorithms it does not share theirs.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from haepo_bench.errors import ParameterError
from haepo_bench.results.record import Information
from haepo_bench.tasks.base import LANGUAGE, Task
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition, ParameterDescription
from haepo_bench.training.encoders import defaults_on
from haepo_bench.training.parameters import check_overrides, describe_fields, validated
from haepo_bench.training.ppo_settings import (
    OURS_SOURCE,
    ZOO,
    ZOO_SOURCE,
    PPOSettings,
    check_normalize,
    check_segments,
    zoo_settings,
)
from haepo_bench.training.recorder import Recorder


class SB3PPO(Algorithm):
    """PPO with all its settings."""

    batches_seeds = False

    def __init__(self, settings: PPOSettings, notes: tuple[str, ...]) -> None:
        self.settings = settings
        self.parameters = settings.model_dump(mode="json")
        self.omitted = settings.omitted
        self.information = Information(
            told="per-step rewards", critic=True, discount=settings.gamma, label="PPO (Stable-Baselines3)"
        )
        self.notes = notes

    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        # Imported here: describing PPO must not need Stable-Baselines3's import time.
        from haepo_bench.training.sb3.run import train_seed

        for seed in seeds:
            with _global_seed_restored():
                train_seed(task, seed, self.settings, recorder, device)


class PPO(AlgorithmDefinition):
    """PPO of Stable-Baselines3."""

    name = "ppo"
    summary = "PPO of Stable-Baselines3"
    version = 1
    confidence = "high: Stable-Baselines3 itself"

    @property
    def description(self) -> str:  # type: ignore[override]  # a long text, made when asked for
        """Formula, sources and whose settings are used where."""
        return _DESCRIPTION + "\n".join(
            f"    {name}: " + ", ".join(f"{key} {value}" for key, value in settings.items())
            for name, settings in ZOO.items()
        )

    def describe_parameters(self) -> list[ParameterDescription]:
        # It takes no other policy and critic than its own (`configure`).
        return [each for each in describe_fields(PPOSettings) if each.name not in ("policy", "critic")]

    def published(self, task: Task) -> dict[str, Any]:
        found = zoo_settings(task.id)
        return found[1] if found else {}

    def refuses(self, task: Task) -> str | None:
        if task.backend == LANGUAGE:
            return "Stable-Baselines3 has no policy for token sequences; ppo-batched trains language models"
        space = task.action_space
        if isinstance(space, spaces.Box) and not (np.isfinite(space.low) & np.isfinite(space.high)).all():
            return "Stable-Baselines3 takes only actions with finite bounds; ppo-batched needs none"
        return None

    def configure(self, overrides: Mapping[str, Any], task: Task) -> SB3PPO:
        check_overrides(overrides, (PPOSettings,), self.name)
        for name, own in (("policy", "plain"), ("critic", "scalar")):
            if overrides.get(name, own) != own:
                raise ParameterError(name, "Stable-Baselines3 has no flow", remedy="use ppo-batched")
        check_normalize(overrides, task)
        published = zoo_settings(task.id, task.normalise)
        base = published[1] if published else {}
        whose = f"PPO: {ZOO_SOURCE} settings for {published[0]}" if published else f"PPO: {OURS_SOURCE}"
        if overrides:
            whose += f", except {', '.join(sorted(overrides))}"
        settings = validated(PPOSettings, {**base, **defaults_on(task, overrides, "net_arch"), **overrides})
        check_segments(task, settings)
        if settings.use_sde and not isinstance(task.action_space, spaces.Box):
            raise ParameterError("use_sde", "state-dependent exploration needs continuous actions", remedy="remove it")
        if settings.normalize_advantage and settings.n_envs * settings.n_steps == 1:
            raise ParameterError("n_steps", "advantages of a single step cannot be normalised", remedy="at least 2")
        return SB3PPO(settings, (whose,))


_DESCRIPTION = f"""Proximal Policy Optimization (arXiv 1707.06347) as Stable-Baselines3 implements it.

    delta_t = r_t + gamma V(s_t+1) - V(s_t),   A_t = delta_t + gamma lambda A_t+1     (V bootstraps at truncation)
    loss = - mean min(r A, clip(r, 1 - clip_range, 1 + clip_range) A) + vf_coef * mean (G - V)^2 - ent_coef * mean H
    A normalised within each minibatch (ddof 1, + 1e-8),   G = A + V

It receives per-step rewards, has a critic and discounts: more feedback than the native algorithms receive. Tasks that
RL Baselines3 Zoo publishes settings for use those ({ZOO_SOURCE}); all others use settings of ours, the defaults below.
On images both networks begin with the encoder that the hyper-parameter names, through a features extractor of ours that
has the layers of the native algorithms' encoder; policy and value network have one each (Stable-Baselines3 would let
them share one).
Linear schedules fall to zero at the task's budget. With use_sde, evaluation draws exploration noise anew at every step,
where training holds it for sde_sample_freq steps. The Zoo's settings:

"""


@contextmanager
def _global_seed_restored() -> Iterator[None]:
    """Puts the global random states back that Stable-Baselines3 seeds."""
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 (SB3 uses it)
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 (SB3 uses it)
        torch.set_rng_state(pytorch)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
