"""ReMax: REINFORCE whose baseline is the return of the greedy policy (Li et al. 2024, arXiv 2310.10505)."""

from typing import ClassVar

from haepo_bench.objectives.base import EntropyBonus, ObjectiveOutput, TrajectoryBatch
from haepo_bench.results.columns import Column


class Remax(EntropyBonus):
    """ReMax: a trajectory is compared with the episode that the greedy policy plays from the same start.

        A_k  = R_k - R_greedy
        loss = - mean_k A_k sum_t lp_kt

    The greedy episode is of the policy that collected the batch, played anew for each batch; its steps count as
    training steps. Source: verl, compute_remax_outcome_advantage; the loss is REINFORCE's. No correction for the steps
    after the first in an iteration with several epochs. Returns keep their scale. Ours: the entropy bonus.
    """

    summary: ClassVar[str] = "REINFORCE with the greedy policy's return as baseline"
    label: ClassVar[str] = "ReMax"
    shares_start: ClassVar[bool] = True
    wants_greedy: ClassVar[bool] = True
    columns: ClassVar[tuple[Column, ...]] = (
        Column("greedy_return", "Greedy return", "", "of the greedy policy's episode, from where the batch starts"),
    )
    confidence: ClassVar[str] = "high: the advantage was read in the code of verl; the loss is REINFORCE's"

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        if batch.greedy_returns is None:
            raise ValueError("ReMax needs an episode of the greedy policy")
        A = (batch.returns - batch.greedy_returns).to(batch.dtype)
        loss = -(A * batch.masked_sum(batch.log_probs)).mean((-1, -2))
        return self.finish(loss, batch, {"greedy_return": batch.greedy_returns.mean((-1, -2)).to(batch.dtype)})
