"""What objectives ask of the trainer beyond trajectories of the current policy, and tell it of themselves."""

from typing import NamedTuple


class ImplicitReward(NamedTuple):
    """The reward of a step that a policy implies: policy * log pi(a|s) - reference * log ref(a|s)."""

    policy: float
    reference: float


class PrefixPlan(NamedTuple):
    """How trajectories begin with steps of earlier policies, where an objective asks for that.

    Args:
        share: of each group's trajectories that begin so.
        longest: prefix, as a share of the mean length of the trajectories that the earlier policy's batch had.
        every: iterations from one copy of the policy that is kept to the next.
        kept: how many copies, the newest ones.
    """

    share: float
    longest: float
    every: int
    kept: int


class RephrasingPlan(NamedTuple):
    """When another version of an episode takes the place of a group's worst, where an objective asks for that.

    Args:
        share: of a group's trajectories that must fail.
        failed: returns below it are failures; None: below that of the version.
        slip: an expert plays the version, but for steps that the policy takes with this probability.
        prompt: the policy writes the version, in answer to this prompt, which shows it an expert's; None: see `slip`.
    """

    share: float
    failed: float | None
    slip: float = 0.0
    prompt: str | None = None


class BranchingPlan(NamedTuple):
    """How trajectories branch where the policy's entropy was highest, where an objective asks for that.

    Args:
        branches: of each trajectory.
    """

    branches: int


class DesignPlan(NamedTuple):
    """How many trajectories a G-optimal design plays in the place of the policy, where an objective asks for that.

    Args:
        share: of each group's trajectories.
    """

    share: float

    def among(self, trajectories: int) -> int:
        """How many of a group's; the policy keeps one at least."""
        return min(round(self.share * trajectories), trajectories - 1)
