"""Times to a threshold and collapses against hand counts and textbook numbers."""

import math

import numpy as np
import pytest
from scipy import stats

from haepo_bench.statistics.intervals import mean_interval
from haepo_bench.statistics.rates import collapsed, rate_combination_interval, rate_interval
from haepo_bench.statistics.survival import Times, kaplan_meier, restricted_mean, time_to_threshold

NAN = float("nan")
MARKS = np.array([0, 10, 20, 30, 40])

#: Freireich et al. (1963), weeks of remission under 6-mercaptopurine, as in Klein and Moeschberger, example 4.1.
WEEKS = Times(
    np.array([6, 6, 6, 7, 10, 13, 16, 22, 23, 6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35], dtype=float),
    np.array([True] * 9 + [False] * 12),
)


def test_arrival_is_the_first_of_two_marks() -> None:
    values = np.array(
        [
            [0.0, 0.6, 0.4, 0.6, 0.7],  # one lucky evaluation, then held from 30
            [0.5, 0.5, 0.0, 0.0, 0.0],  # at the threshold counts
            [0.0, 0.0, 0.0, 0.0, 0.9],  # the last mark alone is not yet held
            [0.0, 0.1, NAN, NAN, NAN],  # ended after 10
            [NAN, NAN, NAN, NAN, NAN],
        ]
    )
    found = time_to_threshold(values, MARKS, 0.5)
    assert found.time[:4].tolist() == [30, 0, 40, 10]
    assert np.isnan(found.time[4])
    assert found.reached.tolist() == [True, True, False, False, False]
    again = time_to_threshold(values[None], MARKS, 0.5)
    np.testing.assert_array_equal(again.time[0], found.time)


def test_one_mark_is_never_held() -> None:
    found = time_to_threshold(np.array([[0.9]]), np.array([0]), 0.5)
    assert (found.time.tolist(), found.reached.tolist()) == ([0.0], [False])


def test_kaplan_meier_is_the_textbooks() -> None:
    curve = kaplan_meier(WEEKS)
    at = dict(zip(curve.time, curve.share, strict=True))
    # Klein and Moeschberger, table 4.1A.
    for week, share in ((6, 0.857), (7, 0.807), (10, 0.753), (13, 0.690), (16, 0.627), (22, 0.538), (23, 0.448)):
        assert at[week] == pytest.approx(share, abs=0.0006)
    assert at[35] == at[23]
    place = int(np.flatnonzero(curve.time == 23)[0])
    # The same in R's survfit (conf.type = "log-log"), from its published output.
    assert (curve.low[place], curve.high[place]) == pytest.approx((0.188, 0.680), abs=0.001)


def test_kaplan_meier_needs_a_run() -> None:
    with pytest.raises(ValueError, match="run"):
        kaplan_meier(Times(np.array([NAN]), np.array([False])))


def test_nobody_arrives_and_everybody_does() -> None:
    never = kaplan_meier(Times(np.full(3, 40.0), np.zeros(3, dtype=bool)))
    assert never.share.tolist() == [1.0]
    always = kaplan_meier(Times(np.array([10.0, 20.0]), np.ones(2, dtype=bool)))
    assert always.share.tolist() == [0.5, 0.0]
    assert float(restricted_mean(Times(np.full(3, 40.0), np.zeros(3, dtype=bool)), 40).estimate) == 40.0


def test_restricted_mean_is_greenwoods_area() -> None:
    """By hand from the risk sets: area under the curve to week 35, and its variance."""
    share, area, before, terms = 1.0, 0.0, 0.0, []
    for week in (6, 7, 10, 13, 16, 22, 23):
        at_risk = int(np.sum(WEEKS.time >= week))
        events = int(np.sum((WEEKS.time == week) & WEEKS.reached))
        area += share * (week - before)
        share, before = share * (1 - events / at_risk), week
        terms.append((area, events / at_risk / (at_risk - events)))
    area += share * (35 - before)
    found = restricted_mean(WEEKS, 35)
    assert float(found.estimate) == pytest.approx(area, rel=1e-12)
    # R: print(survfit(...), rmean = 35) gives 23.3 with standard error 2.83.
    assert area == pytest.approx(23.3, abs=0.05)
    error = math.sqrt(sum((area - until) ** 2 * term for until, term in terms))
    assert error == pytest.approx(2.83, abs=0.005)
    half_width = stats.t.ppf(0.975, 20) * error * math.sqrt(21 / 20)
    assert float(found.high - found.estimate) == pytest.approx(half_width, rel=1e-12)


