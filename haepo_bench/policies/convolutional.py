"""Policies that see images: a convolutional encoder, then the layers and the head of a multilayer perceptron.

The same door as `Network` (mlp.py): outputs of some rows, and a backward pass from d loss / d outputs, written by hand.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.encoders import Encoder, Pixels, layers
from haepo_bench.policies.heads import Head
from haepo_bench.policies.mlp import Activation, Folded, Network, orthogonal
from haepo_bench.policies.shapes import CHUNK_ROWS, LANES, Array, pad, padded_rows

#: Numbers of the patches of a chunk and of a group of seeds: 4 and 16 MiB, near enough to the caches.
_CHUNK_NUMBERS, _GROUP_NUMBERS = 1 << 20, 1 << 22
#: Numbers (over all seeds) that the backward pass keeps of what layers computed: 64 MiB.
_KEPT_NUMBERS = 1 << 24


class ConvolutionalNetwork:
    """The architecture: an encoder, hidden layers and a head. Parameters [seed, parameter]: the encoder's stand first.

    Args:
        encoder: its layers.
        pixels: of the images.
        hidden: units of the hidden layers behind the encoder.
        orthogonal, last_gain, log_std, activation: as of `Network`, for all layers and for those behind the encoder.
    """

    def __init__(
        self,
        encoder: Encoder,
        pixels: Pixels,
        hidden: tuple[int, ...],
        head: Head,
        *,
        last_gain: float = 0.01,
        orthogonal: bool = True,
        log_std: float = 0.0,
        activation: Activation = "tanh",
    ) -> None:
        self.encoder, self.pixels, self.hidden, self.head = encoder, pixels, hidden, head
        self.orthogonal = orthogonal
        self.layers = layers(encoder, pixels)
        self.behind = Network(
            encoder.dense,
            hidden,
            head,
            last_gain=last_gain,
            orthogonal=orthogonal,
            log_std=log_std,
            activation=activation,
        )

    @cached_property
    def _shapes(self) -> list[tuple[int, int]]:
        """(outputs, inputs) of the encoder's products."""
        last = self.layers[-1]
        dense = self.encoder.dense, last.places * last.convolution.filters
        return [*((layer.convolution.filters, layer.patch) for layer in self.layers), dense]

    @cached_property
    def _sizes(self) -> list[int]:
        """Lengths of the parts of the encoder's parameters: weight, bias of each layer, padding."""
        parts = [n for out, inputs in self._shapes for n in (out * inputs, out)]
        return [*parts, pad(sum(parts), LANES) - sum(parts)]

    @cached_property
    def sizes(self) -> list[int]:
        """Lengths of the parts of the flat parameter vector."""
        return [*self._sizes, *self.behind.sizes]

    @cached_property
    def _patch_numbers(self) -> int:
        """Of one row, in the layer that has most."""
        return max(layer.patch * layer.places for layer in self.layers)

    def padded_rows(self, rows: int) -> int:
        """The number of rows to compute so that `rows` of them keep their bits (shapes.py)."""
        return padded_rows(rows, (self.encoder.dense, *self.hidden, self.head.outputs))

    @property
    def chunk_rows(self) -> int:
        """Rows of a seed that are worth computing at a time."""
        return max(LANES, min(CHUNK_ROWS, 1 << (_CHUNK_NUMBERS // self._patch_numbers).bit_length() - 1))

    @cached_property
    def kept_numbers(self) -> int:
        """What layers compute of one row that the backward pass needs."""
        return sum(layer.places * layer.convolution.filters for layer in self.layers) + sum(self.behind.widths[:-1])

    def keeps(self, rows: int) -> bool:
        """Whether what layers computed of so many rows is kept; beyond, it is computed again, to bound the memory."""
        return rows * self.kept_numbers <= _KEPT_NUMBERS

    def initial(self, stream: np.random.Generator) -> Array:
        """Initial parameters [parameter] float32 of one seed: as `Network`, filters as the rows of a matrix."""
        parts: list[Array] = []
        for out, inputs in self._shapes:
            if self.orthogonal:
                parts += [math.sqrt(2) * orthogonal(out, inputs, stream).ravel(), np.zeros(out)]
            else:
                parts.append(stream.uniform(-1 / math.sqrt(inputs), 1 / math.sqrt(inputs), out * inputs + out))
        parts.append(np.zeros(self._sizes[-1]))
        return np.concatenate([np.concatenate(parts).astype(np.float32), self.behind.initial(stream)])

    def named(self, parameters: Tensor) -> dict[str, Array]:
        """One seed's parameters [parameter] as arrays: `filters_<n>` [filter, channel, row, column], `filter_bias_<n>`,
        `encoder_weight` [output, input], `encoder_bias`, and those of `Network`."""
        own, behind = parameters.detach().split_with_sizes([sum(self._sizes), sum(self.behind.sizes)])
        parts = [part.cpu().numpy() for part in own.split_with_sizes(self._sizes)]
        arrays: dict[str, Array] = {}
        for number, layer in enumerate(self.layers):
            filters, kernel, _ = layer.convolution
            arrays[f"filters_{number}"] = parts[2 * number].reshape(filters, layer.channels, kernel, kernel)
            arrays[f"filter_bias_{number}"] = parts[2 * number + 1]
        arrays["encoder_weight"], arrays["encoder_bias"] = parts[-3].reshape(self._shapes[-1]), parts[-2]
        return arrays | self.behind.named(behind)

    def fold(self, parameters: Tensor) -> "FoldedEncoder":
        """Parameters [seed, parameter] as `forward` and `backward` take them."""
        own, behind = parameters.split_with_sizes([sum(self._sizes), sum(self.behind.sizes)], 1)
        parts = own.split_with_sizes(self._sizes, 1)
        weights = tuple(parts[2 * n].reshape(len(own), *shape) for n, shape in enumerate(self._shapes))
        biases = tuple(parts[2 * n + 1][:, :, None].contiguous() for n in range(len(self._shapes)))
        return FoldedEncoder(weights, biases, self.behind.fold(behind))

    def outputs(self, folded: "FoldedEncoder", observations: Tensor) -> Tensor:
        """Outputs of the head [seed, output, row] for observations [seed, feature, row]."""
        return _joined([self._forward(own, x)[0] for own, (x,) in self._grouped(folded, observations)])

    def repeated(self, folded: "FoldedEncoder") -> Callable[[Tensor], Tensor]:
        """`outputs` for many calls."""
        return lambda observations: self.outputs(folded, observations)

    def forward(self, folded: "FoldedEncoder", observations: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs of the head [seed, output, row], and the inputs of every layer, which `backward` needs."""
        found = [self._forward(own, x) for own, (x,) in self._grouped(folded, observations)]
        inputs = [_joined(parts) for parts in zip(*(inputs for _, inputs in found), strict=True)]
        return _joined([outputs for outputs, _ in found]), [observations, *inputs]

    def backward(self, folded: "FoldedEncoder", inputs: list[Tensor], gradient: Tensor) -> Tensor:
        """d loss / d parameters [seed, parameter].

        Args:
            folded: as given to `forward`.
            inputs: as returned by `forward`.
            gradient: d loss / d outputs [seed, output, row].
        """
        groups = self._grouped(folded, *inputs, gradient)
        return _joined([self._backward(own, tensors[:-1], tensors[-1]) for own, tensors in groups])

    def _grouped(self, folded: "FoldedEncoder", *tensors: Tensor) -> "Iterator[tuple[FoldedEncoder, list[Tensor]]]":
        """The seeds, as many at a time as have patches that fit the memory meant for them."""
        S, rows = len(tensors[0]), tensors[0].shape[-1]
        most = max(1, _GROUP_NUMBERS // (rows * self._patch_numbers))
        for start in range(0, S, most):
            here = slice(start, start + most)
            yield (folded if most >= S else folded.cut(here)), [tensor[here] for tensor in tensors]

    def _forward(self, folded: "FoldedEncoder", observations: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs, and the inputs of every layer but the first."""
        x, inputs = self.pixels.image(observations, folded.weights[0].dtype), []
        for layer, weight, bias in zip(self.layers, folded.weights, folded.biases, strict=False):
            x = layer.outputs(weight, bias, x)
            inputs.append(x)
        flat = x.view(len(x), -1, x.shape[-1])
        encoded = torch.baddbmm(folded.biases[-1], folded.weights[-1], flat).relu_()
        outputs, behind = self.behind.forward(folded.behind, encoded)
        return outputs, [*inputs, *behind]

    def _backward(self, folded: "FoldedEncoder", inputs: list[Tensor], gradient: Tensor) -> Tensor:
        observations, *made = inputs
        count, rows = len(self.layers), observations.shape[-1]
        seen, encoded = [self.pixels.image(observations, gradient.dtype), *made[:count]], made[count]
        behind, gradient = self.behind.backward_through(folded.behind, made[count:], gradient)
        gradient = torch.ops.aten.threshold_backward(gradient, encoded, 0)
        flat = seen[count].view(len(encoded), -1, rows)
        found = [torch.bmm(gradient, flat.transpose(1, 2)).flatten(1), gradient.sum(2)]
        gradient = torch.bmm(folded.weights[-1].transpose(1, 2), gradient)
        for number in reversed(range(count)):
            layer = self.layers[number]
            gradient = gradient.reshape(len(encoded), layer.convolution.filters, -1)
            gradient = torch.ops.aten.threshold_backward(gradient, seen[number + 1].view_as(gradient), 0)
            weight, bias = layer.gradient(seen[number], gradient)
            found = [weight.flatten(1), bias, *found]
            if number > 0:
                gradient = layer.back(folded.weights[number], gradient, rows)
        return torch.cat([*found, behind.new_zeros(len(behind), self._sizes[-1]), behind], 1)


@dataclass(frozen=True)
class FoldedEncoder:
    """Parameters as products take them, made once for many of them.

    Args:
        weights: of the encoder's layers [seed, output, input].
        biases: of the encoder's layers [seed, output, 1].
        behind: of the layers behind it.
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    behind: Folded

    def select(self, seeds: Tensor | None) -> "FoldedEncoder":
        """Those of some seeds; None: of all."""
        if seeds is None:
            return self
        return FoldedEncoder(
            tuple(weight.index_select(0, seeds) for weight in self.weights),
            tuple(bias.index_select(0, seeds) for bias in self.biases),
            self.behind.select(seeds),
        )

    def cut(self, seeds: slice) -> "FoldedEncoder":
        """Those of neighbouring seeds."""
        behind = Folded(
            tuple(weight[seeds] for weight in self.behind.weights),
            tuple(bias[seeds] for bias in self.behind.biases),
            None if self.behind.free is None else self.behind.free[seeds],
        )
        return FoldedEncoder(
            tuple(weight[seeds] for weight in self.weights), tuple(bias[seeds] for bias in self.biases), behind
        )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Groups of seeds end to end."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
