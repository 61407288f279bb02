"""What objectives with importance ratios share: advantages within groups, ratios to the behaviour policy, clipping."""

import torch
from torch import Tensor

from haepo_bench.objectives.base import TrajectoryBatch, centre

#: Log-ratios are held within +- this before their exponential is taken, as verl does: whatever the length of an
#: episode, a ratio stays finite (and far outside every clip range). All objectives take theirs through `bounded_exp`.
LOG_LIMIT = 20.0


def group_advantages(returns: Tensor, dtype: torch.dtype | None = None, *, scale: bool) -> Tensor:
    """(R - mean) / (std + 1e-4) with ddof 1, or R - mean: [seed, group, trajectory] to the same; 0 in groups of one.

    Args:
        dtype: of the result: the policy's, `batch.dtype`; None: that of `returns`.
    """
    centred = centre(returns, dtype)
    if not scale:
        return centred
    trajectories = returns.shape[-1]
    std = (centred.square().sum(-1, keepdim=True) / max(trajectories - 1, 1)).sqrt()
    return centred / (std + 1e-4)


def k3(log_probs: Tensor, reference_log_probs: Tensor) -> Tensor:
    """exp(ref - lp) - (ref - lp) - 1: a non-negative estimate of the KL to the reference from taken actions.

    Source: http://joschu.net/blog/kl-approx.html. Beyond ref - lp = `LOG_LIMIT` it is constant.
    """
    difference = (reference_log_probs - log_probs).clamp(max=LOG_LIMIT)
    return bounded_exp(difference) - difference - 1


def token_log_ratios(batch: TrajectoryBatch) -> Tensor:
    """log pi(a|s) - log behaviour(a|s): [seed, group, trajectory, step], 0 where no step was taken."""
    return torch.where(batch.mask, batch.log_probs - batch.behaviour_log_probs, 0.0)


def bounded_exp(log_ratios: Tensor) -> Tensor:
    """Ratios of log-ratios that are held within +- `LOG_LIMIT`, where they have no gradient."""
    return torch.exp(log_ratios.clamp(-LOG_LIMIT, LOG_LIMIT))


def clipped_loss(r: Tensor, clipped: Tensor, A: Tensor, *, dual: float | None = None) -> Tensor:
    """- min(r A, clipped A), as PPO has it, element by element.

    Args:
        clipped: r brought into its clip range.
        dual: as in `dual_clipped`.
    """
    x = -torch.minimum(r * A, clipped * A)
    return dual_clipped(x, A, dual)


def dual_clipped(x: Tensor, A: Tensor, dual: float | None) -> Tensor:
    """Losses x, where A < 0 at most - dual * A (dual clip, arXiv 1912.09729); None: as they are."""
    return x if dual is None else torch.where(A < 0, torch.minimum(x, -dual * A), x)


def clip_fraction(r: Tensor, clipped: Tensor, A: Tensor) -> Tensor:
    """1 where clipping takes the gradient away, else 0: element by element, detached."""
    return (r * A > clipped * A).to(r.dtype).detach()


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """1 / sum w^2 over a group's trajectories as a fraction of their number, mean over groups.

    `log_weights`: [seed, group, trajectory], normalised. Result: [seed], from 1/K (one trajectory has all the weight)
    to 1 (all weigh the same).
    """
    inverse = torch.exp(-torch.logsumexp(2 * log_weights.detach(), -1))
    return (inverse / log_weights.shape[-1]).mean(-1)
