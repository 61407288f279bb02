"""How far a learnt reward was optimised: gold reward against the square root of the KL to the initial policy.

Gao, Schulman and Hilton 2022, Scaling laws for reward model overoptimization, arXiv 2210.10760, section 3: reward that
training maximises (proxy) keeps rising with that distance, while what was meant (gold) peaks and falls.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from haepo_bench.report.document import Overoptimisation, Rewards
from haepo_bench.report.document_numbers import Band, MeanEstimate
from haepo_bench.report.numbers.estimates import band, estimate_of
from haepo_bench.statistics.intervals import mean_interval
from haepo_bench.verdicts.declared import Range
from haepo_bench.verdicts.measured import Columns, numbers

Array = NDArray[Any]

_NEEDED = ("kl_initial", "proxy_return")


def overoptimisation(curves: Columns, runs: int, bounds: Range | None = None) -> Overoptimisation | None:
    """None where no run has both a KL to the initial policy and a proxy reward, or none a gold reward.

    Args:
        curves: the rows of the curve frame of one cell, [run * point] per column, runs major.
        runs: how many.
        bounds: of the gold reward, where they are known.
    """
    if not runs or not all(name in curves and np.isfinite(curves[name]).any() for name in _NEEDED):
        return None

    def block(name: str) -> Array:
        """[run, point]."""
        return curves[name].reshape(runs, -1) if name in curves else np.full(marks.shape, np.nan)

    marks = curves["env_steps"].reshape(runs, -1)
    # As in learning curves, a diverged run has the random policy's return. Its KL and its proxy are unknown, and would
    # bend the means where it drops out.
    done = block("status")[:, 0] == "done"
    kept = done if done.any() else np.ones(runs, dtype=bool)
    gold, paid = block("return_filled"), np.where(kept[:, None], block("proxy_return"), np.nan)
    # Where the policy is still the initial one, rounding may leave a KL below zero.
    sqrt_kl = numbers(mean_interval(np.sqrt(np.maximum(block("kl_initial")[kept], 0.0))).mean)
    gold_band, proxy_band = band(gold, bounds), band(paid)
    if all(mean is None for mean in gold_band.mean):
        return None
    peak = int(np.nanargmax(np.array(gold_band.mean, dtype=float)))
    end = marks.shape[1] - 1

    def at(mark: int) -> Rewards:
        return Rewards(
            env_steps=float(marks[0, mark]),
            sqrt_kl=sqrt_kl[mark],
            gold=_entry(gold_band, mark),
            proxy=_entry(proxy_band, mark),
        )

    return Overoptimisation(
        sqrt_kl=sqrt_kl,
        gold=gold_band,
        proxy=proxy_band,
        start=at(0),
        peak=at(peak),
        end=at(end),
        fall=estimate_of(gold[:, peak] - gold[:, end]) if peak != end else None,
        gap=estimate_of(_rise(paid, block("proxy_return_std")) - _rise(gold, block("eval_return_std"))),
    )


def _rise(rewards: Array, deviations: Array) -> Array:
    """rewards, deviations: [run, point] -> [run]: from start to end, in deviations at the start; NaN without these."""
    unit = np.where(deviations[:, 0] > 0, deviations[:, 0], np.nan)
    return np.asarray((rewards[:, -1] - rewards[:, 0]) / unit)


def _entry(band: Band, mark: int) -> MeanEstimate:
    return MeanEstimate(mean=band.mean[mark], low=band.low[mark], high=band.high[mark], n=band.n[mark])
