"""Which hyper-parameters matter, on scores whose dependence is known. Fixed seeds: nothing is left to chance."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the extra `importance` is not installed")

from haepo_bench.statistics.importance import dimension, importances, retained

TRIALS = 240


def drawn(parameters: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=(TRIALS, parameters))


def test_importance_is_twice_the_share_of_the_variance() -> None:
    # Shuffling x in y = a x + b z adds 2 a^2 Var(x) to the squared error of the true function.
    settings = drawn(3)
    explained, shares = importances(settings, 2 * settings[:, 0] + settings[:, 1])
    assert explained > 0.85
    # A forest of finite trees shrinks both.
    assert shares[0] == pytest.approx(1.6, abs=0.3)
    assert shares[1] == pytest.approx(0.4, abs=0.15)
    assert abs(shares[2]) < 0.02


def test_noise_explains_nothing() -> None:
    settings = drawn(3)
    explained, shares = importances(settings, np.random.default_rng(1).normal(size=TRIALS))
    assert explained < 0.05
    assert np.abs(shares).max() < 0.15
    assert np.isnan(importances(settings, np.zeros(TRIALS))[0])
    assert np.isnan(importances(settings[:9], settings[:9, 0])[0])


def scores(optima: list[float], settings: np.ndarray, own: int) -> np.ndarray:
    """[trial, task, seed]: parameter `own` has an optimum per task, the next one the same on all; some noise."""
    shape = 1 - np.abs(settings[:, own, None] - np.array(optima)) - 0.5 * np.abs(settings[:, own + 1, None] - 0.8)
    noise = 0.03 * np.random.default_rng(2).normal(size=(*shape.shape, 2))
    return np.asarray(shape[:, :, None] + noise)


@pytest.mark.parametrize(("optima", "dimensions"), [([0.5, 0.5], 0), ([0.1, 0.9], 1)])
def test_the_effective_dimension_counts_what_differs_between_tasks(optima: list[float], dimensions: int) -> None:
    settings = drawn(3)
    shares = retained(settings, scores(optima, settings, own=1 if dimensions else 0), np.array([0.5, 0.5]))
    assert shares[-1] == pytest.approx(1)
    assert dimension(shares) == dimensions
    if dimensions:
        # One value for both tasks is no better than 0.5 away from either: (0.5 + 0.4) of what differs is lost.
        assert shares[0] < 0.6


def test_nothing_is_said_of_one_seed_or_of_noise() -> None:
    settings = drawn(2)
    one = scores([0.1, 0.9], settings, own=0)[:, :, :1]
    assert np.isnan(retained(settings, one, np.array([0.5, 0.5]))).all()
    assert dimension(retained(settings, one, np.array([0.5, 0.5]))) is None
