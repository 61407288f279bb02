"""A gradient step: clipping and Adam."""

from collections.abc import Sequence

import numpy as np

from haepo_bench.engine.library import Library, at, long, single, writable
from haepo_bench.policies.shapes import Array


def clip(library: Library, gradient: Array, most: Sequence[float | None], norms: Array) -> None:
    """Scales each seed's gradient [seed, parameter] down to a norm in place.

    Args:
        most: [seed] the largest norm; None: any.
        norms: [seed] float32, where the norms before are written.
    """
    S, P = _whole(gradient)
    library.call(
        "clip",
        S,
        long(P),
        at(np.array([-1.0 if one is None else one for one in most], np.float32), np.float32, S),
        writable(gradient, np.float32, S, P),
        writable(norms, np.float32, S),
    )


def adam(
    library: Library,
    parameters: Array,
    mean: Array,
    square: Array,
    gradient: Array,
    *,
    sizes: Sequence[float],
    unbias: float,
    epsilon: float,
) -> None:
    """One step of some seeds in place; all arrays [seed, parameter].

    Args:
        sizes: [seed] the learning rate, divided by 1 - beta1^t.
        unbias: 1 / (1 - beta2^t).
    """
    S, P = _whole(parameters)
    library.call(
        "adam",
        S,
        long(P),
        at(np.array(sizes, np.float32), np.float32, S),
        at(np.full(S, unbias, np.float32), np.float32, S),
        single(epsilon),
        writable(parameters, np.float32, S, P),
        writable(mean, np.float32, S, P),
        writable(square, np.float32, S, P),
        at(gradient, np.float32, S, P),
    )


def _whole(parameters: Array) -> tuple[int, int]:
    S, P = parameters.shape
    if P % 16:
        raise ValueError(f"parameters of a seed must be whole groups of 16 numbers, got {P}")
    return S, P
