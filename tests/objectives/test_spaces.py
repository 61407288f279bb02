"""Spaces: what is drawn, and what is at an edge.

Draws have fixed seeds. Where a distribution is compared (Kolmogorov-Smirnov or chi-squared, 4,000 draws), a right one
would fail one time in 1,000.
"""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats

from haepo_bench import catalogue
from haepo_bench.objectives.spaces import Space, choices, log, uniform, zero_or_log

N = 4_000


def draws(space: Space, key: int = 0) -> list[Any]:
    random = np.random.default_rng(key)
    return [space.draw(random) for _ in range(N)]


def test_ranges_are_drawn_uniformly_on_their_scale() -> None:
    assert stats.kstest(draws(uniform(0.8, 1.0)), stats.uniform(0.8, 0.2).cdf).pvalue > 1e-3
    assert stats.kstest(draws(log(1e-4, 1e-1)), stats.loguniform(1e-4, 1e-1).cdf).pvalue > 1e-3


def test_zero_is_as_likely_as_a_decade() -> None:
    found = np.array(draws(zero_or_log(1e-5, 1.0)))
    assert stats.binomtest(int((found == 0).sum()), N, 1 / 6).pvalue > 1e-3
    assert stats.kstest(found[found > 0], stats.loguniform(1e-5, 1).cdf).pvalue > 1e-3


def test_lists_and_whole_numbers_are_drawn_alike() -> None:
    found = Counter(draws(choices("a", "b", "c")))
    assert stats.chisquare([found[each] for each in "abc"]).pvalue > 1e-3
    whole = Counter(draws(uniform(2, 5).whole_numbers()))
    assert sorted(whole) == [2, 3, 4, 5]
    assert stats.chisquare(list(whole.values())).pvalue > 1e-3
    logged = Counter(draws(log(1, 8).whole_numbers()))
    edges = np.log(np.arange(0.5, 9))
    expected = np.diff(edges) / (edges[-1] - edges[0]) * N
    assert stats.chisquare([logged[each] for each in range(1, 9)], expected).pvalue > 1e-3
    assert all(type(each) is int for each in (*whole, *logged))


def test_what_is_drawn_is_what_a_file_shows() -> None:
    for value in draws(log(1e-4, 1e-2))[:100]:
        assert float(f"{value:.4g}") == value
        assert 1e-4 <= value <= 1e-2


@pytest.mark.parametrize(
    ("space", "value", "edge"),
    [
        (log(1e-4, 1e-2), 1e-4 * 10**0.09, "low"),
        (log(1e-4, 1e-2), 1e-4 * 10**0.11, None),
        (log(1e-4, 1e-2), 1e-2, "high"),
        (uniform(0.0, 1.0), 0.96, "high"),
        (uniform(0.0, 1.0), 0.94, None),
        (Space("uniform", (0.8, 1.0), open=("low",)), 1.0, None),
        (Space("uniform", (0.8, 1.0), open=("low",)), 0.8, "low"),
        (zero_or_log(1e-5, 1.0), 0.0, None),
        (zero_or_log(1e-5, 1.0), 1e-5, None),
        (zero_or_log(1e-5, 1.0), 0.9, "high"),
        (zero_or_log(1e-10, 1.0), 0.4, "high"),
        (choices(16, 4, 8), 4, "low"),
        (choices(16, 4, 8), 16, "high"),
        (choices(16, 4, 8), 8, None),
        (choices("a", "b"), "a", None),
    ],
)
def test_a_value_at_an_edge_is_found(space: Space, value: Any, edge: str | None) -> None:
    assert space.edge(value) == edge
    assert Space.of(space.document) == space


def test_models_see_values_on_the_scale_that_they_were_drawn_on() -> None:
    space = zero_or_log(1e-5, 1.0)
    assert [space.unit(value) for value in (1e-5, 1e-3, 0.1, 1.0)] == pytest.approx([0.0, 0.4, 0.8, 1.0])
    assert space.unit(0.0) == pytest.approx(-0.2)  # one decade below
    assert log(1e-4, 1e-2).unit(1e-3) == pytest.approx(0.5)
    assert [choices("b", "a").unit(value) for value in "ba"] == [0.0, 1.0]


def test_no_algorithm_has_more_than_five_and_all_share_what_is_shared() -> None:
    shared: dict[str, set[str]] = {}
    for name in catalogue.ALGORITHMS:
        kinds = (catalogue.algorithm, catalogue.language_algorithm)
        for kind in kinds if name != "dpo-offline" else kinds[1:]:  # which is for language tasks alone
            spaces = kind(name).spaces
            assert len(spaces) <= 5
            for parameter, space in spaces.items():
                shared.setdefault(f"{kind.__name__} {parameter}", set()).add(str(space))
                if "entropy" in parameter or parameter in ("ent_coef", "kl_coefficient"):
                    assert math.log10(space.values[1] / space.values[0]) == pytest.approx(5)
                    assert space.kind == "zero_or_log"
    assert set(catalogue.algorithm("ppo").spaces) == {"learning_rate", "n_steps", "ent_coef", "gae_lambda", "n_epochs"}
    for parameter in ("learning_rate", "trajectories", "epochs"):
        assert len(shared[f"algorithm {parameter}"]) == 1
