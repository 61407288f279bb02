"""Statistics against independent calculations and a coverage simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from haepo_bench.statistics.curves import area_under_curve, area_until, last_defined, random_once_diverged, value_at
from haepo_bench.statistics.intervals import mean_interval


def test_area_is_the_mean_of_the_step_function() -> None:
    marks, values = [0, 10, 30, 40], [0.0, 0.5, 1.0, 0.9]
    # Step by step: what the policy was worth that took this env step.
    by_step = [values[max(i for i, mark in enumerate(marks) if mark <= step)] for step in range(40)]
    assert area_under_curve(np.array(values), np.array(marks)) == pytest.approx(sum(by_step) / 40)


def test_area_counts_mark_zero_and_not_the_value_at_the_budget() -> None:
    marks = np.array([0.0, 1.0, 2.0])
    assert area_under_curve(np.array([1.0, 0.0, 0.0]), marks) == 0.5
    assert area_under_curve(np.array([0.0, 0.0, 1.0]), marks) == 0.0


def test_area_works_on_any_leading_axes() -> None:
    rng = np.random.default_rng(3)
    values, marks = rng.normal(size=(4, 3, 6)), np.array([0, 1, 4, 9, 16, 20])
    areas = area_under_curve(values, marks)
    assert areas.shape == (4, 3)
    assert areas[2, 1] == pytest.approx(float(area_under_curve(values[2, 1], marks)), rel=1e-12)


def test_area_is_undefined_where_a_value_or_the_width_is() -> None:
    assert np.isnan(area_under_curve(np.array([0.0, np.nan, 1.0]), np.array([0, 1, 2])))
    assert np.isnan(area_under_curve(np.array([[1.0]]), np.array([0]))).all()


def test_last_defined() -> None:
    values = np.array([[1.0, 2.0, np.nan], [np.nan, np.nan, np.nan], [3.0, np.nan, 4.0]])
    assert last_defined(values).tolist()[::2] == [2.0, 4.0]
    assert np.isnan(last_defined(values)[1])


def test_a_run_that_diverged_is_random_from_there_on_and_gaps_of_others_stay() -> None:
    nan = math.nan
    returns = np.array([[1.0, nan, nan], [1.0, nan, 3.0]])
    counted = random_once_diverged(returns, [[True], [False]], -2.0)
    assert counted.tolist() == [[1.0, -2.0, -2.0], [1.0, pytest.approx(nan, nan_ok=True), 3.0]]
    assert np.isnan(random_once_diverged(returns[0], True, nan)[1:]).all()


def test_another_policys_returns_count_as_long_as_the_sampled_one_was_evaluated() -> None:
    sampled, greedy = np.array([1.0, 2.0, math.nan]), np.array([4.0, math.nan, 5.0])
    counted = random_once_diverged(greedy, True, 0.5, sampled=sampled)
    assert counted[[0, 2]].tolist() == [4.0, 0.5]
    assert math.isnan(counted[1])


def test_values_at_a_common_time_are_those_of_the_last_mark_reached() -> None:
    values = np.array([[0.0, 0.5, 1.0], [0.0, 0.4, 0.0], [0.0, 0.5, 1.0], [0.2, 0.7, 0.9]])
    times = np.array([[0.0, 2.0, 4.0], [0.0, 1.0, np.nan], [0.0, 0.0, 0.0], [np.nan, np.nan, np.nan]])
    at = {seconds: value_at(values, times, seconds).tolist() for seconds in (0.5, 2.0, 3.9, 9.0)}
    # A run that broke off has what it ended with right after its last known time; marks at one time: the last counts.
    assert at[0.5][:3] == [0.0, 0.0, 1.0]
    assert at[2.0][:3] == [0.5, 0.0, 1.0]
    assert at[3.9][:3] == [0.5, 0.0, 1.0]
    assert at[9.0][:3] == [1.0, 0.0, 1.0]
    assert all(math.isnan(row[3]) for row in at.values())


def test_area_over_a_clock_is_the_mean_over_moments() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(size=(5, 6))
    times = np.cumsum(rng.integers(0, 4, size=(5, 6)), axis=1).astype(float)
    times[:, 0] = 0.0
    times[4, 3:] = np.nan
    moments = np.arange(0.0005, 7.0, 0.001)
    by_moment = np.mean([value_at(values, times, moment) for moment in moments], axis=0)
    np.testing.assert_allclose(area_until(values, times, 7.0), by_moment, atol=1e-9)
    # Against a clock that ticks like the marks it is the area under the curve.
    marks = np.array([0.0, 1.0, 3.0, 4.0, 8.0, 9.0])
    np.testing.assert_allclose(area_until(values, np.tile(marks, (5, 1)), 9.0), area_under_curve(values, marks))


@pytest.mark.parametrize("n", [2, 3, 10, 30])
def test_interval_is_scipys(n: int) -> None:
    sample = np.random.default_rng(n).lognormal(size=n)
    ours = mean_interval(sample)
    theirs = stats.ttest_1samp(sample, 0.0).confidence_interval(0.95)
    assert float(ours.mean) == pytest.approx(math.fsum(sample) / n, rel=1e-12)
    assert (float(ours.low), float(ours.high)) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert int(ours.n) == n


def test_interval_takes_another_confidence() -> None:
    sample = np.array([1.0, 2.0, 4.0])
    theirs = stats.ttest_1samp(sample, 0.0).confidence_interval(0.8)
    assert float(mean_interval(sample, confidence=0.8).high) == pytest.approx(theirs.high, rel=1e-12)


def test_one_sample_has_a_mean_and_no_interval() -> None:
    one = mean_interval(np.array([3.0]))
    assert float(one.mean) == 3.0
    assert np.isnan(one.low)
    assert np.isnan(one.high)


def test_no_sample_has_nothing() -> None:
    for nothing in (mean_interval(np.array([])), mean_interval(np.array([np.nan, np.nan]))):
        assert np.isnan([nothing.mean, nothing.low, nothing.high]).all()
        assert int(nothing.n) == 0


def test_equal_samples_have_a_zero_width() -> None:
    same = mean_interval(np.full(4, 0.1))
    assert float(same.low) == pytest.approx(0.1)
    assert float(same.high) == pytest.approx(0.1)


def test_undefined_samples_are_left_out_column_by_column() -> None:
    values = np.array([[1.0, np.nan, 7.0], [2.0, 5.0, np.nan], [4.0, np.nan, np.nan]])
    together = mean_interval(values)
    assert together.n.tolist() == [3, 1, 1]
    for column, sample in enumerate([[1.0, 2.0, 4.0], [5.0], [7.0]]):
        alone = mean_interval(np.array(sample))
        np.testing.assert_allclose(
            [together.mean[column], together.low[column], together.high[column]],
            [alone.mean, alone.low, alone.high],
            rtol=1e-12,
        )


@pytest.mark.parametrize("n", [3, 5, 10])
def test_interval_covers_the_mean_of_normal_samples(n: int) -> None:
    values = np.random.default_rng(20).normal(loc=2.0, scale=3.0, size=(n, 20_000))
    interval = mean_interval(values)
    covered = float(np.mean((interval.low <= 2.0) & (interval.high >= 2.0)))
    # Four standard errors of the simulation itself are 0.006.
    assert covered == pytest.approx(0.95, abs=0.0062)
