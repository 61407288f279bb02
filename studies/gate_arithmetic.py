"""What a gate of ten changed cells finds, and how often it is wrong: the tables of docs/how-to/regression.md.

Baseline of 50 seeds, alpha 0.01: the first of ten cells must reach 0.001 in the first batch, and 0.01 in the second,
where it is judged alone. Power and changes of spread: the gate's own test, and the permutation test of the difference
of means beside it. False alarms are too rare for that: normal scores, and Welch's t with its own distribution in place
of its rearrangements, to which it is close.

    python studies/gate_arithmetic.py     (about two minutes)
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from haepo_bench.statistics.comparisons import permutation_p_values

BASELINE, CELLS, ALPHA, POWER = 50, 10, 0.01, 0.8
FRESH = (5, 10, 20)
DROPS = (1.0, 1.5, 2.0, 2.5)
#: Of which power and wrong verdicts are shares; and rearrangements each.
SAMPLES, DRAWS = 2_000, 9_999
#: For false alarms: so many samples at once, so often, and for the critical values.
MANY, ROUNDS, NULLS = 20_000, 100, 4_000_000

Array = NDArray[np.float64]
Scores = Callable[[np.random.Generator, tuple[int, int]], Array]


def normal(sd: float = 1.0, mean: float = 0.0) -> Scores:
    return lambda rng, shape: rng.normal(mean, sd, shape)


def two_valued(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    return (rng.random(shape) < 0.5).astype(float)


def collapsing(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """One run in five at 0.10, the others at 0.85."""
    return np.where(rng.random(shape) < 0.2, 0.10, 0.85)


#: Name, baseline, fresh: equal means.
CHANGES: tuple[tuple[str, Scores, Scores], ...] = (
    ("nothing", normal(), normal()),
    ("spread times 2", normal(), normal(2.0)),
    ("spread times 3", normal(), normal(3.0)),
    ("spread times 5", normal(), normal(5.0)),
    ("spread divided by 3", normal(3.0), normal()),
    ("sd 0.05 to 0 or 1, evenly", normal(0.05, 0.5), two_valued),
    ("sd 0.05 to one collapse in five", normal(0.05, 0.7), collapsing),
)


def p_of_drop(rng: np.random.Generator, baseline: Scores, fresh: Scores, n: int, *, studentised: bool) -> Array:
    """[sample]: one-sided p-values of fresh batches of n seeds, each against a baseline of its own."""
    old, new = baseline(rng, (BASELINE, SAMPLES)), fresh(rng, (n, SAMPLES))
    return permutation_p_values(new, old, rng=rng, draws=DRAWS, studentised=studentised)[0]


def welch(baseline: Array, fresh: Array) -> Array:
    """baseline, fresh: [sample, seed] -> [sample]: t of a drop."""
    m, n = baseline.shape[1], fresh.shape[1]
    error = np.sqrt(baseline.var(1, ddof=1) / m + fresh.var(1, ddof=1) / n)
    return np.asarray((baseline.mean(1) - fresh.mean(1)) / error)


def critical(rng: np.random.Generator, n: int, level: float) -> float:
    """Quantile of Welch's t for normal scores of equal spread."""
    spread = rng.chisquare(n - 1, NULLS) / (n - 1) / n + rng.chisquare(BASELINE - 1, NULLS) / (BASELINE - 1) / BASELINE
    return float(np.quantile(rng.normal(0, np.sqrt(1 / n + 1 / BASELINE), NULLS) / np.sqrt(spread), 1 - level))


def alarms(rng: np.random.Generator, n: int, *, luck: float | None = None) -> tuple[float, float]:
    """Shares of unchanged cells that the first batch, and that both batches call worse.

    Args:
        luck: standard errors that the baseline's mean lies above the truth; as it happens to come out where None.
    """
    limits = critical(rng, n, ALPHA / CELLS), critical(rng, n, ALPHA)
    first = both = 0
    for _ in range(ROUNDS):
        baseline = rng.normal(size=(MANY, BASELINE))
        if luck is not None:
            baseline += luck / np.sqrt(BASELINE) - baseline.mean(1, keepdims=True)
        called, again = (welch(baseline, rng.normal(size=(MANY, n))) >= limit for limit in limits)
        first, both = first + int(called.sum()), both + int((called & again).sum())
    return first / (ROUNDS * MANY), both / (ROUNDS * MANY)


def main() -> None:
    rng = np.random.default_rng(0)
    print("fresh seeds, smallest drop with power 0.8; shares found by both batches at drops of", DROPS)
    for n in FRESH:
        freedom = (1 / n + 1 / BASELINE) ** 2 / (1 / n**2 / (n - 1) + 1 / BASELINE**2 / (BASELINE - 1))
        limit = special.stdtrit(freedom, 1 - ALPHA / CELLS)
        smallest = special.nctdtrinc(freedom, 1 - POWER, limit) * np.sqrt(1 / n + 1 / BASELINE)
        found = []
        for drop in DROPS:
            # Batches share the baseline; that they are drawn with baselines of their own changes little.
            one, two = (
                (p_of_drop(rng, normal(), normal(1.0, -drop), n, studentised=True) <= level).mean()
                for level in (ALPHA / CELLS, ALPHA)
            )
            found.append(one * two)
        print(f"| {n} | {smallest:.2f} |", " | ".join(f"{share:.2f}" for share in found), "|")
    print("\nwhat changed, fresh seeds: % called worse at p <= 0.01 and 0.001: difference of means; the gate's test")
    for name, baseline, fresh in CHANGES:
        for n in FRESH:
            rates = []
            for studentised in (False, True):
                p = p_of_drop(rng, baseline, fresh, n, studentised=studentised)
                rates += [100 * (p <= level).mean() for level in (ALPHA, ALPHA / CELLS)]
            print(f"| {name} | {n} |", " | ".join(f"{rate:.1f}" for rate in rates), "|")
    print("\nfalse alarms a gate: first batch, both; a cell, both, baseline 2 and 3 standard errors too high")
    for n in FRESH:
        first, both = alarms(rng, n)
        unlucky = [alarms(rng, n, luck=luck)[1] for luck in (2.0, 3.0)]
        print(f"| {n} | {CELLS * first:.4f} | {CELLS * both:.5f} |", *(f"{share:.5f}" for share in unlucky))


if __name__ == "__main__":
    main()
