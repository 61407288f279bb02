"""How often a verdict is wrong, and how many seeds it takes: the tables of docs/explanation/statistics.md.

    python studies/verdicts.py [one_comparison one_comparison_any families other_rules power]     (some four minutes)

Every rate is the share of simulated suites in which any verdict is ever wrong, with a look after every seed, so that
stopping at whatever moment, for whatever reason, is included. What decides is the package's own code.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from haepo_bench.statistics.gaffke import gaffke_lower, gaffke_upper
from haepo_bench.statistics.intervals import combine
from haepo_bench.statistics.power import seeds_needed
from haepo_bench.statistics.rules import DecisionRule

Array = NDArray[Any]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]

LEVEL, MARGIN = 0.05, 0.1
SINGLE, FAMILIES = 4_000, 2_000
SEEDS, MANY_SEEDS = 60, 200
#: Suites at once, to bound memory: numbers of bets.
CHUNK = 50_000
BETTING, ANY, WINS = DecisionRule(), DecisionRule(dependence="any"), DecisionRule("wins")


class Shape(NamedTuple):
    """Two ways in which scores in [0, 1] fall, of equal means.

    Args:
        correlation: of the two runs of a seed; of their normal scores before they are drawn into the bounds.
    """

    name: str
    candidate: Draw
    baseline: Draw
    correlation: float = 0.0


def normal(mean: float = 0.5, sd: float = 0.1) -> Draw:
    return lambda rng, shape: np.clip(rng.normal(mean, sd, shape), 0, 1)


def beta(a: float, b: float) -> Draw:
    return lambda rng, shape: rng.beta(a, b, shape)


def two_valued(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return (rng.random(shape) < 0.5).astype(float)


def collapsing(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One in five at 0.10, the others at 0.85: 0.70 on average."""
    return np.where(rng.random(shape) < 0.2, 0.10, 0.85)


SHAPES = (
    Shape("normal, sd .1", normal(), normal()),
    Shape("normal, sd .02", normal(sd=0.02), normal(sd=0.02)),
    Shape("beta(2, .3)", beta(2, 0.3), beta(2, 0.3)),
    Shape("beta(.3, 2)", beta(0.3, 2), beta(0.3, 2)),
    Shape("0 or 1", two_valued, two_valued),
    Shape("collapse v collapse", collapsing, collapsing),
    Shape("collapse v normal of equal mean", collapsing, normal(0.7, 0.05)),
    Shape("normal v collapse of equal mean", normal(0.7, 0.05), collapsing),
    Shape("sd .15 v .02", normal(sd=0.15), normal(sd=0.02)),
    Shape("sd .02 v .15", normal(sd=0.02), normal(sd=0.15)),
    Shape("normal, correlation .2", normal(), normal(), 0.2),
    Shape("normal, correlation .5", normal(), normal(), 0.5),
    Shape("normal, correlation .8", normal(), normal(), 0.8),
    Shape("normal, correlation -.2", normal(), normal(), -0.2),
    Shape("normal, correlation -.6", normal(), normal(), -0.6),
)
#: Variants, baselines.
GRIDS = ((2, 4), (9, 6))


def worsened(rng: np.random.Generator, scores: Array) -> Array:
    """The same scores a margin lower on average: some, at random, become 0."""
    return np.where(rng.random(scores.shape) < MARGIN / scores.mean(), 0.0, scores)


def pairs(rng: np.random.Generator, shape: Shape, suites: int, n: int, variants: int = 1, baselines: int = 1) -> Any:
    """Candidates [suite, variant, 1, seed] and baselines [suite, 1, baseline, seed]."""
    size, other = (suites, variants, 1, n), (suites, 1, baselines, n)
    if not shape.correlation:
        return shape.candidate(rng, size), shape.baseline(rng, other)
    # One normal score that both share, or have with opposite signs.
    common, r = rng.normal(size=(suites, 1, 1, n)), abs(shape.correlation)
    x, y = (np.sqrt(r) * common + np.sqrt(1 - r) * rng.normal(size=each) for each in (size, other))
    if shape.correlation < 0:
        y = y - 2 * np.sqrt(r) * common
    return np.clip(0.5 + 0.1 * x, 0, 1), np.clip(0.5 + 0.1 * y, 0, 1)


