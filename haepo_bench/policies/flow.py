"""Policies of continuous actions that are flows: noise goes through an invertible map, as in GenPO (arXiv 2505.18763).

An action is drawn twice over, u = (z, y), and the task is given (z + y) / 2. From u_0 ~ N(0, I), in N steps at the
times t = 0, 1 / N, ..., with a velocity v(half, s, t):

    z <- z + v(y, s, t) / N ;   y <- y + v(z, s, t) / N ;   z <- p z + (1 - p) y ;   y <- p y + (1 - p) z

Each line can be undone exactly whatever v is, the first two keep volumes and the others scale them by p a dimension:

    log pi(u|s) = log N(u_0; 0, I) - 2 N d log p

So the entropy of pi(u|s) is one number, d log(2 pi e) + 2 N d log p, whatever was learnt: what is learnt is where the
noise goes, also into several modes. The map and p are GenPO's. Ours is how v sees its inputs: what the network makes of
the observation, c(s), meets half of the action and the time in one layer, v(x, s, t) = W tanh(A x + c(s) + e t) + b.
A, e, W and b do not depend on the observation, as the standard deviations of a Gaussian policy do not.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_width

from haepo_bench.policies.heads import Head
from haepo_bench.policies.shapes import Array

#: Units of the layer where action and observation meet.
WIDTH = 64
#: N and p of GenPO's code.
STEPS, MIXING = 5, 0.95
#: A logarithm of a ratio of densities is bounded here before its exponential is taken, as it estimates a KL divergence.
_MOST_LOG_RATIO = 20.0


class Flow(Head):
    """Doubled continuous actions; outputs are c(s), then A, e, W and b, and where tempered a logarithm of a scale.

    Args:
        dimensions: of the task's action.
    """

    action_dtype = torch.float32
    free_name = "flow"
    last_gain = 1.0

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self._parts = [WIDTH, WIDTH * dimensions, WIDTH, WIDTH * dimensions, dimensions]
        self.outputs, self.free = sum(self._parts), sum(self._parts[1:])
        self.action_shape = (2 * dimensions,)

    def initial_free(self, stream: np.random.Generator, log_std: float) -> Array:
        d = self.dimensions
        inwards = stream.standard_normal(WIDTH * d) / math.sqrt(d)
        time = stream.standard_normal(WIDTH)
        outwards = 0.1 * stream.standard_normal(WIDTH * d) / math.sqrt(WIDTH)  # near the map without velocity
        return np.concatenate([inwards, time, outwards, np.zeros(d)])

    def noise(self, stream: np.random.Generator, rows: int, steps: int) -> Array:
        return stream.standard_normal((rows, steps, 2 * self.dimensions), dtype=np.float32)

    def played(self, actions: Array) -> Array:
        d = self.dimensions
        return np.asarray(0.5 * (actions[..., :d] + actions[..., d:]), actions.dtype)

    def sample(self, outputs: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        # The density of u is that of u_0 times a constant: u_0 = 0 is the likeliest.
        if greedy is not None:
            noise = torch.where(greedy[:, None], 0.0, noise)
        start = noise.transpose(1, 2) * self._log_scale(outputs).exp()
        return self._forward(outputs, start.contiguous()).transpose(1, 2)

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        log_scale = self._log_scale(outputs)
        start = self.inverse(outputs, actions) * (-log_scale).exp()
        normal = -(0.5 * start.square() + log_scale + 0.5 * math.log(2 * math.pi)).sum(1)
        return normal - 2 * STEPS * self.dimensions * math.log(MIXING)

    def tempered(self, outputs: Tensor, temperature: float) -> Tensor:
        # Exact, as the volume that the map takes is the same everywhere.
        log_scale = self._log_scale(outputs) + 0.5 * math.log(temperature)
        return torch.cat([outputs[:, : self.outputs], log_scale.expand(-1, 1, outputs.shape[2])], 1)

    def evaluate(self, outputs: Tensor, actions: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(log_probs, entropy, KL to the distributions with outputs `reference`), nats: [seed, row] each.

        The entropy is exact, and constant. The KL has no closed form: it is estimated from the action itself as
        r - 1 - log r, r = reference(u|s) / pi(u|s), never negative (k3, http://joschu.net/blog/kl-approx.html).
        """
        log_probs = self.log_prob(outputs, actions)
        log_ratio = (self.log_prob(reference, actions) - log_probs).clamp(max=_MOST_LOG_RATIO)
        entropy = self.dimensions * (math.log(2 * math.pi * math.e) + 2 * STEPS * math.log(MIXING))
        # Joined to the outputs, of which its gradient is zero.
        constant = torch.full_like(log_probs, entropy) + 0.0 * outputs[:, 0]
        return log_probs, constant, log_ratio.exp() - 1 - log_ratio

    def apart(self, outputs: Tensor, actions: Tensor, reference: Tensor) -> Tensor:
        with torch.no_grad():
            start = self.inverse(reference, actions)
        d = self.dimensions
        u = self._forward(outputs, start)
        # At 0 the derivative of a root is infinite.
        return (u[:, :d] - u[:, d:]).square().sum(1).clamp(min=1e-12).sqrt()

    def inverse(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """u_0 [seed, 2 dimension, row] of doubled actions [seed, row, 2 dimension]."""
        d, velocity = self.dimensions, self._velocity(outputs)
        u = actions.transpose(1, 2).contiguous()
        z, y = u[:, :d], u[:, d:]
        for step in reversed(range(STEPS)):
            t = step / STEPS
            y = (y - (1 - MIXING) * z) / MIXING
            z = (z - (1 - MIXING) * y) / MIXING
            y = y - velocity(z, t) / STEPS
            z = z - velocity(y, t) / STEPS
        return torch.cat([z, y], 1)

    def _forward(self, outputs: Tensor, start: Tensor) -> Tensor:
        """u [seed, 2 dimension, row] of u_0."""
        d, velocity = self.dimensions, self._velocity(outputs)
        z, y = start[:, :d], start[:, d:]
        for step in range(STEPS):
            t = step / STEPS
            z = z + velocity(y, t) / STEPS
            y = y + velocity(z, t) / STEPS
            z = MIXING * z + (1 - MIXING) * y
            y = MIXING * y + (1 - MIXING) * z
        return torch.cat([z, y], 1)

    def _log_scale(self, outputs: Tensor) -> Tensor:
        """Logarithm of the noise's standard deviation, [seed, 1, row] or of all rows [1, 1, 1]."""
        return outputs[:, self.outputs :] if outputs.shape[1] > self.outputs else outputs.new_zeros(1, 1, 1)

    def _velocity(self, outputs: Tensor) -> "_Velocity":
        return _Velocity(self.dimensions, *outputs[:, : self.outputs].split_with_sizes(self._parts, 1))


class _Velocity:
    """v [seed, dimension, row] of halves [seed, dimension, row] at a time.

    Args:
        context: c(s) [seed, unit, row].
        inwards, time, outwards, bias: A, e, W, b, flat [seed, number, row], the same in all rows of a seed.
    """

    def __init__(
        self, dimensions: int, context: Tensor, inwards: Tensor, time: Tensor, outwards: Tensor, bias: Tensor
    ) -> None:
        S = len(context)
        # The factor 2 is for tanh(x) = 2 sigmoid(2 x) - 1 (mlp.py).
        self._context, self._time = 2 * context, 2 * time[:, :, :1]
        inwards = 2 * inwards[:, :, 0].reshape(S, WIDTH, dimensions)
        # A product with one feature is of vectors, which have kernels of their own (shapes.py).
        self._single = dimensions == 1
        self._inwards = pad_width(inwards, (0, 1)) if self._single else inwards
        weight = outwards[:, :, 0].reshape(S, dimensions, WIDTH)
        self._outwards, self._bias = 2 * weight, bias[:, :, :1] - weight.sum(2, keepdim=True)

    def __call__(self, half: Tensor, t: float) -> Tensor:
        x = pad_width(half, (0, 0, 0, 1)) if self._single else half
        hidden = torch.baddbmm(self._context + t * self._time, self._inwards, x.contiguous()).sigmoid()
        return torch.baddbmm(self._bias, self._outwards, hidden)
