"""How often do the intervals of haepo_bench/statistics/ hold the truth?

Printed as the tables of docs/explanation/statistics.md.

    python studies/coverage.py [--replications 4000] [--replicates 2000] [--only means differences ...]

Every replication draws a data set from a known distribution and asks each interval whether it holds the true value. The
scores of seeds are imitated by six distributions: normal; two that pile up below a ceiling; two with a long upper tail;
and one in which a seed in five collapses. The replications of a block of 100 share the bootstrap's random indices,
which leaves each coverage as it is and saves their drawing. Tables give the share of intervals that hold the truth: its
simulation error is 0.0034 (one standard error of 4,000 replications at 0.95), 0.007 and 0.011 in columns from 1,000 and
400. Widths are medians over replications.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from haepo_bench.statistics.aggregates import (
    cvar,
    cvar_interval,
    interquartile_mean_interval,
    optimality_gap_interval,
    quantile_mean,
)
from haepo_bench.statistics.bootstrap import Method, Statistic, bootstrap_interval
from haepo_bench.statistics.comparisons import probability_of_improvement
from haepo_bench.statistics.gaffke import mean_within_bounds
from haepo_bench.statistics.intervals import Interval, corrected_mean_interval, difference_interval, mean_interval
from haepo_bench.statistics.survival import Times, restricted_mean

Array = NDArray[Any]
SEEDS = (5, 10, 30)
BLOCK = 100


class Distribution(NamedTuple):
    """What the score of a seed is drawn from."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    mean: float


