"""How far up a ladder of sizes an algorithm gets: one number for sizes on which scores are nearly all 0 or 1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Solved = NDArray[np.bool_]


class Rungs(NamedTuple):
    """Places in the ladder, from 0; -1 is below the first.

    Args:
        highest: up to which half of the seeds solve every size.
        low: least that is compatible with the runs.
        high: greatest that is; the last one where nothing speaks against it.
    """

    highest: int
    low: int
    high: int


def highest_rung(solved: Sequence[Solved], *, confidence: float = 0.95) -> Rungs:
    """solved: [seed] bool a size, ascending -> the size up to which at least half of the seeds solve each one.

    The interval holds the size up to which a run succeeds with probability one half or more, where that probability
    does not rise with the size. It inverts exact binomial tests against one half, (1 - confidence) / 2 for either end:
    the low end goes up while each size is shown to be solved by half or more, the high end is the last size that is not
    shown to be solved by fewer. To be too high the low end must err at the first size beyond the true one, to be too
    low the high end at the true one: one test each, so no correction for the number of sizes. A size without runs shows
    nothing.
    """
    from scipy import special

    error = (1 - confidence) / 2
    wins, runs = (np.array([f(own) for own in solved], dtype=int) for f in (np.sum, len))
    # Chance of so many successes or more, and of so many or fewer, if half of the seeds solved it.
    more, fewer = special.bdtrc(wins - 1.0, runs, 0.5), special.bdtr(wins.astype(float), runs, 0.5)
    shown = (runs > 0) & (wins > 0) & (more <= error)
    open_ = np.flatnonzero((runs == 0) | (fewer > error))
    half = (runs > 0) & (2 * wins >= runs)
    return Rungs(_climbed(half), _climbed(shown), int(open_[-1]) if len(open_) else -1)


def _climbed(each: NDArray[np.bool_]) -> int:
    """The last place before the first that is not."""
    return int(np.argmin(np.append(each, False))) - 1
