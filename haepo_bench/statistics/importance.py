"""Which hyper-parameters matter: from the trials of a search, through a random forest. Exploratory.

Needs scikit-learn (the extra `importance`). The forest stands for trials that were not made, so that these numbers say
something of the search only as far as it explains scores that it has not seen.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold

Array = NDArray[Any]

TREES, FOLDS, REPEATS = 100, 5, 10
#: Of what a setting per task reaches, the share that is as good as all of it, as in Adkins et al. (2024).
ENOUGH = 0.95


def importances(settings: Array, scores: Array) -> tuple[float, Array]:
    """settings: [trial, parameter] numbers, scores: [trial] -> share of the variance explained, [parameter] importance.

    Both are means over folds of trials that the forest has not seen: the R^2 there, and how much of it is lost when a
    parameter's values are shuffled (permutation importance, Breiman 2001). NaN with fewer than two trials a fold, or
    where all scores are alike.
    """
    parameters = settings.shape[1]
    if len(scores) < 2 * FOLDS or np.ptp(scores) == 0:
        return float("nan"), np.full(parameters, np.nan)
    explained, lost = [], []
    for learn, judge in KFold(FOLDS, shuffle=True, random_state=0).split(settings):
        model = _forest(settings[learn], scores[learn])
        # Against the variance of all trials: a fold of few may have next to none.
        error = np.mean((model.predict(settings[judge]) - scores[judge]) ** 2)
        explained.append(1 - error / scores.var())
        found = permutation_importance(
            model, settings[judge], scores[judge], n_repeats=REPEATS, random_state=0, scoring="neg_mean_squared_error"
        )
        lost.append(found.importances_mean / scores.var())
    return float(np.mean(explained)), np.asarray(np.mean(lost, axis=0))


def retained(settings: Array, scores: Array, weights: Array) -> Array:
    """settings: [trial, parameter], scores: [trial, task, seed] (normalised), weights: [task] -> [parameters + 1].

    Of what a setting per task reaches above the mean trial, the share that is reached where only m parameters have a
    value per task and the others the one that is best for all: m = 0, 1, ..., all. For each m the best m parameters.
    Cross-fitted: the forest of one seed's scores chooses parameters and values, that of the others values them.
    NaN with a single seed, or where a setting per task reaches no more than the mean trial.

    Source: Adkins, Bowling, White (2024), effective hyperparameter dimensionality; there on grids, here on a forest.
    """
    trials, parameters = settings.shape
    seeds = scores.shape[2]
    if seeds < 2 or trials < 2 * FOLDS:
        return np.full(parameters + 1, np.nan)
    found = []
    for seed in range(seeds):
        others = np.delete(scores, seed, axis=2).mean(axis=2)
        found.append(_reached(settings, scores[:, :, seed], others, weights))
    reached = np.mean(found, axis=0)
    return np.asarray(reached / reached[-1] if reached[-1] > 0 else np.full(parameters + 1, np.nan))


def _reached(settings: Array, chooses: Array, judges: Array, weights: Array) -> Array:
    """chooses, judges: [trial, task] -> [parameters + 1]: score above the mean trial's."""
    tasks, parameters = range(chooses.shape[1]), settings.shape[1]
    choosing = [_forest(settings, chooses[:, task]) for task in tasks]
    judging = [_forest(settings, judges[:, task]) for task in tasks]
    common = settings[np.argmax(sum(w * model.predict(settings) for w, model in zip(weights, choosing, strict=True)))]
    means = judges.mean(axis=0)
    reached = []
    for size in range(parameters + 1):
        best, judged = -np.inf, np.nan
        for free in combinations(range(parameters), size):
            candidates = np.tile(common, (len(settings), 1))
            candidates[:, free] = settings[:, free]
            predicted = [model.predict(candidates) for model in choosing]
            chosen = [int(np.argmax(own)) for own in predicted]
            value = sum(w * own[place] for w, own, place in zip(weights, predicted, chosen, strict=True))
            # Of equal ones the first: what judges must not choose as well.
            if value > best:
                best = value
                judged = sum(
                    w * (model.predict(candidates[[place]])[0] - mean)
                    for w, model, place, mean in zip(weights, judging, chosen, means, strict=True)
                )
        reached.append(judged)
    return np.array(reached)


def dimension(shares: Array) -> int | None:
    """shares: [parameters + 1] of `retained` -> the fewest that reach `ENOUGH`; None where that is not known."""
    enough = np.flatnonzero(shares >= ENOUGH)
    return int(enough[0]) if len(enough) else None


def _forest(settings: Array, scores: Array) -> Any:
    return RandomForestRegressor(TREES, random_state=0, min_samples_leaf=3).fit(settings, scores)
