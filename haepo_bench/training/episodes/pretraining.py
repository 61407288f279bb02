"""Pretraining without rewards, as in APS, before an objective on whole episodes trains on the task's own.

The policy is shown a vector w beside its observations, drawn for each episode from the unit sphere, and learns from
rewards that need no task (intrinsic.py) by `reinforce-togo`. What it is worth on the task is that policy at the w on
which the newest rewards regress: this is what evaluations show, and what the objective goes on from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.reinforce import ReinforceToGo
from haepo_bench.policies.conditioned import Conditioned
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.shapes import Array
from haepo_bench.results.record import Engine
from haepo_bench.tasks.base import Step, Task, VectorEnvironment
from haepo_bench.tasks.wrappers.base import VectorWrapper
from haepo_bench.training.alignment import RewardAlignment
from haepo_bench.training.episodes.intrinsic import Features, Steps, regressed, unit
from haepo_bench.training.episodes.rollout import Rollout
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.resuming import State, joined
from haepo_bench.training.rows import BatchRows, Configured
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream
from haepo_bench.training.waiting import Frozen, Policies

#: What pretraining learns with, whatever the objective that follows: each step is credited with what comes after it.
_OBJECTIVE = ReinforceToGo()
#: The column that says which phase a run is in.
_PHASE = "pretraining"


class PretrainedTrainer(EpisodeTrainer):
    """Trains as `EpisodeTrainer`, from policies that have been pretrained for a share of the budget.

    Checkpoints are those of the phase after pretraining: a run that dies before starts from its beginning.
    """

    def __init__(
        self,
        task: Task,
        objective: Objective,
        settings: TrainerSettings,
        seeds: Sequence[int],
        recorder: Recorder,
        device: str,
        engine: Engine = "torch",
        rows: BatchRows[TrainerSettings] | None = None,
    ) -> None:
        super().__init__(task, objective, settings, seeds, recorder, device, engine, rows)
        self.engine_name = engine
        self._pretrained = False

    def resume(self, states: Sequence[State]) -> None:
        super().resume(states)
        self._pretrained = True

    def train(self) -> None:
        if not self._pretrained:
            self._pretrain()
        if self.seeds:
            super().train()
        else:
            self.close()

    def collect(self, iteration: int) -> Rollout:
        rollout = super().collect(iteration)
        for key in self.keys:
            self.recorder.collected(key, 0, 0, {_PHASE: 0.0})
        return rollout

    def _pretrain(self) -> None:
        try:
            pretrainer = Pretrainer(self)
            pretrainer.train()
        except BaseException:
            self.close()
            raise
        found = pretrainer.ended
        self.keep([row for row, key in enumerate(self.keys) if key in found])
        if self.seeds:
            state = joined([found[key] for key in self.keys])
            self.parameters.copy_(state["parameters"])
            self.exploration.restore(state["exploration"])
            self.env_steps = state["env_steps"]
            if self.reference is not None:
                self.reference = self.parameters.clone()


class Pretrainer(EpisodeTrainer):
    """Trains the policies of another trainer, wider by w, until each has taken its share of the budget.

    Args:
        tuner: what trains afterwards; it evaluates for both.

    Attributes:
        ended: by the recorder's key of a seed that is through, the state that the tuner goes on from.
    """

    def __init__(self, tuner: PretrainedTrainer) -> None:
        settings = tuner.settings.model_copy(update={"reference": "previous"})
        configured = [Configured(_OBJECTIVE, own.settings) for own in tuner.rows.configured]
        size = settings.pretraining_features
        super().__init__(
            _ConditionedTask(tuner.task, size),
            _OBJECTIVE,
            settings,
            tuner.seeds,
            tuner.recorder,
            tuner.device,
            tuner.engine_name,
            BatchRows(list(tuner.keys), list(tuner.seeds), configured),
            evaluator=tuner.evaluator,
        )
        assert isinstance(tuner.network, Network)  # configuring refuses images
        self._tuner, self.resumes = tuner, False
        self._conditioned = Conditioned(tuner.network, size)
        for row, seed in enumerate(self.seeds):
            initial = self._conditioned.initial(tuner.parameters[row], stream("pretraining", seed, "policy"))
            self.parameters[row] = initial
        inputs = tuner.network.inputs
        self._features = Features(inputs, settings.hidden, size, settings.pretraining_neighbours, self.seeds)
        #: [seed, trajectory, size], of the current iteration.
        self._w: Array = np.zeros((0, 0, size), np.float32)
        #: Of each seed: the observations that its newest steps led to, and what the task gave for them.
        self._labelled = [(np.zeros((0, inputs), np.float32), np.zeros(0)) for _ in self.seeds]
        self._until = settings.pretraining * self.recorder.budget
        self._through = [False] * len(self.seeds)
        self.ended: dict[int, dict[str, Any]] = {}

    @property
    def alignment(self) -> RewardAlignment:
        """That of the tuner."""
        return self._tuner.alignment

    def collect(self, iteration: int) -> Rollout:
        shape = self.task.groups * self.settings.trajectories, self.settings.pretraining_features
        drawn = [unit(stream("pretraining", seed, iteration, "w").standard_normal(shape)) for seed in self.seeds]
        self._w = np.stack(drawn).astype(np.float32)
        self._environment.condition(self._w)
        rollout = self.collector.collect(
            self.engine.actor(self.parameters),
            [stream("pretraining", seed, iteration, "environment") for seed in self.seeds],
            [stream("pretraining", seed, iteration, "noise") for seed in self.seeds],
            visited=self.exploration.visited,
            device=self.device,
        )
        self._arrived = self._environment.arrived
        self._report(rollout)
        for key in self.keys:
            self.recorder.collected(key, 0, 0, {_PHASE: 1.0})
        return rollout

    def update(self, collected: Rollout, iteration: int) -> None:
        taken = collected.mask.numpy()
        steps = [
            Steps(self._arrived[row][own], np.repeat(self._w[row], own.sum(1), 0)) for row, own in enumerate(taken)
        ]
        for _ in range(self.settings.epochs):
            self._features.learn(steps)
        rewards = np.zeros(taken.shape)
        for row, key in enumerate(self.keys):
            found = self._features.rewards(row, steps[row])
            rewards[row][taken[row]] = found.entropy + found.skill
            means = {"entropy_reward": float(found.entropy.mean()), "skill_reward": float(found.skill.mean())}
            self.recorder.updated(key, 0, means)
            paid = collected.rewards[row].numpy()[taken[row]]
            self._labelled[row] = self._newest(row, steps[row].arrived, paid)
        # One addition after the other: how long other seeds' episodes are changes nothing.
        returns = rewards.cumsum(-1)[..., -1]
        super().update(replace(collected, rewards=torch.from_numpy(rewards), returns=returns), iteration)
        self._through = [steps >= self._until for steps in self.env_steps]

    def _newest(self, row: int, arrived: Array, paid: Array) -> tuple[Array, Array]:
        """The steps whose rewards are known, once some more have been taken."""
        most = self.settings.pretraining_rewards
        before, rewards = self._labelled[row]
        return np.concatenate([before, arrived])[-most:], np.concatenate([rewards, paid])[-most:]

    def through(self, row: int) -> bool:
        return self._through[row]

    def keep(self, rows: Sequence[int]) -> None:
        live = set(self.recorder.live)
        for row, key in enumerate(self.keys):
            if row not in rows and key in live:
                self.ended[key] = self._state_of(row)
        super().keep(rows)
        self._features.keep(rows)
        self._w, self._arrived = self._w[rows], self._arrived[rows]
        self._labelled = [self._labelled[row] for row in rows]
        self._through = [self._through[row] for row in rows]

    def _state_of(self, row: int) -> dict[str, Any]:
        """What the tuner goes on from."""
        explored = self.exploration.state()
        return {
            "parameters": self._at_best(row),
            "env_steps": self.env_steps[row],
            "exploration": {
                name: None if part is None else torch.from_numpy(np.array(part[row])) for name, part in explored.items()
            },
        }

    def _at_best(self, row: int) -> Tensor:
        """Parameters [parameter] of the policy at the w on which the known rewards of a seed regress."""
        observations, rewards = self._labelled[row]
        w = regressed(self._features.of(row, observations), rewards)
        return self._conditioned.given(self.parameters[row], torch.from_numpy(w))

    def frozen(self, row: int) -> Frozen:
        return Frozen(self._at_best(row))

    def policies(self, policies: Sequence[Frozen]) -> Policies:
        return self._tuner.policies(policies)

    def named(self, policy: Frozen) -> Mapping[str, Array]:
        return self._tuner.named(policy)

    def close(self) -> None:
        self.collector.close()  # all else is the tuner's

    def _shown(self, environment: VectorEnvironment) -> VectorEnvironment:
        self._environment = _ConditionedEnvironment(environment)
        return self._environment


class _ConditionedTask(Task):
    """A task whose observations are followed by `size` numbers, as training sees it."""

    def __init__(self, inner: Task, size: int) -> None:
        self._inner = inner
        self.id, self.version, self.summary, self.backend = inner.id, inner.version, inner.summary, inner.backend
        self.horizon, self.groups, self.action_space = inner.horizon, inner.groups, inner.action_space
        self.states, self.goals, self.success_return = inner.states, inner.goals, inner.success_return
        self.uniform = inner.uniform
        features = inner.observation_space.shape[0] + size
        self.observation_space = spaces.Box(-np.inf, np.inf, (features,), np.float32)

    def vector(self, trajectories: int) -> VectorEnvironment:
        return self._inner.training().vector(trajectories)

    def grouped(self, trajectories: int) -> VectorEnvironment:
        return self._inner.training().grouped(trajectories)


class _ConditionedEnvironment(VectorWrapper):
    """Shows w beside what another environment shows, and keeps what each step led to."""

    def condition(self, w: Array) -> None:
        """Of the next episodes, [seed, trajectory, size] float32."""
        self._w = w
        self._led: list[Array] = []

    @property
    def arrived(self) -> Array:
        """[seed, trajectory, step, feature] float32, of the last episodes; where none was taken, of no meaning."""
        return np.stack(self._led, 2)

    def reset(self, streams: Sequence[np.random.Generator]) -> Array:
        return self._with_w(super().reset(streams))

    def step(self, actions: Array, live: Array) -> Step:
        step = super().step(actions, live)
        self._led.append(np.array(step.observations, np.float32))
        return step._replace(observations=self._with_w(step.observations))

    def _with_w(self, observations: Array) -> Array:
        return np.concatenate([observations, self._w], -1)
