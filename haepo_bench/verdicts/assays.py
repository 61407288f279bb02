"""No assay: a task on which nearly everything is at one end of the scale, so that differences cannot show."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

#: A task is no assay where more than this share of at least so many are so near to one end.
NEARLY_ALL, ENOUGH_TO_JUDGE, NEAR = 2 / 3, 4, 0.05

End = Literal["floor", "ceiling"]


def end_of(scores: Sequence[float]) -> tuple[End, int] | None:
    """The end of the scale that nearly all scores are at, and how many are there.

    Args:
        scores: normalised: 0 is the uniformly random policy, 1 a solved task.

    Returns:
        None where the task may separate them: where a third or more are elsewhere, the other end included, or there
        are too few to say.
    """
    if len(scores) < ENOUGH_TO_JUDGE:
        return None
    values = np.asarray(scores)
    ends: tuple[tuple[End, int], ...] = (
        ("floor", int((np.abs(values) <= NEAR).sum())),
        ("ceiling", int((values >= 1 - NEAR).sum())),
    )
    return next(((end, there) for end, there in ends if there / len(values) > NEARLY_ALL), None)
