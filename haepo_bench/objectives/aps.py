"""APS, Active Pretraining with Successor Features (Liu and Abbeel 2021, arXiv 2108.13956), on-policy."""

from typing import ClassVar, Literal

from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.results.columns import Column


class Aps(Reinforce):
    """Pretraining without rewards for half of the budget, then REINFORCE on the task's own returns.

        r_int = log(1 + mean over the k nearest phi of max(d / M - 1e-4, 0)) + w . phi(s') / |phi(s')|
        L_phi = - mean w . phi(s') / |phi(s')|
        w*    = least squares of the task's rewards on phi(s') / |phi(s')|, at length 1
        then    reinforce's loss, from the policy at w = w*

    The policy is shown w, drawn for each episode from the unit sphere, and learns from r_int by `reinforce-togo`. d are
    distances to phi of the batch's other steps, M their running mean. Until pretraining ends, evaluations show the
    policy at w*: what it is worth without training on rewards (zero-shot). Rewards are used for w* alone, those of the
    newest `pretraining_rewards` steps; before the first update w* is 0.

    This is the setting `pretraining` of all native algorithms, under a name: `{use: grpo, params: {pretraining: 0.5}}`
    fine-tunes with another objective, and pretrains the same policies, seed by seed.

    As in the code of the authors' benchmark: r_int, its features, k, M and w*. Ours: the loop. There it is DDPG on a
    replay buffer with a critic of successor features, Q = w . psi(s, a, w), and w is redrawn every 5 steps. Here it is
    on-policy, without a critic: the sum of phi over the rest of an episode is a sample of psi.
    """

    summary: ClassVar[str] = "pretraining without rewards on particle entropy and w . phi, then REINFORCE from there"
    label: ClassVar[str] = "APS (on-policy)"
    footnote: ClassVar[str] = "APS: an on-policy form of ours; a share of the budget is trained without rewards"
    confidence: ClassVar[str] = "medium: rewards and features as in the authors' code; the on-policy loop is ours"
    told: ClassVar[Literal["per-step rewards", "returns", "oracle preferences"]] = "per-step rewards"
    columns: ClassVar[tuple[Column, ...]] = (
        Column("pretraining", "Pretraining", "", "share of the iterations that were trained without rewards"),
        Column("entropy_reward", "Entropy reward", "", "in pretraining, mean of log(1 + mean distance to neighbours)"),
        Column("skill_reward", "Skill reward", "", "in pretraining, mean of w . phi(s') / |phi(s')|"),
    )
    pretraining: ClassVar[float] = 0.5
