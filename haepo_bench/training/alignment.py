"""reward_alignment: does a policy make trajectories likelier in the order of their true returns?"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.heads import Head
from haepo_bench.policies.shapes import Array
from haepo_bench.statistics.association import kendall_tau_b
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.probes import ProbeSet, probe_set

#: Observations [seed, feature, row] to outputs of the head [seed, output, row].
Policy = Callable[[Tensor], Tensor]

#: Log-probabilities [seed, row] of a probe set's actions.
LogProbs = Callable[[ProbeSet], Array]


class RewardAlignment:
    """Kendall's tau-b between (log pi - log pi_initial) / length and the true return, over a task's probe set.

    The set is frozen and holds all kinds of return, and the initial policy is the point of comparison: a policy's own
    batches would measure length (on CartPole a uniform policy would get exactly -1).

    Args:
        initial: under the initial policies; row i belongs to the i-th seed that is still kept.
    """

    def __init__(self, task: Task, initial: LogProbs) -> None:
        self._probes = probe_set(task)
        self._initial = initial(self._probes) if self._probes is not None else None

    def columns(self, rows: Sequence[int], current: LogProbs) -> list[dict[str, float]]:
        """The column for some seeds; none for a task without a probe set, NaN while a policy is still the initial one.

        Args:
            current: under the current policies of those seeds.
        """
        if self._probes is None or self._initial is None:
            return [{} for _ in rows]
        change = (current(self._probes) - self._initial[list(rows)]).astype(np.float64)
        sums = np.add.reduceat(change, self._probes.starts, 1)
        taus = [kendall_tau_b(own / self._probes.lengths, self._probes.returns) for own in sums]
        return [{"reward_alignment": tau} for tau in taus]

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds."""
        self._initial = None if self._initial is None else self._initial[list(rows)]


@torch.no_grad()
def network_log_probs(
    probes: ProbeSet, head: Head, policy: Policy, seeds: int, padded_rows: Callable[[int], int], device: str
) -> Array:
    """Log-probabilities [seed, row] of a probe set's actions under the policies of a batch of seeds.

    Args:
        padded_rows: as of the policy's `Network`.
    """
    n, features = probes.observations.shape
    rows = torch.zeros(seeds, features, padded_rows(n))
    rows[:, :, :n] = torch.from_numpy(probes.observations).T
    actions = torch.zeros(seeds, rows.shape[2], *head.action_shape, dtype=head.action_dtype)
    actions[:, :n] = torch.from_numpy(probes.actions)
    log_probs: Array = head.log_prob(policy(rows.to(device)), actions.to(device))[:, :n].cpu().numpy()
    return log_probs
