"""Batches for tests of objectives: the worked toy batch, random ones; and what an objective makes of them."""

import json
import math
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch

#: Worked numbers in float64 on the toy batch below, computed by a program that shares no code with this package.
VALUES = json.loads((Path(__file__).parent / "objective_values.json").read_text())

F = torch.float64
MASK = [[1, 1], [1, 1], [1, 0], [1, 1]]
LOG_PROBS = [[-0.6, -1.1], [-0.9, -0.6], [-1.1, 0.0], [-0.3, -1.6]]
BEHAVIOUR = [[-0.9, -1.0], [-0.5, -0.7], [-1.0, 0.0], [-0.4, -1.2]]
REFERENCE = [[-0.8, -1.3], [-0.6, -0.9], [-0.9, 0.0], [-0.5, -1.1]]
WARM = [[-0.95, -1.05], [-0.6, -0.8], [-0.95, 0.0], [-0.55, -1.15]]
RETURNS = [2.0, 0.0, 1.0, 0.5]
ENTROPY = [[1.0, 0.9], [0.8, 0.7], [1.1, 0.0], [0.6, 1.2]]

#: No regulariser: the loss of a reading alone.
BARE = {"entropy_coefficient": 0.0, "kl_coefficient": 0.0}


def toy(groups: int = 1) -> TrajectoryBatch:
    """The toy batch, one seed; its KL to the reference is k3, as the worked numbers have it."""

    def shaped(x: list[list[float]]) -> Tensor:
        return torch.tensor(x, dtype=F).view(1, groups, 4 // groups, 2)

    log_probs, reference = shaped(LOG_PROBS), shaped(REFERENCE)
    return TrajectoryBatch(
        log_probs=log_probs.requires_grad_(),
        entropy=shaped(ENTROPY).requires_grad_(),
        kl_to_reference=torch.exp(reference - log_probs) - (reference - log_probs) - 1,
        behaviour_log_probs=shaped(BEHAVIOUR),
        reference_log_probs=reference,
        mask=shaped(MASK).bool(),
        rewards=shaped([[1.0, 1.0], [0.0, 0.0], [1.0, 9.0], [0.5, 0.0]]),
        returns=torch.tensor(RETURNS, dtype=F).view(1, groups, 4 // groups),
        horizon=2,
        reference_returns=torch.tensor([0.2, 0.6, 1.0, 1.4], dtype=F).expand(1, groups, 4),
        tempered_log_probs=(shaped(WARM), shaped(WARM) - 1.0),
        expert_log_probs=torch.tensor([-0.2, math.nan], dtype=F).expand(1, groups, 2),
        greedy_returns=torch.tensor([0.75], dtype=F).expand(1, groups, 1),
    )


def loss(objective: Objective, batch: TrajectoryBatch | None = None) -> float:
    return float(objective(batch or toy()).loss.detach())


def gradient(objective: Objective, batch: TrajectoryBatch | None = None) -> Tensor:
    """d loss / d log_probs: [trajectory, step] of the toy batch's only seed and group."""
    batch = batch or toy()
    (result,) = torch.autograd.grad(objective(batch).loss.sum(), batch.log_probs)
    return result[0, 0]


def per_trajectory(objective: Objective) -> list[float]:
    """d loss / d L, read off the first step of each trajectory, after checking that all its steps agree."""
    full = gradient(objective)
    assert torch.equal(torch.where(torch.tensor(MASK).bool(), full, full[:, :1]), full[:, :1].expand(-1, 2))
    assert full[2, 1] == 0
    return full[:, 0].tolist()


def expected(key: str) -> object:
    return pytest.approx(VALUES[key], abs=1e-8)


#: The fields of a batch of episodes that have a seed axis.
TENSORS = (
    "log_probs",
    "entropy",
    "kl_to_reference",
    "behaviour_log_probs",
    "reference_log_probs",
    "mask",
    "rewards",
    "returns",
)


def random_batch(
    seed: int, *, steps: int = 5, trajectories: int = 4, ties: bool = False, spread: float = 1.0
) -> TrajectoryBatch:
    """Two seeds, two groups, episodes of different lengths; log-probabilities from -spread to 0."""
    g = torch.Generator().manual_seed(seed)
    shape = (2, 2, trajectories, steps)
    lengths = torch.randint(1, steps + 1, shape[:3], generator=g)
    returns = torch.randn(shape[:3], generator=g, dtype=F) * 3

    def log_probs() -> Tensor:
        return -spread * torch.rand(shape, generator=g, dtype=F)

    return TrajectoryBatch(
        log_probs=log_probs().requires_grad_(),
        entropy=torch.rand(shape, generator=g, dtype=F).requires_grad_(),
        kl_to_reference=torch.rand(shape, generator=g, dtype=F).requires_grad_(),
        behaviour_log_probs=log_probs(),
        reference_log_probs=log_probs(),
        mask=torch.arange(steps) < lengths[..., None],
        rewards=torch.randn(shape, generator=g, dtype=F),
        returns=returns.round() if ties else returns,
        horizon=steps,
        reference_returns=torch.randn((2, 2, 6), generator=g, dtype=F) * 3,
        tempered_log_probs=(log_probs(), log_probs()),
        greedy_returns=torch.randn((2, 2, 1), generator=torch.Generator().manual_seed(seed + 1), dtype=F) * 3,
        expert_log_probs=torch.where(torch.arange(steps) < 0.7 * steps, log_probs()[:, :, 0], math.nan),
    )


def on_policy(batch: TrajectoryBatch) -> TrajectoryBatch:
    """The batch with the policy that collected it as it was then."""
    return replace(batch, behaviour_log_probs=batch.log_probs.detach())


def pair() -> TrajectoryBatch:
    """The first two trajectories of the toy batch."""
    return replace(toy(), **{name: getattr(toy(), name)[:, :, :2] for name in TENSORS})


def each_tensor(batch: TrajectoryBatch, change: Callable[[Tensor], Tensor], *, steps: bool = False) -> TrajectoryBatch:
    """The batch with every tensor (of those a step: `steps`) changed."""

    def changed(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(changed(part) for part in x)
        wanted = isinstance(x, Tensor) and (not steps or (x.dim() == 4 and x.dtype != torch.bool))
        return change(x) if wanted else x

    return replace(batch, **{field.name: changed(getattr(batch, field.name)) for field in fields(batch)})


def outcome(objective: Objective, batch: TrajectoryBatch) -> list[Tensor]:
    """Loss, diagnostics and gradients."""
    output = objective(batch)
    leaves = [batch.log_probs, batch.entropy, batch.kl_to_reference]
    gradients = torch.autograd.grad(output.loss.sum(), leaves, allow_unused=True, materialize_grads=True)
    return [output.loss.detach(), *output.diagnostics.values(), *gradients]
