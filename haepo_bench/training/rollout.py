"""Collecting complete episodes of many seeds at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from haepo_bench.policies.heads import Head
from haepo_bench.policies.shapes import LANES, Array, pad
from haepo_bench.tasks.base import Task, VectorEnvironment

#: (observations [seed, feature, row], noise [seed, row, *noise], greedy [row] or None) to
#: (actions [seed, row, *action], log-probabilities [seed, row]).
Actor = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]

#: Steps for which action noise is drawn at a time: fixed, so that a stream is read alike whoever else still lives.
_NOISE_STEPS = 128


@dataclass(frozen=True)
class Rollout:
    """Complete episodes; [seed, trajectory, step] unless said otherwise, the step axis always as long.

    Args:
        observations: [seed, feature, trajectory, step].
        actions: [seed, trajectory, step, *action], unclipped.
        mask: bool, true where a step was taken.
        behaviour_log_probs: of the actions, under the policy that took them.
        lengths: [seed, trajectory] steps taken.
        returns: [seed, trajectory] float64 undiscounted return.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    mask: Tensor
    behaviour_log_probs: Tensor
    lengths: Array
    returns: Array

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
            self.behaviour_log_probs[rows],
            self.lengths[seeds],
            self.returns[seeds],
        )


class Collector:
    """Runs episodes of one task; keeps its environment and counts what it visits.

    Args:
        trajectories: episodes a seed.
        rows: of the tensors that the actor is given, at least as many; what stands beyond the episodes has no meaning.
    """

    def __init__(self, task: Task, head: Head, trajectories: int, rows: int) -> None:
        self._task, self._head, self._trajectories = task, head, trajectories
        self._environment: VectorEnvironment = task.vector(trajectories)
        self.steps = pad(task.horizon, LANES)
        self._rows = rows

    def collect(
        self,
        actor: Actor,
        environment_streams: Sequence[np.random.Generator],
        noise_streams: Sequence[np.random.Generator],
        *,
        greedy: Array | None = None,
        visited: Array | None = None,
        device: str = "cpu",
    ) -> Rollout:
        """One episode of each trajectory of each seed (one stream a seed).

        Args:
            greedy: bool [trajectory], which episodes take the most likely action.
            visited: bool [seed, state], set where a state is visited.
        """
        S, K, T, N = len(environment_streams), self._trajectories, self.steps, self._rows
        head, low_high = self._head, action_bounds(self._task)
        features = self._task.observation_space.shape[0]
        observations = torch.zeros(S, features, K, T)
        actions = torch.zeros(S, K, T, *head.action_shape, dtype=head.action_dtype)
        log_probs = torch.zeros(S, K, T)
        rewards = np.zeros((S, K, T), np.float32)
        mask = np.zeros((S, K, T), bool)
        returns = np.zeros((S, K))
        live = np.ones((S, K), bool)
        greedy_rows = None
        if greedy is not None:
            greedy_rows = torch.zeros(N, dtype=torch.bool)
            greedy_rows[:K] = torch.from_numpy(greedy)
            greedy_rows = greedy_rows.to(device)
        noise = torch.zeros(0)
        rows = torch.zeros(S, features, N)  # rows beyond K stay zero
        current = self._environment.reset(environment_streams)
        with torch.no_grad():
            for t in range(self._task.horizon):
                if t % _NOISE_STEPS == 0:
                    drawn = np.stack([head.noise(stream, K, _NOISE_STEPS) for stream in noise_streams])
                    noise = torch.zeros(S, N, *drawn.shape[2:])
                    noise[:, :K] = torch.from_numpy(drawn)
                self._mark(visited, live)
                rows[:, :, :K] = torch.from_numpy(current).transpose(1, 2)
                chosen, chosen_log_probs = actor(rows.to(device), noise[:, :, t % _NOISE_STEPS].to(device), greedy_rows)
                log_probs[:, :, t] = chosen_log_probs[:, :K].cpu()
                taken = chosen[:, :K].cpu()
                observations[:, :, :, t] = rows[:, :, :K]
                actions[:, :, t] = taken
                mask[:, :, t] = live
                step = self._environment.step(clip_actions(taken.numpy(), low_high), live)
                rewards[:, :, t] = step.rewards
                returns += np.where(live, step.rewards, 0.0)
                current = step.observations
                live = live & ~(step.terminated | step.truncated)
                if not live.any():
                    break
        self._mark(visited, np.ones_like(live))
        return Rollout(
            observations,
            actions,
            torch.from_numpy(rewards),
            torch.from_numpy(mask),
            log_probs,
            mask.sum(-1),
            returns,
        )

    def _mark(self, visited: Array | None, live: Array) -> None:
        states = self._environment.visited() if visited is not None else None
        if visited is not None and states is not None:
            seeds, trajectories = np.nonzero(live)
            visited[seeds, states[seeds, trajectories]] = True

    def close(self) -> None:
        """Lets go of the environment."""
        self._environment.close()


def action_bounds(task: Task) -> tuple[Array, Array] | None:
    """Lowest and highest values of continuous actions; None for discrete ones."""
    space = task.action_space
    return (space.low, space.high) if isinstance(space, spaces.Box) else None


def clip_actions(actions: Array, bounds: tuple[Array, Array] | None) -> Array:
    """Actions as environments take them."""
    return actions if bounds is None else np.clip(actions, *bounds)
