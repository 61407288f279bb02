"""Blocks of seeds: a job's seeds are trained as many at a time as memory allows.

Seeds share nothing but time, so that how they are divided never changes a run. Some tens together are as fast as more.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")

#: Memory for the seeds that are trained together, in bytes: what a worker has imported takes about as much again.
ROOM = 192 << 20

#: More together are no faster, and some memory grows with them whatever the steps: networks, optimisers, their copies.
MOST = 50

#: Of one step of a batch, all that an update keeps of it: measured at 830 to 1,440 with two layers of 64, of which 512
#: are their activations.
STEP_BYTES = 900


def blocks(seeds: Sequence[T], steps: int, numbers: int) -> list[list[T]]:
    """The seeds, or rows, in order, divided into blocks of nearly the same size.

    Args:
        steps: most steps in a seed's batch.
        numbers: single-precision numbers of a step that depend on task and network: features, units, actions.
    """
    most = max(1, min(MOST, ROOM // max(1, steps * (STEP_BYTES + 4 * numbers))))
    count = -(-len(seeds) // most)
    bounds = [len(seeds) * number // count for number in range(count + 1)]
    return [list(seeds[start:end]) for start, end in pairwise(bounds)]
