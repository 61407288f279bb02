"""Adam by the kernels."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from haepo_bench.engine import optimiser
from haepo_bench.engine.library import opened
from haepo_bench.training.adam import Adam, Largest


class CompiledAdam(Adam):
    """As `Adam`, on the CPU."""

    def _move(
        self, parameters: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, steps: int, rate: float
    ) -> None:
        own = [x.view(-1, x.shape[-1]) for x in (parameters, mean, square, gradient.contiguous())]
        self._move_apart(own[0], own[1], own[2], own[3], steps, [rate] * len(own[0]))

    def _move_apart(
        self, parameters: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, steps: int, rates: Sequence[float]
    ) -> None:
        sizes, unbias = [rate / (1 - 0.9**steps) for rate in rates], 1 / (1 - 0.999**steps)
        own = (x.numpy() for x in (parameters, mean, square, gradient.contiguous()))
        optimiser.adam(opened(), *own, sizes=sizes, unbias=unbias, epsilon=self._epsilon)


def clip_compiled(gradient: Tensor, largest: Largest) -> Tensor:
    """As `clip_gradient`."""
    norms = np.empty(len(gradient), np.float32)
    most = largest if isinstance(largest, Sequence) else [largest] * len(gradient)
    optimiser.clip(opened(), gradient.numpy(), most, norms)
    return torch.from_numpy(norms)
