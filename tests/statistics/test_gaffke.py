"""Gaffke's bounds against draws, Clopper and Pearson, and what may never come out of an interval."""

import numpy as np
import pytest
from scipy import stats

from haepo_bench.statistics.gaffke import gaffke_lower, gaffke_upper, mean_within_bounds, weighted_mean_cdf


def test_the_distribution_is_that_of_random_weights() -> None:
    """400,000 draws: four standard errors are 0.0032."""
    rng = np.random.default_rng(1)
    for n in (1, 2, 6, 30):
        points = np.sort(np.append(rng.random(n), rng.random(n).round(1)))
        drawn = rng.dirichlet(np.ones(2 * n), 400_000) @ points
        at = np.quantile(drawn, [0.01, 0.2, 0.7, 0.99])
        found = weighted_mean_cdf(np.broadcast_to(points, (4, 2 * n)), at)
        np.testing.assert_allclose(found, [(drawn <= each).mean() for each in at], atol=0.0032)


@pytest.mark.parametrize(("ones", "zeros"), [(10, 0), (7, 3), (0, 4), (1, 60)])
def test_of_two_values_the_bounds_are_those_of_clopper_and_pearson(ones: int, zeros: int) -> None:
    values = np.append(np.ones(ones), np.zeros(zeros))
    for level in (0.05, 0.001):
        low = stats.beta.ppf(level, ones, zeros + 1) if ones else 0.0
        high = stats.beta.ppf(1 - level, ones + 1, zeros) if zeros else 1.0
        assert float(gaffke_lower(values, level, 0.0)) == pytest.approx(low, abs=1e-8)
        assert float(gaffke_upper(values, level, 1.0)) == pytest.approx(high, abs=1e-8)


def test_an_interval_is_within_what_is_possible_and_never_of_width_zero() -> None:
    rng = np.random.default_rng(2)
    columns = np.stack([np.full(8, 0.3), np.ones(8), rng.integers(0, 2, 8), rng.beta(5, 1, 8), np.full(8, np.nan)], 1)
    columns[6:, 3] = np.nan
    found = mean_within_bounds(columns, 0.0, 1.0)
    assert found.n.tolist() == [8, 8, 8, 6, 0]
    defined = ~np.isnan(found.mean)
    assert defined.tolist() == [True, True, True, True, False]
    assert (found.low[defined] >= 0).all()
    assert (found.high[defined] <= 1).all()
    assert (found.high[defined] - found.low[defined] > 0.05).all()
    assert np.isnan([found.low[4], found.high[4]]).all()


def test_without_bounds_it_is_the_corrected_t_inside_the_bound_that_is_known() -> None:
    values = np.array([0.1, 0.2, 0.15, 0.9, 0.05, 0.1])
    free, to_one = mean_within_bounds(values, -np.inf, np.nan), mean_within_bounds(values, -np.inf, 1.0)
    assert free.high > 1
    assert to_one.high == 1
    assert to_one.low == free.low
    # Equal scores say nothing of how far others may be.
    assert np.isnan(mean_within_bounds(np.full(9, 0.5), -np.inf, np.inf).low)


def test_four_seeds_are_dots() -> None:
    found = mean_within_bounds(np.array([0.1, 0.5, 0.4, 0.9]), 0.0, 1.0)
    assert found.mean == pytest.approx(0.475)
    assert np.isnan([found.low, found.high]).all()


@pytest.mark.parametrize("scores", ["two-valued", "ceiling", "collapse"])
@pytest.mark.parametrize("n", [5, 10, 30])
def test_the_truth_is_covered_whatever_the_scores(scores: str, n: int) -> None:
    """2,000 data sets; at 95 % four standard errors are 0.02."""
    rng = np.random.default_rng(3)
    draw = {
        "two-valued": (lambda: rng.random((n, 2000)) < 0.9, 0.9),
        "ceiling": (lambda: rng.beta(2, 0.3, (n, 2000)), 2 / 2.3),
        "collapse": (lambda: np.where(rng.random((n, 2000)) < 0.2, 0.1, 0.85), 0.7),
    }
    values, truth = draw[scores][0](), draw[scores][1]
    found = mean_within_bounds(values, 0.0, 1.0)
    assert ((found.low <= truth) & (truth <= found.high)).mean() >= 0.93
