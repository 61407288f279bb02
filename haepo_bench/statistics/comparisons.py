"""Is one algorithm better than another: tests and effect sizes, correction for many of them, non-inferiority."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, product
from math import comb
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from haepo_bench.statistics.intervals import Interval

Array = NDArray[Any]
#: What is claimed of x against y.
Alternative = Literal["two-sided", "greater", "less"]

#: Up to so many rearrangements a test counts all of them: ten seeds against ten have 184,756.
EXACT_LIMIT = 200_000
#: Beyond, it draws so many.
DRAWS = 9_999
#: And so many times as many again where no draw was as extreme.
_MORE_DRAWS = 20


class PairedTest(NamedTuple):
    """A test on seeds that both algorithms share, and whether sharing did anything.

    Args:
        difference: mean of x - y.
        p_value: of no difference.
        correlation: Pearson's, between x and y over seeds. Near zero, pairing bought nothing and the unpaired test is
            as good; NaN where one of them does not vary.
    """

    difference: float
    p_value: float
    correlation: float


def permutation_test(
    x: Array,
    y: Array,
    *,
    rng: np.random.Generator,
    alternative: Alternative = "two-sided",
    draws: int = DRAWS,
) -> Array:
    """x: [seed x, ...], y: [seed y, ...] -> [...]: p-value of the difference of means if labels were interchangeable.

    All divisions of the runs into two groups of these sizes are counted where there are at most 200,000, which makes
    the test exact; beyond, `draws` are drawn, and p = (b + 1) / (m + 1) with b of m at least as extreme, which keeps it
    valid. Two-sided: twice the smaller one-sided p-value, at most 1. NaN where any seed is NaN or a side has none.

    Interchangeable means one distribution under the null, not only one mean; where spreads differ, read the interval of
    the difference beside it. Sources: Fisher (1935), The Design of Experiments, section 21; Phipson and Smyth (2010),
    Permutation p-values should never be zero, for the draws.
    """
    less, greater = permutation_p_values(x, y, rng=rng, draws=draws)
    return _of_sides(less, greater, alternative)


def two_sided_p(x: Array, y: Array, rng: np.random.Generator) -> Array:
    """x: [seed x, ...], y: [seed y, ...] -> [...]: two-sided p-values of `permutation_test`, each of one of many tests.

    Where no draw was as extreme, a p-value of drawn rearrangements is at its floor, which hundreds of tests would
    adjust away. There it is taken from twenty times as many draws, all of them new, in the direction of the
    difference, and doubled; that it came to the floor first can only make it larger than it needs to be.
    """
    p = permutation_test(x, y, rng=rng)
    floor = p <= 2 / (DRAWS + 1)
    if comb(len(x) + len(y), len(x)) <= EXACT_LIMIT or not floor.any():
        return p
    x, y = np.asarray(x, dtype=float)[:, floor], np.asarray(y, dtype=float)[:, floor]
    extreme = np.zeros(x.shape[1])
    for _ in range(_MORE_DRAWS):
        less, greater = permutation_p_values(x, y, rng=rng)
        extreme += np.round(np.where(x.mean(axis=0) > y.mean(axis=0), greater, less) * (DRAWS + 1)) - 1
    p[floor] = np.minimum(1.0, 2 * (extreme + 1) / (_MORE_DRAWS * DRAWS + 1))
    return p


def least_two_sided_p(x: int, y: int) -> float:
    """The least p-value that `two_sided_p` can give for so many seeds a side."""
    divisions = comb(x + y, x)
    return min(1.0, 2 / (divisions if divisions <= EXACT_LIMIT else _MORE_DRAWS * DRAWS + 1))


def permutation_p_values(
    x: Array, y: Array, *, rng: np.random.Generator, draws: int = DRAWS, studentised: bool = False
) -> tuple[Array, Array]:
    """x: [seed x, ...], y: [seed y, ...] -> [...] each: one-sided p-values of x being less, and greater, than y.

    See `permutation_test`.

    Args:
        studentised: whether to rearrange Welch's t in place of the difference. As exact under one distribution, and
            closer to its level where only the means are equal: Janssen (1997), Studentized permutation tests for
            non-i.i.d. hypotheses and the generalized Behrens-Fisher problem, Statistics & Probability Letters 36(1);
            Chung and Romano (2013), Exact and asymptotically robust permutation tests, Annals of Statistics 41(2).
            Needs two seeds a side, NaN with fewer.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    shape = x.shape[1:]
    if min(len(x), len(y)) < (2 if studentised else 1):
        return np.full(shape, np.nan), np.full(shape, np.nan)
    pooled = np.concatenate([x, y]).reshape(len(x) + len(y), -1)
    # Sums of centred values: rounding errors stay far below the tolerance for ties.
    pooled = pooled - pooled.mean(axis=0)
    exact = comb(len(pooled), len(x)) <= EXACT_LIMIT
    chosen = _divisions(len(pooled), len(x)) if exact else _drawn(len(pooled), len(x), draws, rng)
    if studentised:
        less, greater = _studentised_sides(chosen, pooled, len(x), exact)
    else:
        less, greater = _sides(chosen, pooled, pooled[: len(x)].sum(axis=0), exact)
    return less.reshape(shape), greater.reshape(shape)


