"""Power and sample sizes against published tables, an independent integral and a simulation."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from haepo_bench.statistics.power import power, seeds_needed, smallest_detectable_difference


@pytest.mark.parametrize(("effect", "n"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17), (2.0, 6)])
def test_seeds_needed_are_cohens(effect: float, n: int) -> None:
    # Cohen (1988), table 2.4.1; G*Power gives the same for power 0.8, two-sided 0.05.
    assert seeds_needed(effect, 1.0, 1.0) == n
    assert power(effect, 1.0, 1.0, n) >= 0.8 > power(effect, 1.0, 1.0, n - 1)


def test_one_sided_needs_fewer() -> None:
    # G*Power: d = 0.5, one-sided 0.05, power 0.8: 51 a group.
    assert seeds_needed(0.5, 1.0, 1.0, sides="one-sided") == 51


@pytest.mark.parametrize("sides", ["two-sided", "one-sided"])
def test_power_is_the_integral_over_the_pooled_spread(sides: str) -> None:
    """Without the noncentral t: a normal difference over an independent chi."""
    n, effect = 6, 0.9
    degrees, shift = 2 * n - 2, effect * math.sqrt(n / 2)
    critical = stats.t.ppf(1 - (0.025 if sides == "two-sided" else 0.05), degrees)

    def at(spread: float) -> float:
        beyond = stats.norm.sf(critical * spread - shift)
        if sides == "two-sided":
            beyond += stats.norm.cdf(-critical * spread - shift)
        return float(beyond * stats.chi.pdf(spread * math.sqrt(degrees), degrees) * math.sqrt(degrees))

    expected = integrate.quad(at, 0, 6)[0]
    assert power(effect, 1.0, 1.0, n, sides=sides) == pytest.approx(expected, abs=1e-7)


def test_power_is_what_welchs_test_finds() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(0.6, 0.3, size=(10, 8000)), rng.normal(0.2, 0.6, size=(10, 8000))
    found = float(np.mean(stats.ttest_ind(x, y, equal_var=False).pvalue < 0.05))
    # Four standard errors of the simulation are 0.022; Welch's degrees of freedom are an approximation.
    assert power(0.4, 0.3, 0.6, 10) == pytest.approx(found, abs=0.025)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_the_smallest_difference_has_the_target_power(n: int) -> None:
    smallest = smallest_detectable_difference(0.2, 0.3, n)
    assert power(smallest, 0.2, 0.3, n) == pytest.approx(0.8, abs=1e-9)
    assert seeds_needed(smallest * (1 + 1e-9), 0.2, 0.3) == n
    assert power(-smallest, 0.2, 0.3, n) == pytest.approx(0.8, abs=1e-9)


def test_no_difference_has_the_power_of_the_level() -> None:
    assert power(0.0, 1.0, 1.0, 10) == pytest.approx(0.05, abs=1e-9)
    assert power(0.0, 1.0, 1.0, 10, sides="one-sided") == pytest.approx(0.05, abs=1e-9)


def test_edges() -> None:
    assert math.isnan(power(1.0, 1.0, 1.0, 1))
    assert math.isnan(seeds_needed(math.nan, 1.0, 1.0))
    assert math.isnan(smallest_detectable_difference(1.0, 1.0, 1))
    assert seeds_needed(0.0, 1.0, 1.0) == math.inf
    assert seeds_needed(1e-9, 1.0, 1.0) == math.inf
    assert seeds_needed(0.1, 0.0, 0.0) == 2
    assert power(0.1, 0.0, 0.0, 2) == 1.0
    assert power(1e6, 1.0, 1.0, 5) == 1.0
    assert smallest_detectable_difference(0.0, 0.0, 5) == 0.0
    assert seeds_needed(0.01, 1.0, 1.0) == pytest.approx(2 * (1.959964 + 0.841621) ** 2 * 1e4, rel=1e-4)


@pytest.mark.parametrize("n", [2, 3, 4, 10])
@pytest.mark.parametrize("ratio", [1e-6, 0.3, 1.0])
def test_few_seeds_of_any_spread_have_a_smallest_detectable_difference(n: int, ratio: float) -> None:
    """Where one side hardly varies the degrees of freedom are few, and the search goes far into the tails."""
    found = smallest_detectable_difference(1.0, ratio, n)
    assert power(found, 1.0, ratio, n) == pytest.approx(0.8, abs=1e-6)
