"""Fresh seeds: which runs a gate makes beside those of the baseline."""

import hashlib
from collections.abc import Collection
from itertools import count

#: Fresh seeds are below: many enough that two commits share few, short enough to be read in a log.
_SEEDS = 10**6


def fresh_seeds(origin: str, batch: int, number: int, taken: Collection[int]) -> tuple[int, ...]:
    """Seeds that follow from `origin` alone, in increasing order: the same commit always runs the same seeds.

    So nobody can run a gate again until it is green, and an interrupted one goes on where it stopped.

    Args:
        origin: what is gated: a commit, or the state of a working tree.
        batch: 0 the first, 1 the one that confirms; batches share no seed if each knows what is taken.
        taken: seeds that are not fresh, such as those of the baseline.
    """
    found: dict[int, None] = {}
    for place in count():
        if len(found) == number:
            return tuple(sorted(found))
        text = f"{len(origin)}:{origin}:{batch}:{place}"
        seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big") % _SEEDS
        if seed not in taken:
            found[seed] = None
    raise AssertionError  # `count` has no end
