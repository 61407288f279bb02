"""Ladders: the largest size that half of the seeds solve, against scipy's tests and against a known truth."""

import numpy as np
import pytest
from scipy.stats import binomtest

from haepo_bench.statistics.ladders import Rungs, highest_rung


def outcome(wins: int, runs: int) -> np.ndarray:
    return np.arange(runs) < wins


@pytest.mark.parametrize(
    ("wins", "runs", "expected"),
    [
        ([20, 20, 18, 9, 0], [20] * 5, Rungs(2, 2, 3)),
        ([20, 20, 10, 0, 0], [20] * 5, Rungs(2, 1, 2)),
        ([0, 0], [20, 20], Rungs(-1, -1, -1)),
        ([20, 20], [20, 20], Rungs(1, 1, 1)),
        ([5, 5], [5, 5], Rungs(1, -1, 1)),  # five seeds show nothing: 1 in 32
        ([6, 0], [6, 6], Rungs(0, 0, 0)),  # six do: 1 in 64
        ([20, 0, 20], [20, 20, 20], Rungs(0, 0, 2)),  # what is solved beyond a gap is not reached, and not ruled out
        ([20, 0, 0], [20, 0, 20], Rungs(0, 0, 1)),  # a size without runs
        ([], [], Rungs(-1, -1, -1)),
    ],
)
def test_by_hand(wins: list[int], runs: list[int], expected: Rungs) -> None:
    assert highest_rung([outcome(k, n) for k, n in zip(wins, runs, strict=True)]) == expected


def test_either_end_is_an_exact_binomial_test() -> None:
    for n in (6, 11, 20, 30):
        for k in range(n + 1):
            rungs = highest_rung([outcome(k, n)])
            assert (rungs.low == 0) == (binomtest(k, n, 0.5, alternative="greater").pvalue <= 0.025), (k, n)
            assert (rungs.high == 0) == (binomtest(k, n, 0.5, alternative="less").pvalue > 0.025), (k, n)
            assert (rungs.highest == 0) == (k / n >= 0.5)
            assert rungs.low <= rungs.highest <= rungs.high


@pytest.mark.parametrize(
    "chances", [(1.0, 0.9, 0.5, 0.45, 0.1), (0.5, 0.499, 0.4), (0.9, 0.8, 0.7, 0.6, 0.55), (0.4, 0.3)]
)
def test_the_interval_holds_the_truth(chances: tuple[float, ...]) -> None:
    """4,000 ladders each: misses of 5 % or fewer, plus 3 standard errors (a false alarm in 740 for each shape)."""
    rng, misses = np.random.default_rng(7), 0
    truth = sum(chance >= 0.5 for chance in chances) - 1
    for _ in range(4_000):
        rungs = highest_rung([rng.random(20) < chance for chance in chances])
        misses += not rungs.low <= truth <= rungs.high
    assert misses / 4_000 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)
