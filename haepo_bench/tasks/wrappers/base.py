"""What wrappers have in common: a task around another, and a vector environment around another."""

from collections.abc import Callable, Sequence

import numpy as np

from haepo_bench.errors import EnvironmentFault
from haepo_bench.tasks.address import Layer
from haepo_bench.tasks.base import Array, Moves, Step, Task, VectorEnvironment

Wrap = Callable[[VectorEnvironment], VectorEnvironment]


class WrappedTask(Task):
    """A task around another, all of its environments wrapped; what is not said otherwise is the inner task's.

    Args:
        layer: the wrapper as the address has it.
        summary: what the wrapper does, in a few words.
        tags: added to the inner task's.
    """

    #: Raised when a wrapper changes what it does; added to the inner task's version, so that either one moves the sum.
    revision = 0

    def __init__(self, inner: Task, layer: Layer, wrap: Wrap, *, summary: str, tags: tuple[str, ...] = ()) -> None:
        vars(self).update({name: getattr(inner, name) for name in Task.__annotations__})
        self.id = layer.around(inner.id)
        self.version = inner.version + self.revision
        self.summary = f"{inner.summary}; {summary}"
        self.tags = tuple(dict.fromkeys((*inner.tags, *tags)))
        self._inner, self._wrap = inner, wrap

    def vector(self, trajectories: int) -> VectorEnvironment:
        return self._wrap(self._inner.vector(trajectories))

    def grouped(self, trajectories: int) -> VectorEnvironment:
        return self._wrap(self._inner.grouped(trajectories))

    def paired(self, trajectories: int) -> VectorEnvironment:
        return self._wrap(self._inner.paired(trajectories))

    def check(self) -> None:
        self._inner.check()

    def expert(self) -> Array | None:
        return self._inner.expert()

    def moves(self) -> Moves | None:
        return self._inner.moves()


class VectorWrapper(VectorEnvironment):
    """A vector environment around another, which does all that is not said otherwise."""

    def __init__(self, inner: VectorEnvironment) -> None:
        self._inner = inner

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        return self._inner.reset(streams)

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        return self._inner.restart(where, streams)

    @property
    def restarts(self) -> bool:
        return self._inner.restarts

    def running(self) -> dict[str, Array]:
        """What is wrapped; a wrapper that can go on says so by extending it, with what it keeps itself."""
        return {f"wrapped {name}": part for name, part in self._inner.running().items()}

    @property
    def resumes(self) -> bool:
        return type(self).running is not VectorWrapper.running and self._inner.resumes

    def step(self, actions: Array, live: Array) -> Step:
        return self._inner.step(actions, live)

    def visited(self) -> Array | None:
        return self._inner.visited()

    def measures(self) -> dict[str, Array]:
        return self._inner.measures()

    def faults(self) -> dict[int, EnvironmentFault]:
        return self._inner.faults()

    def close(self) -> None:
        self._inner.close()
