"""Collecting segments: `n_steps` steps of `n_envs` environments per seed, each starting anew whenever its episode ends.

Same-step autoreset: what is observed after an episode's last step is the next episode's first observation, and the
old episode's last one serves only to bootstrap where the episode was cut off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from haepo_bench.errors import EnvironmentFault
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.network import Prepared
from haepo_bench.policies.return_flow import ReturnFlow
from haepo_bench.policies.shapes import Array, pad
from haepo_bench.tasks.base import Step, Task
from haepo_bench.training.advantages import generalised_advantages
from haepo_bench.training.episodes.rollout import action_bounds, clip_actions, unlearnable
from haepo_bench.training.exploration import Episodes, Exploration
from haepo_bench.training.normalisation import Normalisation
from haepo_bench.training.ppo_settings import SegmentSettings, normalised_by
from haepo_bench.training.resuming import arrays_of
from haepo_bench.training.seed_record import MAX_RETURN
from haepo_bench.training.segments.flow_returns import FlowReturns
from haepo_bench.training.streams import stream


@dataclass(frozen=True)
class Segments:
    """What one iteration collected; rows are steps, environment by environment.

    Args:
        observations: [seed, feature, row], normalised where the settings say so; float32, pixels bytes.
        actions: [seed, row, *action], unclipped.
        outputs: of the policy's head [seed, output, row], when the steps were taken.
        log_probs: of the actions, when they were taken [seed, row].
        rewards: [seed, row], normalised where the settings say so.
        values: V when the steps were taken [seed, row].
        advantages: generalised advantage estimates [seed, row].
        episodes: the episodes that ended, one entry per seed.
        flow: what a flow as critic learns from; None for other critics.
        faults: by seed row, what the environment did wrong; of seeds that have not failed yet.
        diverged: by seed row, why rewards are not numbers to learn from; likewise.
    """

    observations: Tensor
    actions: Tensor
    outputs: Tensor
    log_probs: Tensor
    rewards: Tensor
    values: Tensor
    advantages: Tensor
    episodes: tuple["Episodes", ...]
    flow: FlowReturns | None = None
    faults: Mapping[int, EnvironmentFault] = field(default_factory=dict)
    diverged: Mapping[int, str] = field(default_factory=dict)

    def select(self, rows: Sequence[int]) -> "Segments":
        """The segments of some seeds."""
        if len(rows) == len(self.episodes):
            return self
        tensors = {
            each.name: getattr(self, each.name)[rows]
            for each in fields(self)
            if each.name not in {"episodes", "flow", "faults", "diverged"}
        }
        flow = None if self.flow is None else self.flow.select(rows)
        return Segments(**tensors, episodes=tuple(self.episodes[row] for row in rows), flow=flow)


class SegmentCollector:
    """The environments of several seeds, which go on from one iteration to the next.

    Row i of what it returns belongs to the i-th seed that is still kept.
    """

    def __init__(
        self,
        task: Task,
        network: ActorCritic,
        settings: SegmentSettings,
        seeds: Sequence[int],
        exploration: Exploration,
    ) -> None:
        self._task, self._network, self._settings = task, network, settings
        self._seeds = np.array(seeds)
        S, K = len(seeds), settings.n_envs
        self._environment = task.training().vector(K)
        self._places = np.arange(S)  # of the kept seeds among the environment's
        self._episodes = np.zeros((S, K), np.int64)  # how many each environment has ended
        self.env_steps = 0  # of each seed: all take the same number
        self._returns = np.zeros((S, K))  # of the running episodes so far
        features = task.observation_space.shape[0]
        what = normalised_by(task, settings)
        self.normalisation = None if what is None else Normalisation(S, features, settings.gamma, what)
        #: Of all seeds, or [seed].
        self.gae_lambda: float | Array = settings.gae_lambda
        self._discounted = np.zeros((S, K))  # returns of the running episodes, for normalised rewards
        self._exploration = exploration
        self._faults: dict[int, EnvironmentFault] = {}
        self._diverged: dict[int, str] = {}
        self._started = S  # seeds that the environment was reset with
        self._chunk = network.padded_rows(min(network.chunk_rows, K * settings.n_steps))
        first = self._environment.reset([stream("environment", seed) for seed in seeds])
        self._mark()
        self._current = self._shown(first)

    @torch.no_grad()
    def collect(self, parameters: Tensor, iteration: int, steps: int) -> Segments:
        """`steps` steps of every environment by the policy with `parameters` [seed, parameter]."""
        S, K, T, head = len(self._seeds), self._settings.n_envs, steps, self._network.policy.head
        bounds = action_bounds(self._task)
        normalised = self.normalisation is not None and self.normalisation.what.observations
        kept_as = np.float32 if normalised else self._task.observation_dtype
        observations = np.zeros((S, K, T, self._current.shape[-1]), kept_as)
        actions = torch.zeros(S, K, T, *head.action_shape, dtype=head.action_dtype)
        rewards, over = np.zeros((S, K, T), np.float32), np.zeros((S, K, T), bool)
        episodes = tuple(Episodes() for _ in range(S))
        rows = self._network.policy.padded_rows(K)
        drawn = self._noise(iteration, T)
        noise = torch.zeros(S, rows, *drawn.shape[2:])
        noise[:, :K] = torch.from_numpy(drawn)
        noise = noise.to(parameters.device)
        folded = self._network.fold(parameters)
        for t in range(T):
            observations[:, :, t] = self._current
            outputs = self._network.policy.outputs(folded[0], _rows(self._current, rows).to(parameters.device))
            taken = head.sample(outputs, noise[:, :, t], None)[:, :K].cpu()
            actions[:, :, t] = taken
            played = clip_actions(head.played(taken.numpy()), bounds)
            step = self._learnable(self._step(played), taken.numpy())
            over[:, :, t] = step.terminated | step.truncated
            self._current, paid = self._turn(step, over[:, :, t], episodes)
            cut = step.truncated & ~step.terminated
            if cut.any():
                last = step.observations
                if self.normalisation is not None:
                    last = self.normalisation.observations(last)
                paid = np.where(cut, paid + self._settings.gamma * self._values(folded, last), paid)
            rewards[:, :, t] = paid
        segments = self._segments(folded, observations, actions, rewards, over, episodes, iteration)
        found = self._environment.faults()
        faults = {row: found[place] for row, place in enumerate(self._places.tolist()) if place in found}
        self._faults, faults = {}, {**self._faults, **faults}
        self._diverged, diverged = {}, self._diverged
        return replace(segments, faults=faults, diverged=diverged)

    def _noise(self, iteration: int, steps: int) -> Array:
        """What the actions of an iteration are drawn with, [seed, environment, step, *noise]."""
        K, head = self._settings.n_envs, self._network.policy.head
        return np.stack(
            [head.noise(stream("action noise", seed, iteration), K, steps) for seed in self._seeds.tolist()]
        )

    def _learnable(self, step: Step, actions: Array) -> Step:
        """The step with rewards that single precision holds; notes for which seeds it has others."""
        fine = np.abs(step.rewards) <= MAX_RETURN  # NaN is not, either
        if fine.all():
            return step
        for row, column in np.argwhere(~fine):
            value = step.rewards[row, column]
            if not np.isfinite(value) and np.isfinite(actions[row, column]).all():
                self._faults.setdefault(int(row), EnvironmentFault(self._task.id, f"returned the reward {value}"))
            self._diverged.setdefault(int(row), unlearnable(value))
        return step._replace(rewards=np.where(fine, step.rewards, 0.0))

    def _segments(
        self,
        folded: tuple[Prepared, Prepared],
        observations: Array,
        actions: Tensor,
        rewards: Array,
        over: Array,
        episodes: tuple[Episodes, ...],
        iteration: int,
    ) -> Segments:
        """What was collected, [seed, environment, step, ...], and what the networks say of it."""
        S, K, T = rewards.shape
        N, head, device = K * T, self._network.policy.head, folded[0].weights[0].device
        rows = _rows(observations.reshape(S, N, -1), pad(N, self._chunk)).to(device)
        taken = torch.zeros(S, rows.shape[2], *head.action_shape, dtype=head.action_dtype)
        taken[:, :N] = actions.view(S, N, *head.action_shape)
        taken = taken.to(device)
        starts = range(0, rows.shape[2], self._chunk)
        chunks = [self._network.forward(folded, rows[:, :, s : s + self._chunk].contiguous())[:2] for s in starts]
        outputs = torch.cat([policy for policy, _ in chunks], 2)
        critic = self._network.critic
        values = torch.cat([critic.values(estimates) for _, estimates in chunks], 1)[:, :N]
        flow = None
        if isinstance(critic, ReturnFlow):
            fields = [critic.field(estimates) for _, estimates in chunks]
            shown = _rows(self._current, self._network.padded_rows(K)).to(device)
            flow = FlowReturns(
                fields[0]._replace(seen=torch.cat([part.seen for part in fields], 2)),
                critic.field(self._network.value.outputs(folded[1], shown)),
                rewards,
                over,
                gamma=self._settings.gamma,
                gae_lambda=self.gae_lambda,
                streams=[stream("critic", seed, iteration) for seed in self._seeds.tolist()],
            )
        advantages = generalised_advantages(
            rewards,
            values.reshape(S, K, T).cpu().numpy(),
            self._values(folded, self._current),
            over,
            gamma=self._settings.gamma,
            gae_lambda=self.gae_lambda,
        )
        return Segments(
            observations=rows[:, :, :N],
            actions=taken[:, :N],
            outputs=outputs[:, :, :N],
            log_probs=head.log_prob(outputs, taken)[:, :N],
            rewards=torch.from_numpy(rewards.reshape(S, N)).to(device),
            values=values,
            advantages=torch.from_numpy(advantages.reshape(S, N)).to(device),
            episodes=episodes,
            flow=flow,
        )

    @property
    def resumes(self) -> bool:
        """Whether `state` holds all of the running episodes."""
        return self._environment.resumes

    def state(self) -> dict[str, Any]:
        """The running episodes between two iterations, row by row."""
        return {
            "env_steps": [self.env_steps] * len(self._seeds),
            "episodes": self._episodes,
            "returns": self._returns,
            "shown": self._current,
            "discounted": self._discounted,
            "normalisation": None if self.normalisation is None else self.normalisation.arrays(),
            "environment": {name: part[self._places] for name, part in self._environment.running().items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state`, in which arrays are tensors."""
        (self.env_steps,) = set(state["env_steps"])
        own = arrays_of({name: part for name, part in state.items() if name != "env_steps"})
        self._episodes, self._returns, self._discounted = own["episodes"], own["returns"], own["discounted"]
        self._current = own["shown"]
        if self.normalisation is not None:
            self.normalisation.restore(own["normalisation"])
        for name, part in self._environment.running().items():
            part[self._places] = own["environment"][name]

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds; the environments of the others stand still."""
        self._seeds, self._places, self._episodes = self._seeds[rows], self._places[rows], self._episodes[rows]
        self._returns, self._current = self._returns[rows], self._current[rows]
        self._discounted = self._discounted[rows]
        if isinstance(self.gae_lambda, np.ndarray):
            self.gae_lambda = self.gae_lambda[rows]
        if self.normalisation is not None:
            self.normalisation.keep(rows)

    def close(self) -> None:
        """Lets go of the environments."""
        self._environment.close()

    def _step(self, actions: Array) -> Step:
        if len(self._places) == self._started:
            return self._environment.step(actions, np.ones(actions.shape[:2], bool))
        live = np.zeros((self._started, actions.shape[1]), bool)
        live[self._places] = True
        everywhere = np.zeros((self._started, *actions.shape[1:]), actions.dtype)
        everywhere[self._places] = actions
        return Step(*(part[self._places] for part in self._environment.step(everywhere, live)))

    def _turn(self, step: Step, over: Array, episodes: tuple[Episodes, ...]) -> tuple[Array, Array]:
        """Starts episodes anew where they are `over`; returns the next observations and the rewards."""
        self.env_steps += over.shape[1]
        self._mark()
        self._returns += step.rewards
        shown = step.observations
        if over.any():
            ended = np.argwhere(over)
            measures = self._environment.measures()
            for row, column in ended:
                episode = episodes[row]
                episode.returns.append(float(self._returns[row, column]))
                episode.steps.append(self.env_steps)
                for name, values in measures.items():
                    episode.measures.setdefault(name, []).append(float(values[self._places[row], column]))
            self._returns[over] = 0.0
            self._episodes[over] += 1
            where = np.zeros((self._started, over.shape[1]), bool)
            where[self._places] = over
            streams = [
                stream("environment", int(self._seeds[row]), int(column), int(self._episodes[row, column]))
                for row, column in ended
            ]
            shown = shown.copy()
            shown[over] = self._environment.restart(where, streams)
            self._mark()
        rewards = step.rewards.astype(np.float32)
        if self.normalisation is not None:
            rewards, self._discounted = self.normalisation.rewards(rewards, self._discounted, over)
        return self._shown(shown), rewards

    def _shown(self, observations: Array) -> Array:
        """Counts what the environments show; as the learner sees it."""
        if self.normalisation is None:
            return observations
        self.normalisation.observe(observations)
        return self.normalisation.observations(observations)

    def _mark(self) -> None:
        visited = self._exploration.visited
        states = self._environment.visited() if visited is not None else None
        if visited is not None and states is not None:
            visited[np.arange(len(self._places))[:, None], states[self._places]] = True

    def _values(self, folded: tuple[Prepared, Prepared], observations: Array) -> Array:
        """V [seed, environment] of observations [seed, environment, feature]."""
        K = observations.shape[1]
        rows = _rows(observations, self._network.padded_rows(K)).to(folded[1].weights[0].device)
        values: Array = self._network.values(folded, rows)[:, :K].cpu().numpy()
        return values


def _rows(observations: Array, rows: int) -> Tensor:
    """Observations [seed, row, feature] as [seed, feature, row] with so many rows; those beyond are zero."""
    S, n, features = observations.shape
    given = torch.from_numpy(observations)
    padded = torch.zeros(S, features, rows, dtype=given.dtype)
    padded[:, :, :n] = given.transpose(1, 2)
    return padded
