"""Episodes of the greedy policy, for objectives whose baseline is its return."""

from collections.abc import Sequence

import numpy as np

from haepo_bench.tasks.base import Task
from haepo_bench.training.episodes.rollout import Actor, Collector, Played
from haepo_bench.training.streams import stream


def play_greedy(
    collector: Collector, task: Task, actor: Actor, seeds: Sequence[int], iteration: int, *, device: str
) -> Played:
    """One episode of the most likely actions per seed and group, from where the iteration's paired batch starts.

    Args:
        collector: of one episode of each group, all starting as paired ones do.
    """
    return collector.play(
        actor,
        [stream("environment", seed, iteration) for seed in seeds],
        [stream("greedy noise", seed, iteration) for seed in seeds],
        greedy=np.ones(task.groups, bool),
        device=device,
    )