def test_without_losses_it_is_the_mean_of_what_was_waited() -> None:
    times = np.array([3.0, 8.0, 12.0, 40.0, 40.0, 55.0])
    found = restricted_mean(Times(times, times < 40), 40)
    expected = mean_interval(np.minimum(times, 40))
    np.testing.assert_allclose(np.array(found), np.array(expected[:3]), rtol=1e-12)


def test_what_nobody_saw_is_undefined() -> None:
    assert np.isnan(restricted_mean(Times(np.array([5.0, 20.0]), np.array([True, False])), 40).estimate)
    assert np.isnan(restricted_mean(Times(np.array([]), np.array([], dtype=bool)), 40).estimate)
    # The last run arrived: the curve is zero from there on.
    assert float(restricted_mean(Times(np.array([5.0, 20.0]), np.ones(2, dtype=bool)), 40).estimate) == 12.5
    one = restricted_mean(Times(np.array([5.0]), np.array([True])), 40)
    assert float(one.estimate) == 5.0
    assert np.isnan(one.low)


def test_collapsed_runs_lose_half_of_what_they_held() -> None:
    curves = np.array(
        [
            [0.0, 0.8, 0.9, 0.9, 0.1],  # collapsed
            [0.0, 0.8, 0.9, 0.9, 0.5],  # lost less than half
            [0.0, 0.0, 0.9, 0.0, 0.0],  # one lucky evaluation
            [0.0, 0.1, 0.15, 0.1, 0.0],  # never learned
            [0.0, 0.8, 0.8, 0.0, NAN],  # collapsed before it ended
            [NAN, NAN, NAN, NAN, 0.5],
        ]
    )
    assert collapsed(curves).tolist() == [True, False, False, False, True, False]
    assert collapsed(curves[None, :, :]).shape == (1, 6)
    assert collapsed(curves, learned=0.1).tolist() == [True, False, False, True, True, False]


@pytest.mark.parametrize(("count", "n"), [(0, 10), (2, 10), (10, 10), (1, 3), (6, 30)])
def test_rate_has_wilsons_interval(count: int, n: int) -> None:
    found = rate_interval(np.arange(n) < count)
    p, z = count / n, 1.959963984540054
    centre, half = (p + z**2 / 2 / n), z * math.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    assert float(found.estimate) == p
    expected = (max(0.0, (centre - half) / (1 + z**2 / n)), min(1.0, (centre + half) / (1 + z**2 / n)))
    assert (float(found.low), float(found.high)) == pytest.approx(expected, abs=1e-12)


def test_no_runs_have_no_rate() -> None:
    assert np.isnan(np.array(rate_interval(np.array([], dtype=bool)))).all()


def test_difference_of_rates_has_newcombes_published_interval() -> None:
    """Newcombe (1998), table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 0/10 - 0/20."""
    published = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (0, 10, 0, 20): (-0.1611, 0.2775),
    }
    for (a, m, b, n), ends in published.items():
        found = rate_combination_interval([np.arange(m) < a, np.arange(n) < b], [1.0, -1.0])
        assert float(found.estimate) == pytest.approx(a / m - b / n)
        assert (float(found.low), float(found.high)) == pytest.approx(ends, abs=5e-5)


def test_one_rate_alone_keeps_wilsons_interval() -> None:
    happened = np.arange(12) < 5
    assert np.array(rate_combination_interval([happened], [1.0])) == pytest.approx(np.array(rate_interval(happened)))
    assert np.isnan(np.array(rate_combination_interval([happened, np.zeros(0, dtype=bool)], [1.0, 1.0]))).all()
