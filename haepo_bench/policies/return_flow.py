"""A flow as critic: from Gaussian noise to a sample of the return.

Value Flows (arXiv 2510.07650) is where it comes from. Noise z ~ N(0, 1) goes N of Euler's steps with a velocity v,

    z <- z + v(z, t, s) / N,   t = 0, 1 / N, ..., (N - 1) / N

and where it ends, phi(z, 1, s), is a sample of the return from s. One step of length 1 gives the mean:

    V(s) = E over z of [z + v(z, 0, s)]

Ours is what v is made of. The network says where the path is expected to end, x(z, t, s), so that
v = (x - z) / (1 - t), as it is on the straight paths that the losses draw, and

    x(z, t, s) = m(s) + w sigmoid(c(s) + a y / (1 - t) + e t) + b + u_t y,   y = z - t m(s)

m(s) and c(s) are what the network makes of the observation, so that returns that differ by a constant alone are one
function of y. a, e, w, b and u, one number for each time, do not depend on the observation. Times are those of Euler's
steps alone: no other is ever asked for. So V is the mean of x at time 0, by a quadrature with three nodes, and draws
nothing.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.critics import Critic
from haepo_bench.policies.heads import Categorical
from haepo_bench.policies.shapes import Array

#: Euler's steps; of Value Flows' code.
STEPS = 10
#: Units of the layer where the observation, the return and the time meet.
WIDTH = 64
#: Outputs that depend on the observation: c(s), then m(s).
_SEEN = WIDTH + 1
#: Gauss and Hermite's for N(0, 1), exact for polynomials up to degree 5: node, weight.
_NODES = ((0.0, 2 / 3), (-math.sqrt(3), 1 / 6), (math.sqrt(3), 1 / 6))


class ReturnFlow(Critic):
    """A velocity that depends on the observation; outputs are c(s) and m(s), then a, e, w, b and u."""

    def __init__(self) -> None:
        self.head = _Outputs()

    def values(self, outputs: Tensor) -> Tensor:
        field, start = self.field(outputs), torch.zeros_like(outputs[:, 0])
        # One after the other, so that rounding does not depend on how many rows there are.
        first, *others = (weight * field.end(start + node, 0) for node, weight in _NODES)
        for part in others:
            first = first + part
        return first

    def field(self, outputs: Tensor) -> "Field":
        """The velocities that outputs [seed, output, row] stand for, with gradient."""
        both, w, b, skips = outputs[:, _SEEN:, 0].split_with_sizes([2 * WIDTH, WIDTH, 1, STEPS], 1)
        inwards = both.reshape(-1, 2, WIDTH).transpose(1, 2)
        return Field(outputs[:, :_SEEN], inwards, w[:, None], b[:, :, None], skips)


class _Outputs(Categorical):
    """How many outputs there are, and how those begin that do not depend on the observation."""

    free_name = "flow"

    def __init__(self) -> None:
        self.free = 3 * WIDTH + 1 + STEPS
        self.outputs = _SEEN + self.free

    def initial_free(self, stream: np.random.Generator, log_std: float) -> Array:
        inwards = 2 * stream.standard_normal(2 * WIDTH)
        w = 0.2 * stream.standard_normal(WIDTH) / math.sqrt(WIDTH)
        # Near its end a path has nearly arrived.
        skips = np.arange(STEPS) / STEPS
        return np.concatenate([inwards, w, np.zeros(1), skips])


class Field(NamedTuple):
    """Velocities, one a row.

    Args:
        seen: c(s), then m(s) [seed, number, row].
        inwards: a and e [seed, unit, 2].
        outwards: w [seed, 1, unit].
        bias: b [seed, 1, 1].
        skips: u [seed, time].
    """

    seen: Tensor
    inwards: Tensor
    outwards: Tensor
    bias: Tensor
    skips: Tensor

    def end(self, z: Tensor, step: int | Tensor) -> Tensor:
        """x: where paths at z [seed, row] are expected to end, [seed, row].

        Args:
            step: of Euler's, from 0; int64 [seed, row] where each row has its own.
        """
        return self._end(z, step)[0]

    def velocity(self, z: Tensor, step: int | Tensor) -> Tensor:
        """v at z [seed, row]; `step` as in `end`."""
        return (self.end(z, step) - z) * _sharpness(step)

    def path(self, noise: Tensor) -> Tensor:
        """All of Euler's points from noise [seed, row] to a sample of the return: [seed, N + 1, row]."""
        points = [noise]
        for step in range(STEPS):
            z = points[-1]
            points.append(z + (self.end(z, step) - z) / (STEPS - step))
        return torch.stack(points, 1)

    def deviation(self, noise: Tensor) -> Tensor:
        """|d phi(noise, 1, s) / d noise| [seed, row]: of a Gaussian return its standard deviation."""
        z, slope = noise, torch.ones_like(noise)
        for step in range(STEPS):
            end, hidden, skip = self._end(z, step)
            bent = torch.bmm(self.outwards, hidden * (1 - hidden) * (_sharpness(step) * self.inwards[:, :, :1]))[:, 0]
            slope = slope * (1 + (bent + skip - 1) / (STEPS - step))
            z = z + (end - z) / (STEPS - step)
        return slope.abs()

    def select(self, rows: Sequence[int]) -> "Field":
        """Those of some seeds."""
        return Field(*(part[list(rows)] for part in self))

    def _end(self, z: Tensor, step: int | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x [seed, row], what the units make of it [seed, unit, row], and u_t [seed, row] or [seed, 1]."""
        context, centre, t = self.seen[:, :WIDTH], self.seen[:, WIDTH], step / STEPS
        y = z - t * centre
        given = torch.stack([y * _sharpness(step), torch.zeros_like(y) + t], 1)
        hidden = torch.baddbmm(context, self.inwards, given).sigmoid()
        skip = self.skips[:, step, None] if isinstance(step, int) else self.skips.gather(1, step)
        return centre + torch.baddbmm(self.bias, self.outwards, hidden)[:, 0] + skip * y, hidden, skip


def _sharpness(step: int | Tensor) -> float | Tensor:
    """1 / (1 - t)."""
    return STEPS / (STEPS - step)
