"""The control `uniform` on tasks with an environment to step."""

from collections.abc import Sequence

import numpy as np

from haepo_bench.results.record import Information
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm
from haepo_bench.training.blocks import blocks
from haepo_bench.training.recorder import Recorder


class UniformAlgorithm(Algorithm):
    """The uniformly random policy; it has no hyper-parameters."""

    batches_seeds = True
    notes = ("actions are drawn uniformly, in greedy episodes too: nothing is learnt",)

    def __init__(self, information: Information) -> None:
        self.parameters = {}
        self.information = information

    def resumes(self, task: Task) -> bool:
        return task.forgets

    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        # Imported here: configuring and describing need no training loop.
        from haepo_bench.training.episodes.uniform_trainer import TRAJECTORIES, UniformTrainer
        from haepo_bench.training.resuming import train_from_checkpoints

        features = task.observation_space.shape[0] + int(np.prod(task.action_space.shape or 1))
        divided = blocks(seeds, task.groups * TRAJECTORIES * task.horizon, features)
        train_from_checkpoints(divided, lambda block: UniformTrainer(task, block, recorder), recorder, device="cpu")
