"""A policy or value network as the kernels see it."""

import numpy as np

from haepo_bench.engine.library import ArrayAddress, at
from haepo_bench.policies.heads import DiagonalGaussian, MultiCategorical
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.network import PolicyNetwork

_ACTIVATIONS = {"tanh": 0, "relu": 1}
_CATEGORICAL, _GAUSSIAN, _LINEAR = range(3)


class Architecture:
    """What the kernels need to know of a network.

    Args:
        values: whether its outputs are values rather than a distribution.

    Attributes:
        inputs: features of an observation.
        parameters: numbers of a seed's flat vector.
        outputs: numbers that the head has a row.
        hidden: numbers of a row's hidden activations, padded.
        dimensions: of a continuous action; None for discrete ones.
        action_shape: of an action; () where it is one number.
        action_dtype: int64 for discrete actions, float32 for continuous ones.
        address: of its description for the kernels.
    """

    def __init__(self, network: PolicyNetwork, *, values: bool = False) -> None:
        if not isinstance(network, Network):
            raise TypeError(f"the kernels are for multilayer perceptrons, not for a {type(network).__name__}")
        head, widths = network.head, network.widths
        gaussian = isinstance(head, DiagonalGaussian)
        self.inputs, self.parameters, self.outputs = widths[0], sum(network.sizes), head.outputs
        self.hidden = sum(-(-width // 16) * 16 for width in widths[1:-1])
        self.dimensions = head.dimensions if isinstance(head, DiagonalGaussian) else None
        kind = _LINEAR if values else _GAUSSIAN if gaussian else _CATEGORICAL
        self.action_shape = head.action_shape
        self.action_dtype = np.dtype(np.float32 if gaussian else np.int64)
        parts = [] if gaussian or values else head.sizes if isinstance(head, MultiCategorical) else [head.outputs]
        said = [_ACTIVATIONS[network.activation], kind, len(widths) - 1, *widths, len(parts), *parts]
        self.address: ArrayAddress = at(np.array(said, np.int32), np.int32, len(said))
