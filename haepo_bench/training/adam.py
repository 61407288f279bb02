"""Adam over a flat parameter tensor whose rows (seeds) may leave.

The same arithmetic as torch.optim.Adam (a test compares them); its own because rows leave in mid-training, and because
torch.optim's first optimiser imports torch's compiler: two seconds a worker.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980) with its usual betas 0.9 and 0.999, epsilon 1e-8.

    Args:
        parameters: [seed, parameter]; changed in place.
    """

    def __init__(self, parameters: Tensor, learning_rate: float) -> None:
        self._parameters = parameters
        self._learning_rate = learning_rate
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)
        self._steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """One update along `gradient` [seed, parameter]."""
        self._steps += 1
        self._mean.lerp_(gradient, 0.1)
        self._square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        size = self._learning_rate / (1 - 0.9**self._steps)
        root = (self._square / (1 - 0.999**self._steps)).sqrt_().add_(1e-8)
        self._parameters.addcdiv_(self._mean, root, value=-size)

    def keep(self, rows: Sequence[int], parameters: Tensor) -> None:
        """Goes on with some rows; `parameters` are theirs."""
        index = torch.tensor(rows, dtype=torch.int64, device=parameters.device)
        self._parameters = parameters
        self._mean, self._square = self._mean[index], self._square[index]
