"""SOUP: Single-sample Mix-policy Unified Paradigm (Yang et al. 2026, arXiv 2601.21476)."""

from typing import ClassVar

from haepo_bench.objectives.base import hyper
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.plans import PrefixPlan
from haepo_bench.objectives.spaces import COEFFICIENT


class Soup(Grpo):
    """SOUP: GRPO on trajectories that an earlier policy begins and the current one goes on with.

        r_kt = pi(a|s) / historical(a|s)        on the first c_k steps of trajectory k
        r_kt = pi(a|s) / behaviour(a|s)         on the others
        loss = GRPO's on these ratios: clipped, token by token

    Source: the abstract, which is all that is known here: a prefix from a historical policy, an on-policy continuation,
    ratios token by token. All else is ours. A copy of the policy is kept every `history_interval` iterations, the
    initial policy first, and the newest `history_size` stay. One of them is drawn for each batch; the first batch has
    none. The first `prefix_share` of each group's trajectories (rounded) begin with a prefix of c_k = u m steps
    (rounded down): u uniform in [0, longest_prefix], m the mean length of the trajectories that the historical policy's
    own batch had. So tasks of one step have no prefixes. Prefix steps are trained on, and counted, as all others are.
    beta is 0: k3 on steps that another policy took is not an estimate of a KL, and has no bound. Compare it with `grpo`
    at beta 0.
    """

    summary: ClassVar[str] = "GRPO on trajectories that earlier policies begin"
    label: ClassVar[str] = "SOUP (schedule ours)"
    confidence: ClassVar[str] = "low: the abstract alone; which policies begin, and how much, is ours"

    beta: float = hyper(
        0.0,
        "weight of the KL penalty (k3 on all steps, those of prefixes included) to the initial policy",
        ge=0,
        search=COEFFICIENT,
    )
    prefix_share: float = hyper(0.5, "share of each group's trajectories that begin with a prefix", ge=0, le=1)
    longest_prefix: float = hyper(
        0.5, "longest prefix, as a share of the historical policy's mean length of a trajectory", gt=0, le=1
    )
    history_interval: int = hyper(5, "a copy of the policy is kept every so many", unit="iterations", ge=1)
    history_size: int = hyper(4, "how many of them are kept, the newest", unit="policies", ge=1, le=1000)

    @property
    def prefixes(self) -> PrefixPlan:
        return PrefixPlan(self.prefix_share, self.longest_prefix, self.history_interval, self.history_size)
