"""Running episodes played by the kernels, each of which starts anew when it ends."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from haepo_bench.engine.architecture import Architecture
from haepo_bench.engine.collector import Stepped, World, places
from haepo_bench.engine.library import Library, at, long, writable
from haepo_bench.policies.shapes import Array

#: How a step ended its episode, in `PlayedSegments.over`.
TERMINATED, CUT_OFF = 1, 2


class Running:
    """The running episodes of several seeds, [seed, environment] unless said otherwise.

    Args:
        environment: one that is `stepped`, reset.

    Attributes:
        state: [seed, environment, variable] float64.
        clock: int64, steps of each so far.
        returns: float64 of each so far.
        starts: [seed, environment, variable] where the next one starts, if `ready`.
        ready: uint8.
    """

    def __init__(self, environment: Stepped) -> None:
        self.environment, self.world = environment, World.of(environment)
        self.state = np.array(environment.state.transpose(1, 2, 0), np.float64, order="C")
        shape = self.state.shape[:2]
        self.clock, self.returns = np.zeros(shape, np.int64), np.zeros(shape)
        self.starts, self.ready = np.zeros_like(self.state), np.zeros(shape, np.uint8)

    def arrays(self) -> dict[str, Array]:
        """All of them by name."""
        return {name: getattr(self, name) for name in ("state", "clock", "returns", "starts", "ready")}

    def keep(self, rows: Array) -> None:
        """Goes on with some seeds."""
        for name, part in self.arrays().items():
            setattr(self, name, np.ascontiguousarray(part[rows]))


class PlayedSegments(NamedTuple):
    """Steps of all environments, [seed, environment, step] unless said otherwise.

    Args:
        observations: [seed, environment, step, feature] float32.
        after: the same; where an episode was cut off what it would have shown next, else without meaning.
        actions: [seed, environment, step, *action], unclipped.
        rewards: float64.
        totals: float64, returns of the episodes that end there; else without meaning.
        last: [seed, environment, step, variable] float64, where the episodes that end there end; else without meaning.
        over: uint8, `TERMINATED` or `CUT_OFF` where an episode ends, else 0.
    """

    observations: Array
    after: Array
    actions: Array
    rewards: Array
    totals: Array
    last: Array
    over: Array


def play_segments(
    library: Library,
    architecture: Architecture,
    parameters: Array,
    running: Running,
    horizon: int,
    noise: Array,
    starts: Callable[[Array], Array],
    visited: Array | None = None,
) -> PlayedSegments:
    """Plays as many steps of every environment as there is noise for.

    Args:
        parameters: [seed, parameter].
        horizon: steps after which an episode is cut off.
        noise: [seed, environment, step, *noise] float32.
        starts: given [[seed, environment]], where the next episodes of these start, [episode, variable].
        visited: bool [seed, state], set where a state is visited; None: not counted.
    """
    S, K, T = noise.shape[:3]
    shape, P = (S, K, T), architecture.parameters
    shown = (*shape, architecture.inputs)
    actions = np.empty((*shape, *architecture.action_shape), architecture.action_dtype)
    played = PlayedSegments(
        np.empty(shown, np.float32),
        np.empty(shown, np.float32),
        actions,
        np.empty(shape),
        np.empty(shape),
        np.empty((*shape, running.state.shape[-1])),
        np.empty(shape, np.uint8),
    )
    progress = np.zeros(S, np.int64)
    while (progress < T).any():
        missing = np.argwhere(running.ready == 0)
        if len(missing):
            running.starts[tuple(missing.T)] = starts(missing)
            running.ready[:] = 1
        library.call(
            "segments",
            architecture.address,
            running.world.number,
            running.world.table,
            S,
            K,
            long(P),
            long(horizon),
            long(T),
            at(parameters, np.float32, S, P),
            at(noise, np.float32, *shape, *architecture.action_shape),
            writable(running.state, np.float64, *running.state.shape),
            writable(running.clock, np.int64, S, K),
            writable(running.returns, np.float64, S, K),
            at(running.starts, np.float64, *running.state.shape),
            writable(running.ready, np.uint8, S, K),
            writable(played.observations, np.float32, *shown),
            writable(played.after, np.float32, *shown),
            *places(architecture, played.actions, shape),
            writable(played.rewards, np.float64, *shape),
            writable(played.totals, np.float64, *shape),
            writable(played.last, np.float64, *played.last.shape),
            writable(played.over, np.uint8, *shape),
            running.world.visited(visited, S),
            writable(progress, np.int64, S),
        )
    return played
