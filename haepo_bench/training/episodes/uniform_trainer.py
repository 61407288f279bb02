"""Playing the uniformly random policy until the budget is spent."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from haepo_bench.policies.heads import DiagonalGaussian, Head
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.probes import ProbeSet
from haepo_bench.training.episodes.rollout import Collector, Rollout, too_large
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.exploration import Episodes, Exploration
from haepo_bench.training.heads import make_head
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.resuming import State
from haepo_bench.training.streams import stream
from haepo_bench.training.trainer import Trainer
from haepo_bench.training.waiting import Frozen, Policies

#: Episodes per iteration, of each group: how many changes no number but the steps beyond the budget.
TRAJECTORIES = 16


class UniformBox(DiagonalGaussian):
    """Continuous actions drawn uniformly from within their bounds.

    Args:
        space: with finite bounds.
    """

    def __init__(self, space: spaces.Box) -> None:
        super().__init__(int(np.prod(space.shape)))
        # Not their difference, which single precision may not hold.
        self._low, self._high = (
            torch.from_numpy(bound.astype(np.float32).ravel()) for bound in (space.low, space.high)
        )

    def noise(self, stream: np.random.Generator, rows: int, steps: int) -> Array:
        return stream.random((rows, steps, self.dimensions), dtype=np.float32)

    def sample(self, outputs: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        return (1 - noise) * self._low + noise * self._high


class UniformTrainer(Trainer[Rollout]):
    """The uniformly random policy on one task for several seeds; `update` changes nothing."""

    def __init__(self, task: Task, seeds: Sequence[int], recorder: Recorder) -> None:
        self.task, self.seeds, self.recorder, self.device = task, list(seeds), recorder, "cpu"
        self.keys = list(seeds)
        space = task.action_space
        self.head: Head = UniformBox(space) if isinstance(space, spaces.Box) else make_head(task)
        episodes = task.groups * TRAJECTORIES
        self.collector = Collector(task, task.training().grouped(TRAJECTORIES), self.head, episodes, episodes)
        self.evaluator = Evaluator(task, self.head, recorder.episodes)
        self.exploration = Exploration(task, len(self.seeds))
        self.env_steps = dict.fromkeys(self.seeds, 0)
        self.resumes = task.forgets

    def state(self) -> dict[str, Any]:
        return {
            "env_steps": [self.env_steps[seed] for seed in self.seeds],
            "exploration": self.exploration.state(),
        }

    def restore(self, state: State) -> None:
        self.env_steps = dict(zip(self.seeds, state["env_steps"], strict=True))
        self.exploration.restore(state["exploration"])

    def collect(self, iteration: int) -> Rollout:
        rollout = self.collector.collect(
            self.policies(self.all()).actor,
            [stream("environment", seed, iteration) for seed in self.seeds],
            [stream("action noise", seed, iteration) for seed in self.seeds],
            visited=self.exploration.visited,
        )
        for row, seed in enumerate(self.seeds):
            ends = self.env_steps[seed] + rollout.lengths[row].cumsum()
            self.env_steps[seed] = int(ends[-1])
            measures = {name: values[row].tolist() for name, values in rollout.measures.items()}
            self.report_collected(
                row,
                Episodes(rollout.returns[row].tolist(), ends.tolist(), measures),
                steps=int(rollout.lengths[row].sum()),
                total=self.env_steps[seed],
                fault=rollout.faults.get(row),
                diverged=too_large(rollout.returns[row]),
            )
        return rollout

    def update(self, collected: Rollout, iteration: int) -> None:
        return

    def frozen(self, row: int) -> Frozen:
        return Frozen(torch.empty(0))

    def policies(self, policies: Sequence[Frozen]) -> Policies:
        def act(observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
            """Where all actions are equally likely, none is the greedy one."""
            outputs = torch.zeros(len(policies), self.head.outputs, observations.shape[2])
            return self.head.sample(outputs, noise, None)

        space = self.task.action_space
        if isinstance(space, spaces.Box):
            choices = np.log(space.high - space.low).sum()
        else:
            choices = np.log(space.n if isinstance(space, spaces.Discrete) else space.nvec).sum()

        def log_probs(probes: ProbeSet) -> Array:
            return np.full((len(policies), len(probes.actions)), -choices)

        return Policies(act, log_probs)

    def keep(self, rows: Sequence[int]) -> None:
        self.exploration.keep(rows)
        self.seeds, self.keys = [self.seeds[row] for row in rows], [self.keys[row] for row in rows]

    def named(self, policy: Frozen) -> Mapping[str, Array]:
        return {}

    def close(self) -> None:
        self.collector.close()
        self.evaluator.close()