def paired_test(
    x: ArrayLike, y: ArrayLike, *, rng: np.random.Generator, alternative: Alternative = "two-sided"
) -> PairedTest:
    """x: [seed], y: [seed] -> scalars: sign-flip test of the mean of x - y, for runs that share a random instance.

    A seed number alone does not pair: only where both algorithms met the same random task instance do they have
    something in common. Up to 17 pairs all 2^n sign flips are counted, beyond 9,999 are drawn, p = (b + 1) / (m + 1).
    Pairs with a NaN are left out. Source: Fisher (1935), The Design of Experiments, section 21.
    """
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    if not len(a):
        return PairedTest(np.nan, np.nan, np.nan)
    d = (a - b)[:, None]
    exact = 2 ** len(d) <= EXACT_LIMIT
    flips = _flips(len(d)) if exact else rng.choice(np.array([-1.0, 1.0]), size=(DRAWS, len(d)))
    varies = len(a) > 1 and bool(np.ptp(a) > 0 and np.ptp(b) > 0)
    return PairedTest(
        difference=float(d.mean()),
        p_value=float(_of_sides(*_sides(flips, d, d.sum(axis=0), exact), alternative)[0]),
        correlation=float(np.corrcoef(a, b)[0, 1]) if varies else np.nan,
    )


def mann_whitney(x: ArrayLike, y: ArrayLike, *, alternative: Alternative = "two-sided") -> float:
    """x: [seed x], y: [seed y] -> p-value of the rank-sum test; seeds that are NaN are left out, NaN if none is left.

    Exact without ties and with at most eight seeds on one side, else normal with corrections for ties and continuity
    (scipy's choice). Source: Mann and Whitney (1947), On a test of whether one of two random variables is
    stochastically larger than the other, Annals of Mathematical Statistics 18(1).
    """
    from scipy import stats

    a, b = _defined(x), _defined(y)
    return float(stats.mannwhitneyu(a, b, alternative=alternative).pvalue) if len(a) and len(b) else np.nan


