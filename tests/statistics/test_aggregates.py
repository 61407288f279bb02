"""Aggregates and profiles against rliable's definitions, exact fractions and calculations run by run."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats

from haepo_bench.statistics.aggregates import (
    Aggregate,
    cvar,
    cvar_interval,
    cvar_mean_interval,
    family_weights,
    interquartile_mean,
    interquartile_mean_interval,
    leave_one_task_out,
    optimality_gap,
    optimality_gap_interval,
    quantile_mean,
    weighted_mean,
    weighted_mean_interval,
)
from haepo_bench.statistics.intervals import corrected_mean_interval
from haepo_bench.statistics.profiles import performance_profile
from haepo_bench.statistics.rates import rate_combination_interval

NAN = float("nan")


def equal(tasks: int) -> np.ndarray[Any, Any]:
    return np.full(tasks, 1 / tasks)


def exact_quantile_mean(values: list[float], weights: list[Fraction], low: Fraction, high: Fraction) -> Fraction:
    """In rational arithmetic: the quantile function, a step for each run, integrated from low to high."""
    total, level, area = sum(weights), Fraction(0), Fraction(0)
    for value, weight in sorted(zip(values, weights, strict=True)):
        after = level + weight / total
        area += Fraction(value) * max(Fraction(0), min(after, high) - max(level, low))
        level = after
    return area / (high - low)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 10, 30])
@pytest.mark.parametrize(("low", "high"), [(0, 1), ("1/4", "3/4"), (0, "1/5"), ("9/10", 1)])
def test_quantile_mean_is_the_integral_of_the_quantile_function(n: int, low: str, high: str) -> None:
    rng = np.random.default_rng(n)
    values, weights = rng.normal(size=n), rng.integers(1, 9, size=n)
    expected = exact_quantile_mean(values.tolist(), [Fraction(int(w)) for w in weights], Fraction(low), Fraction(high))
    found = quantile_mean(values, weights, low=float(Fraction(low)), high=float(Fraction(high)))
    assert float(found) == pytest.approx(float(expected), abs=1e-12)


def test_quantile_mean_takes_leading_axes_and_leaves_out_what_is_not_there() -> None:
    values = np.array([[[5.0, NAN, 1.0, 3.0], [NAN, NAN, 2.0, NAN]], [[1.0, 2.0, 3.0, 4.0], [NAN] * 4]])
    found = quantile_mean(values, np.ones(4), low=0.25, high=0.75)
    middle_half = exact_quantile_mean([1, 3, 5], [Fraction(1)] * 3, Fraction(1, 4), Fraction(3, 4))
    np.testing.assert_allclose(found[0], [float(middle_half), 2.0])
    assert found[1, 0] == 2.5
    assert np.isnan(found[1, 1])


def test_cvar_is_the_mean_of_the_worst_seeds() -> None:
    scores = np.array([0.9, 0.1, 0.8, 0.7, 0.95, 0.3, 0.85, 0.6, 0.5, 0.99])
    assert float(cvar(scores)) == pytest.approx((0.1 + 0.3) / 2, abs=1e-12)
    assert float(cvar(scores, fraction=0.25)) == pytest.approx((0.1 + 0.3 + 0.5 / 2) / 2.5, abs=1e-12)
    assert float(cvar(scores, fraction=1.0)) == pytest.approx(math.fsum(scores) / 10, abs=1e-12)
    columns = np.stack([scores, np.where(scores < 0.4, NAN, scores)], axis=1)
    np.testing.assert_allclose(cvar(columns), [0.2, (0.5 + 0.6 * 0.6) / 1.6], atol=1e-12)


def test_one_seed_in_five_collapsing_moves_the_mean_and_not_the_interquartile_mean() -> None:
    fine = np.full((10, 1), 0.85) + np.linspace(-0.02, 0.02, 10)[:, None]
    hurt = fine.copy()
    hurt[:2] = 0.1
    moved = [float(a(fine, equal(1)) - a(hurt, equal(1))) for a in (weighted_mean, interquartile_mean)]
    assert moved[0] == pytest.approx(0.15, abs=0.005)
    assert abs(moved[1]) < 0.02
    assert float(cvar(hurt[:, 0])) == pytest.approx(0.1)


def rliable_iqm(scores: np.ndarray[Any, Any]) -> float:
    return float(stats.trim_mean(scores, proportiontocut=0.25, axis=None))


def rliable_gap(scores: np.ndarray[Any, Any]) -> float:
    return float(1 - np.mean(np.minimum(scores, 1)))


def rliable_mean(scores: np.ndarray[Any, Any]) -> float:
    return float(np.mean(np.mean(scores, axis=0)))


def rliable_profile(scores: np.ndarray[Any, Any], threshold: float) -> float:
    return float(np.mean(scores > threshold))


#: Ours, and rliable 1.2.0's published formula, written out because rliable's own dependencies do not go together.
DEFINITIONS: list[tuple[str, Aggregate, Callable[[np.ndarray[Any, Any]], float]]] = [
    ("aggregate_mean", weighted_mean, rliable_mean),
    ("aggregate_iqm", interquartile_mean, rliable_iqm),
    ("aggregate_optimality_gap", optimality_gap, rliable_gap),
]


@pytest.mark.parametrize(("name", "ours", "theirs"), DEFINITIONS, ids=[name for name, _, _ in DEFINITIONS])
@pytest.mark.parametrize("shape", [(4, 1), (10, 2), (8, 5), (30, 6)])
def test_aggregates_are_rliables(
    name: str, ours: Aggregate, theirs: Callable[[np.ndarray[Any, Any]], float], shape: tuple[int, int]
) -> None:
    scores = np.random.default_rng(5).normal(0.7, 0.4, size=shape)
    assert float(ours(scores, equal(shape[1]))) == pytest.approx(theirs(scores), abs=1e-12)


@pytest.mark.parametrize("name", [name for name, _, _ in DEFINITIONS])
def test_the_formulas_are_rliables_own(name: str) -> None:
    metrics = pytest.importorskip(
        "rliable.metrics", reason="needs rliable (pip install --no-deps rliable: its arch < 8 breaks with pandas 3)"
    )
    scores = np.random.default_rng(6).normal(0.7, 0.4, size=(12, 3))
    ours = {name: ours for name, ours, _ in DEFINITIONS}[name]
    assert float(ours(scores, equal(3))) == pytest.approx(float(getattr(metrics, name)(scores)), abs=1e-12)


def test_interquartile_mean_keeps_fractions_that_rliable_drops() -> None:
    scores = np.array([[0.0], [1.0], [2.0], [4.0], [8.0]])
    # Of five runs a quarter is 1.25: three quarters of the second and of the fourth count.
    assert float(interquartile_mean(scores, equal(1))) == pytest.approx((0.75 * 1 + 2 + 0.75 * 4) / 2.5, abs=1e-12)
    assert rliable_iqm(scores) == pytest.approx((1 + 2 + 4) / 3)


def test_families_count_alike() -> None:
    weights = family_weights(["bandit", "control", "bandit", "bandit"])
    np.testing.assert_allclose(weights, [1 / 6, 1 / 2, 1 / 6, 1 / 6], atol=1e-15)


def test_missing_runs_keep_the_weight_of_their_task() -> None:
    scores = np.array([[1.0, 0.0], [0.0, NAN], [0.5, NAN]])
    assert float(weighted_mean(scores, equal(2))) == pytest.approx(0.25)
    # The runs weigh 1/6, 1/6, 1/6 and 1/2; in order 0 (1/6 and 1/2), 0.5, 1.
    expected = exact_quantile_mean(
        [1.0, 0.0, 0.5, 0.0], [Fraction(1, 6)] * 3 + [Fraction(1, 2)], Fraction(1, 4), Fraction(3, 4)
    )
    assert float(interquartile_mean(scores, equal(2))) == pytest.approx(float(expected), abs=1e-12)


@pytest.mark.parametrize("aggregate", [weighted_mean, interquartile_mean, optimality_gap])
def test_a_task_without_runs_leaves_no_aggregate(aggregate: Aggregate) -> None:
    scores = np.array([[1.0, NAN], [0.5, NAN]])
    assert np.isnan(aggregate(scores, equal(2)))
    assert not np.isnan(aggregate(scores, np.array([1.0, 0.0])))


def test_leave_one_task_out_weights_the_rest_anew() -> None:
    scores = np.array([[0.0, 0.4, 1.0], [0.2, 0.6, 1.0]])
    found = leave_one_task_out(weighted_mean, scores, ["bandit", "bandit", "control"])
    np.testing.assert_allclose(found, [(0.5 + 1) / 2, (0.1 + 1) / 2, (0.1 + 0.5) / 2], atol=1e-12)
    assert np.isnan(leave_one_task_out(weighted_mean, scores[:, :1], ["bandit"])).all()


def test_interval_of_one_task_is_that_of_its_mean() -> None:
    scores = np.random.default_rng(1).beta(5, 1, size=(10, 1))
    alone = corrected_mean_interval(scores[:, 0])
    together = weighted_mean_interval(scores, np.ones(1))
    np.testing.assert_allclose(list(together), list(alone[:3]), atol=1e-12)


def test_interquartile_interval_is_tukey_and_mclaughlins_variance() -> None:
    scores = np.random.default_rng(2).normal(size=(40, 1))
    found = interquartile_mean_interval(scores, np.ones(1))
    ordered = np.sort(scores[:, 0])
    winsorised = np.clip(scores[:, 0], ordered[9], ordered[29])
    influence = corrected_mean_interval(winsorised / 0.5)
    assert float(found.estimate) == pytest.approx(rliable_iqm(scores), abs=1e-12)
    assert float(found.high - found.low) == pytest.approx(float(influence.high - influence.low), rel=1e-12)
    assert float(found.high - found.estimate) == pytest.approx(float(influence.high - influence.mean), rel=1e-9)


def test_optimality_gap_interval_contains_it_and_turns_round() -> None:
    scores = np.random.default_rng(3).beta(2, 1, size=(12, 3)) * 1.2
    gap = optimality_gap_interval(scores, equal(3))
    mean = weighted_mean_interval(np.minimum(scores, 1), equal(3))
    assert float(gap.estimate) == pytest.approx(rliable_gap(scores), abs=1e-12)
    np.testing.assert_allclose([gap.low, gap.high], [1 - mean.high, 1 - mean.low], atol=1e-12)


def test_cvar_has_no_interval_from_a_tail_of_fewer_than_six_seeds() -> None:
    rng = np.random.default_rng(4)
    few, many = cvar_interval(rng.normal(size=(29, 2))), cvar_interval(rng.normal(size=(30, 2)))
    assert np.isfinite(few.estimate).all()
    assert np.isnan([few.low, few.high]).all()
    assert ((many.low < many.estimate) & (many.estimate < many.high)).all()
    # Nothing varies: no interval of width zero.
    assert np.isnan(cvar_interval(np.ones(40))[1:]).all()


def test_the_interval_of_cvar_is_that_of_its_tail() -> None:
    rng = np.random.default_rng(5)
    one, other = rng.random(30), rng.random(37)
    found = cvar_mean_interval([one, np.append(other, np.nan)], [0.25, 0.75])
    variance, squares = 0.0, 0.0
    for scores, weight in ((one, 0.25), (other, 0.75)):
        k = len(scores) / 5
        edge = np.sort(scores)[math.ceil(k - 1e-9) - 1]
        part = weight**2 * np.minimum(scores, edge).var(ddof=1) * 25 / len(scores) * k / (k - 1)
        variance, squares = variance + part, squares + part**2 / (k - 1)
    half = stats.t.ppf(0.975, variance**2 / squares) * math.sqrt(variance)
    middle = 0.25 * float(cvar(one)) + 0.75 * float(cvar(other))
    np.testing.assert_allclose([*found], [middle, middle - half, middle + half], rtol=1e-10)


@pytest.mark.parametrize("scores", ["normal", "ceiling"])
def test_differences_of_cvars_are_no_more_certain_than_their_tails(scores: str) -> None:
    """Two equal algorithms, 30 seeds: one-sided at 5 %; 2,000 data sets, 3 standard errors are 1.5 %."""
    rng = np.random.default_rng(6)

    def draw(shape: tuple[int, ...]) -> Any:
        return rng.normal(size=shape) if scores == "normal" else rng.beta(5, 1, shape)

    found = cvar_mean_interval([draw((30, 2000)), draw((30, 2000))], [1.0, -1.0], confidence=0.9)
    assert (found.low > 0).mean() <= 0.065
    assert (found.high < 0).mean() <= 0.065


def test_profile_is_rliables_score_distribution() -> None:
    scores = np.random.default_rng(8).normal(0.5, 0.3, size=(10, 4))
    thresholds = np.linspace(-0.5, 1.5, 21)
    found = performance_profile(scores, equal(4), thresholds).estimate
    np.testing.assert_allclose(found, [rliable_profile(scores, tau) for tau in thresholds], atol=1e-12)
    # A run at the threshold is not above it.
    assert float(performance_profile(np.ones((2, 1)), np.ones(1), np.array([1.0])).estimate[0]) == 0.0


def test_profile_encloses_the_optimality_gap() -> None:
    scores = np.random.default_rng(9).beta(2, 1, size=(10, 4))
    scores[7:, 0] = NAN
    edges = np.concatenate([[0.0], np.sort(scores[~np.isnan(scores)]), [1.0]])
    heights = performance_profile(scores, equal(4), edges[:-1]).estimate
    assert float(np.diff(edges) @ heights) == pytest.approx(1 - float(optimality_gap(scores, equal(4))), abs=1e-12)


def test_profile_band_is_wilsons_on_one_task() -> None:
    scores = np.random.default_rng(10).normal(0.5, 0.3, size=(10, 1))
    thresholds = np.linspace(0, 0.8, 5)
    band = performance_profile(scores, equal(1), thresholds)
    for place, threshold in enumerate(thresholds):
        own = stats.binomtest(int((scores > threshold).sum()), 10).proportion_ci(method="wilson")
        assert (float(band.low[place]), float(band.high[place])) == pytest.approx((own.low, own.high), abs=1e-12)


def test_profile_band_of_tasks_is_their_rates_and_never_without_width() -> None:
    scores = np.random.default_rng(11).normal(0.5, 0.3, size=(12, 3))
    scores[9:, 0] = NAN
    weights, thresholds = np.array([0.5, 0.25, 0.25]), [-9.0, 0.2, 0.6, 9.0]
    band = performance_profile(scores, weights, np.array(thresholds))
    for place, threshold in enumerate(thresholds):
        groups = [column[~np.isnan(column)] > threshold for column in scores.T]
        expected = rate_combination_interval(groups, weights)
        assert [float(end[place]) for end in band] == pytest.approx([float(end) for end in expected], abs=1e-12)
    # Two of two above say little of the next one.
    two = performance_profile(np.ones((2, 1)), np.ones(1), np.array([0.5]))
    assert (float(two.estimate[0]), float(two.high[0])) == (1.0, 1.0)
    assert float(two.low[0]) == pytest.approx(0.342, abs=1e-3)
    scores[:, 1] = NAN
    assert np.isnan(performance_profile(scores, weights, np.array([0.5]))).all()
