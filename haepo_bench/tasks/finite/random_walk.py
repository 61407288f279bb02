"""Random walks on a line with a distractor: a small reward near the start, a large one at the far end.

`random-walk/<states>`: states 0 .. n-1, start in state 1. Moving left into state 0 ends the episode with reward 0.1,
moving right into state n-1 ends it with reward 1. A policy that takes the near reward early never sees the far one.
"""

from functools import cached_property

import numpy as np

from haepo_bench.errors import TaskError
from haepo_bench.results.record import References
from haepo_bench.tasks.base import Array, Task
from haepo_bench.tasks.finite.tabular import Tabular

NEAR_REWARD = 0.1
FAR_REWARD = 1.0
START = 1


class RandomWalk(Tabular):
    """A walk over `states` states, cut off after `horizon` steps (default 5 times the number of states)."""

    def __init__(self, states: int, horizon: int) -> None:
        position = np.arange(states)
        end, reward = np.zeros(states, bool), np.zeros((states, 2))
        end[[0, -1]] = True
        reward[1, 0], reward[-2, 1] = NEAR_REWARD, FAR_REWARD
        super().__init__(
            f"random-walk/{states}",
            f"{states} states in a line, a small reward near the start, a large one at the far end",
            version=1,
            next_state=np.clip(np.stack([position - 1, position + 1], 1), 0, states - 1),
            reward=reward,
            terminal=end,
            start=START,
            horizon=horizon,
            successes=[states - 1],
            success_return=FAR_REWARD,
            tags=("random-walk", "exploration"),
        )

    @cached_property
    def references(self) -> References | None:  # type: ignore[override]  # as in Tabular
        """None where the far end is out of reach."""
        states = len(self.terminal)
        if self.horizon < states - 1 - START:
            return None
        return References(
            random=uniform_return(states, self.horizon),
            solved=FAR_REWARD,
            source="exact: the uniform policy's expected return, the far reward",
        )

    @cached_property
    def return_bounds(self) -> tuple[float, float] | None:  # type: ignore[override]  # as in Tabular
        """Exact: a walk may stay between the ends. The tables of 10,000 states would take seconds."""
        return 0.0, NEAR_REWARD if self.references is None else FAR_REWARD

    def visit_probabilities(self) -> Array:
        """[state]; a walk that visits state i first goes between 0 and i, so that i may as well be the far end.

        In closed form, to about 1e-15: carrying all pairs of 500 states through 2,500 steps would take seconds.
        """
        states = len(self.terminal)
        near, _ = end_probabilities(states, self.horizon)
        return np.array([near, 1.0, *(end_probabilities(i + 1, self.horizon)[1] for i in range(2, states))])


def end_probabilities(states: int, horizon: int) -> tuple[float, float]:
    """Probabilities that the uniformly random policy ends at the near and at the far end within the horizon, exact.

    Between absorbing ends the walk's transition matrix has eigenvalues cos(k pi / N) and eigenvectors
    sqrt(2 / N) sin(k pi i / N), N = states - 1 (Feller, An Introduction to Probability Theory, vol. 1, XIV.5); summing
    their powers over the horizon gives the expected visits of the states beside the ends, half of which end there.
    """
    N = states - 1
    k = np.arange(1, N)
    eigenvalues = np.cos(k * np.pi / N)
    powers = (1 - eigenvalues**horizon) / (1 - eigenvalues)
    near, far = (
        (2 / N * np.sin(k * np.pi * START / N) * np.sin(k * np.pi * beside / N) * powers).sum() / 2
        for beside in (1, N - 1)
    )
    return near, far


def uniform_return(states: int, horizon: int) -> float:
    """Expected return of the uniformly random policy, exact."""
    near, far = end_probabilities(states, horizon)
    return float(NEAR_REWARD * near + FAR_REWARD * far)


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`random-walk/<states>`, at least 4 states."""
    if not variant.isdecimal() or len(variant) > 5 or not 4 <= int(variant) <= 10_000:
        raise TaskError(
            f"a random walk has 4 to 10000 states, not '{variant}'", remedy="write for example random-walk/20"
        )
    states = int(variant)
    return RandomWalk(states, 5 * states if time_limit is None else time_limit)
