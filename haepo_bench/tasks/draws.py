"""Random draws of the fixed instances that versions stand for.

Read off the bit generator itself: numpy promises its output for all time, but not that of `Generator`'s methods.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

_T = TypeVar("_T")


class Draws:
    """A sequence of draws, the same in every version of numpy.

    Args:
        key: what the draws are for; other keys give independent sequences.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))
        self._ahead: list[int] = []

    def uniform(self) -> float:
        """From [0, 1), with 53 random bits."""
        if not self._ahead:  # many at once: single ones cost more than all else
            self._ahead = self._bits.random_raw(4096)[::-1].tolist()
        return (self._ahead.pop() >> 11) * 2.0**-53

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self.uniform() < probability

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1, all equally likely (to 1e-10 for n below a million)."""
        return int(self.uniform() * n)

    def one_of(self, choices: Sequence[_T]) -> _T:
        """One of the choices, all equally likely."""
        return choices[self.below(len(choices))]

    def shuffled(self, items: Sequence[_T], most: int | None = None) -> list[_T]:
        """`most` of the items (all where None) without repetition, in random order (Fisher and Yates)."""
        pool = list(items)
        for place in range(len(pool) if most is None else most):
            other = place + self.below(len(pool) - place)
            pool[place], pool[other] = pool[other], pool[place]
        return pool[:most]