def probability_of_improvement(
    x: Sequence[ArrayLike], y: Sequence[ArrayLike], weights: Array | None = None, *, confidence: float = 0.95
) -> Interval:
    """x: [seed x] a task, y: [seed y] a task, weights: [task] -> scalar: P(a run of x beats a run of y).

    Within a task the Mann-Whitney statistic over the number of pairs, ties counted half; across tasks the weighted
    mean (equal weights by default). Source: Agarwal et al. (2021), Deep reinforcement learning at the edge of the
    statistical precipice, section 4.3. It does not say how large the improvements are.

    Interval within a task: Newcombe (2006), Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic, part 2, Statistics in Medicine 25(4), method 5: it has a width where all of x beat all of y, which a
    bootstrap has not. Across tasks: Zou and Donner (2008), Construction of confidence limits about effect measures,
    Statistics in Medicine 27(10): each task's distances from its estimate to its limits are added as squares. Seeds
    that are NaN are left out; NaN where a task has none on a side.
    """
    within = [_beats(_defined(a), _defined(b), confidence) for a, b in zip(x, y, strict=True)]
    if not within:
        return Interval(*np.full(3, np.nan))
    estimate, low, high = np.array(within).T
    shares = np.full(len(within), 1 / len(within)) if weights is None else np.asarray(weights) / np.sum(weights)
    mean = shares @ estimate
    return Interval(
        np.asarray(mean),
        np.asarray(mean - np.sqrt(shares**2 @ (estimate - low) ** 2)),
        np.asarray(mean + np.sqrt(shares**2 @ (high - estimate) ** 2)),
    )


