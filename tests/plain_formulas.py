"""The formulas of docs/explanation/statistics.md once more: numpy and the standard library, nothing of ours.

Written the slow and plain way: integrals for distribution functions, bisection for quantiles and limits, loops.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np

NORMAL = NormalDist()
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)
Values = list[float | None]


def known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """Where an increasing function crosses zero."""
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return (low + high) / 2


def integral(function: Callable[[Any], Any], low: float, high: float) -> float:
    middle, half = (low + high) / 2, (high - low) / 2
    return float(half * (WEIGHTS @ function(middle + half * NODES)))


def student(t: float, degrees: float) -> float:
    """Student's distribution function, through the substitution t = sqrt(degrees) tan(u), whose range is finite."""
    share = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(math.pi)
    return 0.5 + share * integral(lambda u: np.cos(u) ** (degrees - 1), 0.0, math.atan(t / math.sqrt(degrees)))


@cache
def student_quantile(level: float, degrees: float) -> float:
    return bisect(lambda t: student(t, degrees) - level, -1e3, 1e3)


class Sum:
    """A weighted sum of means: estimate, standard error, degrees of freedom, skewness."""

    def __init__(self, samples: Sequence[Sequence[float | None]], weights: Sequence[float]) -> None:
        groups = [known(sample) for sample in samples]
        self.enough = all(len(group) > 1 for group in groups)
        self.estimate = sum(w * float(np.mean(group)) for group, w in zip(groups, weights, strict=True))
        variance = third = squares = 0.0
        for group, w in zip(groups, weights, strict=True):
            n, deviations = len(group), np.array(group) - np.mean(group)
            if n > 1:
                part = w**2 * float((deviations**2).sum()) / (n - 1) / n
                variance, squares = variance + part, squares + part**2 / (n - 1)
            if n >= 5:
                third += w**3 * n / ((n - 1) * (n - 2)) * float((deviations**3).sum()) / n**2
        self.size = sum(abs(w) * max(map(abs, group)) for group, w in zip(groups, weights, strict=True))
        self.error = math.sqrt(variance)
        self.degrees = variance**2 / squares if squares else 1.0
        self.a = third / self.error**3 if variance else 0.0

    def g(self, t: float) -> float:
        return t + self.a * t**2 / 3 + self.a**2 * t**3 / 27 + self.a / 6

    def interval(self, level: float) -> tuple[float | None, float | None]:
        """Two-sided: where g lies within Student's quantiles."""
        if not self.enough:
            return None, None
        quantile = student_quantile(0.5 + level / 2, self.degrees)
        ends = [bisect(lambda t, end=end: self.g(t) - end, -1e4, 1e4) for end in (quantile, -quantile)]
        return self.estimate - self.error * ends[0], self.estimate - self.error * ends[1]

    def p_above(self, null: float) -> float | None:
        if not self.enough:
            return None
        if self.error <= 1e-12 * self.size:
            return 0.0 if self.estimate - null > 1e-12 * self.size else 1.0
        return 1 - student(self.g((self.estimate - null) / self.error), self.degrees)


def estimate(values: Values) -> dict[str, Any]:
    found = known(values)
    if not found:
        return {"mean": None, "low": None, "high": None, "n": 0}
    low, high = Sum([found], [1.0]).interval(0.95) if len(found) >= 5 else (None, None)
    if low is None or high is None or not low < high:
        low = high = None
    return {"mean": float(np.mean(found)), "low": low, "high": high, "n": len(found)}


def band(rows: Sequence[Values]) -> dict[str, Any]:
    """Means with Student's interval, from five seeds on and where they differ."""
    marks = []
    for at in zip(*rows, strict=True):
        mark, found = estimate(list(at)), known(at)
        if len(found) >= 5 and min(found) < max(found):
            half = student_quantile(0.975, len(found) - 1) * float(np.std(found, ddof=1)) / math.sqrt(len(found))
            mark.update(low=mark["mean"] - half, high=mark["mean"] + half)
        marks.append(mark)
    return {part: [mark[part] for mark in marks] for part in ("mean", "low", "high", "n")}


def wilson(happened: Sequence[float]) -> tuple[float, float, float]:
    """Where (rate - p)^2 = z^2 p (1 - p) / n."""
    n, rate, z = len(happened), float(np.mean(happened)), NORMAL.inv_cdf(0.975)
    low, high = sorted(np.roots([1 + z**2 / n, -(2 * rate + z**2 / n), rate**2]).real)
    return rate, low, high


def rates(groups: Sequence[Sequence[float]], weights: Sequence[float]) -> tuple[float, float, float]:
    """Newcombe's and Zou and Donner's limits of a sum of rates."""
    total = down = up = 0.0
    for group, w in zip(groups, weights, strict=True):
        rate, low, high = wilson(group)
        total += w * rate
        ends = sorted((w * low, w * high))
        down, up = down + (w * rate - ends[0]) ** 2, up + (ends[1] - w * rate) ** 2
    return total, total - math.sqrt(down), total + math.sqrt(up)


