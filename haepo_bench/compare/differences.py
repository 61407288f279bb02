"""One number of one cell on two sides: difference, interval, tests, and what could have been seen."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.compare.document import ALPHA, POWER, MeasureComparison, Outcome, SuiteComparison
from haepo_bench.report.numbers.estimates import estimate_of
from haepo_bench.statistics.bootstrap import bootstrap_interval
from haepo_bench.statistics.comparisons import (
    holm,
    least_two_sided_p,
    mann_whitney,
    paired_test,
    two_sided_p,
)
from haepo_bench.statistics.intervals import difference_interval
from haepo_bench.statistics.power import smallest_detectable_difference
from haepo_bench.verdicts.measured import number

Array = NDArray[Any]

#: The tests draw the same rearrangements every time: the same folders give the same numbers.
_SEED = 20_240_817


def compare_measure(name: str, a: Mapping[int, float], b: Mapping[int, float], *, identical: bool) -> MeasureComparison:
    """A measure by seed on both sides; the p-value is not yet adjusted and the outcome follows from `adjusted`.

    The tests are unpaired: a seed number pairs runs only where both sides draw the same numbers from it, and the
    correlation over shared seeds says how far they do. Runs that are identical are not tested.

    Args:
        identical: all runs of the seeds that both sides have are the same, so that the code did what it did before.
    """
    x, y = np.array(list(b.values())), np.array(list(a.values()))
    both = sorted(a.keys() & b.keys())
    enough = len(x) >= 2 and len(y) >= 2
    tested = enough and not identical
    interval = difference_interval(x, y)
    bootstrap = p = whitney = detectable = np.nan
    bootstrap_high = np.nan
    if tested:
        rng = np.random.default_rng(_SEED)
        p = float(two_sided_p(x[:, None], y[:, None], rng)[0])
        whitney = mann_whitney(x, y)
        found = bootstrap_interval([x, y], lambda samples: samples[0].mean(axis=1) - samples[1].mean(axis=1), rng=rng)
        bootstrap, bootstrap_high = float(found.low), float(found.high)
        detectable = smallest_detectable_difference(
            float(x.std(ddof=1)), float(y.std(ddof=1)), min(len(x), len(y)), target=POWER, alpha=ALPHA
        )
    correlation = np.nan
    if len(both) > 2:
        correlation = paired_test(
            [b[seed] for seed in both], [a[seed] for seed in both], rng=np.random.default_rng(_SEED)
        ).correlation
    return MeasureComparison(
        measure=name,
        a=estimate_of(y),
        b=estimate_of(x),
        difference=0.0 if identical and len(x) else number(interval.estimate) if len(x) and len(y) else None,
        low=None if identical else number(interval.low),
        high=None if identical else number(interval.high),
        bootstrap_low=number(bootstrap),
        bootstrap_high=number(bootstrap_high),
        p_permutation=number(p),
        p_adjusted=None,
        p_mann_whitney=number(whitney),
        seed_correlation=number(correlation),
        smallest_detectable=number(detectable),
        outcome="identical" if identical else "not tested",
    )


def adjusted(suites: Sequence[SuiteComparison]) -> tuple[list[SuiteComparison], int]:
    """The same with p-values adjusted for all tests there are (Holm), and outcomes; and the number of tests."""
    cells = [cell for suite in suites for cell in suite.cells]
    measures = [measure for cell in cells for measure in (cell.final, cell.area)]
    p_values = np.array([np.nan if measure.p_permutation is None else measure.p_permutation for measure in measures])
    # Holm's adjusted p-values fall with each p-value: of the least ones it makes the least that there can be.
    least = holm(
        [np.nan if np.isnan(p) else least_two_sided_p(m.a.n, m.b.n) for p, m in zip(p_values, measures, strict=True)]
    )
    after = iter(map(_decided, measures, holm(p_values), least))
    done = [
        suite.model_copy(
            update={
                "cells": [cell.model_copy(update={"final": next(after), "area": next(after)}) for cell in suite.cells]
            }
        )
        for suite in suites
    ]
    return done, int((~np.isnan(p_values)).sum())


def _decided(measure: MeasureComparison, p: float, least: float) -> MeasureComparison:
    """With its adjusted p-value and the outcome.

    Args:
        least: p-value, adjusted, that so many seeds could have had at best.
    """
    outcome = _outcome(measure, p, least)
    # The power is calculated for a t-test, which knows nothing of the least p-value of a permutation test.
    detectable = None if outcome == "too few seeds" else measure.smallest_detectable
    return measure.model_copy(update={"p_adjusted": number(p), "outcome": outcome, "smallest_detectable": detectable})


def _outcome(measure: MeasureComparison, p: float, least: float) -> Outcome:
    if measure.outcome == "identical":
        return "identical"
    if np.isnan(p) or measure.difference is None:
        return "not tested"
    if least >= ALPHA:
        return "too few seeds"
    if p >= ALPHA:
        return "no difference shown"
    return "better" if measure.difference > 0 else "worse"
