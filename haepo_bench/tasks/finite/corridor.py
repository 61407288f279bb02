"""Corridors: what the length of episodes does to an algorithm, with everything else known.

`corridor/equal`: the first of three actions takes a way of 5 steps or one of 45, which both give 1 at their end, or a
dead end of 5 steps that gives nothing; later actions change nothing. Returns do not tell the two ways apart, so a
method that follows returns alone learns to avoid the dead end and keeps the proportion of the ways that chance gave it.
`short_way_share` and `long_way_share` count the episodes on each; where they part systematically, that is the method's
own preference for length (or its discount's). Summed log-probabilities of an untrained policy are near -T log 3, so
that in a softmax over trajectories a long way weighs 3^-40 of a short one. The dead end is as long as the short way, so
that there is something to learn without a difference in length.

`corridor/<horizon>`: one step to the right at every step, whatever is done. At each position one of the two actions is
right (drawn once, for good) and gives 1 / horizon. For a policy that is right with probability p at every position,
independently:

- the return has mean p and variance p (1 - p) / horizon, and every episode the same length;
- whether one given action was right correlates with the return by 1 / sqrt(horizon): that is how a method that sees
  only returns loses credit; a method that sees per-step rewards loses nothing but what its own discount costs it;
- the summed log-probability has the variance horizon p (1 - p) log(p / (1 - p))^2: zero in the untrained policy, then
  growing with the horizon, until a softmax over trajectories rests on one of them and its gradient vanishes.
"""

import math

import numpy as np

from haepo_bench.errors import TaskError
from haepo_bench.tasks.base import Array, Task
from haepo_bench.tasks.finite.tabular import Tabular, fixed_bits, refuse_time_limit, whole_number

SHORT, LONG = 5, 45
#: Positions beyond which they are shown by codes of this many features instead of one-hot.
FEATURES = 128


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`corridor/equal`, or `corridor/<horizon>` from 8 to 512 steps."""
    if variant != "equal" and not variant.isdecimal():
        raise TaskError(f"unknown corridor '{variant}'", remedy="write corridor/equal, or for example corridor/64")
    refuse_time_limit("a corridor", time_limit)
    if variant == "equal":
        return equal()
    return straight(whole_number(variant, 8, 512, what="the horizon of a corridor", example="corridor/64"))


def equal() -> Task:
    """A short way, a long way and a dead end: start, then the ways' cells one after the other, then their ends."""
    ways = (SHORT, LONG, SHORT)
    first = np.cumsum([1, *(steps - 1 for steps in ways)])
    cells, states = int(first[-1]), int(first[-1]) + len(ways)
    next_state, reward = np.repeat(np.arange(1, states + 1), 3).reshape(states, 3), np.zeros((states, 3))
    next_state[0] = first[:3]
    next_state[first[1:] - 1] = np.arange(cells, states)[:, None]  # a way's last cell leads to its end
    reward[first[1:3] - 1] = 1.0
    return Tabular(
        "corridor/equal",
        f"ways of {SHORT} and of {LONG} steps to the same reward, and a dead end",
        version=1,
        next_state=next_state,
        reward=reward,
        terminal=np.arange(states) >= cells,
        start=0,
        horizon=LONG,
        observations=np.eye(states, cells),
        successes=[cells, cells + 1],
        success_return=1.0,
        measures={f"{way}_way_share": np.arange(states) == cells + i for i, way in enumerate(("short", "long"))},
        tags=("length",),
    )


def straight(horizon: int) -> Task:
    """As many positions as steps; the last state is the end."""
    position = np.arange(horizon)
    reward = np.zeros((horizon + 1, 2))
    reward[position, fixed_bits((horizon,), 7, horizon).astype(int)] = 1 / horizon
    return Tabular(
        f"corridor/{horizon}",
        f"{horizon} independent choices, each worth 1/{horizon}",
        version=1,
        next_state=np.repeat(np.minimum(np.arange(1, horizon + 2), horizon), 2).reshape(-1, 2),
        reward=reward,
        terminal=np.arange(horizon + 1) == horizon,
        start=0,
        horizon=horizon,
        observations=_positions(horizon),
        tags=("credit", "length"),
    )


def _positions(horizon: int) -> Array:
    """[state, feature]: one-hot up to `FEATURES` positions, beyond them random signs of length 1, fixed for good.

    Batches of whole episodes are kept in memory, where one-hot positions would grow with the square of the horizon.
    The codes are nearly orthogonal (inner products of standard deviation 1 / sqrt(128)), so that a policy can still
    learn each position by itself, but not without some interference between positions: one more reason, beside credit,
    why corridors longer than 128 steps are harder.
    """
    if horizon <= FEATURES:
        return np.eye(horizon + 1, horizon)
    codes = np.where(fixed_bits((horizon + 1, FEATURES), 8, horizon), 1.0, -1.0) / math.sqrt(FEATURES)
    codes[-1] = 0.0
    return codes
