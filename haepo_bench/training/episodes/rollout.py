"""Collecting complete episodes of many seeds at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from haepo_bench.errors import EnvironmentFault
from haepo_bench.policies.heads import Head
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.seed_record import MAX_RETURN

#: (observations [seed, feature, row], noise [seed, row, *noise], greedy [row] or None) to actions [seed, row, *action].
Actor = Callable[[Tensor, Tensor, Tensor | None], Tensor]

#: Steps for which action noise is drawn at a time: fixed, so that a stream is read alike whoever else still lives.
NOISE_STEPS = 128

#: Numbers of observations that are kept of episodes of which no step is.
_PLAYED_NUMBERS = 1 << 24


class PrefixActor(NamedTuple):
    """Who takes the prefixes, the first steps of episodes.

    Args:
        lengths: [seed, trajectory] how many steps; an episode may end before.
    """

    actor: Actor
    lengths: Array


@dataclass(frozen=True)
class Rollout:
    """Complete episodes; [seed, trajectory, step] unless said otherwise, up to the end of the longest.

    Args:
        observations: [seed, feature, trajectory, step]; float32, pixels bytes.
        actions: [seed, trajectory, step, *action], unclipped.
        rewards: float64, 0 where no step was taken.
        mask: bool, true where a step was taken.
        lengths: [seed, trajectory] steps taken.
        returns: [seed, trajectory] float64 undiscounted return.
        measures: what the task measures beside returns, column to [seed, trajectory].
        faults: by seed row, what the environment did wrong; of seeds that have not failed yet.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    mask: Tensor
    lengths: Array
    returns: Array
    measures: dict[str, Array]
    faults: Mapping[int, EnvironmentFault] = field(default_factory=dict)

    def select(self, seeds: Sequence[int]) -> "Rollout":
        """The rollouts of some seed rows."""
        if len(seeds) == len(self.returns):
            return self
        rows = torch.as_tensor(seeds)
        return Rollout(
            self.observations[rows],
            self.actions[rows],
            self.rewards[rows],
            self.mask[rows],
            self.lengths[seeds],
            self.returns[seeds],
            {name: values[seeds] for name, values in self.measures.items()},
        )


@dataclass(frozen=True)
class Played:
    """What is known of complete episodes of which no step was kept, [seed, trajectory].

    Args:
        lengths, returns, measures, faults: as of a `Rollout`.
    """

    lengths: Array
    returns: Array
    measures: dict[str, Array]
    faults: Mapping[int, EnvironmentFault]


