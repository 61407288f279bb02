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
        learning_rate: of all rows, or of each; may be changed between steps.
    """

    def __init__(self, parameters: Tensor, learning_rate: float | Sequence[float], epsilon: float = 1e-8) -> None:
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
        rates = self.learning_rate
        if rows is None and len(set(self._steps)) == 1:
            whole = self._parameters, self._mean, self._square, gradient
            if isinstance(rates, float | int) or len(set(rates)) == 1:
                self._move(*whole, self._steps[0], rates if isinstance(rates, float | int) else rates[0])
                return
            if gradient.numel() <= _PIECE:
                self._move_apart(*whole, self._steps[0], rates)
                return
        for row, own in zip(stepped, gradient, strict=True):
            rate = rates if isinstance(rates, float | int) else rates[row]
            self._move(self._parameters[row], self._mean[row], self._square[row], own, self._steps[row], rate)

    def _move(
        self, parameters: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, steps: int, rate: float
    ) -> None:
        """One update of rows that have taken as many steps."""
        size = rate / (1 - 0.9**steps)
        whole = [torch.split(x.view(-1), _PIECE) for x in (parameters, mean, square, gradient)]
        for p, m, s, g in zip(*whole, strict=True):
            m.lerp_(g, 0.1)
            s.mul_(0.999).addcmul_(g, g, value=0.001)
            root = (s / (1 - 0.999**steps)).sqrt_().add_(self._epsilon)
            p.addcdiv_(m, root, value=-size)

    def _move_apart(
        self, parameters: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, steps: int, rates: Sequence[float]
    ) -> None:
        """The same with a learning rate for each row, with the same bits."""
        sizes = torch.tensor([-rate / (1 - 0.9**steps) for rate in rates], dtype=torch.float64)
        mean.lerp_(gradient, 0.1)
        square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        root = (square / (1 - 0.999**steps)).sqrt_().add_(self._epsilon)
        # As addcdiv_ has it: the product first.
        parameters.add_((mean * sizes.to(mean)[:, None]).div_(root))

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
        if not isinstance(self.learning_rate, float | int):
            self.learning_rate = [self.learning_rate[row] for row in rows]


def clip_long_gradient(gradient: Tensor, largest: float | None) -> Tensor:
    """As `clip_gradient`, without a copy of the gradient [1, parameter]; the last bits of the norm may differ."""
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1)
    if largest is not None:
        gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0)[:, None])
    return norm


#: The norm that gradients are scaled down to, of all rows or of each; None: never.
Largest = float | None | Sequence[float | None]


def clip_gradient(gradient: Tensor, largest: Largest) -> Tensor:
    """Scales each row's gradient [row, parameter] down to the norm `largest` in place; returns the norms before.

    As torch.nn.utils.clip_grad_norm_.
    """
    norm = gradient.square().sum(1).sqrt()
    if isinstance(largest, Sequence) and len(set(largest)) == 1:
        largest = largest[0]
    if isinstance(largest, Sequence):
        never = torch.tensor([most is None for most in largest], device=norm.device)
        numbers = torch.tensor([1.0 if most is None else most for most in largest], dtype=torch.float64)
        # As a number divided by a tensor.
        factors = ((norm + 1e-6).reciprocal() * numbers.to(norm)).clamp(max=1.0)
        gradient.mul_(torch.where(never, 1.0, factors)[:, None])
    elif largest is not None:
        gradient.mul_((largest / (norm + 1e-6)).clamp(max=1.0)[:, None])
    return norm
