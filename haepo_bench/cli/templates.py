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
