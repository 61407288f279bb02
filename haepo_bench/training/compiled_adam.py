"""Adam by the kernels."""

import numpy as np
import torch
from torch import Tensor

from haepo_bench.engine import optimiser
from haepo_bench.engine.library import opened
from haepo_bench.training.adam import Adam


class CompiledAdam(Adam):
    """As `Adam`, on the CPU."""

    def _move(self, parameters: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, steps: int) -> None:
        size, unbias = self.learning_rate / (1 - 0.9**steps), 1 / (1 - 0.999**steps)
        own = (x.view(-1, x.shape[-1]).numpy() for x in (parameters, mean, square, gradient.contiguous()))
        optimiser.adam(opened(), *own, size=size, unbias=unbias, epsilon=self._epsilon)


def clip_compiled(gradient: Tensor, largest: float | None) -> Tensor:
    """As `clip_gradient`."""
    norms = np.empty(len(gradient), np.float32)
    optimiser.clip(opened(), gradient.numpy(), largest, norms)
    return torch.from_numpy(norms)
