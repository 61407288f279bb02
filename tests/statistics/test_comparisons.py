"""Tests and effect sizes against scipy, rliable's definition and counting by hand."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy import stats

from haepo_bench.statistics.comparisons import (
    DRAWS,
    holm,
    mann_whitney,
    paired_test,
    permutation_test,
    probability_of_improvement,
    two_sided_p,
)
from haepo_bench.statistics.intervals import combination_interval, corrected_mean_interval, difference_interval
from haepo_bench.statistics.intervals import mean_interval as student

Array = np.ndarray[Any, Any]
ALTERNATIVES = ("two-sided", "greater", "less")
NAN = float("nan")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- intervals of differences and weighted sums


def test_corrected_interval_solves_halls_transformation() -> None:
    """Put the ends back into g: they are Student's quantiles."""
    sample = rng(1).lognormal(size=12)
    found = corrected_mean_interval(sample)
    n, k2, k3 = 12, float(stats.kstat(sample, 2)), float(stats.kstat(sample, 3))
    error, a = math.sqrt(k2 / n), k3 / n**2 / (k2 / n) ** 1.5
    for end, level in ((found.low, 0.975), (found.high, 0.025)):
        t = (sample.mean() - float(end)) / error
        assert t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6 == pytest.approx(stats.t.ppf(level, n - 1), abs=1e-10)


def test_without_skewness_it_is_students() -> None:
    symmetric = np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    np.testing.assert_allclose(np.array(corrected_mean_interval(symmetric)), np.array(student(symmetric)), atol=1e-12)
    nearly = symmetric + np.array([0, 0, 1e-9, 0, 0])
    np.testing.assert_allclose(np.array(corrected_mean_interval(nearly)), np.array(student(nearly)), atol=1e-7)


def test_four_samples_are_not_corrected() -> None:
    sample = np.array([0.0, 0.1, 0.2, 5.0])
    np.testing.assert_allclose(np.array(corrected_mean_interval(sample)), np.array(student(sample)), atol=1e-12)


def test_corrected_interval_leaves_out_what_is_not_there() -> None:
    sample = rng(2).lognormal(size=8)
    columns = np.full((10, 3), NAN)
    columns[:8, 0], columns[2:, 1], columns[0, 2] = sample, sample[::-1], 7.0
    found, alone = corrected_mean_interval(columns), corrected_mean_interval(sample)
    for field, value in zip(found, alone, strict=True):
        np.testing.assert_allclose(field[:2], value, rtol=1e-12)
    assert found.mean[2] == 7.0
    assert found.n.tolist() == [8, 8, 1]
    assert np.isnan([found.low[2], found.high[2]]).all()
    same = corrected_mean_interval(np.full(6, 0.1))
    np.testing.assert_allclose([same.low, same.high], 0.1)


def test_difference_of_few_seeds_is_welchs() -> None:
    x, y = rng(3).normal(size=4), rng(4).normal(1, 3, size=3)
    theirs = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    ours = difference_interval(x, y)
    assert (float(ours.low), float(ours.high)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert float(ours.estimate) == pytest.approx(x.mean() - y.mean(), abs=1e-12)


def test_difference_turns_round() -> None:
    x, y = rng(5).lognormal(size=(9, 2)), rng(6).normal(size=(14, 2))
    there, back = difference_interval(x, y), difference_interval(y, x)
    np.testing.assert_allclose(there.low, -back.high, atol=1e-12)
    np.testing.assert_allclose(there.high, -back.low, atol=1e-12)


def test_weights_scale_an_interval() -> None:
    sample = rng(7).lognormal(size=9)
    one, half = combination_interval([sample], [1.0]), combination_interval([sample], [0.5])
    np.testing.assert_allclose(np.array(one) / 2, np.array(half), rtol=1e-12)


# --- permutation tests


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@pytest.mark.parametrize(("n", "m"), [(3, 3), (5, 4), (2, 9), (8, 8)])
def test_exact_permutation_test_is_scipys(alternative: str, n: int, m: int) -> None:
    x, y = rng(n).normal(0.4, 1.0, size=n), rng(m + 50).normal(size=m)
    theirs = stats.permutation_test(
        (x, y), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), vectorized=True, n_resamples=np.inf,
        alternative=alternative,
    ).pvalue  # fmt: skip
    assert float(permutation_test(x, y, rng=rng(), alternative=alternative)) == pytest.approx(theirs, abs=1e-12)


def test_ties_count_as_at_least_as_extreme() -> None:
    # Sums of these differ by rounding alone: 0.1 + 0.2 is not 0.3.
    x, y = np.array([0.1, 0.2, 0.3]), np.array([0.3, 0.0, 0.3])
    values = [1, 2, 3, 3, 0, 3]
    sums = [sum(values[i] for i in group) for group in combinations(range(6), 3)]
    expected = sum(total >= 6 for total in sums) / 20
    assert float(permutation_test(x, y, rng=rng(), alternative="greater")) == pytest.approx(expected)


