"""The compiled engine for objectives that collect segments."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from haepo_bench.engine.architecture import Architecture
from haepo_bench.engine.collector import stepped
from haepo_bench.engine.library import opened
from haepo_bench.engine.segments import CUT_OFF, PlayedSegments, Running, play_segments
from haepo_bench.engine.update import HeadValues, StepRows, Workspace
from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.objectives.output import output_of
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.shapes import LANES, Array, pad
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.adam import Largest
from haepo_bench.training.advantages import generalised_advantages
from haepo_bench.training.compiled_adam import CompiledAdam, clip_compiled
from haepo_bench.training.diagnostics import update_diagnostics
from haepo_bench.training.episodes.compiled import CompiledCollector, compiled_policies
from haepo_bench.training.episodes.rollout import Collector, unlearnable
from haepo_bench.training.exploration import Episodes, Exploration
from haepo_bench.training.ppo_settings import SegmentSettings
from haepo_bench.training.resuming import arrays_of
from haepo_bench.training.seed_record import MAX_RETURN
from haepo_bench.training.segments.collector import SegmentCollector, Segments
from haepo_bench.training.segments.engine import TorchSegments
from haepo_bench.training.segments.minibatches import Minibatches
from haepo_bench.training.streams import stream
from haepo_bench.training.waiting import Policies


class _Networks:
    """The two networks as the kernels see them, and their parts of flat parameters."""

    def __init__(self, network: ActorCritic) -> None:
        self.policy, self.value = Architecture(network.policy), Architecture(network.value, values=True)
        self.workspaces = Workspace(), Workspace()

    def split(self, parameters: Array) -> tuple[Array, Array]:
        """The policies' and the value networks' parameters [seed, parameter]."""
        end = self.policy.parameters
        return np.ascontiguousarray(parameters[:, :end]), np.ascontiguousarray(parameters[:, end:])

    def policy_rows(self, observations: Array, actions: Array) -> StepRows:
        """Rows [seed, row, feature], as many of each seed, for the policy."""
        return self._rows(self.policy, self.workspaces[0], observations, actions)

    def value_rows(self, observations: Array) -> StepRows:
        """Rows [seed, row, feature], as many of each seed, for the value network."""
        nothing = np.zeros(observations.shape[:2], np.int64)
        return self._rows(self.value, self.workspaces[1], observations, nothing)

    def values(self, parameters: Array, observations: Array) -> Array:
        """V [seed, row] of value networks [seed, parameter] for [seed, row, feature]."""
        z = self.value_rows(observations).outputs(parameters).z
        return z.reshape(len(observations), -1)[:, : observations.shape[1]]

    def _rows(self, architecture: Architecture, workspace: Workspace, observations: Array, actions: Array) -> StepRows:
        return StepRows.uniform(opened(), architecture, observations, actions, workspace)


class CompiledSegmentCollector(SegmentCollector):
    """Plays with the kernels where they step the environment; else they only see to what comes after."""

    def __init__(
        self,
        networks: _Networks,
        task: Task,
        network: ActorCritic,
        settings: SegmentSettings,
        seeds: Sequence[int],
        exploration: Exploration,
    ) -> None:
        super().__init__(task, network, settings, seeds, exploration)
        self._networks = networks
        environment = self._environment
        self._running = Running(environment) if stepped(environment) and self.normalisation is None else None

    def collect(self, parameters: Tensor, iteration: int, steps: int) -> Segments:
        if self._running is None:
            return super().collect(parameters, iteration, steps)
        policy, value = self._networks.split(parameters.numpy())
        noise = np.ascontiguousarray(self._noise(iteration, steps))
        played = play_segments(
            opened(),
            self._networks.policy,
            policy,
            self._running,
            self._task.horizon,
            noise,
            self._starts,
            visited=self._exploration.visited,
        )
        episodes = self._ended(played)
        S, K, T = played.rewards.shape
        learnable, diverged = self._paid(played.rewards)
        over, cut = played.over > 0, played.over == CUT_OFF
        rewards = learnable.astype(np.float32)
        if cut.any():
            rewards[cut] += self._settings.gamma * self._bootstraps(value, played.after, cut)
        observations = played.observations.reshape(S, K * T, -1)
        actions = played.actions.reshape(S, K * T, *played.actions.shape[3:])
        rows = self._networks.policy_rows(observations, actions)
        z = rows.outputs(policy).z
        values = self._networks.values(value, observations)
        advantages = generalised_advantages(
            rewards,
            values.reshape(S, K, T),
            self._networks.values(value, self._shown_now()),
            over,
            gamma=self._settings.gamma,
            gae_lambda=self.gae_lambda,
        )
        return Segments(
            observations=torch.from_numpy(observations).transpose(1, 2),
            actions=torch.from_numpy(actions),
            outputs=torch.from_numpy(z.reshape(S, self._networks.policy.outputs, -1))[:, :, : K * T],
            log_probs=torch.from_numpy(rows.log_probs(z).reshape(S, -1))[:, : K * T],
            rewards=torch.from_numpy(rewards.reshape(S, -1)),
            values=torch.from_numpy(values),
            advantages=torch.from_numpy(advantages.reshape(S, -1)),
            episodes=episodes,
            diverged=diverged,
        )

    def state(self) -> dict[str, Any]:
        return {**super().state(), "running": None if self._running is None else self._running.arrays()}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        if self._running is not None:
            for name, part in arrays_of(state["running"]).items():
                getattr(self._running, name)[:] = part

    def keep(self, rows: Sequence[int]) -> None:
        super().keep(rows)
        if self._running is not None:
            self._running.keep(np.array(rows, np.int64))

    def _starts(self, missing: Array) -> Array:
        """Where the episodes after the running ones start; `_episodes` counts those that have ended."""
        assert self._running is not None
        started = (self._episodes[row, column] + 1 for row, column in missing)
        streams = [
            stream("environment", int(self._seeds[row]), int(column), int(number))
            for (row, column), number in zip(missing, started, strict=True)
        ]
        # A start is missing once the one before has been taken.
        self._episodes[tuple(missing.T)] += 1
        return self._running.environment.starts(streams)

    def _ended(self, played: PlayedSegments) -> tuple[Episodes, ...]:
        """The episodes that ended, one entry per seed, in the order of steps and environments."""
        assert self._running is not None
        K = played.over.shape[1]
        episodes = tuple(Episodes() for _ in range(len(self._seeds)))
        measures = self._running.environment.measures_of(np.moveaxis(played.last, -1, 0))
        for step, row, column in np.argwhere(played.over.transpose(2, 0, 1)):
            episode = episodes[row]
            episode.returns.append(float(played.totals[row, column, step]))
            episode.steps.append(self.env_steps + K * (int(step) + 1))
            for name, values in measures.items():
                episode.measures.setdefault(name, []).append(float(values[row, column, step]))
        self.env_steps += K * played.over.shape[2]
        return episodes

    def _paid(self, rewards: Array) -> tuple[Array, dict[int, str]]:
        """Rewards that single precision holds, and by seed row why others are not numbers to learn from."""
        fine = np.abs(rewards) <= MAX_RETURN  # NaN is not, either
        if fine.all():
            return rewards, {}
        diverged: dict[int, str] = {}
        for row, column, step in np.argwhere(~fine):
            diverged.setdefault(int(row), unlearnable(rewards[row, column, step]))
        return np.where(fine, rewards, 0.0), diverged

    def _bootstraps(self, parameters: Array, after: Array, cut: Array) -> Array:
        """V of what episodes that were cut off would have shown next, in the order of `cut`."""
        counts = cut.sum((1, 2))
        shown = np.zeros((len(after), int(counts.max()), after.shape[-1]), np.float32)
        there = np.arange(shown.shape[1]) < counts[:, None]
        shown[there] = after[cut]
        found: Array = self._networks.values(parameters, shown)[there]
        return found

    def _shown_now(self) -> Array:
        """What the running episodes show: [seed, environment, feature]."""
        assert self._running is not None
        shown = self._running.environment.observe(np.moveaxis(self._running.state, -1, 0))
        return np.ascontiguousarray(np.moveaxis(shown, 0, -1))


class CompiledMinibatches(Minibatches):
    """As `Minibatches`, in the kernels' layout."""

    def __init__(self, networks: _Networks, network: ActorCritic, segments: Segments, size: int, horizon: int) -> None:
        super().__init__(network, segments, size, horizon)
        self._networks = networks
        # Parts of a seed's tensors are whole vectors of torch's, and whole groups of the kernels'.
        self._rows = pad(self._size, LANES)
        self._shown = np.ascontiguousarray(segments.observations.numpy().transpose(0, 2, 1))
        self._taken = np.ascontiguousarray(segments.actions.numpy())
        self._behaviour = segments.outputs.numpy()
        behind = (segments.log_probs, segments.rewards, segments.values, segments.advantages)
        self._behind = np.stack([part.numpy() for part in behind], 1)

    def shuffle(self, orders: Array) -> None:
        S, M, R = len(orders), self.count, self._rows
        places = np.zeros((S, M * self._size), np.int64)
        places[:, : self.steps] = orders
        index = np.zeros((S, M, R), np.int64)
        index[:, :, : self._size] = places.reshape(S, M, self._size)
        flat, seed = index.reshape(S, M * R), np.arange(S)[:, None]

        def cut(rows: Array) -> Array:
            """[seed, minibatch * row, ...] to [minibatch, seed, row, ...]."""
            return np.ascontiguousarray(rows.reshape(S, M, R, *rows.shape[2:]).swapaxes(0, 1))

        self._x, self._a = cut(self._shown[seed, flat]), cut(self._taken[seed, flat])
        numbers = (np.take_along_axis(part, flat[:, None], 2) for part in (self._behaviour, self._behind))
        # [minibatch, seed, number, row]
        self._z, self._rest = (
            np.ascontiguousarray(part.reshape(S, -1, M, R).transpose(2, 0, 1, 3)) for part in numbers
        )

    def gradient(
        self, number: int, parameters: Tensor, objective: Objective, rows: Sequence[int] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        x, a, z, rest = (part[number] for part in (self._x, self._a, self._z, self._rest))
        if rows is not None:
            x, a, z, rest = (np.ascontiguousarray(part[list(rows)]) for part in (x, a, z, rest))
        (S, R), filled = x.shape[:2], min(self._size, self.steps - number * self._size)
        offsets, counts = np.arange(S + 1, dtype=np.int64) * R, np.full(S, filled, np.int64)
        policy, value = self._networks.split(parameters.numpy())
        architectures, workspaces = (self._networks.policy, self._networks.value), self._networks.workspaces
        shown, taken = x.reshape(S * R, -1), a.reshape(S * R, *a.shape[2:])
        steps, states = (
            StepRows(opened(), architecture, offsets, counts, shown, taken, workspace)
            for architecture, workspace in zip(architectures, workspaces, strict=True)
        )
        outputs, predicted = steps.outputs(policy, keep=True), states.outputs(value, keep=True)
        reference = z.reshape(-1)
        evaluated = steps.evaluate(outputs.z, reference)

        def batched(part: Array) -> Tensor:
            return torch.from_numpy(part.reshape(S, 1, 1, R))

        log_probs, entropy, kl, values = (batched(part).requires_grad_() for part in (*evaluated, predicted.z))
        behaviour, rewards, behaviour_values, advantages = (batched(rest[:, i].copy()) for i in range(4))
        batch = TrajectoryBatch(
            log_probs=log_probs,
            entropy=entropy,
            kl_to_reference=kl,
            behaviour_log_probs=behaviour,
            reference_log_probs=behaviour,
            mask=(torch.arange(R) < filled).expand(S, 1, 1, R),
            rewards=rewards,
            returns=torch.full((S, 1, 1), torch.nan),
            horizon=self._horizon,
            values=values,
            behaviour_values=behaviour_values,
            advantages=advantages,
            value_targets=advantages + behaviour_values,
        )
        found = output_of(objective, batch)
        # An objective may do without any of them.
        leaves = (log_probs, entropy, kl, values)
        back = torch.autograd.grad(found.loss.sum(), leaves, allow_unused=True, materialize_grads=True)
        *heads, on_values = (part.reshape(-1).contiguous().numpy() for part in back)
        gradient = np.concatenate(
            [
                steps.backward(policy, outputs, reference, HeadValues(*heads)),
                states.backward_values(value, predicted, on_values),
            ],
            1,
        )
        return torch.from_numpy(gradient), {
            name: part.detach() for name, part in update_diagnostics(found, batch).items()
        }


class CompiledSegments(TorchSegments):
    """The kernels; tensors are on the CPU."""

    def __init__(self, network: ActorCritic) -> None:
        super().__init__(network)
        self._networks = _Networks(network)

    def policies(self, parameters: Tensor, statistics: Array | None) -> Policies:
        return compiled_policies(self._networks.policy, self._networks.split(parameters.numpy())[0], statistics)

    def evaluated_by(self, task: Task, environment: VectorEnvironment, episodes: int) -> Collector:
        return CompiledCollector(task, environment, self._network.policy.head, episodes)

    def collector(
        self, task: Task, settings: SegmentSettings, seeds: Sequence[int], exploration: Exploration
    ) -> SegmentCollector:
        return CompiledSegmentCollector(self._networks, task, self._network, settings, seeds, exploration)

    def minibatches(self, segments: Segments, size: int, horizon: int) -> Minibatches:
        return CompiledMinibatches(self._networks, self._network, segments, size, horizon)

    def optimiser(self, parameters: Tensor, learning_rate: float | Sequence[float], epsilon: float) -> CompiledAdam:
        return CompiledAdam(parameters, learning_rate, epsilon)

    def clip(self, gradient: Tensor, largest: Largest) -> Tensor:
        return clip_compiled(gradient, largest)
