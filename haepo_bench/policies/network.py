"""What trainers ask of a policy's network: outputs of some rows, and a backward pass from d loss / d outputs.

How the gradient is found is the network's own affair.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from haepo_bench.policies.convolutional import ConvolutionalNetwork
from haepo_bench.policies.encoders import Encoder, Pixels
from haepo_bench.policies.heads import Head
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.shapes import Array

#: Parameters [seed, parameter] as a network's products take them; `select(seeds)` gives those of some seeds.
Prepared = Any


class PolicyNetwork(Protocol):
    """An architecture; parameters, [seed, parameter], and observations, [seed, feature, row], are given to it."""

    @property
    def head(self) -> Head:
        """Which makes distributions of outputs."""
        ...

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of the hidden layers."""
        ...

    @property
    def sizes(self) -> Sequence[int]:
        """Lengths of the parts of the flat parameter vector."""
        ...

    @property
    def chunk_rows(self) -> int:
        """Rows of a seed that are worth computing at a time."""
        ...

    def keeps(self, rows: int) -> bool:
        """Whether what layers computed of so many rows is kept; beyond, it is computed again, to bound the memory."""
        ...

    def padded_rows(self, rows: int) -> int:
        """The number of rows to compute so that `rows` of them keep their bits (shapes.py)."""
        ...

    def initial(self, stream: np.random.Generator) -> Array:
        """Initial parameters [parameter] float32 of one seed."""
        ...

    def named(self, parameters: Tensor) -> dict[str, Array]:
        """One seed's parameters [parameter] as named arrays."""
        ...

    def fold(self, parameters: Tensor) -> Prepared:
        """Parameters [seed, parameter] as products take them."""
        ...

    def outputs(self, folded: Prepared, observations: Tensor) -> Tensor:
        """Outputs of the head [seed, output, row] for observations [seed, feature, row]."""
        ...

    def repeated(self, folded: Prepared) -> Callable[[Tensor], Tensor]:
        """`outputs` for many calls; each may overwrite what the one before returned."""
        ...

    def forward(self, folded: Prepared, observations: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Outputs of the head [seed, output, row], and what `backward` needs."""
        ...

    def backward(self, folded: Prepared, inputs: list[Tensor], gradient: Tensor) -> Tensor:
        """d loss / d parameters [seed, parameter], from d loss / d outputs [seed, output, row]."""
        ...


class Seen(NamedTuple):
    """Images, and the encoder that sees them."""

    encoder: Encoder
    pixels: Pixels


def network(inputs: int | Seen, hidden: tuple[int, ...], head: Head, **how: Any) -> PolicyNetwork:
    """A network for vectors of so many features, or for images.

    Args:
        how: further arguments, as of `Network`.
    """
    if isinstance(inputs, Seen):
        return ConvolutionalNetwork(inputs.encoder, inputs.pixels, hidden, head, **how)
    return Network(inputs, hidden, head, **how)