class Collector:
    """Runs episodes of one task; keeps its environment and counts what it visits.

    Args:
        environment: of the task; closed with the collector.
        trajectories: episodes per seed.
        rows: of the tensors that the actor is given, at least as many; what stands beyond the episodes has no meaning.
    """

    def __init__(self, task: Task, environment: VectorEnvironment, head: Head, trajectories: int, rows: int) -> None:
        self._task, self._environment, self._head, self._trajectories = task, environment, head, trajectories
        self._rows = rows

    def collect(
        self,
        actor: Actor,
        environment_streams: Sequence[np.random.Generator],
        noise_streams: Sequence[np.random.Generator],
        *,
        prefix: PrefixActor | None = None,
        visited: Array | None = None,
        device: str = "cpu",
    ) -> Rollout:
        """One episode of each trajectory of each seed (one stream per seed).

        Args:
            prefix: another actor for the first steps; None for none. It draws with the noise of those steps.
            visited: bool [seed, state], set where a state is visited.
        """
        kept = self._room(self._task.horizon, len(environment_streams))
        played = self._run(
            kept, actor, environment_streams, noise_streams, prefix=prefix, visited=visited, device=device
        )
        steps = int(played.lengths.max())
        paid = np.where(kept.mask[:steps], kept.rewards[:steps], 0.0)
        return Rollout(
            torch.from_numpy(kept.observations[:steps].transpose(1, 2, 3, 0)),
            kept.actions[:steps].movedim(0, 2),
            torch.from_numpy(np.ascontiguousarray(paid.transpose(1, 2, 0))),
            torch.from_numpy(kept.mask[:steps].transpose(1, 2, 0)),
            played.lengths,
            played.returns,
            played.measures,
            played.faults,
        )

    def play(
        self,
        actor: Actor,
        environment_streams: Sequence[np.random.Generator],
        noise_streams: Sequence[np.random.Generator],
        *,
        greedy: Array | None = None,
        visited: Array | None = None,
        device: str = "cpu",
    ) -> Played:
        """As `collect`, for what episodes return alone: the memory of no more than some steps, however long they are.

        Args:
            greedy: bool [trajectory], which episodes take the most likely action.
            visited: bool [seed, state], set where a state is visited by an episode that is not greedy.
        """
        numbers = self._task.observation_space.shape[0] * self._rows * len(environment_streams)
        span = max(1, min(NOISE_STEPS, self._task.horizon, _PLAYED_NUMBERS // numbers))
        some = self._room(span, len(environment_streams))
        return self._run(some, actor, environment_streams, noise_streams, greedy=greedy, visited=visited, device=device)

    def _room(self, span: int, S: int) -> "_Steps":
        return _Steps(self._task, self._head, span, S, self._trajectories, self._rows)

    def _run(
        self,
        kept: "_Steps",
        actor: Actor,
        environment_streams: Sequence[np.random.Generator],
        noise_streams: Sequence[np.random.Generator],
        *,
        greedy: Array | None = None,
        prefix: PrefixActor | None = None,
        visited: Array | None = None,
        device: str,
    ) -> Played:
        """Plays the episodes; `kept` holds their last steps, where it has room for the horizon all of them."""
        S, K, horizon, environment = len(environment_streams), self._trajectories, self._task.horizon, self._environment
        head, bounds, elsewhere = self._head, action_bounds(self._task), device != "cpu"
        live = np.ones((S, K), bool)
        greedy_rows, counted = None, True if greedy is None else ~greedy
        if greedy is not None:
            greedy_rows = torch.zeros(self._rows, dtype=torch.bool)
            greedy_rows[:K] = torch.from_numpy(greedy)
            greedy_rows = greedy_rows.to(device)
        opened = 0 if prefix is None else int(prefix.lengths.max())
        noise: Sequence[Tensor] = ()
        tally = _Tally(self._task, S, K)
        current = environment.reset(environment_streams)
        steps = t = 0
        with torch.inference_mode():
            while steps < horizon and np.count_nonzero(live):
                if steps % NOISE_STEPS == 0:
                    noise = self._noise(noise_streams, device)
                if t == kept.span:
                    tally.add(kept, t)
                    t = 0
                if visited is not None:
                    self._mark(visited, live & counted)
                kept.observations[t] = current.transpose(0, 2, 1)
                shown = kept.rows[t].to(device) if elsewhere else kept.rows[t]
                drawn = noise[steps % NOISE_STEPS]
                taken = actor(shown, drawn, greedy_rows)[:, :K]
                if elsewhere:
                    taken = taken.cpu()
                if prefix is not None and steps < opened:
                    where = torch.from_numpy(steps < prefix.lengths).view(S, K, *(1 for _ in head.action_shape))
                    taken = torch.where(where, prefix.actor(shown, drawn, greedy_rows)[:, :K].cpu(), taken)
                acted = taken.numpy()
                kept.acted[t] = acted
                kept.mask[t] = live
                step = environment.step(clip_actions(head.played(acted), bounds), live)
                kept.rewards[t] = step.rewards
                current = step.observations
                live = live & ~(step.terminated | step.truncated)
                steps += 1
                t += 1
        tally.add(kept, t)
        if visited is not None:
            self._mark(visited, np.ones_like(live) & counted)
        faults = tally.faults | environment.faults()
        return Played(tally.lengths, tally.returns, environment.measures(), faults)

    def _noise(self, streams: Sequence[np.random.Generator], device: str) -> Sequence[Tensor]:
        """What the next steps' actions are drawn with, [seed, row, *noise] each."""
        drawn = np.stack([self._head.noise(stream, self._trajectories, NOISE_STEPS) for stream in streams])
        noise = torch.zeros(NOISE_STEPS, len(streams), self._rows, *drawn.shape[3:])
        noise[:, :, : self._trajectories] = torch.from_numpy(drawn).movedim(2, 0)
        return noise.to(device).unbind()

    def _mark(self, visited: Array, live: Array) -> None:
        states = self._environment.visited()
        if states is not None:
            seeds, trajectories = np.nonzero(live)
            visited[seeds, states[seeds, trajectories]] = True

    def close(self) -> None:
        """Lets go of the environment."""
        self._environment.close()


class _Steps:
    """Room for `span` steps of S seeds with K trajectories each; memory is only taken where something is written.

    Time stands first, so that a step writes one piece. Rows of the actor's tensors beyond the trajectories stay zero.
    """

    def __init__(self, task: Task, head: Head, span: int, S: int, K: int, rows: int) -> None:
        self.span = span
        shape = span, S, task.observation_space.shape[0], rows
        # torch writes its zeros, numpy takes memory when it is written to: a horizon of images is more than there is.
        seen = task.observation_dtype is np.uint8
        self.rows = torch.from_numpy(np.zeros(shape, np.uint8)) if seen else torch.zeros(shape)
        self.observations: Array = self.rows.numpy()[..., :K]
        self.actions = torch.zeros(span, S, K, *head.action_shape, dtype=head.action_dtype)
        self.acted: Array = self.actions.numpy()
        self.rewards = np.zeros((span, S, K))
        self.mask = np.zeros((span, S, K), bool)


class _Tally:
    """Lengths and returns [seed, trajectory] of episodes, and what was wrong with their rewards, from their steps."""

    def __init__(self, task: Task, S: int, K: int) -> None:
        self._task, self._steps = task, 0
        self.lengths = np.zeros((S, K), np.int64)
        # The zero that changes no sum, not even the sign of another zero.
        self.returns = np.full((S, K), -0.0)
        self.faults: dict[int, EnvironmentFault] = {}

    def add(self, kept: _Steps, count: int) -> None:
        """Counts the next `count` steps."""
        mask = kept.mask[:count]
        paid = np.where(mask, kept.rewards[:count], 0.0)
        with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is looked at by who reads the returns
            # One step after the other, so that sums do not depend on how many are kept at a time.
            for step in paid:
                self.returns += step
        self.lengths += mask.sum(0)
        if not np.isfinite(self.returns).all():
            self.faults = reward_faults(self._task, paid, kept.acted[:count], self._steps) | self.faults
        self._steps += count


def reward_faults(task: Task, rewards: Array, actions: Array, before: int) -> dict[int, EnvironmentFault]:
    """Rewards that are not finite although the actions are, by seed row.

    Args:
        rewards: [step, seed, trajectory], zero where no step was taken.
        actions: [step, seed, trajectory, *action].
        before: steps that the episodes had taken already.
    """
    sane = np.isfinite(actions).reshape(*rewards.shape, -1).all(-1)
    faults: dict[int, EnvironmentFault] = {}
    for step, row, trajectory in np.argwhere(~np.isfinite(rewards) & sane).tolist():
        value = rewards[step, row, trajectory]
        problem = f"returned the reward {value} at step {before + step + 1} of an episode"
        faults.setdefault(row, EnvironmentFault(task.id, problem))
    return faults


def too_large(returns: Array) -> str:
    """Why a seed with such returns [episode] has diverged; empty where it has not."""
    beyond = returns[~(np.abs(returns) <= MAX_RETURN)]
    return f"an episode's return is {beyond[0]:.3g}, more than single precision holds" if beyond.size else ""


def unlearnable(reward: float) -> str:
    """Why a seed with such a reward has diverged; empty where it has not."""
    fine = abs(reward) <= MAX_RETURN  # NaN is not, either
    return "" if fine else f"the task returned the reward {reward:.3g}, which single precision does not hold"


def action_bounds(task: Task) -> tuple[Array, Array] | None:
    """Lowest and highest values of continuous actions; None for discrete ones."""
    space = task.action_space
    return (space.low, space.high) if isinstance(space, spaces.Box) else None


def clip_actions(actions: Array, bounds: tuple[Array, Array] | None) -> Array:
    """Actions as environments take them."""
    return actions if bounds is None else np.clip(actions, *bounds)
