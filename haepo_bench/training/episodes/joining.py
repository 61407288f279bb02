"""One batch made of two rollouts' episodes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from haepo_bench.policies.shapes import Array
from haepo_bench.training.episodes.rollout import Rollout


def joined(rollout: Rollout, other: Rollout, places: Array) -> Rollout:
    """The episodes at some places, of all of a rollout's followed by all of another's.

    Args:
        places: [seed, episode] int64, which ones, in the order that they are wanted in.
    """
    own, rows = (rollout, other), np.arange(len(places))[:, None]
    steps = max(one.mask.shape[2] for one in own)

    def chosen(name: str) -> Tensor:
        """Of both, as long as the longer one, the chosen ones."""
        both = [getattr(one, name) for one in own]
        both = [x.movedim(1, -1) for x in both] if name == "observations" else both
        longer = [pad(x, (0, 0) * (x.dim() - 3) + (0, steps - x.shape[2])) for x in both]
        found = torch.cat(longer, 1)[rows, places]
        return found.movedim(-1, 1) if name == "observations" else found

    def taken(values: Sequence[Array]) -> Array:
        found: Array = np.concatenate(values, 1)[rows, places]
        return found

    return replace(
        rollout,
        observations=chosen("observations"),
        actions=chosen("actions"),
        rewards=chosen("rewards"),
        mask=chosen("mask"),
        lengths=taken([one.lengths for one in own]),
        returns=taken([one.returns for one in own]),
        measures={name: taken([one.measures[name] for one in own]) for name in rollout.measures},
    )