def holm(p_values: ArrayLike) -> Array:
    """p_values: [test] -> [test]: p-values adjusted so that the chance of any false positive stays controlled.

    NaN marks a test that was not made: it stays NaN and does not count. Source: Holm (1979), A simple sequentially
    rejective multiple test procedure, Scandinavian Journal of Statistics 6(2).
    """
    p = np.asarray(p_values, dtype=float)
    made = np.flatnonzero(~np.isnan(p))
    order = made[np.argsort(p[made], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1.0)
    return adjusted


def _defined(values: ArrayLike) -> Array:
    found: Array = np.asarray(values, dtype=float)
    return np.asarray(found[~np.isnan(found)])


@lru_cache(maxsize=2)
def _divisions(total: int, first: int) -> Array:
    """[division, total]: all choices of the first group, as ones and zeros."""
    chosen = np.fromiter((i for group in combinations(range(total), first) for i in group), dtype=np.intp)
    matrix = np.zeros((comb(total, first), total))
    np.put_along_axis(matrix, chosen.reshape(len(matrix), first), 1.0, axis=1)
    matrix.flags.writeable = False  # shared between calls
    return matrix


def _drawn(total: int, first: int, draws: int, rng: np.random.Generator) -> Array:
    """[draw, total]: random choices of the first group, as ones and zeros."""
    group = np.zeros(total)
    group[:first] = 1.0
    return np.asarray(rng.permuted(np.broadcast_to(group, (draws, total)), axis=1))


@lru_cache(maxsize=32)
def _flips(n: int) -> Array:
    """[flip, n]: all sign patterns."""
    matrix = np.array(list(product([1.0, -1.0], repeat=n)))
    matrix.flags.writeable = False  # shared between calls
    return matrix


def _sides(signs: Array, values: Array, observed: Array, exact: bool) -> tuple[Array, Array]:
    """signs: [rearrangement, run], values: [run, cell], observed: [cell] -> [cell]: p of less and of greater."""
    # What differs by rounding alone is a tie, and a tie counts as at least as extreme.
    tolerance = 1e-12 * np.abs(values).sum(axis=0)
    greater, less = np.zeros(len(observed)), np.zeros(len(observed))
    step = max(1, 4_000_000 // len(signs))  # cells at once, to bound memory
    for start in range(0, len(observed), step):
        cells = slice(start, start + step)
        sums = signs @ values[:, cells]
        greater[cells] = (sums >= observed[cells] - tolerance[cells]).sum(axis=0)
        less[cells] = (sums <= observed[cells] + tolerance[cells]).sum(axis=0)
    return _of_counts(less, greater, len(signs), exact, np.isnan(observed))


def _studentised_sides(chosen: Array, pooled: Array, first: int, exact: bool) -> tuple[Array, Array]:
    """chosen: [division, run], pooled: [run, cell], centred, those of the first group first -> as `_sides`."""
    scale = np.abs(pooled).max(axis=0)
    # In units of the largest value, so that what is rounding is known; where nothing varies at all, all is rounding.
    with np.errstate(invalid="ignore"):
        values = pooled / np.where(scale > 0, scale, 1.0)
    own = np.arange(len(pooled)) < first
    observed = _welch(own[None].astype(float), values, first)[0]
    tolerance = 1e-9 * np.maximum(np.abs(np.where(np.isfinite(observed), observed, 0.0)), 1)
    greater, less = np.zeros(len(observed)), np.zeros(len(observed))
    step = max(1, 2_000_000 // len(chosen))  # cells at once, to bound memory
    for start in range(0, len(observed), step):
        cells = slice(start, start + step)
        t = _welch(chosen, values[:, cells], first)
        greater[cells] = (t >= observed[cells] - tolerance[cells]).sum(axis=0)
        less[cells] = (t <= observed[cells] + tolerance[cells]).sum(axis=0)
    return _of_counts(less, greater, len(chosen), exact, ~np.isfinite(scale))


def _welch(chosen: Array, values: Array, first: int) -> Array:
    """chosen: [division, run], values: [run, cell], at most 1 -> [division, cell]: t; infinite without any spread."""
    second = len(values) - first
    sums, squares = chosen @ values, chosen @ values**2
    rest, others = values.sum(axis=0) - sums, (values**2).sum(axis=0) - squares
    difference = sums / first - rest / second
    variance = np.maximum(squares - sums**2 / first, 0) / (first - 1) / first
    variance += np.maximum(others - rest**2 / second, 0) / (second - 1) / second
    # What rounding leaves of equal means, and of no spread, is neither.
    difference = np.where(np.abs(difference) > 1e-12, difference, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(np.where(variance > 1e-24, variance, 0.0))
    return np.asarray(np.nan_to_num(t, nan=0.0, posinf=np.inf, neginf=-np.inf))


def _of_counts(less: Array, greater: Array, number: int, exact: bool, undefined: Array) -> tuple[Array, Array]:
    """Rearrangements at least as extreme on either side, of so many -> p-values."""
    # The observed arrangement is one of all, but not one of those drawn.
    less, greater = (count / number if exact else (count + 1) / (number + 1) for count in (less, greater))
    return np.where(undefined, np.nan, less), np.where(undefined, np.nan, greater)


def _of_sides(less: Array, greater: Array, alternative: Alternative) -> Array:
    both = np.minimum(1.0, 2 * np.minimum(less, greater))
    return np.asarray({"two-sided": both, "greater": greater, "less": less}[alternative])


def _beats(x: Array, y: Array, confidence: float) -> tuple[float, float, float]:
    """x: [seed x], y: [seed y] -> P(x beats y) and its limits."""
    from scipy import optimize, special

    m, n = len(x), len(y)
    if not m or not n:
        return (np.nan, np.nan, np.nan)
    estimate = float(((x[:, None] > y) + (x[:, None] == y) / 2).mean())
    z, pairs = special.ndtri(0.5 + confidence / 2), (m + n) / 2 - 1

    def distance(theta: float) -> float:
        """Squared distance from the estimate less what it may be; zero at the limits."""
        inner = 1 + pairs * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return float((estimate - theta) ** 2 - z**2 * theta * (1 - theta) * inner / (m * n))

    # At 0 and 1 an estimate solves the equation itself; the limit is the other solution.
    inside = min(max(estimate, 1e-9), 1 - 1e-9)
    low = optimize.brentq(distance, 0.0, inside, xtol=1e-14) if estimate > 0 else 0.0
    high = optimize.brentq(distance, inside, 1.0, xtol=1e-14) if estimate < 1 else 1.0
    return (estimate, float(low), float(high))
