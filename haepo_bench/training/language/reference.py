"""Returns of the reference policy, prompt by prompt, for objectives that compare a response with what it would earn.

They are those of a fixed number of responses of it to each prompt, sampled when a batch has the prompt for the first
time, and kept as long as the policy is the reference. Their tokens count as training tokens, as all others do.
Where the reference is the policy that collected the batch, the batch is such a sample, and nothing else is sampled.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.shapes import Array
from haepo_bench.training.language.batches import Sampled
from haepo_bench.training.streams import stream


class Cost(NamedTuple):
    """What was sampled."""

    tokens: int
    responses: int


class ReferenceReturns:
    """What is known of one reference policy.

    Args:
        sampled: answers with the policy as it is at the time.
        sample: responses to each prompt.
    """

    def __init__(self, sampled: Sampled, sample: int) -> None:
        self._sampled, self._sample = sampled, sample
        self._known: dict[int, Array] = {}

    def collect(self, prompts: Sequence[int], seed: int, iteration: int) -> Cost:
        """Samples for the prompts not known yet; to be called while the policy is the reference one."""
        missing = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        if not missing:
            return Cost(0, 0)
        found = self._sampled.answers(
            missing,
            self._sample,
            noise=stream("reference noise", seed, iteration),
            reward=stream("reference reward", seed, iteration),
        )
        self._known.update(zip(missing, found.returns.reshape(-1, self._sample), strict=True))
        return Cost(sum(map(len, found.ids)), len(found.ids))

    def of(self, prompts: Sequence[int]) -> Array:
        """[prompt, sample] float64, of prompts that were collected."""
        return np.stack([self._known[prompt] for prompt in prompts])

    def forget(self) -> None:
        """Another policy is the reference from now on."""
        self._known.clear()

    def state(self) -> dict[str, Tensor]:
        """What `restore` goes on from."""
        returns = np.array(list(self._known.values()), np.float64).reshape(-1, self._sample)
        return {"prompts": torch.tensor(list(self._known), dtype=torch.int64), "returns": torch.from_numpy(returns)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from a `state`."""
        self._known = dict(zip(state["prompts"].tolist(), state["returns"].cpu().numpy(), strict=True))
