"""What is recorded of every gradient step, whatever is trained."""

import torch
from torch import Tensor

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.ratios import bounded_exp
from haepo_bench.results.declared_columns import own_name


@torch.no_grad()
def update_diagnostics(output: ObjectiveOutput, batch: TrajectoryBatch) -> dict[str, Tensor]:
    """What to plot beside a gradient [seed]: the objective's own, loss, policy entropy and KL (both nats per step)."""
    log_ratio = torch.where(batch.mask, batch.log_probs - batch.behaviour_log_probs, 0.0)
    return {
        **{own_name(name): value for name, value in output.diagnostics.items()},
        "loss": output.loss,
        "policy_entropy": batch.token_mean(batch.entropy),
        # KL(behaviour || policy), k3 on the taken actions.
        "kl_previous": batch.token_mean(bounded_exp(log_ratio) - 1 - log_ratio),
    }
