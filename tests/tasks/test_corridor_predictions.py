"""The corridors and HAEPO's variants against closed forms, as the benchmark compares them."""

import numpy as np
import pytest
from benchmark_scripts import load

predictions = load("corridor_predictions")


@pytest.mark.parametrize("name", list(predictions.OBJECTIVES))
def test_what_the_readings_make_of_two_equal_ways(name):
    """600 batches; nine comparisons at five standard errors: fails once in 190,000 seeds."""
    expected = predictions.predicted_equal(name)
    mean, error = predictions.measured_equal(name, 600)
    assert (np.abs(mean - expected) <= 5 * error + 1e-9).all()


@pytest.mark.parametrize(("p", "horizon"), [(0.6, 16), (0.75, 64), (0.9, 32)])
def test_weights_concentrate_with_the_horizon(p, horizon):
    """600 batches at five standard errors."""
    mean, error = predictions.measured_straight(p, horizon, 600)
    assert abs(mean - predictions.of_eight(p, horizon)) <= 5 * error


def test_endless_batches_are_the_limit_of_large_ones():
    """One batch of 100,000 binomial counts, to 2 %."""
    p, horizon = 0.6, 16
    right = np.random.default_rng(0).binomial(horizon, p, size=100_000)
    weights = (p / (1 - p)) ** right
    assert weights.sum() ** 2 / (weights**2).sum() / len(weights) == pytest.approx(
        predictions.endless(p, horizon), rel=0.02
    )
