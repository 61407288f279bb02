"""What an objective returned, looked at before it is trained with: it may be anybody's."""

from typing import Any

import torch

from haepo_bench.errors import UserError
from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.hyperparameters import has_half_character


class ObjectiveFault(UserError):
    """What an objective returned cannot be trained with; it fails the runs that it was computed for."""


def output_of(objective: Objective, batch: TrajectoryBatch) -> ObjectiveOutput:
    """What an objective makes of a batch: a loss [seed] with gradient, and diagnostics by name, [seed] each.

    Raises:
        ObjectiveFault: it is anything else.
    """
    found: Any = objective(batch)
    wrong = _wrong(found, len(batch.mask))
    if wrong:
        raise ObjectiveFault(
            f"{type(objective).__name__}.__call__ returned {wrong}",
            remedy="return ObjectiveOutput(loss, diagnostics): the loss of each seed, [seed], with gradient, and a "
            "dict of name to [seed]",
        )
    output: ObjectiveOutput = found
    return output


def _wrong(found: Any, seeds: int) -> str:
    """What is wrong with an output; empty where nothing is."""
    if not isinstance(found, ObjectiveOutput):
        return f"{_kind(found)}, not an ObjectiveOutput"
    if not _is_per_seed(found.loss, seeds):
        return f"a loss that is {_kind(found.loss)}, not [{seeds}], one number per seed"
    if not found.loss.requires_grad:
        return "a loss without gradient: nothing in it depends on the policy, or it was detached"
    if not isinstance(found.diagnostics, dict):
        return f"diagnostics that are {_kind(found.diagnostics)}, not a dict"
    for name, value in found.diagnostics.items():
        if not isinstance(name, str) or has_half_character(name):
            return f"a diagnostic that is called {name!r:.60}, which is not text"
        if not _is_per_seed(value, seeds):
            return f"a diagnostic '{name}' that is {_kind(value)}, not [{seeds}], one number per seed"
    return ""


def _is_per_seed(value: Any, seeds: int) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == (seeds,)


def _kind(value: Any) -> str:
    return f"a tensor {list(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
