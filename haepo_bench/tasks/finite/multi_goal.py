"""Several goals, all equally good: are all of them found, and are they kept?

`multi-goal/<n>`: the first of n actions chooses one of n ways. At each of the 4 further cells of a way the actions of
one parity, drawn for every cell, go on; the others lose the way for good. A way's end gives 1; a lost walk gives
0.1. Every episode has 5 steps, so nothing but the reward tells ways from decoys, and nothing at all tells one way from
another: a policy that forgets ways it has found does so of its own accord.
"""

import numpy as np

from haepo_bench.tasks.base import Task
from haepo_bench.tasks.finite.tabular import Tabular, fixed_bits, refuse_time_limit, whole_number

STEPS = 5
GOAL_REWARD = 1.0
DECOY_REWARD = 0.1


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`multi-goal/<n>`, 2 to 16 goals."""
    n = whole_number(variant, 2, 16, what="the number of goals", example="multi-goal/4")
    refuse_time_limit("multi-goal", time_limit)
    # States: the start, the ways' cells, the lost cells (from step 2 on), then the ends: n goals and the decoy.
    way = 1 + np.arange(n * (STEPS - 1)).reshape(n, STEPS - 1)
    lost = 1 + way.size + np.arange(STEPS - 2)
    goals = lost[-1] + 1 + np.arange(n)
    decoy = int(goals[-1]) + 1
    states = decoy + 1
    lost_after = np.array([*lost, decoy])  # [cell of a way]: where a wrong action leads
    next_state, reward = np.full((states, n), decoy), np.zeros((states, n))
    next_state[0] = way[:, 0]
    next_state[way] = np.where(
        (np.arange(n) + fixed_bits((n, STEPS - 1, 1), 9, n)) % 2 == 0,
        np.concatenate([way[:, 1:], goals[:, None]], 1)[..., None],
        lost_after[:, None],
    )
    next_state[lost] = lost_after[1:, None]
    terminal = np.arange(states) >= goals[0]
    paid = np.zeros(states)
    paid[goals], paid[decoy] = GOAL_REWARD, DECOY_REWARD
    reward[~terminal] = paid[next_state[~terminal]]
    return Tabular(
        f"multi-goal/{n}",
        f"{n} ways to {n} equal goals, lost by a wrong step",
        version=1,
        next_state=next_state,
        reward=reward,
        terminal=terminal,
        start=0,
        horizon=STEPS,
        observations=np.eye(states, int(goals[0])),
        goals=goals.tolist(),
        successes=goals.tolist(),
        success_return=GOAL_REWARD,
        tags=("exploration",),
    )
