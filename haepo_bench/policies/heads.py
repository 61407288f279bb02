"""Action distributions on top of a network: outputs [seed, output, row] to samples, log-probabilities, entropy, KL.

Rows are steps. Noise is drawn by the caller, so that the same noise and outputs give the same actions anywhere.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from haepo_bench.policies.shapes import Array


class Head(ABC):
    """A family of action distributions.

    Args:
        outputs: numbers that the distribution has a row.
        free: how many of them, the last ones, are parameters of their own that do not depend on the observation.
        free_name: what those are called where parameters are named.
        last_gain: of the initial weights that make the other outputs; None: as the network has it.
        action_shape: shape of one action; () for discrete actions.
    """

    outputs: int
    free: int = 0
    free_name: str = ""
    last_gain: float | None = None
    action_shape: tuple[int, ...]
    action_dtype: torch.dtype

    @abstractmethod
    def noise(self, stream: np.random.Generator, rows: int, steps: int) -> Array:
        """What `sample` needs for `rows` x `steps` actions: float32 [rows, steps, *noise]."""

    @abstractmethod
    def sample(self, outputs: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        """Actions [seed, row, *action].

        Args:
            outputs: [seed, output, row].
            noise: [seed, row, *noise].
            greedy: bool [row], true where the most likely action is taken instead; None for nowhere.
        """

    @abstractmethod
    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        """Log-probability (for continuous actions log-density) of `actions` [seed, row, *action]: [seed, row]."""

    def initial_free(self, stream: np.random.Generator, log_std: float) -> Array:
        """Initial values [free] of the parameters that do not depend on the observation.

        Args:
            log_std: initial logarithm of standard deviations.
        """
        return np.zeros(0)

    def played(self, actions: Array) -> Array:
        """Actions [..., *action] as the task takes them."""
        return actions

    def apart(self, outputs: Tensor, actions: Tensor, reference: Tensor) -> Tensor | None:
        """How far the two halves of doubled actions lie apart, in the Euclidean norm: [seed, row], with gradient.

        None where actions are not doubled. The actions are samples of the distributions with `outputs`, made of the
        noise that `actions` were drawn with from those with `reference`.
        """
        return None

    @abstractmethod
    def tempered(self, outputs: Tensor, temperature: float) -> Tensor:
        """Outputs of the distribution proportional to p^(1 / temperature)."""

    @abstractmethod
    def evaluate(self, outputs: Tensor, actions: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(log_probs, entropy, KL to the distributions with outputs `reference`), nats: [seed, row] each."""


