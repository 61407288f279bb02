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
        seeds: row i of `initial` belongs to seed i of these.
        initial: under the initial policies.
    """

    def __init__(self, task: Task, seeds: Sequence[int], initial: LogProbs) -> None:
        self._probes = probe_set(task)
        found = () if self._probes is None else initial(self._probes)
        # Rows of one seed start from the same policy, whatever their configuration.
        self._initial = dict(zip(seeds, found, strict=self._probes is not None))

    def columns(self, seeds: Sequence[int], current: LogProbs) -> list[dict[str, float]]:
        """The column for some policies; none for a task without a probe set, NaN while a policy is the initial one.

        Args:
            seeds: that each policy is of.
            current: under those policies.
        """
        if self._probes is None:
            return [{} for _ in seeds]
        initial = np.stack([self._initial[seed] for seed in seeds])
        change = (current(self._probes) - initial).astype(np.float64)
        sums = np.add.reduceat(change, self._probes.starts, 1)
        taus = [kendall_tau_b(own / self._probes.lengths, self._probes.returns) for own in sums]
        return [{"reward_alignment": tau} for tau in taus]


@torch.no_grad()
def network_log_probs(
    probes: ProbeSet,
    head: Head,
    policy: Policy,
    seeds: int,
    padded_rows: Callable[[int], int],
    device: torch.device | str,
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
