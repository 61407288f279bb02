"""A reward model learnt from preferences: the Bradley-Terry model on features of texts.

P(one is preferred to other) = 1 / (1 + exp(-(r(one) - r(other)))), r = weights . features (Bradley and Terry 1952; the
reward model of Christiano et al. 2017, arXiv 1706.03741, and Ouyang et al. 2022, arXiv 2203.02155). With r linear this
is logistic regression on differences of features: one optimum, found by Newton's method to machine precision within
milliseconds, so there is nothing to store and nothing that depends on chance.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Penalty on squared weights, in units of one pair: keeps weights finite where features tell all pairs apart.
RIDGE = 1.0
MAX_ITERATIONS = 100


def fit(chosen: Floats, rejected: Floats) -> Floats:
    """Weights [feature] of the most likely model (with `RIDGE`).

    Args:
        chosen: [pair, feature] of the better responses.
        rejected: [pair, feature] of the worse ones.
    """
    differences = chosen - rejected
    weights = np.zeros(differences.shape[1])
    for _ in range(MAX_ITERATIONS):
        doubts = 1 / (1 + np.exp(differences @ weights))
        gradient = differences.T @ doubts - RIDGE * weights
        curvature = (differences * (doubts * (1 - doubts))[:, None]).T @ differences + RIDGE * np.eye(len(weights))
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if np.abs(step).max() < 1e-10:
            break
    return weights


def accuracy(weights: Floats, chosen: Floats, rejected: Floats) -> float:
    """Share of pairs [pair, feature] that the model orders as they are; a tie is half right."""
    margins = (chosen - rejected) @ weights
    return float(np.mean(np.where(margins == 0, 0.5, margins > 0)))