def _collapsing(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.where(rng.random(shape) < 0.2, rng.normal(0.10, 0.05, shape), rng.normal(0.85, 0.05, shape))


NORMAL = Distribution("normal", lambda rng, shape: rng.normal(0.6, 0.2, shape), 0.6)
BELOW_CEILING = Distribution("below a ceiling: beta(5, 1)", lambda rng, shape: rng.beta(5, 1, shape), 5 / 6)
AT_CEILING = Distribution("at a ceiling: beta(2, 0.3)", lambda rng, shape: rng.beta(2, 0.3, shape), 2 / 2.3)
TAIL = Distribution("upper tail: lognormal(0.5)", lambda rng, s: rng.lognormal(0, 0.5, s) / 5, np.exp(0.125) / 5)
LONG_TAIL = Distribution("long upper tail: lognormal(1)", lambda rng, s: rng.lognormal(0, 1, s) / 5, np.exp(0.5) / 5)
COLLAPSING = Distribution("one seed in five collapses", _collapsing, 0.7)
DISTRIBUTIONS = (NORMAL, BELOW_CEILING, AT_CEILING, TAIL, LONG_TAIL, COLLAPSING)
#: Candidate and baseline.
PAIRS = (
    (NORMAL, NORMAL),
    (BELOW_CEILING, BELOW_CEILING),
    (LONG_TAIL, LONG_TAIL),
    (COLLAPSING, COLLAPSING),
    (COLLAPSING, NORMAL),
    (NORMAL, COLLAPSING),
    (AT_CEILING, NORMAL),
    (NORMAL, AT_CEILING),
)


class Size(NamedTuple):
    replications: int
    replicates: int


Estimator = Callable[..., Interval]


def blockwise(samples: list[Array], estimator: Estimator) -> Interval:
    """samples: [seed, replication] each -> [replication]: an interval that is costly in memory, in blocks."""
    blocks = [
        estimator(*(sample[:, start : start + BLOCK] for sample in samples))
        for start in range(0, samples[0].shape[1], BLOCK)
    ]
    return Interval(*(np.concatenate([np.asarray(block[field]) for block in blocks]) for field in range(3)))


def bootstrap(statistic: Statistic, rng: np.random.Generator, size: Size, method: Method, **options: Any) -> Estimator:
    return lambda *samples: bootstrap_interval(
        list(samples), statistic, rng=rng, method=method, replicates=size.replicates, **options
    )


def covered(interval: Interval, truth: float) -> float:
    return float(np.mean((interval.low <= truth) & (truth <= interval.high)))


def row(*cells: object) -> None:
    texts = (f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in cells)
    print("| " + " | ".join(texts) + " |", flush=True)


def table(title: str, *columns: str) -> None:
    print(f"\n{title}\n")
    row(*columns)
    row(*["---"] * len(columns))


def means(size: Size) -> None:
    """Two-sided intervals of a mean over seeds."""
    methods: tuple[Method, ...] = ("percentile", "bca", "studentised")
    table(
        "Mean over seeds, 95 %, and median width relative to Student's",
        "seeds", "scores", "Student", "percentile", "BCa", "studentised (width)", "corrected t (width)",
    )  # fmt: skip
    for n in SEEDS:
        for scores in DISTRIBUTIONS:
            rng = np.random.default_rng([1, n])
            values = scores.draw(rng, (n, size.replications))
            student = Interval(*mean_interval(values)[:3])
            resampled = [
                blockwise(
                    [values],
                    bootstrap(
                        lambda strata: strata[0].mean(axis=1), rng, size, method,
                        standard_error=lambda strata: strata[0].std(axis=1, ddof=1) / np.sqrt(strata[0].shape[1]),
                    ),
                )
                for method in methods
            ]  # fmt: skip
            corrected = Interval(*corrected_mean_interval(values)[:3])
            cells = [f"{covered(interval, scores.mean):.3f}" for interval in (student, *resampled, corrected)]
            for place, interval in ((3, resampled[2]), (4, corrected)):
                width = np.median(interval.high - interval.low) / np.median(student.high - student.low)
                cells[place] += f" ({width:.2f})"
            row(n, scores.name, *cells)


def bounded_means(size: Size) -> None:
    """Two-sided intervals of a mean of scores that are known to lie between 0 and 1."""
    table("Mean of bounded scores, 95 %, and median width relative to Student's", "seeds", "scores", "Gaffke (width)")
    for n in SEEDS:
        for scores in (BELOW_CEILING, AT_CEILING, COLLAPSING):
            values = scores.draw(np.random.default_rng([5, n]), (n, size.replications // 2))
            student = Interval(*mean_interval(values)[:3])
            found = Interval(*mean_within_bounds(values, 0.0, 1.0)[:3])
            width = np.median(found.high - found.low) / np.median(student.high - student.low)
            row(n, scores.name, f"{covered(found, scores.mean):.3f} ({width:.2f})")


def differences(size: Size) -> None:
    """One-sided lower bounds of a difference of means, as non-inferiority reads them."""
    table(
        "Lower 95 % bound of a difference of means",
        "seeds", "candidate", "baseline", "Welch", "studentised", "corrected Welch",
    )  # fmt: skip
    for n in SEEDS:
        for candidate, baseline in PAIRS:
            rng = np.random.default_rng([2, n])
            x, y = candidate.draw(rng, (n, size.replications)), baseline.draw(rng, (n, size.replications))
            truth = candidate.mean - baseline.mean
            welch = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.90).low
            studentised = blockwise(
                [x, y],
                bootstrap(
                    lambda strata: strata[0].mean(axis=1) - strata[1].mean(axis=1), rng, size, "studentised",
                    standard_error=lambda strata: np.sqrt(sum(s.var(axis=1, ddof=1) / s.shape[1] for s in strata)),
                    confidence=0.90,
                ),
            ).low  # fmt: skip
            corrected = difference_interval(x, y, confidence=0.90).low
            shares = [float(np.mean(low <= truth)) for low in (welch, studentised, corrected)]
            row(n, candidate.name, baseline.name, *shares)


def aggregates(size: Size) -> None:
    """CVaR within a task; interquartile mean and optimality gap over six tasks, one of each distribution."""
    everyone = [scores.draw(np.random.default_rng([3, 0]), (4_000_000 // 6,)) for scores in DISTRIBUTIONS]

    def pooled_iqm(strata: list[Array]) -> Array:
        pooled = np.concatenate([np.moveaxis(stratum, 1, -1) for stratum in strata], axis=-1)
        return quantile_mean(pooled, np.ones(pooled.shape), low=0.25, high=0.75)

    def gap(strata: list[Array]) -> Array:
        return 1 - np.mean([np.minimum(stratum, 1).mean(axis=1) for stratum in strata], axis=0)

    def worst_fifth(strata: list[Array]) -> Array:
        return cvar(np.moveaxis(strata[0], 1, 0))

    table("Aggregates, 95 %", "seeds", "what", "percentile (1,000)", "BCa (1,000)", "ours")
    for n in (5, 10, 20, 30):
        rng = np.random.default_rng([3, n])
        tasks = [scores.draw(rng, (n, size.replications)) for scores in DISTRIBUTIONS]
        scores = np.stack(tasks, axis=-1).swapaxes(0, 1)
        equal = np.full(len(tasks), 1 / len(tasks))
        scores = np.stack(tasks, axis=-1).swapaxes(0, 1)
        equal = np.full(len(tasks), 1 / len(tasks))
        every = list(range(len(tasks)))
        cases: list[tuple[str, list[int], Statistic, Interval]] = [
            ("interquartile mean, six tasks", every, pooled_iqm, interquartile_mean_interval(scores, equal)),
            ("optimality gap, six tasks", every, gap, optimality_gap_interval(scores, equal)),
        ]
        for one in (NORMAL, BELOW_CEILING, COLLAPSING):
            task = DISTRIBUTIONS.index(one)
            cases.append((f"CVaR 0.2, {one.name}", [task], worst_fifth, cvar_interval(tasks[task])))
        methods: tuple[Method, ...] = ("percentile", "bca")
        for what, places, statistic, ours in cases:
            truth = float(statistic([everyone[place][None] for place in places])[0])
            # The bootstrap sorts all runs in every replicate: dear, so from fewer replications.
            few = [tasks[place][:, : size.replications // 4] for place in places]
            smaller = Size(size.replications // 4, size.replicates // 2)
            found = [covered(blockwise(few, bootstrap(statistic, rng, smaller, method)), truth) for method in methods]
            row(n, what, *found, covered(ours, truth) if np.isfinite(ours.low).all() else "none")


def improvement(size: Size) -> None:
    """Probability of improvement, for one task and as a mean over four."""
    table(
        "Probability of improvement, 95 %",
        "seeds",
        "tasks",
        "truth",
        "bootstrap percentile",
        "Newcombe, Zou and Donner",
    )
    replications = size.replications // 2
    for n in SEEDS:
        for tasks in (1, 4):
            # A normal score shifted by d beats one that is not with probability Phi(d / sqrt(2)).
            for shift in (0.0, 1.0, 2.0):
                rng = np.random.default_rng([4, n, tasks])
                x = rng.normal(shift, 1.0, (tasks, n, replications))
                y = rng.normal(0.0, 1.0, (tasks, n, replications))
                truth = float(stats.norm.cdf(shift / np.sqrt(2)))

                def wins(strata: list[Array], tasks: int = tasks) -> Array:
                    return np.mean(
                        [
                            (a[:, :, None] > b[:, None]).mean(axis=(1, 2))
                            for a, b in zip(strata[:tasks], strata[tasks:], strict=True)
                        ],
                        axis=0,
                    )

                analytic = [
                    probability_of_improvement(list(x[:, :, place]), list(y[:, :, place]))
                    for place in range(replications)
                ]
                share = float(np.mean([float(one.low) <= truth <= float(one.high) for one in analytic]))
                # All pairs of 30 seeds by 4 tasks: dear, so from fewer replications.
                few = slice(0, min(400, replications))
                resampled = blockwise(
                    [*x[:, :, few], *y[:, :, few]], bootstrap(wins, rng, Size(400, 400), "percentile")
                )
                row(n, tasks, truth, covered(resampled, truth), share)


def rates(_: Size) -> None:
    """Calculated exactly: the sum of the binomial probabilities of the counts whose interval holds the truth."""
    table("Collapse rate, 95 % (exact, no simulation)", "seeds", "rate", "Clopper and Pearson", "Wilson")
    for n in SEEDS:
        for rate in (0.05, 0.1, 0.2, 0.5):
            shares = []
            for method in ("exact", "wilson"):
                ends = [stats.binomtest(count, n).proportion_ci(0.95, method) for count in range(n + 1)]
                holds = np.array([end.low <= rate <= end.high for end in ends])
                shares.append(float(stats.binom.pmf(np.arange(n + 1), n, rate) @ holds))
            row(n, rate, *shares)
    for n in SEEDS:
        shares = []
        for method in ("exact", "wilson"):
            ends = [stats.binomtest(count, n).proportion_ci(0.95, method) for count in range(n + 1)]
            grid = np.linspace(0.0005, 0.9995, 1000)
            holds = np.array([(end.low <= grid) & (grid <= end.high) for end in ends])
            shares.append(float((stats.binom.pmf(np.arange(n + 1)[:, None], n, grid) * holds).sum(axis=0).mean()))
        row(n, "mean over all rates", *shares)


def waiting(size: Size) -> None:
    """Restricted mean time: 30 % never arrive, a tenth of all runs is lost at a random time before the budget."""
    table("Restricted mean time to threshold, 95 %", "seeds", "lost runs", "restricted mean")
    # Arrival uniform on [0, 1] in 70 % of runs, else at the horizon.
    truth = 0.7 * 0.5 + 0.3 * 1.0
    for n in SEEDS:
        for lost in (0.0, 0.1):
            rng = np.random.default_rng([5, n])
            shape = (size.replications // 2, n)
            arrival = np.where(rng.random(shape) < 0.7, rng.random(shape), 1.5)
            end = np.where(rng.random(shape) < lost, rng.random(shape), 1.0)
            found = [restricted_mean(Times(np.minimum(a, e), a <= e), 1.0) for a, e in zip(arrival, end, strict=True)]
            defined = [one for one in found if not np.isnan(one.low)]
            row(n, f"{lost:.0%}", float(np.mean([float(one.low) <= truth <= float(one.high) for one in defined])))


PARTS = {part.__name__: part for part in (means, bounded_means, differences, aggregates, improvement, rates, waiting)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replications", type=int, default=4000)
    parser.add_argument("--replicates", type=int, default=2000)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    for name in arguments.only:
        PARTS[name](Size(arguments.replications, arguments.replicates))


if __name__ == "__main__":
    main()
