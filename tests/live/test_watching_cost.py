"""The program that measures what watching costs (benchmarks/watching_cost.py)."""

import math

import yaml
from benchmark_scripts import load

cost = load("watching_cost")


def test_the_interval_covers_the_median() -> None:
    for n in range(6, 60):
        low, high = cost.median_interval([float(i) for i in range(1, n + 1)])

        def covered(k: int, n: int = n) -> float:
            return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n

        k = int(low)
        assert high == n + 1 - k
        assert covered(k) >= 0.95 > covered(k + 1)
    assert cost.median_interval([1.0] * 5) is None


def test_the_cut_is_one_of_the_suite() -> None:
    whole = yaml.safe_load(cost.SUITE.read_text(encoding="utf-8"))
    part = yaml.safe_load(cost.cut())
    assert [task["id"] for task in part["tasks"]] == list(cost.TASKS)
    assert set(cost.TASKS) <= {task["id"] for task in whole["tasks"]}
    assert set(part["algorithms"]) == set(cost.ALGORITHMS)
    assert part["seeds"] == 3
