"""Losses once more, from their formulas: lists, loops and the standard library, nothing of ours and no tensors.

A loss is a function of the trajectories of one seed. `lp` is what gradients are taken by, `at` the same numbers where
the formula says that no gradient flows, so that a difference quotient in `lp` alone is the gradient.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Trajectory(NamedTuple):
    """The steps that were taken: log-probabilities, behaviour, reference; rewards; return; number of its group."""

    lp: list[float]
    at: list[float]
    old: list[float]
    ref: list[float]
    rewards: list[float]
    R: float
    group: int


Batch = Sequence[Trajectory]
Loss = Callable[[Batch], float]


def mean(x: Sequence[float]) -> float:
    return sum(x) / len(x)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def gradient(loss: Loss, batch: Batch, h: float = 1e-6) -> list[list[float]]:
    """Central differences by each `lp`."""

    def moved(k: int, t: int, by: float) -> float:
        lp = [x + by * (i == t) for i, x in enumerate(batch[k].lp)]
        return loss([*batch[:k], batch[k]._replace(lp=lp), *batch[k + 1 :]])

    return [[(moved(k, t, h) - moved(k, t, -h)) / (2 * h) for t in range(len(one.lp))] for k, one in enumerate(batch)]


def group_of(batch: Batch, one: Trajectory) -> list[Trajectory]:
    return [other for other in batch if other.group == one.group]


def standardised(batch: Batch, one: Trajectory) -> float:
    """(R - mean) / (std + 1e-4), ddof 1."""
    R = [other.R for other in group_of(batch, one)]
    if len(R) == 1:
        return 0.0
    std = math.sqrt(sum((x - mean(R)) ** 2 for x in R) / (len(R) - 1))
    return (one.R - mean(R)) / (std + 1e-4)


def centred(batch: Batch, one: Trajectory) -> float:
    return one.R - mean([other.R for other in group_of(batch, one)])


def over_steps(batch: Batch, one: Trajectory) -> float:
    """OPO: R - sum n R / sum n."""
    group = group_of(batch, one)
    return one.R - sum(len(x.lp) * x.R for x in group) / sum(len(x.lp) for x in group)


def over_mean(batch: Batch, one: Trajectory) -> float:
    """MaxRL: (R - mean) / mean, of |R| below zero."""
    return centred(batch, one) / (mean([abs(x.R) for x in group_of(batch, one)]) + 1e-6)


def per_step(batch: Batch, one: Trajectory) -> list[float]:
    """Returns to go minus their mean over what still runs of the group, divided by their deviation (ddof 0)."""
    group = group_of(batch, one)
    to_go = [[sum(x.rewards[t:]) for t in range(len(x.lp))] for x in group]
    steps = range(max(map(len, to_go)))
    baselines = [mean([G[t] for G in to_go if len(G) > t]) for t in steps]
    everything = [G[t] - baselines[t] for G in to_go for t in range(len(G))]
    scale = math.sqrt(mean([x * x for x in everything])) + 1e-8
    return [(sum(one.rewards[t:]) - baselines[t]) / scale for t in range(len(one.lp))]


def token_mean(rows: list[list[float]]) -> float:
    return sum(map(sum, rows)) / sum(map(len, rows))


def sequence_mean(rows: list[list[float]]) -> float:
    return mean([mean(row) for row in rows])


def ppo(r: float, A: float, low: float, high: float, delta: float = math.inf) -> float:
    return -min(min(r, delta) * A, clip(r, 1 - low, 1 + high) * A)


def clipped(
    advantage: Callable[[Batch, Trajectory], float],
    aggregate: Callable[[list[list[float]]], float],
    *,
    delta: float = math.inf,
    beta: float = 0.0,
    kl: Callable[[float, float, float, float], float] = lambda *_: 0.0,
) -> Loss:
    """PPO's clip at 0.2 with any advantage; `kl` of (lp, at, old, ref)."""

    def loss(batch: Batch) -> float:
        return aggregate(
            [
                [
                    ppo(math.exp(lp - old), advantage(batch, one), 0.2, 0.2, delta) + beta * kl(lp, at, old, ref)
                    for lp, at, old, ref in zip(one.lp, one.at, one.old, one.ref, strict=True)
                ]
                for one in batch
            ]
        )

    return loss


def k2(lp: float, at: float, old: float, ref: float) -> float:
    return (lp - ref) ** 2 / 2


def k3(lp: float, at: float, old: float, ref: float) -> float:
    return math.exp(ref - lp) - (ref - lp) - 1


def k3_straight_through(lp: float, at: float, old: float, ref: float) -> float:
    return k2(lp, at, old, ref) - k2(at, at, old, ref) + k3(at, at, old, ref)


def k3_corrected(lp: float, at: float, old: float, ref: float) -> float:
    return math.exp(lp - old) * k3(lp, at, old, ref)


def sapo(batch: Batch) -> float:
    rows = []
    for one in batch:
        A = standardised(batch, one)
        tau = 1.0 if A > 0 else 1.05
        gates = [4 / tau * sigmoid(tau * (math.exp(x - y) - 1)) for x, y in zip(one.lp, one.old, strict=True)]
        rows.append([-gate * A for gate in gates])
    return sequence_mean(rows)


def geometric(one: Trajectory) -> float:
    """s: the geometric mean of token ratios."""
    return math.exp(mean([x - y for x, y in zip(one.lp, one.old, strict=True)]))


def luspo(batch: Batch) -> float:
    return mean([len(one.lp) * ppo(geometric(one), standardised(batch, one), 2e-3, 2.5e-3) for one in batch])


