"""The compiled engine for objectives that collect whole episodes."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from haepo_bench.engine import collector
from haepo_bench.engine.architecture import Architecture
from haepo_bench.engine.library import opened
from haepo_bench.engine.update import HeadValues, StepRows, Workspace
from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.output import output_of
from haepo_bench.policies.heads import Head
from haepo_bench.policies.network import PolicyNetwork
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.tasks.probes import ProbeSet
from haepo_bench.training.adam import Largest
from haepo_bench.training.compiled_adam import CompiledAdam, clip_compiled
from haepo_bench.training.diagnostics import ENTROPY, KL, update_diagnostics
from haepo_bench.training.episodes.engine import Brought, TorchEngine
from haepo_bench.training.episodes.expert import ExpertEpisode
from haepo_bench.training.episodes.prefixes import Prefixes
from haepo_bench.training.episodes.rollout import NOISE_STEPS, Actor, Collector, Played, PrefixActor, Rollout
from haepo_bench.training.episodes.trajectory_batch import BatchShape, trajectory_batch
from haepo_bench.training.normalisation import normalise, normalised_actor
from haepo_bench.training.waiting import Policies


class CompiledActor:
    """Policies as rollouts call them.

    Args:
        parameters: [seed, parameter].
    """

    def __init__(self, architecture: Architecture, parameters: Array) -> None:
        self.architecture, self.parameters = architecture, np.ascontiguousarray(parameters)
        self.act = partial(collector.act, opened(), architecture, self.parameters)
        self.play = partial(collector.play, opened(), architecture, self.parameters)

    def __call__(self, observations: Tensor, noise: Tensor, greedy: Tensor | None) -> Tensor:
        shown = np.ascontiguousarray(observations.numpy().transpose(0, 2, 1))
        drawn = np.ascontiguousarray(noise.numpy())
        return torch.from_numpy(self.act(shown, drawn, None if greedy is None else greedy.numpy()))


def compiled_policies(architecture: Architecture, parameters: Array, statistics: Array | None) -> Policies:
    """Policies [seed, parameter] as evaluations ask them.

    Args:
        statistics: [seed, 2, feature] that each is shown observations by; None where by none.
    """
    actor, seeds = CompiledActor(architecture, parameters), len(parameters)

    def log_probs(probes: ProbeSet) -> Array:
        shown = torch.from_numpy(probes.observations).T.expand(seeds, -1, -1)
        if statistics is not None:
            shown = normalise(statistics, shown)
        actions = np.broadcast_to(probes.actions.astype(architecture.action_dtype), (seeds, *probes.actions.shape))
        rows = StepRows.uniform(opened(), architecture, shown.mT.numpy(), actions)
        return rows.log_probs(rows.outputs(actor.parameters).z).reshape(seeds, -1)[:, : len(probes.actions)]

    return Policies(normalised_actor(actor, statistics), log_probs)


class CompiledCollector(Collector):
    """Plays whole episodes with the kernels where they step the environment; else they take the actions alone."""

    def __init__(self, task: Task, environment: VectorEnvironment, head: Head, episodes: int) -> None:
        super().__init__(task, environment, head, episodes, episodes)

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
        if not isinstance(actor, CompiledActor) or not collector.stepped(self._environment) or prefix is not None:
            streams = environment_streams, noise_streams
            return super().collect(actor, *streams, prefix=prefix, visited=visited, device=device)
        horizon = self._task.horizon
        kept = collector.KeptSteps.room(actor.architecture, len(noise_streams), self._trajectories, horizon)
        ends = self._ends(actor, self._environment, environment_streams, noise_streams, kept=kept, visited=visited)
        return Rollout(
            torch.from_numpy(kept.observations).permute(0, 3, 1, 2),
            torch.from_numpy(kept.actions),
            torch.from_numpy(kept.rewards),
            torch.from_numpy(np.arange(horizon) < ends.lengths[..., None]),
            ends.lengths,
            ends.returns,
            self._environment.measures(),
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
        streams = environment_streams, noise_streams
        if not isinstance(actor, CompiledActor) or not collector.stepped(self._environment):
            return super().play(actor, *streams, greedy=greedy, visited=visited, device=device)
        ends = self._ends(actor, self._environment, *streams, greedy=greedy, visited=visited)
        return Played(ends.lengths, ends.returns, self._environment.measures(), {})

    def _ends(
        self,
        actor: CompiledActor,
        environment: collector.Stepped,
        environment_streams: Sequence[np.random.Generator],
        noise_streams: Sequence[np.random.Generator],
        *,
        greedy: Array | None = None,
        kept: collector.KeptSteps | None = None,
        visited: Array | None = None,
    ) -> collector.Ends:
        environment.reset(environment_streams)
        noise = partial(_noise, self._head, noise_streams, self._trajectories)
        ends = actor.play(
            environment, self._task.horizon, noise, NOISE_STEPS, greedy=greedy, kept=kept, visited=visited
        )
        environment.state = np.moveaxis(ends.state, -1, 0)  # what it measures is read off there
        return ends


def _noise(head: Head, streams: Sequence[np.random.Generator], K: int, live: Array) -> Array:
    """What the next steps' actions are drawn with, of seeds that have episodes left; as `Collector` draws it."""
    first = next(row for row, episodes in enumerate(live) if episodes)
    own = head.noise(streams[first], K, NOISE_STEPS)
    drawn = np.zeros((len(streams), *own.shape), np.float32)
    drawn[first] = own
    for row in range(first + 1, len(streams)):
        if live[row]:
            drawn[row] = head.noise(streams[row], K, NOISE_STEPS)
    return drawn


