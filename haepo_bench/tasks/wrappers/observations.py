"""Wrappers that show other observations, in training and evaluation alike.

    window(<task>,<n>)   the last n observations, oldest first: a short memory for policies that have none
    normalised(<task>)   observations brought from their bounds to [-1, 1]

They nest with each other and with those of corruption.py.
"""

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.tasks.address import Layer
from haepo_bench.tasks.base import Array, Step, Task, VectorEnvironment
from haepo_bench.tasks.images import Image
from haepo_bench.tasks.wrappers.base import VectorWrapper, Wrap, WrappedTask

#: Most numbers in what is shown at a step: whole batches of episodes are kept in memory.
MAX_FEATURES = 100_000


class ObservedTask(WrappedTask):
    """A task that shows other observations, within `space`, which are `image`."""

    def __init__(
        self, inner: Task, layer: Layer, wrap: Wrap, *, summary: str, space: spaces.Box, image: Image | None
    ) -> None:
        super().__init__(inner, layer, wrap, summary=summary)
        self._layer, self._what = layer, summary
        self.observation_space, self.image = space, image

    def training(self) -> Task:
        inner = self._inner.training()
        if inner is self._inner:
            return self
        return ObservedTask(
            inner, self._layer, self._wrap, summary=self._what, space=self.observation_space, image=self.image
        )


class Window(VectorWrapper):
    """Shows the last n observations, oldest first; zeros stand where an episode has not had so many yet."""

    def __init__(self, inner: VectorEnvironment, n: int) -> None:
        super().__init__(inner)
        self._n = n

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        self._shown = self._start(super().reset(streams))
        return self._shown

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        start = self._start(super().restart(where, streams))
        self._shown = self._shown.copy()  # what was handed out stays as it was
        self._shown[where] = start
        return start

    def running(self) -> dict[str, Array]:
        return {**super().running(), "shown": self._shown}

    def step(self, actions: Array, live: Array) -> Step:
        step = super().step(actions, live)
        self._shown = np.concatenate([self._shown[..., step.observations.shape[-1] :], step.observations], -1)
        return step._replace(observations=self._shown)

    def _start(self, first: Array) -> Array:
        """What is shown of first observations [..., feature]."""
        nothing = np.zeros((*first.shape[:-1], (self._n - 1) * first.shape[-1]), first.dtype)
        return np.concatenate([nothing, first], -1)


class Normalised(VectorWrapper):
    """Brings observations from their bounds, [feature] each, to [-1, 1]; where low and high are one, 0 is shown."""

    def __init__(self, inner: VectorEnvironment, low: Array, high: Array) -> None:
        super().__init__(inner)
        low, high = low.astype(np.float64), high.astype(np.float64)
        self._middle = (low + high) / 2
        self._half = np.where(high > low, (high - low) / 2, 1.0)

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        return self._brought(super().reset(streams))

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        return self._brought(super().restart(where, streams))

    def running(self) -> dict[str, Array]:
        return super().running()  # and nothing of its own

    def step(self, actions: Array, live: Array) -> Step:
        step = super().step(actions, live)
        return step._replace(observations=self._brought(step.observations))

    def _brought(self, observations: Array) -> Array:
        # Clipped because rounding can lead out of the bounds by a hair.
        return np.clip((observations - self._middle) / self._half, -1.0, 1.0).astype(np.float32)


def window(inner: Task, layer: Layer) -> Task:
    """`window(<task>,<n>)`.

    Raises:
        TaskError: more numbers at a step than are kept in memory.
    """
    assert layer.value is not None
    n, (features,) = int(layer.value), inner.observation_space.shape
    if n * features > MAX_FEATURES:
        raise TaskError(
            f"a window of {n} observations of {features:,} numbers each is more than {MAX_FEATURES:,} numbers",
            remedy=f"{inner.id} allows windows up to {MAX_FEATURES // features}",
        )
    space = inner.observation_space
    # Zeros stand for what has not been observed yet.
    low = np.concatenate([np.tile(np.minimum(space.low, 0), n - 1), space.low])
    high = np.concatenate([np.tile(np.maximum(space.high, 0), n - 1), space.high])
    return ObservedTask(
        inner,
        layer,
        lambda vector: Window(vector, n),
        summary=f"shows the last {n} observations",
        space=spaces.Box(low, high, dtype=np.float32),
        image=_stacked(inner.image, n),
    )


def normalised(inner: Task, layer: Layer) -> Task:
    """`normalised(<task>)`.

    Raises:
        TaskError: an observation without finite bounds.
    """
    low, high = inner.observation_space.low, inner.observation_space.high
    unbounded = np.flatnonzero(~(np.isfinite(low) & np.isfinite(high)))
    if unbounded.size:
        raise TaskError(
            f"{inner.id} has no finite bounds for its observations {', '.join(map(str, unbounded[:10].tolist()))}",
            remedy="normalised needs bounds; algorithms with a setting `normalize` learn theirs from what they see",
        )
    return ObservedTask(
        inner,
        layer,
        lambda vector: Normalised(vector, low, high),
        summary="shows observations brought from their bounds to [-1, 1]",
        space=spaces.Box(-1.0, 1.0, low.shape, np.float32),
        image=None if inner.image is None else inner.image._replace(scale=1.0, whole=False),
    )


def _stacked(image: Image | None, n: int) -> Image | None:
    """n images end to end as one of more channels; None where the pixels of its channels lie side by side."""
    if image is None or not (image.channels_first or image.channels == 1):
        return None
    return image._replace(channels=n * image.channels, channels_first=True)
