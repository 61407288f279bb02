"""Random batches that an objective is tried on."""

import math
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, TrajectoryBatch

SEEDS, GROUPS = 2, 2


def random_batch(
    objective: Objective,
    seed: int,
    *,
    steps: int = 5,
    trajectories: int = 4,
    spread: float = 1.0,
    equal: bool = False,
    dtype: torch.dtype = torch.float64,
) -> TrajectoryBatch:
    """Two seeds, two groups, episodes of different lengths; segments where the objective collects those.

    Args:
        spread: log-probabilities are from minus that to 0.
        equal: whether all returns are the same.
    """
    g = torch.Generator().manual_seed(seed)
    segments = objective.collects == "segments"
    shape = (SEEDS, 1, 1, trajectories * steps) if segments else (SEEDS, GROUPS, trajectories, steps)
    lengths = torch.full(shape[:3], shape[3]) if segments else torch.randint(1, steps + 1, shape[:3], generator=g)
    mask = torch.arange(shape[3]) < lengths[..., None]

    def log_probs() -> Tensor:
        return -spread * torch.rand(shape, generator=g, dtype=torch.float64).to(dtype)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(sizes, generator=g, dtype=torch.float64)

    rewards = normal(*shape)
    returns = torch.where(mask, rewards, 0.0).sum(-1)
    temperatures = len(objective.temperatures)
    expert = torch.where(torch.arange(shape[3]) < 0.7 * shape[3], log_probs()[:, :, 0], math.nan)
    return TrajectoryBatch(
        log_probs=log_probs().requires_grad_(),
        entropy=torch.rand(shape, generator=g, dtype=torch.float64).to(dtype).requires_grad_(),
        kl_to_reference=torch.rand(shape, generator=g, dtype=torch.float64).to(dtype).requires_grad_(),
        behaviour_log_probs=log_probs(),
        reference_log_probs=log_probs(),
        mask=mask,
        rewards=torch.where(mask, rewards, 0.0),
        returns=torch.full_like(returns, math.nan if segments else 0.1) if segments or equal else returns,
        horizon=shape[3],
        reference_returns=normal(SEEDS, shape[1], objective.reference_sample) if objective.reference_sample else None,
        tempered_log_probs=tuple(log_probs() for _ in range(temperatures)) if temperatures else None,
        expert_log_probs=expert if objective.wants_expert else None,
        greedy_returns=normal(SEEDS, shape[1], 1) if objective.wants_greedy else None,
        values=normal(*shape).to(dtype).requires_grad_() if segments else None,
        behaviour_values=normal(*shape).to(dtype) if segments else None,
        advantages=normal(*shape).to(dtype) if segments else None,
        value_targets=normal(*shape).to(dtype) if segments else None,
        halves_apart=normal(*shape).abs().to(dtype).requires_grad_() if objective.wants_halves else None,
    )


def leaves(batch: TrajectoryBatch) -> dict[str, Tensor]:
    """The tensors that carry gradient."""
    names = ("log_probs", "entropy", "kl_to_reference", "values", "halves_apart")
    return {name: value for name in names if (value := getattr(batch, name)) is not None}


def each_tensor(batch: TrajectoryBatch, change: Callable[[Tensor], Tensor], *, steps: bool = False) -> TrajectoryBatch:
    """The batch with every tensor changed, or with those that have a value for each step."""

    def changed(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(changed(part) for part in x)
        wanted = isinstance(x, Tensor) and (not steps or (x.dim() == 4 and x.dtype != torch.bool))
        return change(x) if wanted else x

    return replace(batch, **{field.name: changed(getattr(batch, field.name)) for field in fields(batch)})


def padded(batch: TrajectoryBatch, steps: int = 3) -> TrajectoryBatch:
    """The batch with more steps at its end that no trajectory takes."""

    def longer(x: Tensor) -> Tensor:
        return fresh(torch.nn.functional.pad(x, (0, steps)), x) if x.dim() == batch.mask.dim() else x

    made, expert = each_tensor(batch, longer), batch.expert_log_probs
    if expert is None:
        return made
    return replace(made, expert_log_probs=torch.nn.functional.pad(expert, (0, steps), value=math.nan))


def fresh(x: Tensor, like: Tensor) -> Tensor:
    """`x` as a leaf that needs a gradient where `like` does."""
    return x.detach().requires_grad_(like.requires_grad)


def slopes(objective: Objective, batch: TrajectoryBatch, direction: int) -> tuple[float, float]:
    """How fast the loss of all seeds changes along a direction: by its gradient, and by finite differences of it.

    Args:
        direction: number of a random one, in all `leaves` at once.
    """
    own, exact = leaves(batch), gradients(objective, batch)
    g = torch.Generator().manual_seed(direction)
    along = {name: torch.randn(leaf.shape, generator=g, dtype=leaf.dtype) for name, leaf in own.items()}
    moved = []
    for e in (1e-6, -1e-6):
        tensors: dict[str, Any] = {name: fresh(x + e * along[name], x) for name, x in own.items()}
        moved.append(objective(replace(batch, **tensors)).loss.sum())
    by_gradient = float(sum((exact[name] * along[name]).sum() for name in own))
    return by_gradient, float((moved[0] - moved[1]).detach()) / 2e-6


def gradients(objective: Objective, batch: TrajectoryBatch, loss: Tensor | None = None) -> dict[str, Tensor]:
    """d loss / d each of `leaves`, zero where the loss does not depend on it."""
    own = leaves(batch)
    total = (objective(batch).loss if loss is None else loss).sum()
    if not total.requires_grad:
        return {name: torch.zeros_like(leaf) for name, leaf in own.items()}
    found = torch.autograd.grad(total, list(own.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(own, found, strict=True))
