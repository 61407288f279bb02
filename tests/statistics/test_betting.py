"""Evidence and bounds against a loop written out from the formulas, and what they promise by simulation."""

import numpy as np
import pytest

from haepo_bench.statistics.betting import Dependence, log_evidence
from haepo_bench.statistics.rules import DecisionRule, wins_evidence


def written_out(x, y, theta, low, high, *, paired_only=False):
    """The capital after each pair, bet by bet, without logarithms."""
    fractions, shares = (0.25, 0.5, 0.75, 1.0), (1 / 6, 1 / 6, 1 / 6, 1 / 2)
    least, most = max(low, low + theta), min(high, high + theta)
    product, paired = [1.0] * 4, [1.0] * 4
    path, past = [], []
    for u, v in zip(x, np.asarray(y) + theta, strict=True):
        m = min(max((sum(past) + least + most) / (len(past) + 2), least), most)
        for k, f in enumerate(fractions):
            s = f / max(m - low, high + theta - m)
            product[k] *= (1 + s * (u - m)) * (1 - s * (v - m))
            paired[k] *= 1 + f * (u - v) / (high - low + theta)
        past += [u, v]
        q = sum(w * c for w, c in zip(shares, paired, strict=True))
        p = sum(w * c for w, c in zip(shares, product, strict=True))
        path.append(q if paired_only else 2 / 3 * p + q / 3)
    return np.array(path)


def scores(rng, n, low, high):
    kinds = [rng.random(n), rng.integers(0, 2, n), rng.beta(2, 0.3, n), np.full(n, rng.integers(0, 2))]
    return low + (high - low) * kinds[rng.integers(4)]


@pytest.mark.parametrize("dependence", ["nonnegative", "any"])
def test_evidence_is_that_of_the_formulas(dependence: Dependence) -> None:
    rng = np.random.default_rng(1)
    for _ in range(60):
        low = rng.normal()
        high = low + rng.exponential() + 0.1
        n = int(rng.integers(1, 30))
        x, y, theta = scores(rng, n, low, high), scores(rng, n, low, high), (high - low) * rng.uniform(-0.95, 0.95)
        found = np.exp(log_evidence(x, y, theta, low, high, dependence=dependence))
        np.testing.assert_allclose(
            found, written_out(x, y, theta, low, high, paired_only=dependence == "any"), rtol=1e-9, atol=1e-200
        )


def test_many_replicates_and_thetas_at_once_are_each_by_itself() -> None:
    rng = np.random.default_rng(2)
    x, y = rng.random((3, 1, 12)), rng.random((3, 1, 12))
    thetas = np.array([-0.3, 0.0, 0.4])
    together = log_evidence(x, y, thetas, 0.0, 1.0)
    assert together.shape == (3, 3, 12)
    for row in range(3):
        for column, theta in enumerate(thetas):
            np.testing.assert_allclose(
                together[row, column], np.log(written_out(x[row, 0], y[row, 0], theta, 0, 1)), rtol=1e-10, atol=1e-12
            )


def test_evidence_never_uses_what_comes_later() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.random(20), rng.random(20)
    np.testing.assert_allclose(log_evidence(x, y, 0.1, 0, 1)[:7], log_evidence(x[:7], y[:7], 0.1, 0, 1), rtol=1e-13)


def test_evidence_falls_in_theta_whatever_the_scores() -> None:
    rng = np.random.default_rng(4)
    thetas = np.linspace(-0.999, 0.999, 301)
    for _ in range(100):
        path = log_evidence(scores(rng, 25, 0, 1), scores(rng, 25, 0, 1), thetas, 0, 1)
        assert (np.diff(path, axis=0) <= 1e-9).all()


@pytest.mark.parametrize(
    "rule", [DecisionRule(), DecisionRule(dependence="any"), DecisionRule("wins"), DecisionRule("fixed", look=15)]
)
def test_a_bound_is_beyond_theta_exactly_where_the_verdict_says_so(rule: DecisionRule) -> None:
    rng = np.random.default_rng(5)
    for _ in range(8 if rule.name == "fixed" else 60):
        x, y = scores(rng, 15, 0, 1), scores(rng, 15, 0, 1)
        for theta in (-0.1, 0.0, 0.1):
            reached = rule.evidence(x, y, theta, 0, 1).max() >= np.log(20)
            bound = float(rule.lower_end(x, y, np.log(20), 0, 1, theta))
            assert (bound >= theta) == reached


