"""Best of m configurations and sensitivity: closed forms, and their bias over simulated searches."""

from itertools import combinations
from math import comb, sqrt

import numpy as np
import pytest

from haepo_bench.statistics.searches import best_of, best_of_cross_fitted, normalised, sensitivity


def test_best_of_is_the_mean_over_all_subsets() -> None:
    rng = np.random.default_rng(1)
    choosing, scoring = rng.normal(size=(2, 7))
    for m, found in enumerate(best_of(choosing, scoring), 1):
        every = [scoring[max(subset, key=lambda i: choosing[i])] for subset in combinations(range(7), m)]
        assert found == pytest.approx(sum(every) / comb(7, m), abs=1e-12)


def test_best_of_in_closed_form() -> None:
    """Scores 1 to k that choose and are scored: the greatest of m is m (k + 1) / (m + 1) in the mean."""
    k = 8
    found = best_of(np.arange(1.0, k + 1), np.arange(1.0, k + 1))
    np.testing.assert_allclose(found, [m * (k + 1) / (m + 1) for m in range(1, k + 1)], rtol=0, atol=1e-12)


def test_trials_that_choose_alike_are_one_as_likely_as_the_other() -> None:
    """Scores that are all 1 say nothing of which is the best: any of them, whatever their order."""
    choosing, scoring = np.ones(5), np.array([0.1, 0.9, 0.5, 0.3, 0.7])
    np.testing.assert_allclose(best_of(choosing, scoring), 0.5, atol=1e-12)
    np.testing.assert_allclose(best_of(np.array([0.0, 1, 1, 0]), np.array([0.0, 0.2, 0.8, 0.4]))[-1], 0.5, atol=1e-12)


def test_one_tuning_seed_cannot_be_cross_fitted() -> None:
    assert np.isnan(best_of_cross_fitted(np.ones((4, 1)))).all()
    assert np.isnan(sensitivity(np.ones((4, 2, 1)), np.ones(2) / 2))


def test_sensitivity_in_closed_form() -> None:
    """Two tasks that each like one of two settings: 1 with a setting per task, 1/2 with one for both."""
    scores = np.array([[[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]])
    assert sensitivity(scores, np.array([0.5, 0.5])) == pytest.approx(0.5, abs=1e-12)
    assert sensitivity(scores[:, :1], np.array([1.0])) == pytest.approx(0, abs=1e-12)
    # Weights are those of the tasks on which trials differ.
    alike = np.concatenate([scores, np.full((2, 1, 2), np.nan)], axis=1)
    assert sensitivity(alike, np.array([0.25, 0.25, 0.5])) == pytest.approx(0.5, abs=1e-12)
    assert np.isnan(sensitivity(np.full((2, 1, 2), np.nan), np.array([1.0])))


def test_normalised_by_percentiles() -> None:
    scores = np.array([[[0.2], [5.0]], [[0.6], [5.0]]])
    found = normalised(scores, np.array([0.2, 5.0]), np.array([0.6, 5.0]))
    np.testing.assert_allclose(found[:, 0, 0], [0, 1], atol=1e-12)
    assert np.isnan(found[:, 1]).all()


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_bias_over_searches_is_small(spread: float) -> None:
    """2,000 searches of 8 configurations on 2 seeds, noise .3: bias below a quarter of the deviation over searches.

    Settings are worth N(0, spread) on each of 4 tasks: nothing to find at spread 0, where the best score of 8 would be
    .30 and the plain sensitivity .15. The truth is what the chosen settings are worth without noise.
    """
    rng = np.random.default_rng(2)
    searches, k, tasks, seeds = 2000, 8, 4, 2
    weights = np.full(tasks, 1 / tasks)
    values = spread * rng.normal(size=(searches, k, tasks))
    scores = values[..., None] + 0.3 * rng.normal(size=(searches, k, tasks, seeds))
    means = scores.mean(axis=2)
    best = np.array([best_of_cross_fitted(each) for each in means])[:, -1]
    phi = np.array([sensitivity(each, weights) for each in scores])
    # What a choice by one seed is worth, without the noise of the one that scores.
    worth, own = [], []
    for value, score in zip(values, scores, strict=True):
        for j in range(seeds):
            worth.append(value.mean(axis=1)[score[..., j].mean(axis=1).argmax()])
            own.append(np.mean([value[score[:, e, j].argmax(), e] for e in range(tasks)]) - worth[-1])
    for found, truth in ((best, np.mean(worth)), (phi, np.mean(own))):
        assert abs(found.mean() - truth) < found.std() / 4
        assert abs(found.mean() - truth) < 4 * found.std() / sqrt(searches)
    if spread == 0:
        assert np.mean(means.max(axis=1)) > 0.1  # what is not cross-fitted finds something in nothing
