"""Random streams: every draw comes from a stream keyed by what it is for.

Streams with different keys are independent; the same key gives the same stream on every machine. There is no global
random state and no order in which streams must be made.
"""

from hashlib import blake2b
from typing import Literal

import numpy as np

Purpose = Literal[
    "initialisation",
    "action noise",
    "environment",
    "reward",
    "evaluation",
    "evaluation noise",
    "minibatch",
    "critic",
    "fine-tuning",
    "ppo",
    "reference environment",
    "reference noise",
    "reference reward",
    "greedy noise",
    "greedy reward",
    "prefix",
    "rephrasing",
    "branching",
    "design",
    "flip",
    "search",
    "pretraining",
]


def stream(purpose: Purpose, *key: int | str) -> np.random.Generator:
    """The stream for `purpose` and `key`, such as (seed, iteration)."""
    return np.random.Generator(np.random.Philox(key=int.from_bytes(_digest(purpose, key), "little")))


def hashed_seed(purpose: Purpose, *key: int) -> int:
    """A seed in [0, 2**31) for libraries that take nothing but a small integer."""
    return int.from_bytes(_digest(purpose, key)[:4], "little") >> 1


def _digest(purpose: str, key: tuple[int | str, ...]) -> bytes:
    """16 bytes from length-prefixed parts, so that ("a", 1, 23) and ("a", 12, 3) differ."""
    hashing = blake2b(digest_size=16)
    for part in (purpose, *map(str, key)):
        encoded = part.encode()
        hashing.update(len(encoded).to_bytes(4, "little") + encoded)
    return hashing.digest()
