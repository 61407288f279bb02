"""Multilayer perceptrons for many seeds at once: parameters [seed, parameter], activations [seed, feature, row].

Features stand before rows: a product with few outputs is four times faster so, and its bits do not depend on how many
seeds there are (shapes.py).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad as pad_width

from haepo_bench.policies.heads import Head
from haepo_bench.policies.shapes import CHUNK_ROWS, LANES, Array, pad, padded_rows

Activation = Literal["tanh", "relu"]

#: Rows (over all seeds) whose layers' inputs are kept for the backward pass.
KEPT_ROWS = 300_000


@dataclass(frozen=True)
class Network:
    """The architecture: hidden layers and a head.

    Args:
        inputs: observation features.
        hidden: units of the hidden layers.
        last_gain: of the last layer's initial weights.
        orthogonal: whether initial weights are orthogonal; else torch's default, uniform within 1 / sqrt(inputs).
        log_std: initial logarithm of standard deviations.
        activation: of the hidden layers.
    """

    inputs: int
    hidden: tuple[int, ...]
    head: Head
    last_gain: float = 0.01
    orthogonal: bool = True
    log_std: float = 0.0
    activation: Activation = "tanh"

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Features of every layer, from the observation to the last product."""
        return (self.inputs, *self.hidden, self.head.outputs - self.head.free)

    def padded_rows(self, rows: int) -> int:
        """The number of rows to compute so that `rows` of them keep their bits (shapes.py)."""
        return padded_rows(rows, (*self.hidden, self.head.outputs))

    @property
    def chunk_rows(self) -> int:
        """Rows of a seed that are worth computing at a time."""
        return CHUNK_ROWS

    def keeps(self, rows: int) -> bool:
        """Whether what layers computed of so many rows is kept; beyond, it is computed again, to bound the memory."""
        return rows <= KEPT_ROWS

    @cached_property
    def sizes(self) -> list[int]:
        """Lengths of the parts of the flat parameter vector: weight, bias of each layer, what is free, padding."""
        parts = [n for a, b in pairwise(self.widths) for n in (a * b, b)]
        if self.head.free:
            parts.append(self.head.free)
        return [*parts, pad(sum(parts), LANES) - sum(parts)]

    def initial(self, stream: np.random.Generator) -> Array:
        """Initial parameters [parameter] float32 of one seed.

        Orthogonal weights (gain sqrt 2, last layer 0.01), zero biases, log standard deviations 0 by default: what PPO
        implementations use (https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/, detail 2).
        """
        parts: list[Array] = []
        layers = list(pairwise(self.widths))
        last_gain = self.last_gain if self.head.last_gain is None else self.head.last_gain
        for number, (a, b) in enumerate(layers):
            gain = last_gain if number == len(layers) - 1 else math.sqrt(2)
            if self.orthogonal:
                parts += [gain * orthogonal(b, a, stream).ravel(), np.zeros(b)]
            else:
                parts.append(stream.uniform(-1 / math.sqrt(a), 1 / math.sqrt(a), a * b + b))
        parts += [self.head.initial_free(stream, self.log_std), np.zeros(self.sizes[-1])]
        return np.concatenate(parts).astype(np.float32)

    def named(self, parameters: Tensor) -> dict[str, Array]:
        """One seed's parameters [parameter] as arrays: `weight_<n>` [output, input], `bias_<n>`, and what is free."""
        parts = [part.cpu().numpy() for part in parameters.detach().split_with_sizes(self.sizes)]
        arrays: dict[str, Array] = {}
        for number, (a, b) in enumerate(pairwise(self.widths)):
            arrays[f"weight_{number}"] = parts[2 * number].reshape(b, a)
            arrays[f"bias_{number}"] = parts[2 * number + 1]
        if self.head.free:
            arrays[self.head.free_name] = parts[-2]
        return arrays

    def fold(self, parameters: Tensor) -> "Folded":
        """Parameters [seed, parameter] as the products of `forward` and `backward` take them."""
        parts = parameters.split_with_sizes(self.sizes, 1)
        layers = list(pairwise(self.widths))
        weights, biases = [], []
        for number, (a, b) in enumerate(layers):
            weight, bias = parts[2 * number].view(-1, b, a), parts[2 * number + 1]
            if self.activation == "tanh" and number > 0:
                weight, bias = 2 * weight, bias - weight.sum(2)
            if self.activation == "tanh" and number < len(layers) - 1:
                weight, bias = 2 * weight, 2 * bias
            weights.append(pad_width(weight, (0, 1)) if a == 1 else weight)
            biases.append(bias[:, :, None])
        free = parts[-2][:, :, None] if self.head.free else None
        return Folded(tuple(weights), tuple(biases), free)

    def outputs(self, folded: "Folded", observations: Tensor) -> Tensor:
        """Outputs of the head [seed, output, row] for observations [seed, feature, row]."""
        return self.forward(folded, observations)[0]

    def repeated(self, folded: "Folded") -> Callable[[Tensor], Tensor]:
        """`outputs` for many calls, in memory that is used again: each call overwrites what the one before returned."""
        layers = list(zip(folded.weights, folded.biases, strict=True))
        room: dict[tuple[torch.Size, bool], list[Tensor]] = {}

        def outputs(observations: Tensor) -> Tensor:
            x = _two_features(observations)
            # Tensors made in inference mode cannot be written to outside of it.
            key = x.shape, torch.is_inference_mode_enabled()
            made = room.get(key)
            if made is None:
                room.clear()
                made = [x.new_empty(len(x), weight.shape[1], x.shape[2]) for weight in folded.weights]
                room[key] = made
            last = len(layers) - 1
            for number, ((weight, bias), out) in enumerate(zip(layers, made, strict=True)):
                x = torch.baddbmm(bias, weight, _two_features(x), out=out)
                if number < last:
                    x = x.sigmoid_() if self.activation == "tanh" else x.relu_()
            if folded.free is not None:
                x = torch.cat([x, folded.free.expand(-1, -1, x.shape[-1])], 1)
            return x

        return outputs

    def forward(self, folded: "Folded", observations: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs of the head [seed, output, row], and the inputs of every layer, which `backward` needs."""
        x, inputs = observations, []
        last = len(folded.weights) - 1
        for number, (weight, bias) in enumerate(zip(folded.weights, folded.biases, strict=True)):
            inputs.append(x)
            x = torch.baddbmm(bias, weight, _two_features(x))
            if number < last:
                x = x.sigmoid_() if self.activation == "tanh" else x.relu_()
        if folded.free is not None:
            x = torch.cat([x, folded.free.expand(-1, -1, x.shape[-1])], 1)
        return x, inputs

    def backward(self, folded: "Folded", inputs: list[Tensor], gradient: Tensor) -> Tensor:
        """d loss / d parameters [seed, parameter].

        Written by hand: autograd takes a fifth longer on large batches and several times as long on small ones.

        Args:
            folded: as given to `forward`.
            inputs: as returned by `forward`.
            gradient: d loss / d outputs [seed, output, row].
        """
        return self._backward(folded, inputs, gradient)[0]

    def backward_through(self, folded: "Folded", inputs: list[Tensor], gradient: Tensor) -> tuple[Tensor, Tensor]:
        """As `backward`, and d loss / d observations [seed, feature, row]."""
        found, gradient = self._backward(folded, inputs, gradient)
        # The first layer's weights are doubled where its output is a tanh.
        halved = self.activation == "tanh" and len(folded.weights) > 1
        weight = 0.5 * folded.weights[0] if halved else folded.weights[0]
        return found, _back(weight, gradient, inputs[0])

    def _backward(self, folded: "Folded", inputs: list[Tensor], gradient: Tensor) -> tuple[Tensor, Tensor]:
        """d loss / d parameters, and d loss / d (what the first layer's activation takes)."""
        found: list[Tensor] = [gradient.new_zeros(len(gradient), self.sizes[-1])]
        if self.head.free:
            found.insert(0, gradient[:, self.widths[-1] :].sum(2))
            gradient = gradient[:, : self.widths[-1]].contiguous()
        last = len(folded.weights) - 1
        for number in reversed(range(last + 1)):
            x = inputs[number]
            bias = gradient.sum(2)
            weight = torch.bmm(gradient, _two_features(x).transpose(1, 2))[:, :, : x.shape[1]]
            if number > 0 and self.activation == "relu":
                gradient = torch.ops.aten.threshold_backward(_back(folded.weights[number], gradient, x), x, 0)
            elif number > 0:
                weight = weight.mul_(2).sub_(bias[:, :, None])
                # dz = dh (1 - tanh^2) = 4 dh y (1 - y), with the factor 4 (or of the last layer 2) folded in already.
                doubled = folded.weights[number] if number < last else 2 * folded.weights[number]
                gradient = torch.ops.aten.sigmoid_backward(_back(doubled, gradient, x), x)
            found = [weight.flatten(1), bias, *found]
        return torch.cat(found, 1), gradient


@dataclass(frozen=True)
class Folded:
    """Parameters with the factors of the activation folded in, made once for many products.

    tanh(z) is 2 sigmoid(2z) - 1, which costs a third of torch.tanh on CPUs, and only the sigmoid y is computed: the
    next layer takes W (2y - 1) + b as 2 W y + (b - W 1), and 2z is made by doubling both. relu has no such factors.

    Args:
        weights: of each layer [seed, output, input], a single input with one of zeros beside it.
        biases: of each layer [seed, output, 1].
        free: [seed, parameter, 1] outputs that do not depend on the observation; None where there are none.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    free: Tensor | None

    def select(self, seeds: Tensor | None) -> "Folded":
        """Those of some seeds; None: of all."""
        if seeds is None:
            return self
        return Folded(
            tuple(weight.index_select(0, seeds) for weight in self.weights),
            tuple(bias.index_select(0, seeds) for bias in self.biases),
            None if self.free is None else self.free.index_select(0, seeds),
        )


def _two_features(x: Tensor) -> Tensor:
    """Activations [seed, feature, row], a single feature with one of zeros beside it (shapes.py)."""
    return pad_width(x, (0, 0, 0, 1)) if x.shape[1] == 1 else x


def _back(weight: Tensor, gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient [seed, output, row] carried back through a layer's weights to its inputs, shaped as `x`."""
    return torch.bmm(weight.transpose(1, 2), gradient)[:, : x.shape[1]].contiguous()


def orthogonal(rows: int, columns: int, stream: np.random.Generator) -> Array:
    """A matrix with orthonormal rows or columns, whichever are fewer, drawn uniformly (Haar)."""
    gaussian = stream.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(gaussian)
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T
