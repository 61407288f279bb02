"""Supervised fine-tuning on a task's demonstrations: makes the starting policy that all algorithms and seeds share."""

from collections.abc import Sequence

import numpy as np
import torch

from haepo_bench.policies.language import LanguagePolicy
from haepo_bench.policies.responses import Responses
from haepo_bench.training.adam import Adam, clip_long_gradient

_MAX_NORM = 1.0


def fine_tune(
    policy: LanguagePolicy,
    demonstrations: Sequence[tuple[Sequence[int], Sequence[int]]],
    steps: int,
    learning_rate: float,
    stream: np.random.Generator,
    batch_size: int = 64,
) -> None:
    """Changes a policy in place: Adam on the mean of -log pi over the tokens of demonstrated responses.

    Args:
        demonstrations: (prompt, response) as token ids; each pass over them is in a new order.
        learning_rate: at first; falls linearly to zero.
        batch_size: demonstrations per step.
    """
    optimiser = Adam(policy.parameters, learning_rate)
    order: list[int] = []
    size = min(batch_size, len(demonstrations))
    for step in range(steps):
        if len(order) < size:
            order += stream.permutation(len(demonstrations)).tolist()
        batch, order = [demonstrations[i] for i in order[:size]], order[size:]
        rows = Responses.of([prompt for prompt, _ in batch], [response for _, response in batch], policy.pad)
        rows = rows.to(policy.device)
        policy.gradient.zero_()
        mask = rows.mask
        log_probs = policy.evaluate(rows, entropy=False).log_probs
        loss = -torch.where(mask, log_probs, 0.0).sum() / mask.sum()
        torch.autograd.backward(loss)
        clip_long_gradient(policy.gradient, _MAX_NORM)
        optimiser.learning_rate = learning_rate * (1 - step / steps)
        optimiser.step(policy.gradient)
        policy.publish()
