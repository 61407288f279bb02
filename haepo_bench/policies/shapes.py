"""Shapes that keep a seed's numbers its own, whatever else is computed beside it.

A run must come out byte for byte the same alone and among ten seeds. Three properties of torch's CPU kernels stand
in the way, and these shapes go round them (a property test proves it on each machine):

- A matrix product's kernel depends on the row count when that is not a multiple of 8. So activations are laid out
  [seed, feature, row] with rows padded to a multiple of 8.
- With one input feature a layer's products, forward and backward, are of vectors, which have other kernels, and which
  of them is taken depends on the number of seeds on some processors. So a single feature gets a second one beside it
  that is always zero.
- Vectorised elementwise kernels compute the last elements of a tensor (up to 2 vectors, 32 floats with AVX-512) with
  scalar code, whose exp or fused multiply-add can differ in the last bit. So each seed's part of a tensor, or where
  that is too small the whole, has a multiple of `LANES` elements.
"""

import math
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

#: Two vectors of the widest kernels (AVX-512): elements that one step of a vectorised loop takes.
LANES = 32

#: Rows of a chunk: 64 units of 512 rows are 128 KiB a layer and seed, which stays in a core's cache.
CHUNK_ROWS = 512


def pad(n: int, multiple: int) -> int:
    """The smallest multiple of `multiple` that is at least `n`."""
    return -(-n // multiple) * multiple


def padded_rows(rows: int, widths: Iterable[int]) -> int:
    """Rows of [seed, width, row] tensors so that every seed's part is a multiple of `LANES`, and rows of 8.

    Args:
        widths: of all the tensors that rows go through.
    """
    return pad(rows, math.lcm(8, *(LANES // math.gcd(LANES, width) for width in widths)))


def padded_seeds(seeds: int, trajectories: int) -> int:
    """Seeds of a [seed, trajectory] tensor so that its size is a multiple of `LANES`."""
    return pad(seeds, LANES // math.gcd(LANES, trajectories))