def test_smallest_p_value_of_three_against_three() -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.1, 0.2])
    assert float(permutation_test(x, y, rng=rng())) == pytest.approx(0.1)
    assert float(permutation_test(x, y, rng=rng(), alternative="greater")) == pytest.approx(0.05)
    assert float(permutation_test(x, y, rng=rng(), alternative="less")) == pytest.approx(1.0)


def test_ten_against_ten_is_still_exact() -> None:
    x, y = rng(1).normal(0.5, 1, size=10), rng(2).normal(size=10)
    assert float(permutation_test(x, y, rng=rng(1))) == float(permutation_test(x, y, rng=rng(2)))


def test_many_cells_at_once_are_each_cell_alone() -> None:
    x, y = rng(1).normal(0.5, 1, size=(30, 4, 5)), rng(2).normal(size=(30, 4, 5))
    together = permutation_test(x, y, rng=rng(3))
    alone = permutation_test(x[:, 2, 3], y[:, 2, 3], rng=rng(3))
    assert together.shape == (4, 5)
    assert float(together[2, 3]) == pytest.approx(float(alone), abs=1e-12)


def test_drawn_permutations_agree_with_the_t_test_and_are_never_zero() -> None:
    x, y = rng(1).normal(0.5, 1, size=(30, 40)), rng(2).normal(size=(30, 40))
    drawn, theirs = permutation_test(x, y, rng=rng(3)), stats.ttest_ind(x, y).pvalue
    # Five standard errors of 9,999 draws, and what the t distribution is off.
    assert np.abs(drawn - theirs).max() < 5 * 0.01 + 0.01
    assert float(permutation_test(x[:, 0] + 100, y[:, 0], rng=rng(), alternative="greater")) == 1 / 10_000


def test_permutation_test_holds_its_level() -> None:
    """Under the null p <= 0.05 in at most 5 % of 2,000 data sets; 0.066 is more than three standard errors above."""
    x, y = rng(1).lognormal(size=(6, 2000)), rng(2).lognormal(size=(6, 2000))
    assert float(np.mean(permutation_test(x, y, rng=rng()) <= 0.05)) < 0.066


def test_nothing_to_permute() -> None:
    x = np.array([[1.0, NAN], [2.0, 3.0]])
    found = permutation_test(x, np.ones((2, 2)), rng=rng())
    assert np.isnan(found).tolist() == [False, True]
    assert np.isnan(permutation_test(np.array([]), np.ones(3), rng=rng()))
    assert float(permutation_test(np.ones(3), np.ones(3), rng=rng())) == 1.0


# --- paired and rank tests


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_exact_paired_test_is_scipys(alternative: str) -> None:
    shared = rng(1).normal(size=9)
    x, y = shared + 0.3 * rng(2).normal(size=9) + 0.2, shared + 0.3 * rng(3).normal(size=9)
    theirs = stats.permutation_test(
        (x, y), lambda a, b, axis: (a - b).mean(axis=axis), vectorized=True, permutation_type="samples",
        n_resamples=np.inf, alternative=alternative,
    ).pvalue  # fmt: skip
    ours = paired_test(x, y, rng=rng(), alternative=alternative)
    assert ours.p_value == pytest.approx(theirs, abs=1e-12)
    assert ours.correlation == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)
    assert ours.difference == pytest.approx(np.mean(x - y), abs=1e-12)


def test_paired_test_of_many_seeds_draws() -> None:
    x, y = rng(1).normal(0.3, 1, size=30), rng(2).normal(size=30)
    assert paired_test(x, y, rng=rng()).p_value == pytest.approx(stats.ttest_rel(x, y).pvalue, abs=0.03)
    assert abs(paired_test(x, y, rng=rng()).correlation) < 0.5


def test_paired_test_leaves_out_broken_pairs() -> None:
    x, y = np.array([1.0, 2.0, NAN, 4.0]), np.array([0.5, 1.0, 1.0, NAN])
    assert paired_test(x, y, rng=rng()) == paired_test(x[:2], y[:2], rng=rng())
    assert math.isnan(paired_test([NAN], [1.0], rng=rng()).p_value)
    assert math.isnan(paired_test([1.0, 1.0], [1.0, 2.0], rng=rng()).correlation)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_mann_whitney_is_scipys(alternative: str) -> None:
    x, y = rng(1).normal(0.5, 1, size=10), rng(2).normal(size=12)
    theirs = stats.mannwhitneyu(x, y, alternative=alternative).pvalue
    found = mann_whitney(np.append(x, NAN), y, alternative=alternative)
    assert found == pytest.approx(theirs, abs=1e-12)
    assert math.isnan(mann_whitney([NAN], y))


