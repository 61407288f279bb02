"""G-optimal designs over the episodes of finite tasks: from which steps a linear model would learn most.

A step has the features phi(s, a): those that the task shows of s, in a block of a's own. A policy pi has the
information M(pi) = E[sum over the steps of an episode of phi phi^T], d is the rank of all features within reach, and a
step's leverage is phi^T M^-1 phi. Kiefer and Wolfowitz (1960): pi maximises log det M(pi) exactly where no policy's
episode has a greater expected sum of leverages than d, which is that of pi itself. For episodes of one step this is the
G-optimal design of textbooks: the largest leverage of an action is d.
"""

from typing import NamedTuple

import numpy as np

from haepo_bench.tasks.base import Array, Moves

#: The largest expected leverage of an episode is at most 1 + this times the least that is possible.
WITHIN = 0.05
#: Numbers of a policy [time, state, action] that are computed with at most.
MOST_NUMBERS = 4_000_000
_MOST_ITERATIONS = 10_000


class Design(NamedTuple):
    """A policy and how good it is as a design.

    Args:
        policy: [time, state, action] probabilities.
        visits: [state, action] expected number per episode; 0 in states that end it or are out of reach.
        rank: d.
        leverage: the largest expected sum of leverages that any policy's episode has; at least d.
    """

    policy: Array
    visits: Array
    rank: int
    leverage: float


def numbers(moves: Moves) -> int:
    """How many a policy has."""
    return moves.horizon * moves.next_state.size


def g_optimal(moves: Moves, within: float = WITHIN) -> Design:
    """The design, by Frank and Wolfe's method on log det M over the visits that policies can have.

    Each iteration finds the episode of greatest leverage by dynamic programming, and mixes its policy in by the share
    that a line search finds. Mixing visits is mixing policies: a mixture's visits are those of one policy that draws
    each action in the proportion of the mixture's visits at that time and state.

    Raises:
        RuntimeError: it does not converge.
    """
    uniform = np.full((moves.horizon, *moves.next_state.shape), 1 / moves.next_state.shape[1])
    visits = _visits(moves, uniform)
    model = _Model(moves, visits.sum(0))
    for _ in range(_MOST_ITERATIONS):
        leverage = model.leverage(visits.sum(0))
        best, value = _best(moves, leverage)
        if value <= (1 + within) * model.rank:
            return Design(_policy(visits), visits.sum(0), model.rank, value)
        added = _visits(moves, best)
        share = _line_search(model.ratios(visits.sum(0), added.sum(0)))
        visits = (1 - share) * visits + share * added
    raise RuntimeError(f"no G-optimal design within {_MOST_ITERATIONS:,} iterations")


class _Model:
    """The features of the states within reach, in coordinates of their span.

    Args:
        visits: [state, action] of a policy that takes every action everywhere.
    """

    def __init__(self, moves: Moves, visits: Array) -> None:
        self._reached = visits.sum(1) > 0
        features = moves.features[self._reached].astype(np.float64)
        one_hot = bool((np.count_nonzero(features, 1) == 1).all()) and bool((np.count_nonzero(features, 0) <= 1).all())
        #: [reached state, coordinate]; None where each state is a coordinate of its own.
        self._basis: Array | None = None
        dimensions = len(features)
        if not one_hot:
            left, values, _ = np.linalg.svd(features, full_matrices=False)
            dimensions = int((values > values[0] * len(features) * np.finfo(np.float64).eps).sum())
            self._basis = left[:, :dimensions] if dimensions < len(features) else None
        self.rank = dimensions * visits.shape[1]

    def _information(self, visits: Array) -> Array:
        """M, a block for each action: [action, coordinate, coordinate]."""
        assert self._basis is not None
        blocks = [(self._basis * weight[:, None]).T @ self._basis for weight in visits[self._reached].T]
        return np.stack(blocks)

    def leverage(self, visits: Array) -> Array:
        """[state, action]; 0 out of reach."""
        found = np.zeros_like(visits)
        if self._basis is None:
            found[self._reached] = 1 / visits[self._reached]
            return found
        inverse = np.linalg.inv(self._information(visits))
        found[self._reached] = np.stack([((self._basis @ block) * self._basis).sum(1) for block in inverse], 1)
        return found

    def ratios(self, visits: Array, added: Array) -> Array:
        """The eigenvalues of M^-1 times the information of `added`, one after the other."""
        if self._basis is None:
            plain: Array = (added[self._reached] / visits[self._reached]).ravel()
            return plain
        solved = np.linalg.solve(self._information(visits), self._information(added))
        found: Array = np.linalg.eigvals(solved).real.ravel()
        return found


def _visits(moves: Moves, policy: Array) -> Array:
    """[time, state, action] expected number of times that a policy acts so, from states that do not end the episode."""
    visits = np.zeros_like(policy)
    at: Array = moves.start.astype(np.float64)
    targets = moves.next_state.ravel()
    for time in range(moves.horizon):
        at = np.where(moves.terminal, 0.0, at)
        visits[time] = at[:, None] * policy[time]
        at = np.bincount(targets, visits[time].ravel(), minlength=len(at))
    return visits


def _policy(visits: Array) -> Array:
    """The policy that has these visits, uniform where it never comes."""
    total = visits.sum(-1, keepdims=True)
    policy: Array = np.where(total > 0, visits / np.where(total > 0, total, 1.0), 1 / visits.shape[-1])
    return policy


def _best(moves: Moves, gain: Array) -> tuple[Array, float]:
    """The policy [time, state, action] whose episodes collect most of gains [state, action], and how much."""
    states, actions = gain.shape
    value, policy = np.zeros(states), np.zeros((moves.horizon, states, actions))
    for time in reversed(range(moves.horizon)):
        backup = gain + value[moves.next_state]
        chosen = backup.argmax(1)
        policy[time, np.arange(states), chosen] = 1.0
        value = np.where(moves.terminal, 0.0, backup[np.arange(states), chosen])
    return policy, float(moves.start @ value)


def _line_search(ratios: Array) -> float:
    """The share c in (0, 1) that maximises log det((1 - c) M + c M'), a sum of log(1 - c + c ratio), by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        rises = ((ratios - 1) / (1 + middle * (ratios - 1))).sum() > 0
        low, high = (middle, high) if rises else (low, middle)
    return low
