"""Evidence from pairs of bounded scores that is valid at whatever moment one stops, and the bounds that belong to it.

Two algorithms run on the same seeds in an order fixed beforehand. Against "the mean of x is at most the mean of y plus
theta" a capital of 1 is bet on each pair before it is seen; no bet can be expected to win where that is true, so the
capital M ever reaches 1 / level with a chance of at most `level`: Ville (1939), Étude critique de la notion de
collectif. Bets on bounded means: Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by
betting, JRSS B 86(1). Two kinds are mixed:

    product   (1 + s (x - m)) (1 - s (y + theta - m))     m: mean of what came before, both sides pooled
    paired    1 + f (x - y - theta) / (high - low + theta)

A product bet grows with the distance of either side from m, however little the two vary, which takes half the seeds of
a paired bet at small spread. Under the null its expectation is at most 1 - s^2 (E y + theta - m)^2 - s^2 Cov(x, y), so
it needs runs of one seed that are not negatively correlated; a paired bet does not.

Every factor falls in theta: with c the pooled mean of the past and D the larger distance from c to a bound, a product
bet is (1 - f + f (x - c + D) / (D + theta / 2)) (1 - f + f (c + D - y) / (D + theta / 2)), and where m is drawn in to
what both sides can reach, each factor falls or stays. So evidence and bounds cannot disagree.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
#: Of the two runs of a seed.
Dependence = Literal["nonnegative", "any"]

#: Fractions of the most that can be bet without going bankrupt, and how the capital is spread over them.
FRACTIONS = np.array([0.25, 0.5, 0.75, 1.0])
SHARES = np.array([1.0, 1.0, 1.0, 3.0]) / 6.0
#: Share of the capital that is bet on products; the rest on pairs.
PRODUCT_SHARE = 2 / 3
#: Steps of the search for a bound: the range of theta over 2^34.
_HALVINGS = 34


def shares(dependence: Dependence = "nonnegative") -> Array:
    """[component]: the capital that each component starts with, in the order of `log_factors`."""
    if dependence == "any":
        return SHARES
    return np.concatenate([PRODUCT_SHARE * SHARES, (1 - PRODUCT_SHARE) * SHARES])


def log_factors(
    x: ArrayLike,
    y: ArrayLike,
    theta: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    dependence: Dependence = "nonnegative",
) -> Array:
    """Logarithm of what each pair multiplies each component's capital by: [..., component, pair].

    Args:
        x: scores [..., pair] in seed order, between `low` and `high`.
        y: scores of the same seeds, as `x`.
        theta: what the mean difference is at most under the null, [...]; within (low - high, high - low).
        low: least possible score of both, [...].
        high: greatest possible score of both, [...].
        dependence: `nonnegative`: the runs of a seed are independent or positively correlated; `any`: paired bets
            alone, which need no such condition.

    Raises:
        ValueError: bounds that are not finite or not in order, theta outside what they allow.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    # One more axis, for the pairs.
    theta, low, high = (np.asarray(each, dtype=float)[..., None] for each in (theta, low, high))
    span = high - low
    if not (np.isfinite(span) & (span > 0)).all():
        raise ValueError("Bets need a finite least and a greater finite greatest score.")
    if not (np.abs(theta) < span).all():
        raise ValueError("The mean difference asked about is not smaller than the range of the scores.")
    y = y + theta
    f = FRACTIONS[:, None]
    with np.errstate(divide="ignore"):
        paired = np.log(np.maximum(1 + f * ((x - y) / (span + theta))[..., None, :], 0))
        if dependence == "any":
            return np.asarray(paired)
        least, most = np.maximum(low, low + theta), np.minimum(high, high + theta)
        both = x + y
        seen = np.arange(both.shape[-1])
        # The past alone, with one pseudo-score at either end of what both sides can reach.
        m = np.clip((np.cumsum(both, axis=-1) - both + least + most) / (2 * seen + 2), least, most)
        s = 1 / np.maximum(m - low, high + theta - m)
        bets = (1 + f * (s * (x - m))[..., None, :]) * (1 - f * (s * (y - m))[..., None, :])
        return np.concatenate(np.broadcast_arrays(np.log(np.maximum(bets, 0)), paired), axis=-2)


def mixed(capital: Array, dependence: Dependence = "nonnegative") -> Array:
    """capital: logarithms [..., component, pair] -> [..., pair]: logarithm of all components' capital together."""
    most = capital.max(axis=-2, keepdims=True)
    total = np.einsum("c,...cp->...p", shares(dependence), np.exp(capital - most))
    return np.asarray(most[..., 0, :] + np.log(total))


def log_evidence(
    x: ArrayLike,
    y: ArrayLike,
    theta: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    *,
    dependence: Dependence = "nonnegative",
) -> Array:
    """Logarithm of the evidence against "mean of x - mean of y <= theta" after each pair: [..., pair].

    See `log_factors` for the arguments and errors. The least p-value up to a pair is 1 over the greatest evidence up to
    it (`np.maximum.accumulate`).
    """
    return mixed(np.cumsum(log_factors(x, y, theta, low, high, dependence=dependence), axis=-1), dependence)


def lower_end(
    evidence: Callable[..., Array],
    x: Array,
    y: Array,
    log_threshold: ArrayLike,
    low: Array,
    high: Array,
    *,
    pivot: float = 0.0,
    comparisons: bool = False,
) -> Array:
    """x, y: [..., pair] -> [...]: the greatest theta that evidence falling in theta has ruled out.

    At or above `pivot` exactly where the evidence against `pivot` has reached the threshold; low - high where nothing
    is ruled out. An upper end of x - y is minus the lower end of y - x.

    Args:
        evidence: of x, y, theta, low and high, as `log_evidence`.
        log_threshold: logarithm of 1 / level, [...].
        pivot: theta of the verdict beside which the bound is shown.
        comparisons: x and y are [..., comparison, pair], and the evidence puts comparisons together, so that one end
            serves all.
    """
    shape = np.broadcast_shapes(x.shape[:-1], y.shape[:-1], low.shape, high.shape)
    span = np.broadcast_to(high - low, shape)
    if comparisons:
        shape, span = shape[:-1], span.min(axis=-1)

    def ruled_out(theta: Array) -> Array:
        path = evidence(x, y, theta[..., None] if comparisons else theta, low, high)
        return np.asarray(path.max(axis=-1, initial=0.0) >= log_threshold)

    at = np.full(shape, pivot)
    out = ruled_out(at)
    below, above = np.where(out, at, -span), np.where(out, span, at)
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        out = ruled_out(middle)
        below, above = np.where(out, middle, below), np.where(out, above, middle)
    return np.asarray(below)


def log_mean(logs: Array) -> Array:
    """logs: [..., comparison, pair] -> [..., pair]: logarithm of the mean over comparisons."""
    most = logs.max(axis=-2, keepdims=True)
    return np.asarray(most[..., 0, :] + np.log(np.exp(logs - most).mean(axis=-2)))
