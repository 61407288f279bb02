"""Bootstrap intervals against scipy's, which draws the same resamples from the same generator."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from haepo_bench.statistics.bootstrap import bootstrap_interval, rectangle
from haepo_bench.statistics.intervals import Interval

Array = np.ndarray[Any, Any]


def mean(strata: list[Array]) -> Array:
    return np.asarray(strata[0].mean(axis=1))


def standard_error(strata: list[Array]) -> Array:
    return np.asarray(strata[0].std(axis=1, ddof=1) / np.sqrt(strata[0].shape[1]))


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_one_sample_is_scipys(method: str) -> None:
    sample = np.random.default_rng(1).lognormal(size=(12, 3))
    ours = bootstrap_interval([sample], mean, rng=np.random.default_rng(7), method=method, replicates=999)
    theirs = stats.bootstrap(
        (sample,), np.mean, axis=0, n_resamples=999, method=method, random_state=np.random.default_rng(7)
    ).confidence_interval
    np.testing.assert_allclose([ours.low, ours.high], [theirs.low, theirs.high], atol=1e-12)
    np.testing.assert_allclose(ours.estimate, sample.mean(axis=0), atol=1e-12)


def test_strata_are_scipys_several_samples() -> None:
    rng = np.random.default_rng(2)
    samples = (rng.lognormal(size=9), rng.normal(size=14), rng.beta(5, 1, size=5))
    ours = bootstrap_interval(
        list(samples), lambda s: s[0].mean(axis=1) - np.median(s[1], axis=1) * s[2].mean(axis=1),
        rng=np.random.default_rng(8), replicates=999, confidence=0.9,
    )  # fmt: skip
    theirs = stats.bootstrap(
        samples, lambda a, b, c, axis: a.mean(axis=axis) - np.median(b, axis=axis) * c.mean(axis=axis),
        n_resamples=999, method="BCa", confidence_level=0.9, random_state=np.random.default_rng(8), vectorized=True,
    ).confidence_interval  # fmt: skip
    assert (float(ours.low), float(ours.high)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_studentised_is_the_textbooks() -> None:
    sample = np.random.default_rng(3).lognormal(size=11)
    ours = bootstrap_interval(
        [sample], mean, rng=np.random.default_rng(9), method="studentised", standard_error=standard_error,
        replicates=999,
    )  # fmt: skip
    t = []
    for chosen in np.random.default_rng(9).integers(0, 11, size=(999, 11)):
        resampled = sample[chosen]
        t.append((resampled.mean() - sample.mean()) / (resampled.std(ddof=1) / np.sqrt(11)))
    error = sample.std(ddof=1) / np.sqrt(11)
    low, high = sample.mean() - np.quantile(t, [0.975, 0.025]) * error
    assert (float(ours.low), float(ours.high)) == pytest.approx((low, high), abs=1e-12)


def test_studentised_leaves_out_replicates_without_spread() -> None:
    # One replicate in three draws the same score three times: its t would be 0 / 0 or infinite.
    found = bootstrap_interval(
        [np.array([1.0, 1.0, 0.0])], mean, rng=np.random.default_rng(0), method="studentised",
        standard_error=standard_error,
    )  # fmt: skip
    assert np.isfinite([found.low, found.high]).all()
    assert float(found.low) <= 2 / 3 < float(found.high)


def test_studentised_needs_a_standard_error() -> None:
    with pytest.raises(ValueError, match="standard error"):
        bootstrap_interval([np.arange(5.0)], mean, rng=np.random.default_rng(0), method="studentised")


def test_the_generator_alone_decides() -> None:
    sample = np.random.default_rng(4).normal(size=10)
    ends = [float(bootstrap_interval([sample], mean, rng=np.random.default_rng(seed)).low) for seed in (0, 0, 1)]
    assert ends[0] == ends[1] != ends[2]


def test_chunks_leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = np.random.default_rng(5).normal(size=(10, 4))

    def found() -> Interval:
        return bootstrap_interval([sample, sample[:6] ** 2], lambda s: s[0].mean(axis=1) + s[1].mean(axis=1),
                                  rng=np.random.default_rng(0))  # fmt: skip

    whole = found()
    monkeypatch.setattr("haepo_bench.statistics.bootstrap.CHUNK", 700)
    np.testing.assert_array_equal(np.array(whole), np.array(found()))


def test_a_curve_is_resampled_as_a_whole() -> None:
    """Marks of one seed that go together widen the interval of their mean; resampled apart they would not."""
    rng = np.random.default_rng(6)
    curves = rng.normal(size=(20, 1)) + 0.01 * rng.normal(size=(20, 50))  # [seed, mark]
    joint = bootstrap_interval([curves], lambda s: s[0].mean(axis=(1, 2)), rng=np.random.default_rng(0))
    areas = bootstrap_interval([curves.mean(axis=1)], mean, rng=np.random.default_rng(0))
    assert float(joint.low) == pytest.approx(float(areas.low), abs=1e-12)
    apart = bootstrap_interval([curves.reshape(-1)], mean, rng=np.random.default_rng(0))
    assert float(joint.high - joint.low) > 5 * float(apart.high - apart.low)


def test_statistics_that_need_the_whole_curve() -> None:
    """When does the mean curve first reach one half? Not a mean of something a seed has alone."""
    marks = np.arange(50)
    starts = np.random.default_rng(7).integers(10, 30, size=12)
    curves = np.clip((marks - starts[:, None]) / 20, 0.0, 1.0)
    found = bootstrap_interval(
        [curves], lambda s: np.argmax(s[0].mean(axis=1) >= 0.5, axis=-1), rng=np.random.default_rng(0)
    )
    assert 20 < float(found.low) < float(found.estimate) < float(found.high) < 40


def test_equal_seeds_have_a_zero_width_and_one_seed_none() -> None:
    for method in ("percentile", "bca", "studentised"):
        same = bootstrap_interval([np.full(6, 0.1)], mean, rng=np.random.default_rng(0), method=method,
                                  standard_error=standard_error)  # fmt: skip
        assert float(same.low) == float(same.high) == float(same.estimate)
    one = bootstrap_interval([np.array([3.0])], mean, rng=np.random.default_rng(0))
    assert float(one.estimate) == 3.0
    assert np.isnan([one.low, one.high]).all()


def test_what_is_undefined_stays_undefined() -> None:
    sample = np.array([1.0, 2.0, np.nan, 3.0])
    found = bootstrap_interval([sample], mean, rng=np.random.default_rng(0), method="percentile")
    assert np.isnan([found.estimate, found.low, found.high]).all()


def test_rectangle_pads() -> None:
    filled = rectangle([np.ones((2, 3)), np.zeros((2, 1))])
    assert filled.shape == (2, 3, 2)
    assert np.isnan(filled[:, 1:, 1]).all()
    assert (filled[:, 0] == [1.0, 0.0]).all()
