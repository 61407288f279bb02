"""A policy network and a value network that share no layer, with one flat parameter vector per seed."""

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.critics import Critic, ScalarCritic
from haepo_bench.policies.heads import Head
from haepo_bench.policies.mlp import Activation
from haepo_bench.policies.network import PolicyNetwork, Prepared, Seen, network
from haepo_bench.policies.shapes import Array, padded_rows

#: Inputs of the layers of the policy and of the value network, which `backward` needs.
LayerInputs = tuple[list[Tensor], list[Tensor]]


class ActorCritic:
    """Parameters [seed, parameter]: the policy's, then the value network's.

    Args:
        inputs: observation features, or the images and their encoder, of which each network has its own.
        hidden: units of the hidden layers of each network.
        critic: what the value network's outputs say; None: V itself.
        log_std: initial logarithm of standard deviations.
        orthogonal, activation: as in `Network`.
    """

    def __init__(
        self,
        inputs: int | Seen,
        hidden: tuple[int, ...],
        head: Head,
        *,
        critic: Critic | None = None,
        log_std: float = 0.0,
        orthogonal: bool = True,
        activation: Activation = "tanh",
    ) -> None:
        self.policy: PolicyNetwork = network(
            inputs, hidden, head, orthogonal=orthogonal, log_std=log_std, activation=activation
        )
        self.critic = ScalarCritic() if critic is None else critic
        self.value: PolicyNetwork = network(
            inputs, hidden, self.critic.head, last_gain=1.0, orthogonal=orthogonal, activation=activation
        )
        self._sizes = [sum(self.policy.sizes), sum(self.value.sizes)]

    def padded_rows(self, rows: int) -> int:
        """The number of rows to compute so that `rows` of them keep their bits (shapes.py)."""
        return padded_rows(rows, (*self.policy.hidden, self.policy.head.outputs, 1))

    @property
    def chunk_rows(self) -> int:
        """Rows of a seed that are worth computing at a time."""
        return self.policy.chunk_rows

    def initial(self, policy_stream: np.random.Generator, value_stream: np.random.Generator) -> Array:
        """Initial parameters [parameter] float32 of one seed."""
        return np.concatenate([self.policy.initial(policy_stream), self.value.initial(value_stream)])

    def fold(self, parameters: Tensor) -> tuple[Prepared, Prepared]:
        """The policy's and the value network's parameters as products take them."""
        own, critics = parameters.split_with_sizes(self._sizes, 1)
        return self.policy.fold(own), self.value.fold(critics)

    def values(self, folded: tuple[Prepared, Prepared], observations: Tensor) -> Tensor:
        """V [seed, row] for observations [seed, feature, row]."""
        return self.critic.values(self.value.outputs(folded[1], observations))

    def forward(self, folded: tuple[Prepared, Prepared], observations: Tensor) -> tuple[Tensor, Tensor, LayerInputs]:
        """Outputs of both networks [seed, output, row] each, and what `backward` needs."""
        outputs, policy_inputs = self.policy.forward(folded[0], observations)
        estimates, value_inputs = self.value.forward(folded[1], observations)
        return outputs, estimates, (policy_inputs, value_inputs)

    def backward(
        self, folded: tuple[Prepared, Prepared], inputs: LayerInputs, outputs: Tensor, estimates: Tensor
    ) -> Tensor:
        """d loss / d parameters [seed, parameter].

        Args:
            inputs: as returned by `forward`.
            outputs: d loss / d outputs of the policy's network [seed, output, row].
            estimates: d loss / d outputs of the value network [seed, output, row].
        """
        policy = self.policy.backward(folded[0], inputs[0], outputs)
        value = self.value.backward(folded[1], inputs[1], estimates)
        return torch.cat([policy, value], 1)

    def named(self, parameters: Tensor) -> dict[str, Array]:
        """One seed's parameters [parameter]: the policy's as `Network.named`, the value network's with `value_`."""
        own, critic = parameters.split_with_sizes(self._sizes)
        return self.policy.named(own) | {f"value_{name}": a for name, a in self.value.named(critic).items()}
