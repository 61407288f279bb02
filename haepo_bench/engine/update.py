"""A batch of steps in the kernels' layout: through the network and back."""

from functools import cached_property
from typing import NamedTuple, Self

import numpy as np

from haepo_bench.engine.architecture import Architecture
from haepo_bench.engine.library import GROUP, Library, at, long, single, writable
from haepo_bench.policies.shapes import Array, pad

#: Beyond so many bytes (over all seeds) what layers computed is not kept but computed again: bounds the memory.
_KEPT_BYTES = 128 << 20


class Outputs(NamedTuple):
    """What a network made of the rows.

    Args:
        z: outputs of the head; of each seed [output, row].
        hidden: activations, if kept; of each seed and layer [row, feature].
    """

    z: Array
    hidden: Array | None


class HeadValues(NamedTuple):
    """Log-probabilities of what was taken, entropy and KL to the reference, [row] each."""

    log_probs: Array
    entropy: Array
    kl: Array


class Workspace:
    """Memory for hidden activations that one batch after the other uses: taking it anew costs as much as filling it."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.float32)

    def take(self, size: int) -> Array:
        """So many floats; what was taken before has no meaning any more."""
        if len(self._memory) < size:
            self._memory = np.empty(size, np.float32)
        return self._memory[:size]


class _Where(NamedTuple):
    """Where the rows of episodes of a shape and lengths are, as kernels take it: sizes, then offsets and lengths."""

    shape: tuple[int, ...]
    lengths: Array
    sizes: tuple[object, ...]
    places: tuple[object, ...]


class StepRows:
    """The steps of several seeds, one row each, seed after seed, each seed's padded to whole groups.

    Args:
        offsets: [seed + 1] where each seed's rows begin, and the number of all.
        counts: [seed] how many of them are steps.
        observations: [row, feature] float32.
        actions: [row, *action].
        workspace: for what layers compute; its own where left out.
    """

    def __init__(
        self,
        library: Library,
        architecture: Architecture,
        offsets: Array,
        counts: Array,
        observations: Array,
        actions: Array,
        workspace: Workspace | None = None,
    ) -> None:
        self._workspace = workspace or Workspace()
        self._library, self._architecture = library, architecture
        self._offsets, self._counts = offsets, counts
        self._S, self._N = len(counts), len(observations)
        if (
            offsets.shape != (self._S + 1,)
            or (offsets % GROUP).any()
            or offsets[0] != 0
            or offsets[-1] != self._N
            or (counts < 0).any()
            or (counts > np.diff(offsets)).any()
        ):
            raise ValueError("rows of seeds must be whole groups, one seed after the other")
        # What every call is given.
        self._places = at(offsets, np.int64, self._S + 1), at(counts, np.int64, self._S)
        self._observations = at(observations, np.float32, self._N, architecture.inputs)
        self._actions = actions
        self._where_last: _Where | None = None

    @classmethod
    def packed(
        cls,
        library: Library,
        architecture: Architecture,
        observations: Array,
        actions: Array,
        lengths: Array,
        workspace: Workspace | None = None,
    ) -> Self:
        """The steps of episodes, in the order of episodes and steps.

        Args:
            observations: [seed, episode, step, feature] float32.
            actions: [seed, episode, step, *action].
            lengths: [seed, episode] int64, steps of each.
        """
        S, K, T, _ = observations.shape
        if lengths.shape != (S, K) or lengths.dtype != np.int64 or (lengths < 0).any() or (lengths > T).any():
            raise ValueError("lengths of episodes must be whole numbers up to the longest")
        counts = lengths.sum(1)
        offsets = np.zeros(S + 1, np.int64)
        offsets[1:] = (-(-counts // GROUP) * GROUP).cumsum()
        lengths = np.ascontiguousarray(lengths)
        rows = []
        for episodes in (observations, actions):
            own = np.zeros((int(offsets[-1]), *episodes.shape[3:]), episodes.dtype)
            width = own.dtype.itemsize * int(np.prod(own.shape[1:], dtype=np.int64))
            library.call(
                "pack",
                S,
                K,
                long(T),
                long(width),
                at(offsets, np.int64, S + 1),
                at(lengths, np.int64, S, K),
                at(episodes, episodes.dtype, S, K, T, *own.shape[1:]),
                writable(own, own.dtype, *own.shape),
            )
            rows.append(own)
        return cls(library, architecture, offsets, counts, rows[0], rows[1], workspace)

    @classmethod
    def uniform(
        cls,
        library: Library,
        architecture: Architecture,
        observations: Array,
        actions: Array,
        workspace: Workspace | None = None,
    ) -> Self:
        """As many steps of each seed: observations [seed, row, feature] float32, actions [seed, row, *action]."""
        S, N = observations.shape[:2]
        offsets, counts, padded = uniform_rows(S, N)
        whole = []
        for part in (observations, actions):
            own = np.zeros((S, padded, *part.shape[2:]), part.dtype)
            own[:, :N] = part
            whole.append(own.reshape(S * padded, *part.shape[2:]))
        return cls(library, architecture, offsets, counts, whole[0], whole[1], workspace)

    def episodes(self, rows: Array, lengths: Array, out: Array) -> Array:
        """Numbers [row] to `out` [seed, episode, step], which is left alone where no step was taken.

        Or several kinds of numbers at once, [kind, row] to [kind, seed, episode, step]. There may be more seeds in
        `out` than here: these took no step.
        """
        kinds, where = out.shape[:-3], self._where(out.shape, lengths)
        given, made = at(rows, np.float32, *kinds, self._N), writable(out, np.float32, *out.shape)
        self._library.call("unpack", *where.sizes, *where.places, given, made)
        return out

    def rows(self, episodes: Array, lengths: Array) -> Array:
        """And back: numbers [..., seed, episode, step] float32 to [..., row]; zero in the padding."""
        found, where = np.zeros((*episodes.shape[:-3], self._N), np.float32), self._where(episodes.shape, lengths)
        given, made = at(episodes, np.float32, *episodes.shape), writable(found, np.float32, *found.shape)
        self._library.call("pack", *where.sizes, long(4), *where.places, given, made)
        return found

    def _where(self, shape: tuple[int, ...], lengths: Array) -> "_Where":
        """Where the rows of episodes are: `shape` [..., seed, episode, step], `lengths` [seed, episode].

        Kernels know no kinds: those of the second kind are further seeds after those of the first.
        """
        last = self._where_last
        if last is not None and last.shape == shape and last.lengths is lengths:
            return last
        *leading, S, K, T = shape
        kinds, more = int(np.prod(leading, dtype=np.int64)), S - self._S
        if (
            len(leading) > 1
            or more < 0
            or lengths.shape != (self._S, K)
            or lengths.sum(1).tolist() != self._counts.tolist()
            or (lengths > T).any()
        ):
            raise ValueError("these are not the episodes that the rows came from")
        own = np.concatenate([lengths, np.zeros((more, K), np.int64)])
        begins = np.concatenate([self._offsets[:-1], np.full(more, self._N, np.int64)])
        offsets = np.append((np.arange(kinds)[:, None] * self._N + begins).ravel(), kinds * self._N)
        places = at(offsets, np.int64, kinds * S + 1), at(np.tile(own, (kinds, 1)), np.int64, kinds * S, K)
        self._where_last = _Where(shape, lengths, (kinds * S, K, long(T)), places)
        return self._where_last

    def outputs(self, parameters: Array, *, keep: bool = False) -> Outputs:
        """Outputs of the head under policies [seed, parameter].

        Args:
            keep: with what `backward` needs, if that is not too much; it has no meaning any more once others are kept.
        """
        size = self._N * self._architecture.hidden
        hidden = self._workspace.take(size) if keep and 0 < 4 * size <= _KEPT_BYTES else None
        z = np.empty(self._N * self._architecture.outputs, np.float32)
        self._library.call(
            "forward",
            *self._shape(),
            *self._places,
            self._parameters(parameters),
            self._observations,
            writable(hidden, np.float32, size),
            writable(z, np.float32, self._N * self._architecture.outputs),
        )
        return Outputs(z, hidden)

    def log_probs(self, z: Array, temperature: float = 1.0) -> Array:
        """Log-probabilities of what was taken under the distribution proportional to p^(1 / temperature): [row]."""
        found = np.zeros(self._N, np.float32)
        self._evaluate(z, None, temperature, found, None, None)
        return found

    def evaluate(self, z: Array, reference: Array) -> HeadValues:
        """What the head says of the rows; `reference`: outputs of the reference policy."""
        found = HeadValues(*np.zeros((len(HeadValues._fields), self._N), np.float32))
        self._evaluate(z, reference, 1.0, *found)
        return found

    def backward(self, parameters: Array, outputs: Outputs, reference: Array, gradients: HeadValues) -> Array:
        """d loss / d parameters [seed, parameter].

        Args:
            parameters: as given to `outputs`.
            reference: as given to `evaluate`.
            gradients: d loss / d what `evaluate` gave.
        """
        numbers = self._N * self._architecture.outputs
        return self._backward(
            parameters,
            outputs.hidden,
            at(outputs.z, np.float32, numbers),
            at(reference, np.float32, numbers),
            *self._taken,
            *(at(part, np.float32, self._N) for part in gradients),
        )

    def backward_values(self, parameters: Array, outputs: Outputs, gradient: Array) -> Array:
        """As `backward`, of a network whose outputs are values; `gradient`: d loss / d values [row]."""
        nothing = at(None, np.float32)
        given = at(gradient, np.float32, self._N)
        return self._backward(parameters, outputs.hidden, nothing, nothing, nothing, nothing, given, nothing, nothing)

    def _backward(self, parameters: Array, hidden: Array | None, *heads: object) -> Array:
        found = np.empty_like(parameters)
        self._library.call(
            "backward",
            *self._shape(),
            *self._places,
            self._parameters(parameters),
            self._observations,
            at(hidden, np.float32, self._N * self._architecture.hidden),
            *heads,
            writable(found, np.float32, *parameters.shape),
        )
        return found

    def _evaluate(
        self,
        z: Array,
        reference: Array | None,
        temperature: float,
        log_probs: Array,
        entropy: Array | None,
        kl: Array | None,
    ) -> None:
        numbers = self._N * self._architecture.outputs
        self._library.call(
            "evaluate",
            self._architecture.address,
            self._S,
            *self._places,
            at(z, np.float32, numbers),
            at(reference, np.float32, numbers),
            *self._taken,
            single(temperature),
            *(writable(part, np.float32, self._N) for part in (log_probs, entropy, kl)),
        )

    @cached_property
    def _taken(self) -> tuple[object, object]:
        """Addresses of discrete and of continuous actions, of which there is one."""
        nothing, architecture = at(None, np.float32), self._architecture
        own = at(self._actions, architecture.action_dtype, self._N, *architecture.action_shape)
        return (own, nothing) if architecture.dimensions is None else (nothing, own)

    def _shape(self) -> tuple[object, ...]:
        return self._architecture.address, self._S, long(self._architecture.parameters)

    def _parameters(self, parameters: Array) -> object:
        return at(parameters, np.float32, self._S, self._architecture.parameters)


def uniform_rows(S: int, rows: int) -> tuple[Array, Array, int]:
    """(offsets, counts, rows with padding) of S seeds with so many rows each."""
    padded = pad(rows, GROUP)
    return np.arange(S + 1, dtype=np.int64) * padded, np.full(S, rows, np.int64), padded
