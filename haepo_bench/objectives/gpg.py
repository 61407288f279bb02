"""GPG: Group Policy Gradient (Chu et al. 2025, arXiv 2504.02546)."""

from typing import ClassVar, Literal

from haepo_bench.objectives.base import Compared, EntropyBonus, ObjectiveOutput, TrajectoryBatch, centre, hyper


class Gpg(EntropyBonus):
    """GPG: the policy gradient alone: no ratio, clip, deviation or KL; groups without a gradient count for nothing.

        A_k  = n / n_+ (R_k - mean R)         n trajectories in the batch, n_+ of them in groups whose returns differ
        loss = mean over all steps of - A_k lp_kt

    Source: the paper, and TRL's trainer for it. verl's n_+ is the number of returns other than zero
    (`counted: nonzero`), which is the same where a group's equal returns are all zero and none in another is. No
    correction for the steps after the first in an iteration with several epochs. Returns keep their scale. Ours: the
    entropy bonus.
    """

    summary: ClassVar[str] = "policy gradient with a mean baseline, groups of equal returns not counted"
    label: ClassVar[str] = "GPG"
    compares: ClassVar[Compared] = "group"
    mixes_groups: ClassVar[bool] = True
    confidence: ClassVar[str] = "high: read in the code of verl and TRL, which differ in n_+"

    counted: Literal["varied", "nonzero"] = hyper(
        "varied", "n_+: trajectories in groups whose returns differ, or with a return other than 0", source="the paper"
    )

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        R = batch.returns
        counts = (R[..., :1] != R).any(-1, keepdim=True).expand_as(R) if self.counted == "varied" else R != 0
        alpha = R[0].numel() / counts.sum((-1, -2)).clamp(min=1)
        A = (alpha[:, None, None] * centre(R)).to(batch.dtype)[..., None]
        return self.finish(-batch.token_mean(A * batch.log_probs), batch, {})
