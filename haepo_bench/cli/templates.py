"""What `new` writes; CLASS and STEM are replaced."""

ALGORITHM = '''\
"""An algorithm of your own: a loss over a batch of complete episodes."""

from haepo_bench.api import Objective, ObjectiveOutput, TrajectoryBatch, hyper


class CLASS(Objective):
    """Policy gradient with the group's median return as baseline.

    loss = - 1/K sum_k (R_k - median R) L_k - alpha H,   L_k = sum_t log pi(a_t|s_t)
    """

    # Each field is a hyper-parameter: its default, what it means, its bounds. A suite sets it below params.
    entropy: float = hyper(0.01, "alpha: weight of the entropy bonus (mean policy entropy per step)", ge=0)

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        # Axes are [seed, group, trajectory, step]. Reduce from the right and never over seeds: one loss per seed.
        returns = batch.returns  # [seed, group, trajectory], float64
        advantages = returns - returns.median(-1, keepdim=True).values
        # Where no step was taken values mean nothing and may be NaN: masked_sum leaves them out.
        likelihood = batch.masked_sum(batch.log_probs)  # [seed, group, trajectory]
        loss = -(advantages.to(batch.dtype) * likelihood).mean((-1, -2))  # [seed]
        loss = loss - self.entropy * batch.token_mean(batch.entropy)
        # What stands behind the loss becomes a column of the curve: name to [seed].
        return ObjectiveOutput(loss, {"median_return": returns.median(-1).values.mean(-1)})
'''

ALGORITHM_SUITE = """\
# Is STEM better than REINFORCE and GRPO on two small tasks?
#
#   haepo-bench validate STEM.yaml    what would run
#   haepo-bench run STEM.yaml         trains; run it again and it does only what is missing
#   haepo-bench report results/STEM   curves and the verdict

name: STEM
seeds: 5                          # a verdict needs more; ten say much more than five
budget: {env_steps: 5_000}
tasks:                            # haepo-bench list tasks
  - bandit/10-arm
  - random-walk/20
algorithms:                       # haepo-bench list algorithms
  - ./STEM.py                     # or {use: ./STEM.py, params: {entropy: 0.1}}
  - reinforce
  - grpo
claims: {candidate: STEM}         # what the report judges; declared before anything runs
"""

TASK = '''\
"""A task of your own: an environment as gymnasium has it."""

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class CLASS(gymnasium.Env):
    """Walk through a square room to its far corner; a step costs 0.01, the corner is worth 1.

    Every draw comes from self.np_random, which reset seeds: a run is then the same whenever it is repeated.
    """

    # Steps after which an episode is cut off; a suite can say another number below time_limit.
    max_episode_steps: ClassVar[int] = 50

    def __init__(self, size: int = 5) -> None:  # a suite sets it below kwargs
        self.size = size
        # Dict, Tuple, Discrete, MultiDiscrete and MultiBinary observations are flattened, whole numbers one-hot.
        self.observation_space = spaces.Dict({"place": spaces.MultiDiscrete([size, size])})
        self.action_space = spaces.Discrete(4)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.place = self.np_random.integers(self.size - 1, size=2)  # never in the far corner
        return {"place": self.place}, {}

    def step(self, action: int) -> Any:
        moves = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
        self.place = np.clip(self.place + moves[action], 0, self.size - 1)
        arrived = bool((self.place == self.size - 1).all())
        # Observation, reward, terminated (the episode is over in the task's own sense), truncated, info.
        return {"place": self.place}, float(arrived) - 0.01, arrived, False, {}
'''

TASK_SUITE = """\
# Which algorithm learns STEM?
#
#   haepo-bench validate STEM.yaml      what would run
#   haepo-bench references ./STEM.py    what the random policy gets, to paste below references
#   haepo-bench run STEM.yaml           trains; run it again and it does only what is missing
#   haepo-bench report results/STEM     curves and the verdict

name: STEM
seeds: 5                          # a verdict needs more; ten say much more than five
budget: {env_steps: 20_000}
tasks:
  - id: ./STEM.py                 # or gym/STEM:Some-v0, if the file registers it
    kwargs: {size: 5}
    references:                   # score 0 and score 1; measured anew after each change of the file
      random: -0.005
      solved: 0.95
      source: "random: mean of 10,000 episodes of the uniform policy; solved: the shortest way, 5 steps on average"
    bounds: [-0.5, 0.98]          # the least and the greatest return that an episode can have
algorithms:                       # haepo-bench list algorithms
  - haepo
  - reinforce
  - grpo
claims: {candidate: haepo}        # what the report judges; declared before anything runs
"""
