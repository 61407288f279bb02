"""From complete episodes to what an objective sees of them, whatever computed the log-probabilities."""

from typing import NamedTuple

import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch
from haepo_bench.policies.shapes import LANES, Array, pad, padded_seeds
from haepo_bench.tasks.base import Task
from haepo_bench.training.episodes.rollout import Rollout
from haepo_bench.training.returns import comparable


def padded_horizon(horizon: int) -> int:
    """Steps of a trajectory as objectives see it."""
    return pad(horizon, LANES)


class BatchShape(NamedTuple):
    """The axes of a batch: [seed, group, trajectory, step], padded so that each seed keeps its bits (shapes.py).

    Args:
        seeds: without padding.
        padded: seeds with padding.
        trajectories: of all groups together.
        steps: as many whichever episodes were the longest.
    """

    seeds: int
    padded: int
    groups: int
    trajectories: int
    steps: int

    @classmethod
    def of(cls, rollout: Rollout, task: Task) -> "BatchShape":
        """The shape of a rollout's batch."""
        S, K = rollout.lengths.shape
        padded, steps = padded_seeds(S, K), padded_horizon(task.horizon)
        # Mixtures of objectives tell the axis of seeds by its length (training/row_values.py).
        while S > 1 and padded in {task.groups, K // task.groups, steps}:
            padded += padded_seeds(1, K)
        return cls(S, padded, task.groups, K, steps)

    def grouped(self, x: Tensor) -> Tensor:
        """[seed, episode, ...] to [seed, group, trajectory, ...]."""
        return x.view(len(x), self.groups, -1, *x.shape[2:])

    def padded_to(self, x: Tensor, device: str) -> Tensor:
        """[seed, episode] or [seed, episode, step] to this shape, zero in the padding."""
        steps = (self.steps,) * (x.dim() > 2)
        padded = torch.zeros(self.padded, x.shape[1], *steps, dtype=x.dtype)
        padded[(slice(len(x)), slice(None), slice(x.shape[-1]))[: x.dim()]] = x
        return self.grouped(padded).to(device)


def trajectory_batch(
    rollout: Rollout,
    task: Task,
    objective: Objective | None,
    device: str,
    *,
    behaviour_log_probs: Tensor,
    reference_log_probs: Tensor,
    tempered: tuple[Tensor, ...] = (),
    expert_log_probs: Tensor | None = None,
    reference_returns: Array | None = None,
    greedy_returns: Array | None = None,
    flipped: Array | None = None,
) -> TrajectoryBatch:
    """The batch, where what carries gradient is a placeholder.

    Args:
        objective: which says what its batch must bring along.
        behaviour_log_probs: and the others, as `BatchShape` has them.
        tempered: log-probabilities at the objective's temperatures.
        expert_log_probs: of an expert's episode of each seed [seed, step], on a task with one group.
        reference_returns: [seed, group * sample] of episodes of the reference policy; None where there are none, and
            the batch's own returns, which are such a sample, stand in if the reference collected it.
        greedy_returns: [seed, group] of the greedy policy; None where the objective asks for none.
        flipped: [seed, group, trajectory, trajectory] bool, pairs whose order is reported reversed; None for none.
    """
    shape = BatchShape.of(rollout, task)
    returns = shape.padded_to(torch.from_numpy(comparable(rollout.returns)), device)
    sampled = returns
    if reference_returns is not None:
        sampled = shape.padded_to(torch.from_numpy(comparable(reference_returns)), device)
    experts = None
    if expert_log_probs is not None:
        experts = torch.full((shape.padded, 1, shape.steps), torch.nan, device=device)
        experts[: shape.seeds, 0] = expert_log_probs
    greedy = None
    if greedy_returns is not None:
        greedy = shape.padded_to(torch.from_numpy(comparable(greedy_returns)), device)
    reversed_pairs = None
    if flipped is not None:
        reversed_pairs = torch.zeros(shape.padded, *flipped.shape[1:], dtype=torch.bool)
        reversed_pairs[: shape.seeds] = torch.from_numpy(flipped)
        reversed_pairs = reversed_pairs.to(device)
    return TrajectoryBatch(
        log_probs=behaviour_log_probs,
        entropy=behaviour_log_probs,
        kl_to_reference=behaviour_log_probs,
        behaviour_log_probs=behaviour_log_probs,
        reference_log_probs=reference_log_probs,
        mask=shape.padded_to(rollout.mask, device),
        rewards=shape.padded_to(rollout.rewards, device),
        returns=returns,
        horizon=task.horizon,
        deterministic=task.deterministic,
        reference_returns=sampled if objective is not None and objective.reference_sample else None,
        tempered_log_probs=tempered or None,
        expert_log_probs=experts,
        greedy_returns=greedy,
        flipped=reversed_pairs,
    )