# --- probability of improvement


def rliable_improvement(x: Array, y: Array) -> float:
    """rliable 1.2.0's formula; x, y: [seed, task]."""
    wins = [
        0.5 if np.array_equal(x[:, task], y[:, task])
        else stats.mannwhitneyu(x[:, task], y[:, task], alternative="greater").statistic / (len(x) * len(y))
        for task in range(x.shape[1])
    ]  # fmt: skip
    return float(np.mean(wins))


def test_probability_of_improvement_is_rliables() -> None:
    x, y = rng(1).normal(0.5, 1, size=(10, 6)).round(1), rng(2).normal(size=(13, 6)).round(1)
    found = probability_of_improvement(list(x.T), list(y.T))
    assert float(found.estimate) == pytest.approx(rliable_improvement(x, y), abs=1e-12)
    assert float(found.low) < float(found.estimate) < float(found.high)


def test_the_formula_is_rliables_own() -> None:
    metrics = pytest.importorskip(
        "rliable.metrics", reason="needs rliable (pip install --no-deps rliable: its arch < 8 breaks with pandas 3)"
    )
    x, y = rng(1).normal(0.5, 1, size=(10, 6)).round(1), rng(2).normal(size=(13, 6)).round(1)
    found = probability_of_improvement(list(x.T), list(y.T))
    assert float(found.estimate) == pytest.approx(float(metrics.probability_of_improvement(x, y)), abs=1e-12)


def test_improvement_interval_solves_newcombes_equation() -> None:
    """|estimate - limit| = z sqrt(V(limit)), V being Hanley and McNeil's with the mean of both sizes less one."""
    x, y = rng(3).normal(1, 1, size=8), rng(4).normal(size=12)
    found = probability_of_improvement([x], [y])
    for limit in (float(found.low), float(found.high)):
        wins_twice, wins_both = limit / (2 - limit), 2 * limit**2 / (1 + limit)
        variance = limit * (1 - limit) + 9 * (wins_twice - limit**2) + 9 * (wins_both - limit**2)
        assert abs(float(found.estimate) - limit) == pytest.approx(1.959964 * math.sqrt(variance / 96), abs=1e-6)


def test_all_better_has_a_width() -> None:
    found = probability_of_improvement([np.arange(5.0) + 10], [np.arange(5.0)])
    assert (float(found.estimate), float(found.high)) == (1.0, 1.0)
    assert 0.5 < float(found.low) < 0.9
    back = probability_of_improvement([np.arange(5.0)], [np.arange(5.0) + 10])
    assert (float(back.low), float(back.high)) == pytest.approx((0.0, 1 - float(found.low)))


def test_improvement_weights_tasks_and_names_what_is_missing() -> None:
    up, down, weights = [1.0, 1.0], [0.0, 0.0], np.array([3.0, 1.0])
    assert float(probability_of_improvement([up, down], [down, up], weights).estimate) == 0.75
    assert np.isnan(probability_of_improvement([up, []], [down, up]).estimate)
    assert np.isnan(probability_of_improvement([], []).estimate)


# --- many tests, and margins


def test_holm_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3, 0.03 * 2 raised to the one before, 0.04 * 1 likewise (statsmodels' multipletests agrees).
    np.testing.assert_allclose(holm([0.02, 0.04, 0.01, 0.03]), [0.06, 0.06, 0.04, 0.06], atol=1e-15)
    np.testing.assert_allclose(holm([0.5, NAN, 0.02, 0.9]), [1.0, NAN, 0.06, 1.0], atol=1e-15)
    assert holm([]).shape == (0,)


def test_holm_is_the_closed_test_of_bonferronis() -> None:
    """A hypothesis falls if every intersection that contains it does, each at its smallest p times its size."""
    p = rng(5).uniform(0, 0.3, size=6)
    for place, adjusted in enumerate(holm(p)):
        intersections = [
            min(1.0, size * min(p[list(group)]))
            for size in range(1, 7) for group in combinations(range(6), size) if place in group
        ]  # fmt: skip
        assert adjusted == pytest.approx(max(intersections), abs=1e-12)


def test_many_tests_at_once_are_those_of_each() -> None:
    """Also where no draw was as extreme, and more are made."""
    rng = np.random.default_rng(5)
    x, y = rng.normal([0, 0.5, 5], 1, (12, 3)), rng.normal(0, 1, (12, 3))
    together = two_sided_p(x, y, np.random.default_rng(1))
    assert together[2] < 2 / (DRAWS + 1)
    for i in range(3):
        alone = two_sided_p(x[:, [i]], y[:, [i]], np.random.default_rng(1))
        assert alone == pytest.approx(together[[i]], rel=1e-12)
