"""What a value network's outputs say of the return: its mean, or its whole distribution."""

from abc import ABC, abstractmethod

from torch import Tensor

from haepo_bench.policies.heads import Categorical


class Critic(ABC):
    """How values are read off a value network's outputs.

    Args:
        head: how many outputs it has; as a distribution of actions it is never asked.
    """

    head: Categorical

    @abstractmethod
    def values(self, outputs: Tensor) -> Tensor:
        """V [seed, row] of outputs [seed, output, row], with gradient."""


class ScalarCritic(Critic):
    """One output: V itself."""

    def __init__(self) -> None:
        self.head = Categorical(1)

    def values(self, outputs: Tensor) -> Tensor:
        return outputs[:, 0]
