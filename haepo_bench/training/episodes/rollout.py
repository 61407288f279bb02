"""Collecting complete episodes of many seeds at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from haepo_bench.errors import EnvironmentFault
from haepo_bench.policies.heads import Head
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.recorder import MAX_RETURN

#: (observations [seed, feature, row], noise [seed, row, *noise], greedy [row] or None) to actions [seed, row, *action].
Actor = Callable[[Tensor, Tensor, Tensor | None], Tensor]

#: Steps for which action noise is drawn at a time: fixed, so that a stream is read alike whoever else still lives.
_NOISE_STEPS = 128


class PrefixActor(NamedTuple):
    """Who takes the prefixes, the first steps of episodes.

    Args:
        lengths: [seed, trajectory] how many steps; an episode may end before.
    """

    actor: Actor
    lengths: Array


@dataclass(frozen=True)
class Rollout:
    """Complete episodes; [seed, trajectory, step] unless said otherwise, up to the end of the longest.

    Args:
        observations: [seed, feature, trajectory, step].
        actions: [seed, trajectory, step, *action], unclipped.
        rewards: float64, 0 where no step was taken.
        mask: bool, true where a step was taken.
        lengths: [seed, trajectory] steps taken.
        returns: [seed, trajectory] float64 undiscounted return.
        measures: what the task measures beside returns, column to [seed, trajectory].
        faults: by seed row, what the environment did wrong; of seeds that have not failed yet.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    mask: Tensor
    lengths: Array
    returns: Array
    measures: dict[str, Array]
    faults: Mapping[int, EnvironmentFault] = field(default_factory=dict)

    def select(self, seeds: Sequence[int]) -> "Rollout":
        """The rollouts of some seed rows."""
        if len(seeds) == len(self.returns):
            return self
        rows = torch.as_tensor(seeds)
        return Rollout(
            self.observations[rows],
            self.actions[rows],
            self.rewards[rows],
            self.mask[rows],
            self.lengths[seeds],
            self.returns[seeds],
            {name: values[seeds] for name, values in self.measures.items()},
        )


