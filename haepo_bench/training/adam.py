"""Adam over a flat parameter tensor whose rows (seeds) may leave.

The same arithmetic as torch.optim.Adam (a test compares them); its own because rows leave in mid-training, and because
torch.optim's first optimiser imports torch's compiler: two seconds a worker.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

#: Parameters that are updated at a time: what an update reads and writes then stays in a processor's cache.
_PIECE = 1 << 19


class Adam:
    """Adam (Kingma and Ba 2015, arXiv 1412.6980) with its usual betas 0.9 and 0.999.

    Args:
        parameters: [seed, parameter]; changed in place.
        learning_rate: may be changed between steps.
    """

    def __init__(self, parameters: Tensor, learning_rate: float, epsilon: float = 1e-8) -> None:
        self.learning_rate = learning_rate
        self._parameters = parameters
        self._epsilon = epsilon
        self._mean = torch.zeros_like(parameters)
        self._square = torch.zeros_like(parameters)
        self._steps = [0] * len(parameters)  # of each row

    @torch.no_grad()
    def step(self, gradient: Tensor, rows: Sequence[int] | None = None) -> None:
        """One update along `gradient` [row, parameter] of some rows; None: of all."""
        stepped = range(len(self._steps)) if rows is None else rows
        for row in stepped:
            self._steps[row] += 1
        if rows is None and len(set(self._steps)) == 1:
            self._move(self._parameters, self._mean, self._square, gradient, self._steps[0])
        else:
            for row, own in zip(stepped, gradient, strict=True):
                self._move(self._parameters[row], self._mean[row], self._square[row], own, self._steps[row])

    def _move(self, parameters: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, steps: int) -> None:
        size = self.learning_rate / (1 - 0.9**steps)
        whole = [torch.split(x.view(-1), _PIECE) for x in (parameters, mean, square, gradient)]
        for p, m, s, g in zip(*whole, strict=True):
            m.lerp_(g, 0.1)
            s.mul_(0.999).addcmul_(g, g, value=0.001)
            root = (s / (1 - 0.999**steps)).sqrt_().add_(self._epsilon)
            p.addcdiv_(m, root, value=-size)

    def state(self) -> dict[str, Any]:
        """What the next step depends on beside the parameters and the learning rate, row by row."""
        return {"mean": self._mean, "square": self._square, "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state`."""
        self._mean.copy_(state["mean"])
        self._square.copy_(state["square"])
        self._steps = list(state["steps"])

    def keep(self, rows: Sequence[int], parameters: Tensor) -> None:
        """Goes on with some rows; `parameters` are theirs."""
        index = torch.tensor(rows, dtype=torch.int64, device=parameters.device)
        self._parameters = parameters
        self._mean, self._square = self._mean[index], self._square[index]
        self._steps = [self._steps[row] for row in rows]


def clip_long_gradient(gradient: Tensor, largest: float | None) -> Tensor:
    """As `clip_gradient`, without a copy of the gradient [1, parameter]; the last bits of the norm may differ."""
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    if largest is not None:
        gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0)[:, None])
    return norm


def clip_gradient(gradient: Tensor, largest: float | None) -> Tensor:
    """Scales each seed's gradient [seed, parameter] down to the norm `largest` in place; returns the norms before.

    As torch.nn.utils.clip_grad_norm_. None: never.
    """
    norm = gradient.square().sum(1).sqrt()
    if largest is not None:
        gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0)[:, None])
    return norm
