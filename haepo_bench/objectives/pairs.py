"""What objectives on pairs of trajectories share: which pairs of a group count, and means over them."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from haepo_bench.objectives.base import TrajectoryBatch

PairChoice = Literal["all", "best-worst"]


def pairwise(x: Tensor) -> Tensor:
    """x_w - x_l: [seed, group, trajectory] to [seed, group, winner, loser]."""
    return x[..., :, None] - x[..., None, :]


def preferred(batch: TrajectoryBatch, which: PairChoice) -> Tensor:
    """Which pairs count, as they are reported: bool [seed, group, winner, loser]; ties never do."""
    returns = batch.returns
    better = returns[..., :, None] > returns[..., None, :]
    if which == "best-worst":
        trajectories = returns.shape[-1]
        best = one_hot(returns.argmax(-1), trajectories).bool()
        worst = one_hot(returns.argmin(-1), trajectories).bool()
        better = better & best[..., :, None] & worst[..., None, :]
    return better if batch.flipped is None else torch.where(batch.flipped, better.transpose(-1, -2), better)


def mean_over_pairs(x: Tensor, pairs: Tensor) -> Tensor:
    """Mean of x [seed, group, winner, loser] over a group's pairs, then over groups: [seed]; 0 where there are none."""
    count = pairs.sum((-1, -2)).clamp(min=1)
    return (torch.where(pairs, x, 0.0).sum((-1, -2)) / count).mean(-1)


def mean_square_over_all_pairs(x: Tensor) -> Tensor:
    """Mean of (x_i - x_j)^2 over all pairs i < j of a group, then over groups: [seed, group, trajectory] to [seed].

    Computed as what it equals, twice the unbiased variance of x, so that it costs no more than one pass.
    """
    trajectories = x.shape[-1]
    squares = (x - x.mean(-1, keepdim=True)).square().sum(-1)
    return (2 * squares / max(trajectories - 1, 1)).mean(-1)
