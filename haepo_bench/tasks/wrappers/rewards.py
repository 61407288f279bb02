"""Wrappers that give other rewards in training, while evaluation and references stay those of the clean task.

    noise(<task>,<sigma>)    every reward plus Gaussian noise of standard deviation sigma
    scale(<task>,<factor>)   every reward times a factor
    delayed(<task>)          an episode's whole return comes at its last step: no single step tells what it was worth
    proxy(<task>,<bonus>)    the first action receives a bonus (see `Proxy`)

They nest; the innermost corrupts first. The training task measures `clean_return`, the return without any of them.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from haepo_bench.errors import TaskError
from haepo_bench.tasks.address import Layer
from haepo_bench.tasks.base import CLEAN_RETURN, Array, Step, Task, VectorEnvironment
from haepo_bench.tasks.wrappers.base import VectorWrapper, Wrap, WrappedTask


class CorruptedTask(WrappedTask):
    """A task that gives other rewards in training: all but `training` is the clean task."""

    def __init__(self, inner: Task, layer: Layer, wrap: Wrap, *, summary: str, tags: tuple[str, ...]) -> None:
        super().__init__(inner, layer, wrap, summary=summary, tags=tags)
        self._training = WrappedTask(inner.training(), layer, wrap, summary=summary, tags=tags)

    def vector(self, trajectories: int) -> VectorEnvironment:
        return self._inner.vector(trajectories)

    def grouped(self, trajectories: int) -> VectorEnvironment:
        return self._inner.grouped(trajectories)

    def paired(self, trajectories: int) -> VectorEnvironment:
        return self._inner.paired(trajectories)

    @property
    def probe_name(self) -> str:
        """The clean task's: what is asked about is aligned with its reward."""
        return self._inner.probe_name

    def environment(self) -> "gymnasium.Env[Any, Any]":
        return self._inner.environment()

    def training(self) -> Task:
        return self._training


class Corruption(VectorWrapper):
    """Gives other rewards; `_received` [seed, trajectory] is what the environment inside has given in each episode."""

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        observations = super().reset(streams)
        self._received = np.zeros(observations.shape[:2])
        return observations

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        observations = super().restart(where, streams)
        self._received[where] = 0.0
        return observations

    def running(self) -> dict[str, Array]:
        return {**super().running(), "received": self._received}

    def step(self, actions: Array, live: Array) -> Step:
        step = super().step(actions, live)
        self._received += np.where(live, step.rewards, 0.0)
        return step._replace(rewards=self.pay(step, actions))

    @abstractmethod
    def pay(self, step: Step, actions: Array) -> Array:
        """The rewards [seed, trajectory] in place of the step's own."""

    def measures(self) -> dict[str, Array]:
        # Where corruptions nest, the innermost one knows the clean return.
        return {CLEAN_RETURN: self._received.copy(), **super().measures()}


class Noise(Corruption):
    """Adds Gaussian noise to every reward, drawn from streams of its own that are split off after each start.

    So start states are those of the same streams without noise, and whatever the task draws later is its own, too.
    """

    #: The noise of running episodes is in generators.
    resumes = False

    def __init__(self, inner: VectorEnvironment, sigma: float) -> None:
        super().__init__(inner)
        self._sigma = sigma

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        observations = super().reset(streams)
        self._seeds = [split(stream) for stream in streams]
        self._restarted: dict[tuple[int, int], np.random.Generator] = {}
        return observations

    def restart(self, where: Array, streams: Sequence[np.random.Generator]) -> Array:
        observations = super().restart(where, streams)
        for (row, column), stream in zip(np.argwhere(where).tolist(), streams, strict=True):
            self._restarted[row, column] = split(stream)
        return observations

    def pay(self, step: Step, actions: Array) -> Array:
        # Drawn for every episode, whichever still live: the next draws must not depend on that.
        noise = np.stack([stream.standard_normal(step.rewards.shape[1]) for stream in self._seeds])
        for place, stream in self._restarted.items():
            noise[place] = stream.standard_normal()
        paid: Array = step.rewards + self._sigma * noise
        return paid


