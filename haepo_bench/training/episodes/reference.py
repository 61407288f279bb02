"""Returns of the reference policy, for objectives that compare a trajectory with what the reference would have earned.

They are the returns of a fixed number of training episodes of it, played when it becomes the reference, and counted as
the training episodes that they are. Where episodes start in different states the sample is one over start states, too.
Where the reference is the policy that collected the batch, the batch is such a sample, and no others are played.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from haepo_bench.policies.shapes import Array
from haepo_bench.training.episodes.rollout import Actor, Collector, Rollout
from haepo_bench.training.streams import stream


class ReferenceSample:
    """The sample of each seed in training; row i belongs to the i-th seed that is still kept.

    Args:
        collector: of so many training episodes of each group; closed with it.

    Attributes:
        returns: [seed, group * sample] float64; None before the first `collect`.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self.returns: Array | None = None

    def collect(
        self, actor: Actor, seeds: Sequence[int], iteration: int, *, visited: Array | None, device: str
    ) -> Rollout:
        """Plays the episodes of the policies that are the reference from this iteration on."""
        rollout = self._collector.collect(
            actor,
            [stream("reference environment", seed, iteration) for seed in seeds],
            [stream("reference noise", seed, iteration) for seed in seeds],
            visited=visited,
            device=device,
        )
        self.returns = rollout.returns
        return rollout

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds."""
        self.returns = None if self.returns is None else self.returns[rows]

    def state(self) -> dict[str, Any]:
        """What is known, row by row."""
        return {"returns": self.returns}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state`, in which arrays are tensors."""
        self.returns = None if state["returns"] is None else state["returns"].cpu().numpy()

    def close(self) -> None:
        """Lets go of the environments."""
        self._collector.close()