def test_the_bound_is_where_the_formulas_reach_the_threshold() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        x, y = scores(rng, 20, 0, 1), scores(rng, 20, 0, 1)
        bound = float(DecisionRule().lower_end(x, y, np.log(40), 0, 1, 0.0))
        if bound > -1 + 1e-6:
            assert written_out(x, y, bound - 1e-7, 0, 1).max() >= 40
        if bound < 1 - 1e-6:
            assert written_out(x, y, bound + 1e-7, 0, 1).max() < 40


def test_signs_are_bet_on_as_written() -> None:
    x, y = np.array([3.0, 1.0, 2.0, -np.inf]), np.array([1.0, 1.0, 5.0, 0.0])
    capital = [np.mean([1 + f for f in (0.25, 0.5, 0.75, 1.0)])]
    capital += [capital[0], np.mean([(1 + f) * (1 - f) for f in (0.25, 0.5, 0.75, 1.0)])]
    capital += [np.mean([(1 + f) * (1 - f) ** 2 for f in (0.25, 0.5, 0.75, 1.0)])]
    np.testing.assert_allclose(np.exp(wins_evidence(x, y)), capital, rtol=1e-12)
    # Six of six are enough at 20 : 1, five are not.
    five, six = np.exp(wins_evidence(np.ones(6), np.zeros(6)))[4:]
    assert five < 20 < six


#: Means are equal, so that every rejection is wrong.
NULLS = {
    "two-valued": lambda rng, n: (rng.integers(0, 2, n), rng.integers(0, 2, n)),
    "collapse against collapse": lambda rng, n: tuple(np.where(rng.random(n) < 0.2, 0.1, 0.85) for _ in range(2)),
    "collapse against normal": lambda rng, n: (
        np.where(rng.random(n) < 0.2, 0.1, 0.85),
        np.clip(rng.normal(0.70, 0.05, n), 0, 1),
    ),
    "unequal spread": lambda rng, n: (0.5 + 0.3 * rng.uniform(-1, 1, n), 0.5 + 0.05 * rng.uniform(-1, 1, n)),
}


@pytest.mark.parametrize("null", NULLS)
def test_no_more_than_the_level_is_ever_rejected(null: str) -> None:
    """2,000 replicates, a look after each of 60 seeds; 5 % is the promise, 6.5 % is 3 standard errors above it."""
    rng = np.random.default_rng(7)
    x, y = NULLS[null](rng, (2000, 60))
    for one, other in ((x, y), (y, x)):
        assert (log_evidence(one, other, 0.0, 0, 1).max(axis=-1) >= np.log(20)).mean() <= 0.065


def test_paired_bets_alone_hold_where_the_runs_of_a_seed_are_negatively_correlated() -> None:
    """Error rate: as above. Products alone would not: they are at 10 %."""
    rng = np.random.default_rng(8)
    common, own = rng.normal(size=(2000, 60)), rng.normal(size=(2, 2000, 60))
    x, y = (
        np.clip(0.5 + 0.2 * (sign * 0.6**0.5 * common + 0.4**0.5 * each), 0, 1)
        for sign, each in zip((1, -1), own, strict=True)
    )
    assert np.corrcoef(x.ravel(), y.ravel())[0, 1] == pytest.approx(-0.6, abs=0.05)
    assert (log_evidence(x, y, 0.0, 0, 1, dependence="any").max(axis=-1) >= np.log(20)).mean() <= 0.065
    assert (log_evidence(x, y, 0.0, 0, 1).max(axis=-1) >= np.log(20)).mean() > 0.065


@pytest.mark.parametrize(
    ("low", "high", "theta"), [(0, np.inf, 0), (1, 1, 0), (0, 1, 1.0), (0, 1, -1.0), (np.nan, 1, 0)]
)
def test_bets_without_bounds_or_beyond_them_are_refused(low: float, high: float, theta: float) -> None:
    with pytest.raises(ValueError, match=r"range|finite"):
        log_evidence([0.5], [0.5], theta, low, high)
