"""Verdicts once more: bets, Holm's steps and Gaffke's bounds, written the slow and plain way, nothing of ours."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from plain_formulas import Values, band, estimate, known


def bets(x: Sequence[float], y: Sequence[float], theta: float, low: float, high: float) -> list[float]:
    """Log evidence against "E x - E y <= theta" after each pair, bet by bet."""
    least, most = max(low, low + theta), min(high, high + theta)
    product, paired = [1.0] * 4, [1.0] * 4
    shares_of, total, path = (1 / 6, 1 / 6, 1 / 6, 1 / 2), 0.0, []
    for i, (u, v) in enumerate(zip(x, y, strict=True)):
        v += theta
        m = min(max((total + least + most) / (2 * i + 2), least), most)
        for k, f in enumerate((0.25, 0.5, 0.75, 1.0)):
            s = f / max(m - low, high + theta - m)
            product[k] *= (1 + s * (u - m)) * (1 - s * (v - m))
            paired[k] *= 1 + f * (u - v) / (high - low + theta)
        total += u + v
        mixture = sum(w * (2 * p + q) / 3 for w, p, q in zip(shares_of, product, paired, strict=True))
        path.append(math.log(mixture))
    return path


def rising(path: Sequence[float]) -> list[float]:
    """The greatest so far, never below nothing won."""
    return [max(0.0, *path[: n + 1]) for n in range(len(path))]


def passed_when(paths: Sequence[Sequence[float]], level: float) -> list[tuple[float, int | None]]:
    """Holm's steps seed by seed: evidence needed, and the seeds after which it was there."""
    found: dict[int, tuple[float, int | None]] = {}
    for n in range(1, max(map(len, paths)) + 1):
        while len(found) < len(paths):
            rest = [place for place in range(len(paths)) if place not in found]
            best = max(rest, key=lambda place: paths[place][min(n, len(paths[place])) - 1] if paths[place] else 0.0)
            needed = len(rest) / level
            if not paths[best] or paths[best][min(n, len(paths[best])) - 1] < math.log(needed):
                break
            found[best] = (needed, n)
    left = len(paths) - len(found)
    return [found.get(place, (left / level, None)) for place in range(len(paths))]


def greatest_ruled_out(evidence: Callable[[float], float], log_needed: float, span: float) -> float:
    """The greatest theta within the span whose evidence reaches what is needed; evidence falls in theta."""
    low, high = -span, span
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if evidence(middle) >= log_needed else (low, middle)
    return low


def gaffke(values: Sequence[float], low: float, high: float, level: float = 0.025) -> tuple[float, float]:
    """Both ends of Gaffke's interval: quantiles of a mean of the points with uniform random weights."""
    return _gaffke_lower(values, low, level), -_gaffke_lower([-value for value in values], -high, level)


def _gaffke_lower(values: Sequence[float], least: float, level: float) -> float:
    """In whole numbers of 2^-60: the chance that the mean is above t is a sum of powers of the points above t."""
    # Ties are drawn apart by one unit, which is less than any digit that counts.
    points = [round(value * 2**60) + i for i, value in enumerate(sorted([least, *values]))]
    n = len(points) - 1
    shares = [math.prod(z - other for other in points if other != z) for z in points]

    def below(t: float) -> float:
        at = round(t * 2**60)
        above = sum(((z - at) ** n << 300) // share for z, share in zip(points, shares, strict=True) if z > at)
        return 1 - level - above / 2**300

    ends = [points[0] / 2**60, sum(points) / len(points) / 2**60]
    heights = [below(end) for end in ends]
    for _ in range(200):
        # False position; where an end stays, half of its height (Illinois).
        t = (ends[0] * heights[1] - ends[1] * heights[0]) / (heights[1] - heights[0])
        found = below(t)
        side = int(found > 0)
        ends[side], heights[side], heights[1 - side] = t, found, heights[1 - side] / 2
        if abs(found) < 1e-12 or abs(ends[1] - ends[0]) < 1e-12:
            return t
    raise AssertionError(values)


def bounded_estimate(values: Values, bounds: Sequence[float] | None) -> dict[str, Any]:
    """A mean with Gaffke's interval where bounds are known; none below five seeds."""
    found, made = known(values), estimate(values)
    if bounds is None or len(found) < 5:
        return made
    low, high = gaffke(found, min(bounds), max(bounds))
    return {**made, "low": low, "high": high}


def bounded_band(rows: Sequence[Values], bounds: Sequence[float] | None) -> dict[str, Any]:
    if bounds is None:
        return band(rows)
    made = band(rows)
    low = [None if end is None else max(end, min(bounds)) for end in made["low"]]
    high = [None if end is None else min(end, max(bounds)) for end in made["high"]]
    return {**made, "low": low, "high": high}
