"""Episodes of a task's scripted expert, for objectives that learn from one beside the policy's own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.network import PolicyNetwork
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task


class ExpertEpisode(NamedTuple):
    """One episode per seed.

    Args:
        observations: [seed, feature, step]. actions: [seed, step].
        lengths: [seed] steps taken; what stands beyond has no meaning.
    """

    observations: Array
    actions: Array
    lengths: Array

    def select(self, seeds: Sequence[int]) -> "ExpertEpisode":
        """Those of some seed rows."""
        rows = list(seeds)
        return ExpertEpisode(self.observations[rows], self.actions[rows], self.lengths[rows])

    def log_probs(self, network: PolicyNetwork, parameters: Tensor, steps: int) -> Tensor:
        """Of the expert's actions under policies [seed, parameter]: [seed, steps], NaN beyond the episode's end."""
        S, features, T = self.observations.shape
        rows = network.padded_rows(T)
        x, actions = torch.zeros(S, features, rows), torch.zeros(S, rows, dtype=torch.int64)
        x[:, :, :T], actions[:, :T] = torch.from_numpy(self.observations), torch.from_numpy(self.actions)
        outputs = network.outputs(network.fold(parameters), x.to(parameters.device))
        found = network.head.log_prob(outputs, actions.to(parameters.device))[:, :T]
        log_probs = torch.full((S, steps), torch.nan, device=parameters.device)
        taken = torch.arange(T) < torch.from_numpy(self.lengths)[:, None]
        log_probs[:, :T] = torch.where(taken.to(parameters.device), found, torch.nan)
        return log_probs


class Expert:
    """Plays the expert of a task that has one, from the start that a paired batch has with the same streams."""

    def __init__(self, task: Task) -> None:
        actions = task.expert()
        if actions is None:
            raise ValueError(f"{task.id} has no expert")
        self._actions, self._horizon = actions, task.horizon
        self._environment = task.training().paired(1)

    def play(self, streams: Sequence[np.random.Generator]) -> ExpertEpisode:
        """One episode of each seed."""
        shown = self._environment.reset(streams)[:, 0]
        observations = np.zeros((len(streams), shown.shape[1], self._horizon), np.float32)
        actions = np.zeros((len(streams), self._horizon), np.int64)
        live, lengths = np.ones((len(streams), 1), bool), np.zeros(len(streams), np.int64)
        for time in range(self._horizon):
            states = self._environment.visited()
            assert states is not None  # tasks with an expert number their states
            observations[:, :, time], actions[:, time] = shown, self._actions[time, states[:, 0]]
            lengths += live[:, 0]
            step = self._environment.step(actions[:, time, None], live)
            shown = step.observations[:, 0]
            live = live & ~(step.terminated | step.truncated)
            if not live.any():
                break
        return ExpertEpisode(observations, actions, lengths)

    def close(self) -> None:
        """Lets go of the environment."""
        self._environment.close()