class Categorical(Head):
    """Discrete actions; outputs are logits.

    Args:
        actions: number of actions.
    """

    action_shape = ()
    action_dtype = torch.int64

    def __init__(self, actions: int) -> None:
        self.outputs = actions

    def noise(self, stream: np.random.Generator, rows: int, steps: int) -> Array:
        return stream.random((rows, steps), dtype=np.float32)

    def sample(self, outputs: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        # Inverse CDF: one uniform number an action. With two actions there is nothing to add up.
        p = torch.softmax(outputs, 1)
        two = self.outputs == 2
        actions = (p[:, 0] <= noise).long() if two else (p[:, :-1].cumsum(1) <= noise[:, None]).sum(1)
        if greedy is not None:
            actions = torch.where(greedy, outputs.max(1).indices, actions)  # a tenth of what `argmax` takes
        return actions

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        return torch.log_softmax(outputs, 1).gather(1, actions[:, None])[:, 0]

    def tempered(self, outputs: Tensor, temperature: float) -> Tensor:
        return outputs / temperature

    def evaluate(self, outputs: Tensor, actions: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        log_p = torch.log_softmax(outputs, 1)
        p = log_p.exp()
        entropy = -(p * log_p).sum(1)
        kl = (p * (log_p - torch.log_softmax(reference, 1))).sum(1)
        return log_p.gather(1, actions[:, None])[:, 0], entropy, kl


class MultiCategorical(Head):
    """Several discrete actions at once, independent of each other; outputs are the logits of all, end to end.

    log p(a) = sum_i log p_i(a_i); entropy and KL are sums as well.

    Args:
        sizes: number of actions of each.
    """

    action_dtype = torch.int64

    def __init__(self, sizes: Sequence[int]) -> None:
        self._parts = [Categorical(size) for size in sizes]
        self.sizes = list(sizes)
        self.outputs = sum(sizes)
        self.action_shape = (len(self.sizes),)

    def noise(self, stream: np.random.Generator, rows: int, steps: int) -> Array:
        return stream.random((rows, steps, len(self.sizes)), dtype=np.float32)

    def sample(self, outputs: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        split = zip(self._parts, self._split(outputs), noise.unbind(-1), strict=True)
        return torch.stack([part.sample(logits, own, greedy) for part, logits, own in split], -1)

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        split = zip(self._parts, self._split(outputs), actions.unbind(-1), strict=True)
        return _sum(part.log_prob(logits, own) for part, logits, own in split)

    def tempered(self, outputs: Tensor, temperature: float) -> Tensor:
        return outputs / temperature

    def evaluate(self, outputs: Tensor, actions: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        split = zip(self._parts, self._split(outputs), actions.unbind(-1), self._split(reference), strict=True)
        found = [part.evaluate(logits, own, others) for part, logits, own, others in split]
        log_probs, entropies, divergences = zip(*found, strict=True)
        return _sum(log_probs), _sum(entropies), _sum(divergences)

    def _split(self, outputs: Tensor) -> tuple[Tensor, ...]:
        return outputs.split_with_sizes(self.sizes, 1)


class DiagonalGaussian(Head):
    """Continuous actions; outputs are means then logarithms of standard deviations.

    Args:
        dimensions: of an action.
    """

    action_dtype = torch.float32
    free_name = "log_std"

    def __init__(self, dimensions: int) -> None:
        self.dimensions = self.free = dimensions
        self.outputs = 2 * dimensions
        self.action_shape = (dimensions,)

    def initial_free(self, stream: np.random.Generator, log_std: float) -> Array:
        return np.full(self.free, log_std)

    def noise(self, stream: np.random.Generator, rows: int, steps: int) -> Array:
        return stream.standard_normal((rows, steps, self.dimensions), dtype=np.float32)

    def sample(self, outputs: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        mean, log_std = self._split(outputs)
        if greedy is not None:
            noise = torch.where(greedy[:, None], 0.0, noise)
        return (mean + log_std.exp() * noise.transpose(1, 2)).transpose(1, 2)

    def log_prob(self, outputs: Tensor, actions: Tensor) -> Tensor:
        mean, log_std = self._split(outputs)
        z = (actions.transpose(1, 2) - mean) * (-log_std).exp()
        return -(0.5 * z.square() + log_std + 0.5 * math.log(2 * math.pi)).sum(1)

    def tempered(self, outputs: Tensor, temperature: float) -> Tensor:
        mean, log_std = self._split(outputs)
        return torch.cat([mean, log_std + 0.5 * math.log(temperature)], 1)

    def evaluate(self, outputs: Tensor, actions: Tensor, reference: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_std = self._split(outputs)
        reference_mean, reference_log_std = self._split(reference)
        entropy = (log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(1)
        log_ratio = log_std - reference_log_std
        shift = (mean - reference_mean) * (-reference_log_std).exp()
        kl = (0.5 * ((2 * log_ratio).exp() + shift.square() - 1) - log_ratio).sum(1)
        return self.log_prob(outputs, actions), entropy, kl

    def _split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        return outputs[:, : self.dimensions], outputs[:, self.dimensions :]


def _sum(parts: Iterable[Tensor]) -> Tensor:
    """One after the other, so that rounding does not depend on how many rows there are."""
    return reduce(torch.add, parts)
