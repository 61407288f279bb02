"""Gymnasium's classic control environments stepped as arrays: all episodes of all seeds in one operation.

Dynamics, rewards and ends are those of gymnasium's own files; tests/tasks/test_tasks.py steps both side by side. Start
states
come from the seed's stream with gymnasium's distributions.
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from haepo_bench.tasks.base import Array, Step, VectorEnvironment


class ClassicControl(VectorEnvironment):
    """Shared by all: state [variable, seed, trajectory] float64, a clock and time limit per episode.

    Args:
        trajectories: a seed.
        horizon: steps after which an episode is cut off.
        alike: whether all episodes of a seed start in one state, drawn anew at each reset.
    """

    #: [variable, seed, trajectory] float64, since the last reset.
    state: Array
    #: Bounds of the uniform distribution of start states, [variable].
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __init__(self, trajectories: int, horizon: int, *, alike: bool = False) -> None:
        self._trajectories, self._horizon, self._alike = trajectories, horizon, alike

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        shape = (1 if self._alike else self._trajectories, len(self.low))
        drawn = np.stack([stream.uniform(self.low, self.high, shape) for stream in streams])
        if self._alike:
            drawn = drawn.repeat(self._trajectories, 1)
        self.state = np.ascontiguousarray(np.moveaxis(drawn, -1, 0))
        self._time = np.zeros(drawn.shape[:2], np.int64)
        return self._observations(self.state)

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        self.state[:, where] = self.starts(streams).T
        self._time[where] = 0
        return self._observations(self.state[:, where])

    def running(self) -> dict[str, Array]:
        return {"state": np.moveaxis(self.state, 1, 0), "time": self._time}

    def starts(self, streams: Sequence[np.random.Generator]) -> Array:
        """Where single episodes start that are started anew: [episode, variable]."""
        return np.stack([stream.uniform(self.low, self.high) for stream in streams])

    def step(self, actions: Array, live: Array) -> Step:
        self._time += 1
        moved, rewards, terminated = self.move(self.state, actions)
        # A finished episode stands still: its state must not run away to infinity while others go on.
        np.copyto(self.state, moved, where=live)
        return Step(self._observations(self.state), rewards, terminated, self._time >= self._horizon)

    def measures_of(self, state: Array) -> dict[str, Array]:
        """What episodes that end in states [variable, ...] measure: nothing."""
        return {}

    def _observations(self, state: Array) -> Array:
        observations = self.observe(state)
        return observations.transpose(*range(1, observations.ndim), 0)

    @abstractmethod
    def move(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        """(next states [variable, ...], rewards, terminated)."""

    def observe(self, state: Array) -> Array:
        """Observations [feature, ...] float32 of states [variable, ...]."""
        return state.astype(np.float32)


class CartPole(ClassicControl):
    """`CartPole-v1` (gymnasium/envs/classic_control/cartpole.py, after Barto, Sutton and Anderson 1983)."""

    low, high = (-0.05,) * 4, (0.05,) * 4
    #: Of the cart's position (m) and the pole's angle.
    _limits = np.array([2.4, 12 * 2 * np.pi / 360])[:, None, None]

    def move(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        # Few operations: on arrays of this size it is their number that costs.
        gravity, pole_mass, total_mass, half_length, step_seconds = 9.8, 0.1, 1.1, 0.5, 0.02
        lever = pole_mass * half_length / total_mass
        _, velocity, angle, spin = state
        cos, sin = np.cos(angle), np.sin(angle)
        push = (actions - 0.5) * (2 * 10.0 / total_mass) + lever * spin * spin * sin
        change = np.empty_like(state)
        change[0], change[2] = velocity, spin
        np.divide(gravity * sin - cos * push, half_length * 4.0 / 3.0 - lever * cos * cos, out=change[3])
        np.subtract(push, lever * change[3] * cos, out=change[1])
        change *= step_seconds
        change += state
        beyond = np.abs(change[::2]) > self._limits
        return change, np.ones(actions.shape), beyond[0] | beyond[1]


class MountainCar(ClassicControl):
    """`MountainCar-v0` (gymnasium/envs/classic_control/mountain_car.py, after Moore 1990)."""

    low, high = (-0.6, 0.0), (-0.4, 0.0)

    def move(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        position, velocity = state
        velocity = np.clip(velocity + (actions - 1) * 0.001 - np.cos(3 * position) * 0.0025, -0.07, 0.07)
        position = np.clip(position + velocity, -1.2, 0.6)
        velocity = np.where((position <= -1.2) & (velocity < 0), 0.0, velocity)
        terminated = (position >= 0.5) & (velocity >= 0)
        return np.stack([position, velocity]), np.full(actions.shape, -1.0), terminated


class Acrobot(ClassicControl):
    """`Acrobot-v1` (gymnasium/envs/classic_control/acrobot.py, after Sutton 1996; the book's variant)."""

    low, high = (-0.1,) * 4, (0.1,) * 4

    def move(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        torque = (actions - 1).astype(np.float64)

        def derivative(s: Array) -> Array:
            return _acrobot_derivative(s, torque)

        # One fourth-order Runge-Kutta step of 0.2 s.
        h = 0.2
        k1 = derivative(state)
        k2 = derivative(state + h / 2 * k1)
        k3 = derivative(state + h / 2 * k2)
        k4 = derivative(state + h * k3)
        moved = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        moved[:2] = (moved[:2] + np.pi) % (2 * np.pi) - np.pi
        np.clip(moved[2], -4 * np.pi, 4 * np.pi, out=moved[2])
        np.clip(moved[3], -9 * np.pi, 9 * np.pi, out=moved[3])
        terminated = -np.cos(moved[0]) - np.cos(moved[1] + moved[0]) > 1.0
        return moved, np.where(terminated, 0.0, -1.0), terminated

    def observe(self, state: Array) -> Array:
        first, second, spin_1, spin_2 = state
        columns = [np.cos(first), np.sin(first), np.cos(second), np.sin(second), spin_1, spin_2]
        return np.stack(columns).astype(np.float32)


def _acrobot_derivative(state: Array, torque: Array) -> Array:
    """Time derivative of (angle 1, angle 2, spin 1, spin 2); masses, lengths and inertias are 1, centres at 0.5."""
    gravity = 9.8
    angle_1, angle_2, spin_1, spin_2 = state
    cos_2, sin_2 = np.cos(angle_2), np.sin(angle_2)
    d1 = 0.25 + (1.0 + 0.25 + cos_2) + 2.0
    d2 = 0.25 + 0.5 * cos_2 + 1.0
    phi_2 = 0.5 * gravity * np.cos(angle_1 + angle_2 - np.pi / 2)
    phi_1 = -0.5 * spin_2**2 * sin_2 - spin_2 * spin_1 * sin_2 + 1.5 * gravity * np.cos(angle_1 - np.pi / 2) + phi_2
    spin_up_2 = (torque + d2 / d1 * phi_1 - 0.5 * spin_1**2 * sin_2 - phi_2) / (1.25 - d2**2 / d1)
    spin_up_1 = -(d2 * spin_up_2 + phi_1) / d1
    return np.stack([spin_1, spin_2, spin_up_1, spin_up_2])


class Pendulum(ClassicControl):
    """`Pendulum-v1` (gymnasium/envs/classic_control/pendulum.py)."""

    low, high = (-np.pi, -1.0), (np.pi, 1.0)

    def move(self, state: Array, actions: Array) -> tuple[Array, Array, Array]:
        angle, spin = state
        torque = np.clip(actions[..., 0], -2.0, 2.0)  # float32, as in gymnasium
        normalised = (angle + np.pi) % (2 * np.pi) - np.pi
        cost = normalised**2 + 0.1 * spin**2 + 0.001 * torque**2
        spin = np.clip(spin + (3 * 10.0 / 2 * np.sin(angle) + 3.0 * torque) * 0.05, -8.0, 8.0)
        moved = np.stack([angle + spin * 0.05, spin])
        return moved, -cost, np.zeros(angle.shape, bool)

    def observe(self, state: Array) -> Array:
        angle, spin = state
        return np.stack([np.cos(angle), np.sin(angle), spin]).astype(np.float32)


#: By gymnasium id: what makes a vector environment (arguments as `ClassicControl` has them).
ARRAY_ENVIRONMENTS: dict[str, type[ClassicControl]] = {
    "CartPole-v1": CartPole,
    "MountainCar-v0": MountainCar,
    "Acrobot-v1": Acrobot,
    "Pendulum-v1": Pendulum,
}