def gspo_token(batch: Batch) -> float:
    rows = []
    for one in batch:
        s = geometric(one._replace(lp=one.at))
        ratios = [s * math.exp(x - y) for x, y in zip(one.lp, one.at, strict=True)]
        rows.append([ppo(r, A, 0.2, 0.2) for r, A in zip(ratios, per_step(batch, one), strict=True)])
    return sequence_mean(rows)


def vespo(batch: Batch) -> float:
    rows = []
    for one in batch:
        A = standardised(batch, one)
        k, rate = (2.0, 3.0) if A >= 0 else (3.0, 2.0)
        log_w = clip(sum(x - y for x, y in zip(one.at, one.old, strict=True)), math.log(1e-8), 20.0)
        w = math.exp(log_w)
        rows.append([-(w**k) * math.exp(rate * (1 - w)) * A * lp for lp in one.lp])
    return token_mean(rows)


def gpg(batch: Batch, *, nonzero: bool = False) -> float:
    counted = [one for one in batch if (one.R != 0 if nonzero else len({x.R for x in group_of(batch, one)}) > 1)]
    alpha = len(batch) / max(len(counted), 1)
    return token_mean([[-alpha * centred(batch, one) * lp for lp in one.lp] for one in batch])


def covariances(batch: Batch) -> list[list[float]]:
    A = [[standardised(batch, one)] * len(one.lp) for one in batch]
    mean_A, mean_lp = token_mean(A), token_mean([one.at for one in batch])
    return [[(A[k][0] - mean_A) * (x - mean_lp) for x in one.at] for k, one in enumerate(batch)]


def clip_cov(batch: Batch, share: float, low: float, high: float) -> float:
    cov = covariances(batch)
    rows, eligible = [], []
    for k, one in enumerate(batch):
        A = standardised(batch, one)
        ratios = [math.exp(x - y) for x, y in zip(one.lp, one.old, strict=True)]
        rows.append([ppo(r, A, 0.2, 0.2) for r in ratios])
        open_ = [ppo(r, A, 0.2, 0.2) == -r * A for r in ratios]
        eligible += [(cov[k][t], k, t) for t in range(len(one.lp)) if open_[t] and low < cov[k][t] < high]
    count = max(int(share * sum(map(len, rows))), 1)
    for _, k, t in sorted(eligible, reverse=True)[:count]:
        rows[k][t] = 0.0
    return token_mean(rows)


def kl_cov(batch: Batch, share: float) -> float:
    cov = covariances(batch)
    places = sorted(((cov[k][t], k, t) for k in range(len(batch)) for t in range(len(cov[k]))), reverse=True)
    held = {(k, t) for _, k, t in places[: max(int(share * len(places)), 1)]}
    rows = []
    for k, one in enumerate(batch):
        A = standardised(batch, one)
        d = [x - y for x, y in zip(one.lp, one.old, strict=True)]
        rows.append([-math.exp(x) * A + ((k, t) in held) * abs(x) for t, x in enumerate(d)])
    return token_mean(rows)


def pairs(batch: Batch) -> list[list[tuple[Trajectory, Trajectory]]]:
    """(better, worse) of each group."""
    numbers = sorted({one.group for one in batch})
    groups = [[one for one in batch if one.group == number] for number in numbers]
    return [[(better, worse) for better in group for worse in group if better.R > worse.R] for group in groups]


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def hinge(h: float) -> float:
    return max(0.0, 1 - h)


def logistic(h: float) -> float:
    return -log_sigmoid(h)


def on_pairs(margin: Callable[[Trajectory, Trajectory], float], loss_of: Callable[[float], float] = logistic) -> Loss:
    """Mean over the pairs of a group, then over groups; groups without a pair count as zero."""

    def loss(batch: Batch) -> float:
        return mean([mean([loss_of(margin(*pair)) for pair in group] or [0.0]) for group in pairs(batch)])

    return loss


def dpo_margin(w: Trajectory, x: Trajectory) -> float:
    return 0.1 * ((sum(w.lp) - sum(w.ref)) - (sum(x.lp) - sum(x.ref)))


def conservative(h: float, e: float = 0.1) -> float:
    return (1 - e) * logistic(h) + e * logistic(-h)


def robust(h: float, e: float = 0.1) -> float:
    return ((1 - e) * logistic(h) - e * logistic(-h)) / (1 - 2 * e)


def winners(batch: Batch) -> float:
    """- lp, mean over the steps of the better one of each pair."""
    better = [w for group in pairs(batch) for w, _ in group]
    return -sum(sum(w.lp) for w in better) / max(sum(len(w.lp) for w in better), 1)


def cpo(batch: Batch) -> float:
    return on_pairs(lambda w, x: 0.1 * (sum(w.lp) - sum(x.lp)))(batch) + winners(batch)


def orpo(batch: Batch) -> float:
    def log_odds(one: Trajectory) -> float:
        p = math.exp(mean(one.lp))
        return math.log(p / (1 - p))

    return winners(batch) + 0.1 * on_pairs(lambda w, x: log_odds(w) - log_odds(x))(batch)


def kto(batch: Batch, good: float = 1.0, bad: float = 1.0) -> float:
    values = []
    for one in batch:
        group = group_of(batch, one)
        z = max(0.0, mean([sum(x.at) - sum(x.ref) for x in group]))
        d = sum(one.lp) - sum(one.ref)
        lead = sum((one.R > x.R) - (one.R < x.R) for x in group)
        if lead:
            values.append(good * (1 - sigmoid(0.1 * (d - z))) if lead > 0 else bad * (1 - sigmoid(0.1 * (z - d))))
    return mean(values) if values else 0.0
