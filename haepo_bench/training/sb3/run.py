"""Trains one seed of Stable-Baselines3's PPO and tells the recorder about it."""

import math
from collections.abc import Callable
from typing import Any

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import Tensor

from haepo_bench.errors import EnvironmentFault
from haepo_bench.policies.network import Seen
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.probes import ProbeSet
from haepo_bench.training.alignment import RewardAlignment
from haepo_bench.training.encoders import inputs_of
from haepo_bench.training.episodes.rollout import Actor, unlearnable
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.exploration import Episodes, Exploration
from haepo_bench.training.heads import make_head
from haepo_bench.training.ppo_settings import PPOSettings, normalised_by
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.sb3.extractor import EncoderExtractor
from haepo_bench.training.streams import hashed_seed

_ACTIVATIONS = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}

#: Updates between Stable-Baselines3's own log lines, which nobody reads here; writing them would clear the values.
_NEVER = 2**62


def train_seed(task: Task, seed: int, settings: PPOSettings, recorder: Recorder, device: str) -> None:
    """Trains one seed until the recorder's budget."""
    environments: Any = DummyVecEnv([lambda: Monitor(_Learnable(task.training().environment()))] * settings.n_envs)
    what = normalised_by(task, settings)
    if what is not None:
        environments = VecNormalize(
            environments, norm_obs=what.observations, norm_reward=what.rewards, gamma=settings.gamma
        )
    evaluator = Evaluator(task, make_head(task), recorder.episodes)
    try:
        model = PPO(
            "MlpPolicy",
            environments,
            learning_rate=_schedule(settings.learning_rate, settings.learning_rate_schedule),
            n_steps=settings.n_steps,
            batch_size=settings.batch_size,
            n_epochs=settings.n_epochs,
            gamma=settings.gamma,
            gae_lambda=settings.gae_lambda,
            clip_range=_schedule(settings.clip_range, settings.clip_range_schedule),
            ent_coef=settings.ent_coef,
            vf_coef=settings.vf_coef,
            clip_range_vf=settings.clip_range_vf,
            normalize_advantage=settings.normalize_advantage,
            max_grad_norm=settings.max_grad_norm,
            target_kl=settings.target_kl,
            use_sde=settings.use_sde,
            sde_sample_freq=settings.sde_sample_freq,
            policy_kwargs={
                "net_arch": list(settings.net_arch),
                "log_std_init": settings.log_std_init,
                "ortho_init": settings.ortho_init,
                "activation_fn": _ACTIVATIONS[settings.activation],
                **_encoder(task, settings),
            },
            seed=hashed_seed("ppo", seed),
            device=device,
        )
        model.set_logger(configure(None, []))
        recorder.begin([seed])
        try:
            model.learn(
                recorder.budget,
                callback=_Reporter(task, seed, recorder, evaluator),
                log_interval=_NEVER,
            )
        except _Over:
            pass
        except EnvironmentFault as fault:
            recorder.failed(seed, fault)
        except _Diverged as diverged:
            recorder.diverged(seed, str(diverged))
        except (ValueError, RuntimeError):
            # torch's distributions refuse NaN before the update that brought it has ended.
            if _finite(model):
                raise
            recorder.diverged(seed, "a parameter is not finite")
    finally:
        evaluator.close()
        environments.close()


def _encoder(task: Task, settings: PPOSettings) -> dict[str, Any]:
    """What the policy is given so that it and the value network begin with the encoder, one each."""
    inputs = inputs_of(task, settings.encoder)
    if not isinstance(inputs, Seen):
        return {}
    return {
        "features_extractor_class": EncoderExtractor,
        "features_extractor_kwargs": inputs._asdict(),
        "share_features_extractor": False,
    }


class _Diverged(Exception):
    """Something became NaN or infinite; the message says what."""


class _Learnable(gymnasium.Wrapper[Array, Any, Array, Any]):
    """Ends the run at rewards that Stable-Baselines3 cannot keep."""

    def step(self, action: Any) -> tuple[Array, Any, bool, bool, dict[str, Any]]:
        step = self.env.step(action)
        if problem := unlearnable(step[1]):  # type: ignore[arg-type]  # SupportsFloat; the tasks' are floats
            raise _Diverged(problem)
        return step


class _Over(Exception):
    """The evaluation ended the run before its budget."""