class Collector:
    """Runs episodes of one task; keeps its environment and counts what it visits.

    Args:
        environment: of the task; closed with the collector.
        trajectories: episodes per seed.
        rows: of the tensors that the actor is given, at least as many; what stands beyond the episodes has no meaning.
    """

    def __init__(self, task: Task, environment: VectorEnvironment, head: Head, trajectories: int, rows: int) -> None:
        self._task, self._environment, self._head, self._trajectories = task, environment, head, trajectories
        self._rows = rows

    def collect(
        self,
        actor: Actor,
        environment_streams: Sequence[np.random.Generator],
        noise_streams: Sequence[np.random.Generator],
        *,
        greedy: Array | None = None,
        prefix: PrefixActor | None = None,
        visited: Array | None = None,
        device: str = "cpu",
    ) -> Rollout:
        """One episode of each trajectory of each seed (one stream per seed).

        Args:
            greedy: bool [trajectory], which episodes take the most likely action.
            prefix: another actor for the first steps; None for none. It draws with the noise of those steps.
            visited: bool [seed, state], set where a state is visited by an episode that is not greedy.
        """
        S, K, N, horizon = len(environment_streams), self._trajectories, self._rows, self._task.horizon
        head, bounds = self._head, action_bounds(self._task)
        # Time stands first, so that a step writes one piece; memory is only taken where something is written.
        rows = torch.zeros(horizon, S, self._task.observation_space.shape[0], N)  # rows beyond K stay zero
        observations = rows.numpy()[..., :K]
        actions = torch.zeros(horizon, S, K, *head.action_shape, dtype=head.action_dtype)
        rewards = np.zeros((horizon, S, K))
        mask = np.zeros((horizon, S, K), bool)
        live = np.ones((S, K), bool)
        greedy_rows, counted = None, True if greedy is None else ~greedy
        if greedy is not None:
            greedy_rows = torch.zeros(N, dtype=torch.bool)
            greedy_rows[:K] = torch.from_numpy(greedy)
            greedy_rows = greedy_rows.to(device)
        opened = 0 if prefix is None else int(prefix.lengths.max())
        noise: Sequence[Tensor] = ()
        current = self._environment.reset(environment_streams)
        steps = 0
        with torch.inference_mode():
            while steps < horizon and live.any():
                t = steps
                if t % _NOISE_STEPS == 0:
                    noise = self._noise(noise_streams, device)
                if visited is not None:
                    self._mark(visited, live & counted)
                observations[t] = current.transpose(0, 2, 1)
                asked = rows[t].to(device), noise[t % _NOISE_STEPS], greedy_rows
                taken = actor(*asked)[:, :K].cpu()
                if prefix is not None and t < opened:
                    where = torch.from_numpy(t < prefix.lengths).view(S, K, *(1 for _ in head.action_shape))
                    taken = torch.where(where, prefix.actor(*asked)[:, :K].cpu(), taken)
                actions[t] = taken
                mask[t] = live
                step = self._environment.step(clip_actions(taken.numpy(), bounds), live)
                rewards[t] = step.rewards
                current = step.observations
                live = live & ~(step.terminated | step.truncated)
                steps += 1
        if visited is not None:
            self._mark(visited, np.ones_like(live) & counted)
        taken_steps = mask[:steps]
        paid = np.where(taken_steps, rewards[:steps], 0.0)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at by who reads the returns
            returns = paid.sum(0)
        faults = self._environment.faults()
        if not np.isfinite(returns).all():
            faults = reward_faults(self._task, paid, actions[:steps].numpy()) | faults
        return Rollout(
            torch.from_numpy(observations[:steps].transpose(1, 2, 3, 0)),
            actions[:steps].movedim(0, 2),
            torch.from_numpy(np.ascontiguousarray(paid.transpose(1, 2, 0))),
            torch.from_numpy(taken_steps.transpose(1, 2, 0)),
            taken_steps.sum(0),
            returns,
            self._environment.measures(),
            faults,
        )

    def _noise(self, streams: Sequence[np.random.Generator], device: str) -> Sequence[Tensor]:
        """What the next steps' actions are drawn with, [seed, row, *noise] each."""
        drawn = np.stack([self._head.noise(stream, self._trajectories, _NOISE_STEPS) for stream in streams])
        noise = torch.zeros(_NOISE_STEPS, len(streams), self._rows, *drawn.shape[3:])
        noise[:, :, : self._trajectories] = torch.from_numpy(drawn).movedim(2, 0)
        return noise.to(device).unbind()

    def _mark(self, visited: Array, live: Array) -> None:
        states = self._environment.visited()
        if states is not None:
            seeds, trajectories = np.nonzero(live)
            visited[seeds, states[seeds, trajectories]] = True

    def close(self) -> None:
        """Lets go of the environment."""
        self._environment.close()


def reward_faults(task: Task, rewards: Array, actions: Array) -> dict[int, EnvironmentFault]:
    """Rewards that are not finite although the actions are, by seed row.

    Args:
        rewards: [step, seed, trajectory], zero where no step was taken.
        actions: [step, seed, trajectory, *action].
    """
    sane = np.isfinite(actions).reshape(*rewards.shape, -1).all(-1)
    faults: dict[int, EnvironmentFault] = {}
    for step, row, trajectory in np.argwhere(~np.isfinite(rewards) & sane).tolist():
        value = rewards[step, row, trajectory]
        problem = f"returned the reward {value} at step {step + 1} of an episode"
        faults.setdefault(row, EnvironmentFault(task.id, problem))
    return faults


def too_large(returns: Array) -> str:
    """Why a seed with such returns [episode] has diverged; empty where it has not."""
    beyond = returns[~(np.abs(returns) <= MAX_RETURN)]
    return f"an episode's return is {beyond[0]:.3g}, more than single precision holds" if beyond.size else ""


def unlearnable(reward: float) -> str:
    """Why a seed with such a reward has diverged; empty where it has not."""
    fine = abs(reward) <= MAX_RETURN  # NaN is not, either
    return "" if fine else f"the task returned the reward {reward:.3g}, which single precision does not hold"


def action_bounds(task: Task) -> tuple[Array, Array] | None:
    """Lowest and highest values of continuous actions; None for discrete ones."""
    space = task.action_space
    return (space.low, space.high) if isinstance(space, spaces.Box) else None


def clip_actions(actions: Array, bounds: tuple[Array, Array] | None) -> Array:
    """Actions as environments take them."""
    return actions if bounds is None else np.clip(actions, *bounds)
