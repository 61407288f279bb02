"""Multilayer perceptrons for many seeds at once: parameters [seed, parameter], activations [seed, feature, row].

Features stand before rows: a product with few outputs is four times faster so, and its bits do not depend on how many
seeds there are (shapes.py).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_width

from haepo_bench.policies.heads import DiagonalGaussian, Head
from haepo_bench.policies.shapes import LANES, Array, pad, padded_rows


@dataclass(frozen=True)
class Network:
    """The architecture: tanh layers and a head.

    Args:
        inputs: observation features.
        hidden: units of the hidden layers.
    """

    inputs: int
    hidden: tuple[int, ...]
    head: Head

    @property
    def widths(self) -> tuple[int, ...]:
        """Features of every layer, from the observation to the last product."""
        last = self.head.dimensions if isinstance(self.head, DiagonalGaussian) else self.head.outputs
        return (self.inputs, *self.hidden, last)

    def padded_rows(self, rows: int) -> int:
        """The number of rows to compute so that `rows` of them keep their bits (shapes.py)."""
        return padded_rows(rows, (*self.hidden, self.head.outputs))

    @property
    def sizes(self) -> list[int]:
        """Lengths of the parts of the flat parameter vector: weight, bias of each layer, log std, padding."""
        parts = [n for a, b in pairwise(self.widths) for n in (a * b, b)]
        parts.append(self.head.dimensions if isinstance(self.head, DiagonalGaussian) else 0)
        return [*parts, pad(sum(parts), LANES) - sum(parts)]

    def initial(self, stream: np.random.Generator) -> Array:
        """Initial parameters [parameter] float32 of one seed.

        Orthogonal weights (gain sqrt 2, last layer 0.01), zero biases, log standard deviations 0: what PPO
        implementations use (https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/, detail 2).
        """
        parts: list[Array] = []
        layers = list(pairwise(self.widths))
        for number, (a, b) in enumerate(layers):
            gain = 0.01 if number == len(layers) - 1 else math.sqrt(2)
            parts += [gain * _orthogonal(b, a, stream).ravel(), np.zeros(b)]
        parts.append(np.zeros(sum(self.sizes[2 * len(layers) :])))
        return np.concatenate(parts).astype(np.float32)

    def named(self, parameters: Tensor) -> dict[str, Array]:
        """One seed's parameters [parameter] as arrays: `weight_<n>` [output, input], `bias_<n>`, `log_std`."""
        parts = [part.cpu().numpy() for part in parameters.detach().split_with_sizes(self.sizes)]
        arrays: dict[str, Array] = {}
        for number, (a, b) in enumerate(pairwise(self.widths)):
            arrays[f"weight_{number}"] = parts[2 * number].reshape(b, a)
            arrays[f"bias_{number}"] = parts[2 * number + 1]
        if len(parts[-2]):
            arrays["log_std"] = parts[-2]
        return arrays

    def outputs(self, parameters: Tensor, observations: Tensor) -> Tensor:
        """Outputs of the head [seed, output, row].

        Args:
            parameters: [seed, parameter].
            observations: [seed, feature, row], rows a multiple of 8.
        """
        parts = parameters.split_with_sizes(self.sizes, 1)
        x = observations
        last = len(self.widths) - 2
        for number, (a, b) in enumerate(pairwise(self.widths)):
            weight = parts[2 * number].view(-1, b, a)
            if a == 1:  # see shapes.py
                x, weight = pad_width(x, (0, 0, 0, 1)), pad_width(weight, (0, 1))
            x = torch.baddbmm(parts[2 * number + 1][:, :, None], weight, x)
            if number < last:
                x = _Tanh.apply(x)  # type: ignore[no-untyped-call]
        if isinstance(self.head, DiagonalGaussian):
            x = torch.cat([x, parts[-2][:, :, None].expand(-1, -1, x.shape[-1])], 1)
        return x


class _Tanh(torch.autograd.Function):
    """tanh(x) = 2 sigmoid(2x) - 1: half the time of torch.tanh on CPUs; overwrites its input."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        y = x.mul_(2).sigmoid_().mul_(2).sub_(1)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors  # type: ignore[attr-defined]
        # addcmul: grad - grad * y * y in one pass over memory.
        return torch.addcmul(grads[0], grads[0] * y, y, value=-1)


def _orthogonal(rows: int, columns: int, stream: np.random.Generator) -> Array:
    """A matrix with orthonormal rows or columns, whichever are fewer, drawn uniformly (Haar)."""
    gaussian = stream.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T