class _Reporter(BaseCallback):
    """Tells the recorder what Stable-Baselines3 does."""

    def __init__(self, task: Task, seed: int, recorder: Recorder, evaluator: Evaluator) -> None:
        super().__init__()
        self._seed, self._recorder, self._evaluator = seed, recorder, evaluator
        self._reported = 0
        self._task, self._exploration = task, Exploration(task, 1)
        self._episodes = Episodes()
        self._gradient_steps = 0

    def _on_training_start(self) -> None:
        self._alignment = RewardAlignment(self._task, [self._seed], self._log_probs)

        def count(*_: object) -> None:
            self._gradient_steps += 1

        self.model.policy.optimizer.register_step_post_hook(count)

    def _on_rollout_start(self) -> None:
        if not self._gradient_steps:
            return
        # An update has just ended.
        if not _finite(self.model):
            raise _Diverged("a parameter is not finite")
        logged = self.logger.name_to_value
        names = {"policy_entropy": "train/entropy_loss", "kl_previous": "train/approx_kl", "loss": "train/loss"}
        diagnostics = {name: float(logged[key]) for name, key in names.items() if key in logged}
        if "policy_entropy" in diagnostics:
            diagnostics["policy_entropy"] *= -1
        self._recorder.updated(self._seed, self._gradient_steps, diagnostics)
        self._gradient_steps = 0

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        self._mark([*infos, *self.training_env.reset_infos])
        for info in infos:
            if "episode" in info:
                self._episodes.returns.append(info["episode"]["r"])
                self._episodes.steps.append(self.num_timesteps)
                for name, value in info.get("measures", {}).items():
                    self._episodes.measures.setdefault(name, []).append(value)
        if self.num_timesteps < self._recorder.budget:
            return True
        # The budget ends the run without another update.
        self._report()
        return False

    @torch.no_grad()
    def _log_probs(self, probes: ProbeSet) -> Array:
        model: Any = self.model
        rows: Any = probes.observations
        statistics = model.get_vec_normalize_env()
        if statistics is not None:
            rows = statistics.normalize_obs(rows)
        device = model.device
        observations, actions = torch.from_numpy(rows).to(device), torch.from_numpy(probes.actions).to(device)
        _, log_probs, _ = model.policy.evaluate_actions(observations, actions)
        found: Array = log_probs[None].cpu().numpy()
        return found

    def _mark(self, infos: list[dict[str, Any]]) -> None:
        if self._exploration.visited is not None:
            self._exploration.visited[0, [info["state"] for info in infos if "state" in info]] = True

    def _on_rollout_end(self) -> None:
        self._report()

    def _report(self) -> None:
        episodes = self._episodes
        if not all(math.isfinite(value) for value in episodes.returns):
            raise _Diverged("the sum of an episode's rewards is not finite")
        taken = self.num_timesteps - self._reported
        self._recorder.collected(
            self._seed, taken, len(episodes.returns), episodes.columns(self._exploration, 0, self.num_timesteps)
        )
        self._reported, self._episodes = self.num_timesteps, Episodes()
        # Only this seed's marks: the job's other seeds have not started or have ended.
        due = [(seed, mark) for seed, mark in self._recorder.due() if seed == self._seed]
        if due:
            with self._recorder.evaluating([self._seed]), torch.random.fork_rng():
                torch.manual_seed(hashed_seed("evaluation noise", *due[0]))
                (evaluation,) = self._evaluator.evaluate(_actor(self.model), due, self._log_probs)
                (columns,) = self._alignment.columns([self._seed], self._log_probs)
            if self._recorder.wants_policies and self._recorder.ending(self._seed):
                state = self.model.policy.state_dict()
                named = {name: value.cpu().numpy() for name, value in state.items()}
                statistics = self.model.get_vec_normalize_env()
                if statistics is not None and statistics.norm_obs:
                    running: Any = statistics.obs_rms
                    named |= {"obs_rms.mean": running.mean, "obs_rms.var": running.var}
                self._recorder.policy(self._seed, named)
            self._recorder.evaluated(self._seed, evaluation._replace(measures={**evaluation.measures, **columns}))
            if self._seed not in self._recorder.live:
                raise _Over
        self._recorder.progress()


def _finite(model: Any) -> bool:
    return all(bool(torch.isfinite(parameter).all()) for parameter in model.policy.parameters())


def _actor(model: Any) -> Actor:
    """Stable-Baselines3's policy as rollouts call it; its noise comes from torch's generator, not from ours."""
    policy, statistics = model.policy, model.get_vec_normalize_env()

    def act(observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        rows = observations[0].T.contiguous()
        if statistics is not None:
            rows = torch.from_numpy(statistics.normalize_obs(rows.numpy()))
        rows = rows.to(policy.device)
        if model.use_sde:
            policy.reset_noise(len(rows))
        sampled: Tensor = policy(rows)[0]
        if greedy is not None:
            best = policy(rows, deterministic=True)[0]
            sampled = torch.where(greedy.view(-1, *[1] * (sampled.dim() - 1)), best, sampled)
        return sampled[None].cpu()

    policy.set_training_mode(False)
    return act


def _schedule(value: float, kind: str) -> float | Callable[[float], float]:
    return value if kind == "constant" else lambda remaining: remaining * value