def chunks(suites: int, each: int) -> Iterator[int]:
    while suites > 0:
        size = max(1, min(suites, CHUNK // (8 * each)))
        yield size
        suites -= size


class Test(NamedTuple):
    """A verdict that would be wrong.

    Args:
        theta: what the advantage is not above (below).
        above: "supported", not "not supported".
        shift: true advantage in margins.
    """

    name: str
    theta: float
    above: bool
    shift: int


TESTS = (
    Test("better: supported", 0.0, True, 0),
    Test("better: not supported", MARGIN, False, 1),
    Test("at par: supported", -MARGIN, True, -1),
    Test("at par: not supported; worse", 0.0, False, 0),
)


def evidence(rule: DecisionRule, x: Array, y: Array, test: Test) -> Array:
    """x: [suite, variant, 1, seed], y: [suite, 1, baseline, seed] -> [suite, variant, seed]: greatest so far."""
    if test.above:
        path = np.maximum.accumulate(rule.evidence(x, y, test.theta, 0.0, 1.0), axis=-1)
        return np.asarray(path.min(axis=-2))
    return np.maximum.accumulate(rule.any_of(rule.evidence(y, x, -test.theta, 0.0, 1.0)), axis=-1)


def drawn(rng: np.random.Generator, shape: Shape, suites: int, n: int, test: Test, grid: tuple[int, int]) -> Any:
    x, y = pairs(rng, shape, suites, n, *grid)
    if test.shift < 0:
        return worsened(rng, x), y
    return (x, worsened(rng, y)) if test.shift else (x, y)


def wrong(
    rng: np.random.Generator,
    shape: Shape,
    test: Test,
    suites: int,
    n: int,
    *,
    rule: DecisionRule,
    grid: tuple[int, int] = (1, 1),
    at: Sequence[int] = (SEEDS,),
) -> list[float]:
    """Share of suites with a wrong verdict by each number of seeds; every variant's null is true."""
    needed, found = np.log(grid[0] / LEVEL), np.zeros(len(at))
    for size in chunks(suites, grid[0] * grid[1] * n):
        path = evidence(rule, *drawn(rng, shape, size, n, test, grid), test).max(axis=1)
        found += [(path[:, seeds - 1] >= needed).sum() for seeds in at]
    return [float(each) for each in found / suites]


def wrong_pairs(
    rng: np.random.Generator, shape: Shape, suites: int, n: int, *, rule: DecisionRule, k: int = 6
) -> float:
    """Share of tables of all ordered pairs in which any algorithm is said to beat another; all have one mean."""
    rows, columns = map(np.array, zip(*((a, b) for a in range(k) for b in range(k) if a != b), strict=True))
    count = 0
    for size in chunks(suites, len(rows) * n):
        one, other = (each.reshape(size, -1, n) for each in pairs(rng, shape, size, n, k // 2, k - k // 2))
        scores = np.concatenate([one, other], axis=1)
        path = rule.evidence(scores[:, rows], scores[:, columns], 0.0, 0.0, 1.0)
        count += int((path.max(axis=(1, 2)) >= np.log(len(rows) / LEVEL)).sum())
    return count / suites


def wrong_before(rng: np.random.Generator, shape: Shape, test: Test, suites: int, grid: tuple[int, int]) -> float:
    """The rule before: corrected Welch, Holm over variants x baselines, from five seeds on after every seed."""
    x, y = drawn(rng, shape, suites, SEEDS, test, grid)
    ever = np.zeros(suites, dtype=bool)
    for n in range(5, SEEDS + 1):
        both = [
            np.broadcast_to(each[..., :n], (*np.broadcast_shapes(x.shape[:-1], y.shape[:-1]), n)) for each in (x, y)
        ]
        found = combine([np.moveaxis(each, -1, 0) for each in both], [1.0, -1.0])
        p = found.p_above(test.theta) if test.above else found.p_below(test.theta)
        # The first step of Holm; a variant needs all of its baselines.
        shown = p <= LEVEL / (grid[0] * grid[1])
        ever |= (shown.all(axis=2) if test.above else shown.any(axis=2)).any(axis=1)
    return float(ever.mean())


def wrong_fixed(rng: np.random.Generator, shape: Shape, test: Test, suites: int, n: int) -> float:
    """Corrected Welch that Gaffke's bounds agree with, at one look."""
    x, y = (each.reshape(suites, n).T for each in drawn(rng, shape, suites, n, test, (1, 1)))
    theta = test.theta
    if not test.above:
        x, y, theta = y, x, -theta
    welch = combine([x, y], [1.0, -1.0]).lower(LEVEL) > theta
    below, above = x.mean(0) - gaffke_lower(x, LEVEL, 0.0), gaffke_upper(y, LEVEL, 1.0) - y.mean(0)
    return float((welch & (x.mean(0) - y.mean(0) - np.hypot(below, above) > theta)).mean())


def wrong_mixed(rng: np.random.Generator, suites: int) -> float:
    """Nine variants, six baselines, four variants better by 0.2: how often one of the other five is "supported"."""
    count = 0
    for size in chunks(suites, 54 * SEEDS):
        x, y = two_valued(rng, (size, 9, 1, SEEDS)), two_valued(rng, (size, 1, 6, SEEDS))
        x[:, :4] = rng.random((size, 4, 1, SEEDS)) < 0.9
        most = evidence(BETTING, x, y, TESTS[0])[..., -1]
        order = np.sort(most, axis=1)[:, ::-1]
        passed = np.logical_and.accumulate(order >= np.log(np.arange(9, 0, -1) / LEVEL), axis=1).sum(axis=1)
        limit = np.where(passed > 0, np.take_along_axis(order, np.maximum(passed - 1, 0)[:, None], 1)[:, 0], np.inf)
        count += int((most[:, 4:].max(axis=1) >= limit).sum())
    return count / suites


def seeds_spent(
    rng: np.random.Generator, rule: DecisionRule, mean: float, sd: float, difference: float, theta: float, suites: int
) -> list[str]:
    """Mean seeds to "supported" at thresholds of 20, 40 and 180; beta scores."""

    def scores(mean: float) -> Array:
        if not sd:
            return np.full((suites, MANY_SEEDS), mean)
        both = mean * (1 - mean) / sd**2 - 1
        return rng.beta(mean * both, (1 - mean) * both, (suites, MANY_SEEDS))

    path = rule.evidence(scores(mean + difference), scores(mean), theta, 0.0, 1.0)
    found = []
    for variants in (1, 2, 9):
        reached = path >= np.log(variants / LEVEL)
        decided = reached.any(axis=1)
        spent = np.where(decided, reached.argmax(axis=1) + 1, MANY_SEEDS).mean()
        found.append(f"{spent:.0f}" if decided.mean() > 0.995 else f"{spent:.0f} ({100 * decided.mean():.0f} %)")
    return found


def percent(rates: Sequence[float]) -> str:
    return " | ".join(f"{100 * rate:.1f}" for rate in rates)


def one_comparison(rng: np.random.Generator) -> None:
    singles(rng, BETTING)


def one_comparison_any(rng: np.random.Generator) -> None:
    singles(rng, ANY)


def singles(rng: np.random.Generator, rule: DecisionRule) -> None:
    print(f"% wrong by {SEEDS} / {MANY_SEEDS} seeds\n| scores | {' | '.join(test.name for test in TESTS)} |")
    excess = -np.inf
    for shape in SHAPES:
        cells = []
        for test in TESTS:
            rates = wrong(rng, shape, test, SINGLE, MANY_SEEDS, rule=rule, at=(SEEDS, MANY_SEEDS))
            if shape.correlation >= 0 or rule is ANY:
                excess = max(excess, above(rates[1], SINGLE))
            cells.append(" / ".join(f"{100 * rate:.1f}" for rate in rates))
        print(f"| {shape.name} | {' | '.join(cells)} |", flush=True)
    print(f"largest excess over 5 %: {excess:.1f} standard errors")


def families(_: np.random.Generator) -> None:
    print(f"% wrong by {SEEDS} seeds: supported, worse in 2 x 4 and in 9 x 6; all 30 ordered pairs of six")
    excess = -np.inf
    for place, shape in enumerate(SHAPES):
        rates = family(place)
        if shape.correlation >= 0:
            excess = max(excess, *(above(rate, FAMILIES) for rate in rates))
    mixed = wrong_mixed(np.random.default_rng(1), FAMILIES)
    print(f"9 x 6 of 0 or 1, four variants truly better: {100 * mixed:.1f}")
    print(f"largest excess over 5 %: {max(excess, above(mixed, FAMILIES)):.1f} standard errors")


def family(place: int) -> list[float]:
    """One row, from a stream of its own."""
    rng, shape = np.random.default_rng([0, place]), SHAPES[place]
    rates = [
        wrong(rng, shape, test, FAMILIES, SEEDS, rule=BETTING, grid=grid)[0]
        for grid in GRIDS
        for test in (TESTS[0], TESTS[3])
    ]
    rates.append(wrong_pairs(rng, shape, FAMILIES, SEEDS, rule=BETTING))
    print(f"| {shape.name} | {percent(rates)} |", flush=True)
    return rates


def other_rules(rng: np.random.Generator) -> None:
    print(
        f"% wrong: the rule before, a look after every seed from 5 to {SEEDS}: supported, at par, worse; supported in "
        "2 x 4; fixed at 10 and 30 seeds: supported, at par; wins"
    )
    for shape in SHAPES[:10]:
        rates = [wrong_before(rng, shape, test, 1000, (1, 1)) for test in (TESTS[0], TESTS[2], TESTS[3])]
        rates.append(wrong_before(rng, shape, TESTS[0], 300, (2, 4)))
        rates += [wrong_fixed(rng, shape, test, 1000, n) for n in (10, 30) for test in (TESTS[0], TESTS[2])]
        rates.append(wrong(rng, shape, TESTS[0], FAMILIES, SEEDS, rule=WINS)[0])
        print(f"| {shape.name} | {percent(rates)} |", flush=True)


def power(rng: np.random.Generator) -> None:
    print("mean seeds to supported at 20, 40 and 180 : 1: default; any; Welch's t at one look, power 0.8")
    for sd, difference in (
        (0.05, 0.1),
        (0.05, 0.2),
        (0.1, 0.1),
        (0.1, 0.2),
        (0.2, 0.1),
        (0.2, 0.2),
        (0.4, 0.2),
        (0.4, 0.4),
    ):
        print(f"| {difference:g} | {sd:g} |", compared(rng, 0.5 - difference / 2, sd, difference, 0.0))
    print("at par, no difference: mean, sd")
    for mean, sd in ((0.6, 0.1), (0.9, 0.05), (1.0, 0.0)):
        print(f"| {mean:g} | {sd:g} |", compared(rng, mean, sd, 0.0, -MARGIN))


def compared(rng: np.random.Generator, mean: float, sd: float, difference: float, theta: float) -> str:
    spent = [each for rule in (BETTING, ANY) for each in seeds_spent(rng, rule, mean, sd, difference, theta, 1000)]
    distance = difference - theta
    before = [f"{seeds_needed(distance, sd, sd, alpha=LEVEL / v, sides='one-sided'):.0f}" for v in (1, 2, 9)]
    return " | ".join([*spent, *before]) + " |"


def above(rate: float, suites: int) -> float:
    """In standard errors of a rate of 5 %."""
    return float((rate - LEVEL) / np.sqrt(LEVEL * (1 - LEVEL) / suites))


PARTS = (one_comparison, one_comparison_any, families, other_rules, power)

if __name__ == "__main__":
    for part in PARTS:
        if len(sys.argv) == 1 or part.__name__ in sys.argv[1:]:
            print(f"\n{part.__name__}")
            part(np.random.default_rng(0))
