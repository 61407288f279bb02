"""What an objective's implicit reward says about single steps ("From r to Q*", arXiv 2404.12358): a diagnostic.

The optimum of return minus beta times the KL to a reference satisfies, where transitions are deterministic,

    beta log pi*(a|s) / ref(a|s) = r(s, a) + V*(s') - V*(s)

so beta (lp - ref) is the credit of a step, and along a whole trajectory it adds up to its return minus the value of its
start: every trajectory implies the same V*(s_0). How far the implied values lie apart says how far the policy is from
that optimum.
"""

from torch import Tensor

from haepo_bench.objectives.base import TrajectoryBatch


def implicit_value(batch: TrajectoryBatch, rewards: Tensor, credit: Tensor) -> dict[str, Tensor]:
    """The value of the start states that trajectories imply; nothing where transitions are not deterministic.

    Args:
        rewards: [seed, group, trajectory] what the objective takes for a trajectory's return.
        credit: [seed, group, trajectory] sum of the credit of its steps.

    Returns:
        `implicit_value`: mean over trajectories; `implicit_value_deviation`: how they differ within a group (standard
        deviation, ddof 0), mean over groups: [seed] each.
    """
    if not batch.deterministic:
        return {}
    value = (rewards - credit).detach()
    deviation = value.std(-1, correction=0).mean(-1)
    found = {"implicit_value": value.mean((-1, -2)), "implicit_value_deviation": deviation}
    return {name: number.to(credit.dtype) for name, number in found.items()}