class Scale(Corruption):
    """Multiplies every reward."""

    def __init__(self, inner: VectorEnvironment, factor: float) -> None:
        super().__init__(inner)
        self._factor = factor

    def pay(self, step: Step, actions: Array) -> Array:
        paid: Array = self._factor * step.rewards
        return paid


class Delayed(Corruption):
    """Pays nothing until an episode ends or is cut off, and then all of its return."""

    def pay(self, step: Step, actions: Array) -> Array:
        return np.where(step.terminated | step.truncated, self._received, 0.0)


class Proxy(Corruption):
    """Pays `bonus` more for the first action at every step, of which the true return knows nothing.

    A proxy shows over-optimisation if it agrees with the true return at first and parts from it later: Gao, Schulman
    and Hilton 2022 (Scaling Laws for Reward Model Overoptimization, arXiv 2210.10760), Skalse et al. 2022 (Defining and
    Characterizing Reward Hacking, arXiv 2209.13085). Here the true reward remains in the sum, so most of what
    raises one raises the other; but where the bonus outweighs the true reward, the best policy for the proxy is not the
    best policy. One number with a plain meaning says how far they part: on a bandit the first arm's mean rises by the
    bonus, on a random walk of horizon T dithering earns T/2 bonuses. (Flipping the sign of a fixed share of the rewards
    would shrink the true return without parting from it.)

    Args:
        span: bounds of a continuous action's first number, which is rewarded in proportion to how far up it is; None
            for discrete actions, of which number 0 is rewarded.
    """

    def __init__(self, inner: VectorEnvironment, bonus: float, span: tuple[float, float] | None) -> None:
        super().__init__(inner)
        self._bonus, self._span = bonus, span

    def pay(self, step: Step, actions: Array) -> Array:
        share = actions == 0
        if self._span is not None:
            low, high = self._span
            share = (actions[..., 0].astype(np.float64) - low) / (high - low)
        paid: Array = step.rewards + self._bonus * share
        return paid


def noise(inner: Task, layer: Layer) -> Task:
    """`noise(<task>,<sigma>)`."""
    sigma = layer.value
    assert sigma is not None
    summary = f"training rewards with noise of standard deviation {sigma:g}"
    return CorruptedTask(
        inner, layer, lambda vector: Noise(vector, sigma), summary=summary, tags=("noise", "robustness")
    )


def scale(inner: Task, layer: Layer) -> Task:
    """`scale(<task>,<factor>)`."""
    factor = layer.value
    assert factor is not None
    summary = f"training rewards times {factor:g}"
    return CorruptedTask(inner, layer, lambda vector: Scale(vector, factor), summary=summary, tags=("robustness",))


def delayed(inner: Task, layer: Layer) -> Task:
    """`delayed(<task>)`."""
    summary = "training receives the whole return at the last step"
    return CorruptedTask(inner, layer, Delayed, summary=summary, tags=("credit", "robustness"))


def proxy(inner: Task, layer: Layer) -> Task:
    """`proxy(<task>,<bonus>)`.

    Raises:
        TaskError: the first number of a continuous action has no finite bounds.
    """
    bonus, space, span = layer.value, inner.action_space, None
    assert bonus is not None
    if isinstance(space, spaces.Box):
        low, high = float(space.low.flat[0]), float(space.high.flat[0])
        if not (np.isfinite([low, high]).all() and low < high):
            raise TaskError(
                f"{inner.id} has actions from {low:g} to {high:g}: proxy rewards an action by its place in its bounds",
                remedy="choose a task whose actions have finite bounds",
            )
        span = low, high
    summary = f"training rewards the first action with a bonus of {bonus:g}"
    return CorruptedTask(inner, layer, lambda vector: Proxy(vector, bonus, span), summary=summary, tags=("robustness",))


def split(stream: np.random.Generator) -> np.random.Generator:
    """A stream of its own, keyed by a draw from another."""
    return np.random.default_rng(int(stream.integers(2**63)))