def beats(x: list[float], y: list[float]) -> tuple[float, float, float]:
    """P(x beats y), with Newcombe's method 5."""
    m, n, z = len(x), len(y), NORMAL.inv_cdf(0.975)
    theta = sum((a > b) + 0.5 * (a == b) for a in x for b in y) / (m * n)

    def excess(t: float) -> float:
        inner = 1 + ((m + n) / 2 - 1) * ((1 - t) / (2 - t) + t / (1 + t))
        return (theta - t) ** 2 - z**2 * t * (1 - t) * inner / (m * n)

    low = bisect(lambda t: -excess(t), 1e-12, theta) if theta > 0 else 0.0
    high = bisect(excess, theta, 1 - 1e-12) if theta < 1 else 1.0
    return theta, low, high


def cvar(values: Sequence[float]) -> float:
    """Mean of the worst fifth, the last of them by its fraction."""
    ordered, left, total = sorted(values), 0.2 * len(values), 0.0
    for value in ordered:
        total += value * min(1.0, left)
        left -= min(1.0, left)
    return total / (0.2 * len(values))


def tail(values: Sequence[float]) -> Values:
    """Numbers whose mean is the CVaR: everything above the fifth's edge drawn in to it."""
    if len(values) < 30:
        return [None] * len(values)
    edge = sorted(values)[math.ceil(0.2 * len(values) - 1e-9) - 1]
    drawn = np.minimum(values, edge) / 0.2
    return (drawn - drawn.mean() + cvar(values)).tolist()


def mean_of_tails(groups: Sequence[list[float]], weights: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % limits of a weighted mean of CVaRs, of which only the worst fifth of each group says how it varies."""
    variance = squares = 0.0
    for group, w in zip(groups, weights, strict=True):
        if len(group) < 30:
            return None, None
        k = len(group) / 5
        part = w**2 * float(np.var(np.array(tail(group), dtype=float), ddof=1)) / len(group) * k / (k - 1)
        variance, squares = variance + part, squares + part**2 / (k - 1)
    if not variance:
        return None, None
    half = student_quantile(0.975, variance**2 / squares) * math.sqrt(variance)
    found = sum(w * cvar(group) for group, w in zip(groups, weights, strict=True))
    return found - half, found + half


def quantile_mean(values: Sequence[float], weights: Sequence[float], low: float, high: float) -> float:
    total, inside, at = 0.0, 0.0, 0.0
    for value, w in sorted(zip(values, weights, strict=True)):
        share = max(0.0, min(at + w, high) - max(at, low))
        total, inside, at = total + share * value, inside + share, at + w
    return total / inside


def weighted_quantile(values: Sequence[float], weights: Sequence[float], level: float) -> float:
    at = 0.0
    for value, w in sorted(zip(values, weights, strict=True)):
        at += w
        if at >= level - 1e-12:
            return value
    raise AssertionError


def family(task: str) -> str:
    return task.split("(")[-1].split(",")[0].rstrip(")").split("/")[0]


def shares(tasks: Sequence[str]) -> list[float]:
    sizes = Counter(map(family, tasks))
    return [1 / len(sizes) / sizes[family(task)] for task in tasks]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    made = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    worst = 0.0
    for rank, (p, i) in enumerate(made):
        worst = max(worst, p * (len(made) - rank))
        adjusted[i] = min(worst, 1.0)
    return adjusted


def power(distance: float, sd_x: float, sd_y: float, n: int, alpha: float) -> float:
    """Of Welch's one-sided test: normal tail given the spread, averaged over the chi distribution of the spread."""
    spread = sd_x**2 + sd_y**2
    degrees = (n - 1) * spread**2 / (sd_x**4 + sd_y**4)
    shift, critical = distance / math.sqrt(spread / n), student_quantile(1 - alpha, degrees)
    constant = math.log(2) + degrees / 2 * math.log(degrees / 2) - math.lgamma(degrees / 2)

    def weighted(s: Any) -> Any:
        density = np.exp(constant + (degrees - 1) * np.log(s) - degrees * s**2 / 2)
        return density * np.array([NORMAL.cdf(shift - critical * each) for each in s])

    reach = 12 / math.sqrt(2 * degrees)
    return integral(weighted, max(1e-12, 1 - reach), 1 + reach)


def seeds_needed(distance: float, sd_x: float, sd_y: float, alpha: float) -> int | None:
    if (sd_x**2 + sd_y**2) * (NORMAL.inv_cdf(1 - alpha) + NORMAL.inv_cdf(0.8)) ** 2 / distance**2 > 1e7:
        return None
    low, high = 1, 2
    while power(distance, sd_x, sd_y, high, alpha) < 0.8:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if power(distance, sd_x, sd_y, middle, alpha) < 0.8 else (low, middle)
    return max(high, 2)