class CompiledBatch:
    """As `PackedBatch`, in the kernels' layout: seed after seed, no padding but that of each seed's end."""

    def __init__(
        self,
        architecture: Architecture,
        workspace: Workspace,
        rollout: Rollout,
        parameters: Tensor,
        reference: Tensor | None,
        task: Task,
        objective: Objective,
        reference_returns: Array | None = None,
        expert: ExpertEpisode | None = None,
        prefixes: Prefixes | None = None,
        greedy_returns: Array | None = None,
        flipped: Array | None = None,
    ) -> None:
        self._parameters = parameters
        self._shape = BatchShape.of(rollout, task)
        self._lengths = np.ascontiguousarray(rollout.lengths, np.int64)
        observations = np.ascontiguousarray(rollout.observations.permute(0, 2, 3, 1).numpy())
        actions = np.ascontiguousarray(rollout.actions.numpy())
        self._rows = rows = StepRows.packed(opened(), architecture, observations, actions, self._lengths, workspace)
        behaviour = rows.outputs(parameters.numpy(), keep=True)
        # The first gradient is taken where the batch was collected, so its forward pass is done.
        self._first = behaviour if behaviour.hidden is not None or not architecture.hidden else None
        behaviour_log_probs = reference_log_probs = self._dense(rows.log_probs(behaviour.z))
        self._reference = behaviour.z
        if reference is not None:
            self._reference = rows.outputs(reference.numpy()).z
            reference_log_probs = self._dense(rows.log_probs(self._reference))
        tempered = tuple(self._dense(rows.log_probs(behaviour.z, t)) for t in objective.temperatures)
        if prefixes is not None:
            earlier = self._dense(rows.log_probs(rows.outputs(prefixes.parameters.numpy()).z))
            begun = self._shape.padded_to(torch.from_numpy(prefixes.lengths), "cpu")
            theirs = torch.arange(self._shape.steps) < begun[..., None]
            behaviour_log_probs = torch.where(theirs, earlier, behaviour_log_probs)
        self._batch = trajectory_batch(
            rollout,
            task,
            objective,
            "cpu",
            behaviour_log_probs=behaviour_log_probs,
            reference_log_probs=reference_log_probs,
            tempered=tempered,
            expert_log_probs=None if expert is None else self._expert_log_probs(architecture, expert),
            reference_returns=reference_returns,
            greedy_returns=greedy_returns,
            flipped=flipped,
        )

    def gradient(
        self, objective: Objective, wanted: Collection[str] = (ENTROPY, KL)
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `PackedBatch.gradient`."""
        parameters = self._parameters.numpy()
        outputs = self._first or self._rows.outputs(parameters, keep=True)
        self._first = None
        evaluated = self._dense(np.stack(self._rows.evaluate(outputs.z, self._reference))).requires_grad_()
        log_probs, entropy, kl = evaluated.unbind()
        batch = replace(self._batch, log_probs=log_probs, entropy=entropy, kl_to_reference=kl)
        found = output_of(objective, batch)
        (back,) = torch.autograd.grad(found.loss.sum(), evaluated, allow_unused=True, materialize_grads=True)
        gradients = HeadValues(*self._packed(back))
        gradient = self._rows.backward(parameters, outputs, self._reference, gradients)
        diagnostics = update_diagnostics(found, batch, wanted)
        own = {name: value.detach()[: self._shape.seeds] for name, value in diagnostics.items()}
        return torch.from_numpy(gradient), own

    def _expert_log_probs(self, architecture: Architecture, expert: ExpertEpisode) -> Tensor:
        """As `ExpertEpisode.log_probs`, by the kernels: the same step has the same bits wherever it is."""
        lengths = np.ascontiguousarray(expert.lengths[:, None], np.int64)
        observations = np.ascontiguousarray(expert.observations.transpose(0, 2, 1)[:, None])
        rows = StepRows.packed(opened(), architecture, observations, expert.actions[:, None].copy(), lengths)
        found = rows.log_probs(rows.outputs(self._parameters.numpy()).z)
        dense = np.full((len(lengths), 1, self._shape.steps), np.nan, np.float32)
        return torch.from_numpy(rows.episodes(found, lengths, dense)[:, 0])

    def _dense(self, rows: Array) -> Tensor:
        """Numbers [..., row] to [..., *the batch's shape]; zero where no step was taken."""
        kinds, shape = rows.shape[:-1], self._shape
        dense = np.zeros((*kinds, shape.padded, shape.trajectories, shape.steps), np.float32)
        self._rows.episodes(rows, self._lengths, dense)
        return torch.from_numpy(dense).view(*kinds, shape.padded, shape.groups, -1, shape.steps)

    def _packed(self, dense: Tensor) -> Array:
        """And back: [..., row]."""
        return self._rows.rows(dense.flatten(-3, -2).contiguous().numpy(), self._lengths)


class CompiledEngine(TorchEngine):
    """The kernels; tensors are on the CPU."""

    def __init__(self, network: PolicyNetwork) -> None:
        super().__init__(network, "cpu")
        self._architecture, self._workspace = Architecture(network), Workspace()

    def actor(self, parameters: Tensor) -> Actor:
        return CompiledActor(self._architecture, parameters.numpy())

    def policies(self, parameters: Tensor, statistics: Array | None) -> Policies:
        return compiled_policies(self._architecture, parameters.numpy(), statistics)

    def collector(self, task: Task, environment: VectorEnvironment, episodes: int) -> Collector:
        return CompiledCollector(task, environment, self._network.head, episodes)

    def batch(
        self,
        rollout: Rollout,
        parameters: Tensor,
        reference: Tensor | None,
        task: Task,
        objective: Objective,
        **brought: Unpack[Brought],
    ) -> CompiledBatch:
        common = (rollout, parameters, reference, task, objective)
        return CompiledBatch(self._architecture, self._workspace, *common, **brought)

    def optimiser(self, parameters: Tensor, learning_rate: float | Sequence[float]) -> CompiledAdam:
        return CompiledAdam(parameters, learning_rate)

    def clip(self, gradient: Tensor, largest: Largest) -> Tensor:
        return clip_compiled(gradient, largest)
