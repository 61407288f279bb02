"""What is recorded of every gradient step, whatever is trained."""

from collections.abc import Collection

import torch
from torch import Tensor

from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.ratios import bounded_exp
from haepo_bench.results.declared_columns import own_name

ENTROPY, KL = "policy_entropy", "kl_previous"


@torch.no_grad()
def update_diagnostics(
    output: ObjectiveOutput, batch: TrajectoryBatch, wanted: Collection[str] = (ENTROPY, KL)
) -> dict[str, Tensor]:
    """What to plot beside a gradient [seed]: the objective's own, loss, and policy entropy and KL (both nats per step).

    Args:
        wanted: which of the last two.
    """
    found = {own_name(name): value for name, value in output.diagnostics.items()} | {"loss": output.loss}
    if ENTROPY in wanted:
        found[ENTROPY] = batch.token_mean(batch.entropy)
    if KL in wanted:  # KL(behaviour || policy), k3 on the taken actions
        log_ratio = torch.where(batch.mask, batch.log_probs - batch.behaviour_log_probs, 0.0)
        found[KL] = batch.token_mean(bounded_exp(log_ratio) - 1 - log_ratio)
    return found


def wanted_at(step: int, steps: int) -> tuple[str, ...]:
    """What is wanted at one of an update's gradient steps on the whole batch, the first of which is 0.

    The entropy is that of the policy that collected the batch; the KL is that before the last step, with one step none.
    """
    return (*[ENTROPY] * (step == 0), *[KL] * (0 < step == steps - 1))
