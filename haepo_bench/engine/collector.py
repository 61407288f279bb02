"""Playing episodes with the kernels: actions alone, or whole episodes where they know the environment too."""

from collections.abc import Callable
from typing import NamedTuple, TypeGuard

import numpy as np

from haepo_bench.engine.architecture import Architecture
from haepo_bench.engine.library import ArrayAddress, Library, TableAddress, at, long, table_at, writable
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import VectorEnvironment
from haepo_bench.tasks.environments.classic_control import Acrobot, CartPole, ClassicControl, MountainCar, Pendulum
from haepo_bench.tasks.finite.table import TableEpisodes

#: Classic control by the numbers that the kernels know it by, and the number of tables.
STEPPED: dict[type[VectorEnvironment], int] = {CartPole: 0, MountainCar: 1, Acrobot: 2, Pendulum: 3}
TABLE = 4

#: One of them.
Stepped = ClassicControl | TableEpisodes


class Ends(NamedTuple):
    """How complete episodes ended.

    Args:
        returns: [seed, episode] float64, undiscounted.
        lengths: [seed, episode] int64, steps taken.
        state: [seed, episode, variable] float64 that each ended in.
    """

    returns: Array
    lengths: Array
    state: Array


class KeptSteps(NamedTuple):
    """The steps of episodes; what stands beyond an episode's end has no meaning, but rewards are zero there.

    Args:
        observations: [seed, episode, step, feature] float32.
        actions: [seed, episode, step, *action], unclipped.
        rewards: [seed, episode, step] float64.
    """

    observations: Array
    actions: Array
    rewards: Array

    @classmethod
    def room(cls, architecture: Architecture, seeds: int, episodes: int, horizon: int) -> "KeptSteps":
        """Memory for so many, of which only what is written is taken."""
        shape = (seeds, episodes, horizon)
        observations = np.empty((*shape, architecture.inputs), np.float32)
        actions = np.empty((*shape, *architecture.action_shape), architecture.action_dtype)
        return cls(observations, actions, np.zeros(shape))


def stepped(environment: VectorEnvironment) -> TypeGuard[Stepped]:
    """Whether the kernels step such an environment themselves; they know no table with noisy rewards."""
    if isinstance(environment, TableEpisodes):
        return environment.table.noise is None
    return type(environment) in STEPPED


class World(NamedTuple):
    """An environment as kernels take it.

    Args:
        number: of its kind.
        table: of a finite task; null for others.
        states: that a finite task has; 0 for others.
    """

    number: int
    table: TableAddress
    states: int

    @classmethod
    def of(cls, environment: Stepped) -> "World":
        """Of an environment that is `stepped`."""
        if isinstance(environment, TableEpisodes):
            return cls(TABLE, table_at(environment.table), len(environment.table.terminal))
        return cls(STEPPED[type(environment)], TableAddress(None), 0)

    def visited(self, visited: Array | None, seeds: int) -> ArrayAddress:
        """Where states that are visited are marked, bool [seed, state]; null where they have no numbers."""
        return writable(visited if self.states else None, np.bool_, seeds, self.states)


def act(
    library: Library,
    architecture: Architecture,
    parameters: Array,
    observations: Array,
    noise: Array,
    greedy: Array | None,
) -> Array:
    """Actions [seed, row, *action] of policies [seed, parameter].

    Args:
        observations: [seed, row, feature] float32.
        noise: [seed, row, *noise] float32, what actions are drawn with.
        greedy: [row] bool, which rows take the most likely action; None for none.
    """
    S, R = observations.shape[:2]
    actions = np.empty((S, R, *architecture.action_shape), architecture.action_dtype)
    library.call(
        "act",
        architecture.address,
        S,
        R,
        long(architecture.parameters),
        at(parameters, np.float32, S, architecture.parameters),
        at(observations, np.float32, S, R, architecture.inputs),
        at(noise, np.float32, *actions.shape),
        at(greedy, np.bool_, R),
        *places(architecture, actions, (S, R)),
    )
    return actions


def play(
    library: Library,
    architecture: Architecture,
    parameters: Array,
    environment: Stepped,
    horizon: int,
    noise: Callable[[Array], Array],
    noise_steps: int,
    *,
    greedy: Array | None = None,
    kept: KeptSteps | None = None,
    visited: Array | None = None,
) -> Ends:
    """Plays episodes from where an environment stands to their ends; the environment itself stays where it is.

    Args:
        parameters: [seed, parameter].
        environment: one that is `stepped`.
        horizon: steps after which an episode is cut off.
        noise: what the next `noise_steps` steps' actions are drawn with, [seed, episode, step, *noise], given how many
            episodes of each seed still live; of seeds without any it may be anything.
        greedy: [episode] bool, which episodes take the most likely action; None for none.
        kept: where steps are written; None: they are not kept.
        visited: bool [seed, state], set where an episode that is not greedy visits a state; None: not counted.
    """
    # The kernel's copy, [seed, episode, variable].
    state = np.array(environment.state.transpose(1, 2, 0), np.float64, order="C")
    S, K, _ = state.shape
    world = World.of(environment)
    ends = Ends(np.zeros((S, K)), np.zeros((S, K), np.int64), state)
    observations, actions, rewards = (None, None, None) if kept is None else kept
    living, live = np.ones((S, K), np.uint8), np.full(S, K, np.int64)
    begin = 0
    while begin < horizon and live.any():
        library.call(
            "rollout",
            architecture.address,
            world.number,
            world.table,
            S,
            K,
            long(architecture.parameters),
            long(horizon),
            long(begin),
            # The noise of a whole block is there, whether or not the horizon cuts it short.
            long(begin + noise_steps),
            at(parameters, np.float32, S, architecture.parameters),
            at(noise(live), np.float32, S, K, noise_steps, *architecture.action_shape),
            at(greedy, np.bool_, K),
            writable(state, np.float64, *state.shape),
            writable(observations, np.float32, S, K, horizon, architecture.inputs),
            *places(architecture, actions, (S, K, horizon)),
            writable(rewards, np.float64, S, K, horizon),
            writable(ends.returns, np.float64, S, K),
            writable(ends.lengths, np.int64, S, K),
            writable(living, np.uint8, S, K),
            world.visited(visited, S),
            writable(live, np.int64, S),
        )
        begin += noise_steps
    return ends


def places(architecture: Architecture, actions: Array | None, shape: tuple[int, ...]) -> tuple[object, object]:
    """Addresses of discrete and of continuous actions [*shape, *action], of which there is one at most."""
    nothing = at(None, np.float32)
    own = writable(actions, architecture.action_dtype, *shape, *architecture.action_shape)
    return (own, nothing) if architecture.dimensions is None else (nothing, own)
