"""What a gate of ten changed cells finds, and how often it is wrong: the tables of docs/how-to/regression.md.

Normal scores and Student's t in place of the permutation test, to which it is close. Baseline of 50 seeds, alpha 0.01:
the first of ten cells must reach 0.001 in the first batch, and 0.01 in the second, where it is judged alone.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import special

BASELINE, CELLS, ALPHA, POWER = 50, 10, 0.01, 0.8
FRESH = (5, 10, 20)
DROPS = (1.0, 1.5, 2.0, 2.5)
SAMPLES = 20_000
#: Of so many samples: for shares found, and for false alarms, which are rare.
ROUNDS, ROUNDS_FOR_ALARMS = 5, 100

Array = NDArray[np.float64]


def p_values(baseline: Array, fresh: Array) -> Array:
    """baseline, fresh: [sample, seed] -> [sample]: one-sided p of a drop."""
    m, n = baseline.shape[1], fresh.shape[1]
    squares = baseline.var(1, ddof=1) * (m - 1) + fresh.var(1, ddof=1) * (n - 1)
    error = np.sqrt(squares / (n + m - 2) * (1 / n + 1 / m))
    return np.asarray(special.stdtr(n + m - 2, (fresh.mean(1) - baseline.mean(1)) / error))


def alarms(
    rng: np.random.Generator, n: int, rounds: int, *, drop: float = 0.0, luck: float | None = None
) -> tuple[float, float]:
    """Shares of cells that the first batch, and that both batches call worse.

    Args:
        luck: standard errors that the baseline's mean lies above the truth; as it happens to come out where None.
    """
    first = both = 0
    for _ in range(rounds):
        baseline = rng.normal(size=(SAMPLES, BASELINE))
        if luck is not None:
            baseline += luck / np.sqrt(BASELINE) - baseline.mean(1, keepdims=True)
        called = p_values(baseline, rng.normal(-drop, 1.0, (len(baseline), n))) <= ALPHA / CELLS
        again = p_values(baseline, rng.normal(-drop, 1.0, (len(baseline), n))) <= ALPHA
        first, both = first + int(called.sum()), both + int((called & again).sum())
    return first / (rounds * SAMPLES), both / (rounds * SAMPLES)


def main() -> None:
    rng = np.random.default_rng(0)
    print("fresh seeds, smallest drop with power 0.8, shares found by both batches at drops of", DROPS)
    for n in FRESH:
        freedom, error = n + BASELINE - 2, np.sqrt(1 / n + 1 / BASELINE)
        critical = special.stdtrit(freedom, 1 - ALPHA / CELLS)
        smallest = special.nctdtrinc(freedom, 1 - POWER, critical) * error
        print(n, f"{smallest:.2f}", *(f"{alarms(rng, n, ROUNDS, drop=drop)[1]:.2f}" for drop in DROPS))
    print(
        "fresh seeds, false alarms a gate: first batch, both; a cell, both, baseline 2 and 3 standard errors too high"
    )
    for n in FRESH:
        first, both = alarms(rng, n, ROUNDS_FOR_ALARMS)
        unlucky = [alarms(rng, n, ROUNDS_FOR_ALARMS, luck=luck)[1] for luck in (2.0, 3.0)]
        print(n, f"{CELLS * first:.4f}", f"{CELLS * both:.5f}", *(f"{share:.5f}" for share in unlucky))


if __name__ == "__main__":
    main()
