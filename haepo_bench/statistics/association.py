"""How strongly two quantities go together."""

import numpy as np
from numpy.typing import ArrayLike


def kendall_tau_b(x: ArrayLike, y: ArrayLike) -> float:
    """x: [n], y: [n] -> Kendall's tau-b, in [-1, 1]: rank correlation with correction for ties.

    (concordant - discordant pairs) / sqrt(pairs untied in x * pairs untied in y) (Kendall 1945, "The treatment of ties
    in ranking problems"). NaN where all of one are equal, or where anything is NaN.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if np.isnan(a).any() or np.isnan(b).any():
        return float("nan")
    signs_a, signs_b = np.sign(a[:, None] - a), np.sign(b[:, None] - b)
    untied = np.abs(signs_a).sum() * np.abs(signs_b).sum()
    return float((signs_a * signs_b).sum() / np.sqrt(untied)) if untied else float("nan")
