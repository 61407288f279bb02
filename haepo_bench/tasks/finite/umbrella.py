"""The umbrella: the first action decides a reward that comes much later, among others that mean nothing.

`umbrella/<delay>` (bsuite's `umbrella_chain` without distracting observations; Osband et al., arXiv 1908.03568): the
forecast is fair or rainy with probability one half each; the first action takes an umbrella or leaves it, all others do
nothing. Step number `delay` gives 1 if the choice suits the forecast and -1 if not; every step before it gives -1 or 1
at random. Observed are forecast, umbrella and the share of time left, so nothing needs to be remembered.

The return is -1 or 1 by choice and of variance delay - 1 by chance: with returns alone, telling the choices apart takes
a number of episodes in proportion to the delay. `right_choice_share` is measured without that noise.
"""

import numpy as np

from haepo_bench.tasks.base import Task
from haepo_bench.tasks.finite.tabular import Tabular, refuse_time_limit, whole_number


def make(variant: str, *, time_limit: int | None = None) -> Task:
    """`umbrella/<delay>`, 2 to 200 steps."""
    delay = whole_number(variant, 2, 200, what="the delay of an umbrella", example="umbrella/20")
    refuse_time_limit("an umbrella", time_limit)
    # A state for each time, forecast and umbrella; nobody has one at time 0. Then the ends: wrong, right.
    cells = 4 * delay
    time, forecast, umbrella = np.unravel_index(np.arange(cells), (delay, 2, 2))
    states = cells + 2
    suits = (forecast == umbrella)[:, None]
    carried = np.where(time[:, None] == 0, [0, 1], umbrella[:, None])
    next_state, reward, noise = np.zeros((states, 2), int), np.zeros((states, 2)), np.zeros((states, 2))
    last = time[:, None] == delay - 1
    next_state[:cells] = np.where(last, cells + suits, 4 * (time + 1)[:, None] + 2 * forecast[:, None] + carried)
    reward[:cells] = np.where(last, np.where(suits, 1.0, -1.0), 0.0)
    noise[:cells] = np.where(last, 0.0, 1.0)
    start = np.zeros(states)
    start[[0, 2]] = 0.5
    return Tabular(
        f"umbrella/{delay}",
        f"the first action decides the reward of step {delay}, all other rewards are random",
        version=1,
        next_state=next_state,
        reward=reward,
        terminal=np.arange(states) >= cells,
        start=start,
        horizon=delay,
        observations=np.concatenate([np.stack([forecast, umbrella, 1 - time / delay], 1), np.zeros((2, 3))]),
        reward_noise=noise,
        measures={"right_choice_share": np.arange(states) == cells + 1},
        tags=("credit", "noise"),
    )
