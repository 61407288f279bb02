"""Combination locks: `lock/<digits>`. The right digit at every step opens the lock; the first wrong one jams it."""

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.results.record import References
from haepo_bench.tasks.base import Step, Task, VectorEnvironment


class Lock(Task):
    version, tags = 1, ("exploration",)  # raise the version when returns change: it is part of a run's identity

    def __init__(self, digits):
        self.id, self.summary, self.horizon = f"lock/{digits}", f"a combination of {digits} binary digits", digits
        self.observation_space = spaces.Box(0.0, 1.0, (digits + 1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.references = References(random=0.5**digits, solved=1.0, source="exact: one combination opens")

    def vector(self, trajectories):
        return Locks(np.resize([1, 0, 0, 1, 1, 0, 1], self.horizon), trajectories)


class Locks(VectorEnvironment):  # arrays are [seed, trajectory]
    def __init__(self, combination, trajectories):
        self.combination, self.trajectories = combination, trajectories
        self.one_hot = np.eye(len(combination) + 1, dtype=np.float32)

    def reset(self, streams):  # one random stream a seed, for tasks that draw
        self.turned = np.zeros((len(streams), self.trajectories), int)
        return self.one_hot[self.turned]

    def restart(self, where, streams):  # single episodes anew; for algorithms such as ppo-batched
        self.turned[where] = 0
        return self.one_hot[self.turned[where]]

    def step(self, actions, live):  # what is returned where an episode does not live has no meaning
        right = live & (actions == np.append(self.combination, -1)[self.turned])
        self.turned = self.turned + right
        opened = self.turned == len(self.combination)
        return Step(self.one_hot[self.turned], opened * 1.0, opened | ~right, np.zeros_like(live))


def make(variant, *, time_limit=None):  # the entry point: the address behind the slash
    if not variant.isdecimal() or not 1 <= int(variant) <= 100 or time_limit is not None:
        raise TaskError(f"a lock has 1 to 100 digits and no time limit, not '{variant}'", remedy="write lock/8")
    return Lock(int(variant))
