"""Which trajectories of a batch keep their places when others compete for them, by their returns alone."""

import numpy as np

from haepo_bench.objectives.plans import RephrasingPlan
from haepo_bench.policies.shapes import Array
from haepo_bench.training.returns import comparable


def best_places(returns: Array, branches: Array, groups: int) -> Array:
    """Where those that return most are, among all trajectories followed by all branches: [seed, trajectory] int64.

    Args:
        returns: [seed, trajectory] group by group; branches: [seed, branch] likewise.
    """
    S, K = returns.shape
    each = K // groups
    both = np.concatenate([comparable(one).reshape(S, groups, -1) for one in (returns, branches)], 2)
    order = np.sort(np.argsort(-both, axis=2, kind="stable")[..., :each], axis=2)
    first, width = np.arange(groups)[:, None], branches.shape[1] // groups
    places: Array = np.where(order < each, first * each + order, K + first * width + order - each)
    return places.reshape(S, K)


def replacements(returns: Array, versions: Array, plan: RephrasingPlan) -> tuple[Array, Array]:
    """Which groups' worst is replaced, bool [seed, group], and where among all trajectories it is [seed, group].

    Args:
        returns: [seed, trajectory], group by group. versions: [seed, group].
    """
    S, G = versions.shape
    grouped, own = comparable(returns).reshape(S, G, -1), comparable(versions)
    bar = own if plan.failed is None else np.full_like(own, plan.failed)
    enough = (grouped < bar[..., None]).mean(-1) >= plan.share - 1e-9  # shares such as 0.1 are not exact
    replaced: Array = enough & (own > grouped.min(-1)) & (own >= bar)
    return replaced, np.arange(G) * grouped.shape[-1] + grouped.argmin(-1)
