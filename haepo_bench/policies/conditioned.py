"""Policies that are also shown a vector w, which stays the same for an episode.

With w given, w enters the first layer as a constant: what its weights make of it is a part of the bias. So a policy of
observations and w becomes, for each w, a policy of observations alone.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.mlp import Network


class Conditioned:
    """The wider of two networks that differ in their inputs alone: those of `plain`, followed by w.

    Args:
        plain: of policies of observations.
        size: numbers of w.
    """

    def __init__(self, plain: Network, size: int) -> None:
        self.plain, self.network, self._size = plain, replace(plain, inputs=plain.inputs + size), size

    def initial(self, plain: Tensor, stream: np.random.Generator) -> Tensor:
        """Initial parameters [parameter] of one seed: at w = 0 the policy with the parameters `plain` [parameter].

        Args:
            stream: draws the weights of w, as initial weights of a network of all inputs are drawn.
        """
        weight, bias, *rest = plain.split_with_sizes(self.plain.sizes)
        drawn = torch.from_numpy(self.network.initial(stream))[: self.network.sizes[0]].to(plain)
        units = self.network.widths[1]
        of_w = drawn.view(units, -1)[:, self.plain.inputs :]
        wide = torch.cat([weight.view(units, -1), of_w], 1).flatten()
        return self._padded(torch.cat([wide, bias, *rest[:-1]]), self.network.sizes[-1])

    def given(self, parameters: Tensor, w: Tensor) -> Tensor:
        """The parameters [parameter] of the policy of observations alone that one of both is at `w` [size]."""
        weight, bias, *rest = parameters.split_with_sizes(self.network.sizes)
        weights = weight.view(self.network.widths[1], -1)
        own, of_w = weights[:, : self.plain.inputs], weights[:, self.plain.inputs :]
        shifted = bias + (of_w * w.to(of_w)).sum(1)
        return self._padded(torch.cat([own.flatten(), shifted, *rest[:-1]]), self.plain.sizes[-1])

    @staticmethod
    def _padded(parameters: Tensor, zeros: int) -> Tensor:
        return torch.cat([parameters, parameters.new_zeros(zeros)])
