"""Training objectives that collect whole episodes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.policies.network import network
from haepo_bench.policies.shapes import Array, padded_seeds
from haepo_bench.results.record import Engine
from haepo_bench.tasks.base import Task, VectorEnvironment
from haepo_bench.training.blocks import blocks
from haepo_bench.training.diagnostics import wanted_at
from haepo_bench.training.encoders import inputs_of, step_numbers
from haepo_bench.training.episodes.branching import Brancher, best
from haepo_bench.training.episodes.engines import episode_engine
from haepo_bench.training.episodes.expert import Expert, ExpertEpisode
from haepo_bench.training.episodes.greedy import play_greedy
from haepo_bench.training.episodes.hybrid import Designer, hybrid
from haepo_bench.training.episodes.prefixes import Prefixes, PrefixPolicies
from haepo_bench.training.episodes.reference import ReferenceSample
from haepo_bench.training.episodes.rephrasing import Rephraser, rephrased
from haepo_bench.training.episodes.rollout import Actor, Collector, Played, PrefixActor, Rollout, too_large
from haepo_bench.training.episodes.trajectory_batch import padded_horizon
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.exploration import Episodes, Exploration
from haepo_bench.training.flips import flips
from haepo_bench.training.heads import make_head
from haepo_bench.training.mixed_objective import MixedObjective, kept, reported_by
from haepo_bench.training.normalisation import (
    DISCOUNT,
    Normalisation,
    NormalisedEnvironment,
    named_statistics,
    statistics_of,
)
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.resuming import State, arrays_of
from haepo_bench.training.rows import BatchRows
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream
from haepo_bench.training.trainer import Trainer, acting
from haepo_bench.training.waiting import Frozen, Policies

T = TypeVar("T")


class EpisodeTrainer(Trainer[Rollout]):
    """Trains one objective on one task for several seeds, on batches of complete episodes.

    Args:
        rows: where seeds have configurations of their own, of the shape of `objective` and `settings`.
        evaluator: another trainer's, whose policies this one makes; None: its own.
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
        evaluator: Evaluator | None = None,
    ) -> None:
        self.task, self.objective, self.settings, self.recorder, self.device = (
            task,
            objective,
            settings,
            recorder,
            device,
        )
        self.rows = BatchRows.alike(seeds, objective, settings) if rows is None else rows
        self.seeds, self.keys = self.rows.seeds, self.rows.keys
        self.objective = self.rows.objective(padded_seeds(1, task.groups * settings.trajectories))
        self.head = head = make_head(task, settings.policy)
        self.network = network(inputs_of(task, settings.encoder), settings.hidden, head)
        initial = np.stack([self.network.initial(stream("initialisation", seed)) for seed in self.seeds])
        self.parameters = torch.from_numpy(initial).to(device)
        #: Parameters of the reference policy; None where that is the one that collected the batch.
        self.reference = None if settings.reference == "previous" else self.parameters.clone()
        self.engine = episode_engine(engine, self.network, device)
        self.optimiser = self.engine.optimiser(self.parameters, self.rows.one_or_each("learning_rate"))
        episodes = task.groups * settings.trajectories
        training = task.training()
        start = training.paired if objective.shares_start else training.grouped
        #: Of what training is shown; None where the task asks for nothing.
        self.normalisation: Normalisation | None = None
        if task.normalise is not None:
            features = task.observation_space.shape[0]
            self.normalisation = Normalisation(len(self.seeds), features, DISCOUNT, task.normalise)
        designed = 0 if objective.design is None else objective.design.among(settings.trajectories)
        own = settings.trajectories - designed
        self.collector = self.engine.collector(task, self._shown(start(own)), task.groups * own)
        #: Returns of the reference policy, where the objective asks for some and the batch is not a sample of them.
        self.reference_sample: ReferenceSample | None = None
        if objective.reference_sample and settings.reference != "previous":
            sampled = task.groups * objective.reference_sample
            environment = self._shown(task.training().grouped(objective.reference_sample))
            self.reference_sample = ReferenceSample(self.engine.collector(task, environment, sampled))
        #: What plays in the place of the worst of groups that fail, where the objective asks for that.
        self.rephraser: Rephraser | None = None
        if objective.rephrasing is not None:
            environment = self._shown(task.training().paired(1))
            played = self.engine.collector(task, environment, task.groups)
            self.rephraser = Rephraser(task, objective.rephrasing, environment, played)
        #: What plays a part of each group's trajectories in the place of the policy, where the objective asks for that.
        self.designer: Designer | None = None
        if objective.design is not None and designed:
            environment = self._shown(task.training().paired(designed))
            played = self.engine.collector(task, environment, task.groups * designed)
            self.designer = Designer(task, objective.design, environment, played)
        #: What plays the branches of a batch's trajectories, where the objective asks for that.
        self.brancher: Brancher | None = None
        if objective.branching is not None:
            copies = objective.branching.branches
            forks = self._shown(task.training().paired(settings.trajectories * copies))
            played = self.engine.collector(task, forks, episodes * copies)
            self.brancher = Brancher(objective.branching, self.network, played, task.horizon)
        self.expert = Expert(task) if objective.wants_expert and self.rephraser is None else None
        #: What plays the greedy policy, where the objective asks for its returns, and those of the current iteration.
        self.greedy: Collector | None = None
        self.greedy_returns: Array | None = None
        if objective.wants_greedy:
            self.greedy = self.engine.collector(task, self._shown(task.training().paired(1)), task.groups)
        #: Of the current iteration.
        self.expert_episode: ExpertEpisode | None = None
        self.prefix_policies = None if objective.prefixes is None else PrefixPolicies(objective.prefixes)
        #: Of the current iteration.
        self.prefixes: Prefixes | None = None
        self.evaluator = evaluator or Evaluator(
            task, head, recorder.episodes, self.network.padded_rows, self.engine.collector
        )
        self.exploration = Exploration(task, len(self.seeds))
        self.env_steps = [0] * len(self.seeds)
        self.resumes = task.forgets

    def state(self) -> dict[str, Any]:
        return {
            **super().state(),
            "env_steps": self.env_steps,
            "reference": self.reference,
            "reference_sample": None if self.reference_sample is None else self.reference_sample.state(),
            "prefix_policies": None if self.prefix_policies is None else self.prefix_policies.state(),
            "normalisation": None if self.normalisation is None else self.normalisation.arrays(),
        }

    def restore(self, state: State) -> None:
        super().restore(state)
        self.env_steps = list(state["env_steps"])
        self.reference = state["reference"]
        if self.reference_sample is not None:
            self.reference_sample.restore(state["reference_sample"])
        if self.prefix_policies is not None:
            self.prefix_policies.restore(state["prefix_policies"])
        if self.normalisation is not None:
            self.normalisation.restore(arrays_of(state["normalisation"]))

    def collect(self, iteration: int) -> Rollout:
        actor = self.engine.actor(self.parameters)
        if self.reference_sample is not None and self._renews(iteration):
            visited = self.exploration.visited
            self._report(
                self.reference_sample.collect(actor, self.seeds, iteration, visited=visited, device=self.device)
            )
        if self.expert is not None:
            self.expert_episode = self.expert.play([stream("environment", seed, iteration) for seed in self.seeds])
        if self.greedy is not None:
            played = play_greedy(self.greedy, self.task, actor, self.seeds, iteration, device=self.device)
            self.greedy_returns = played.returns
            self._report(played)
        rollout = self.collector.collect(
            actor,
            [stream("environment", seed, iteration) for seed in self.seeds],
            [stream("action noise", seed, iteration) for seed in self.seeds],
            prefix=self._prefix_actor(iteration),
            visited=self.exploration.visited,
            device=self.device,
        )
        if self.expert_episode is not None and self.normalisation is not None:
            # As the policy's own steps are shown from here on; the expert's are not counted.
            shown = self.normalisation.observations(self.expert_episode.observations.swapaxes(1, 2)).swapaxes(1, 2)
            self.expert_episode = self.expert_episode._replace(observations=shown)
        if self.prefix_policies is not None:
            self.prefix_policies.add(iteration, self.parameters, rollout.lengths)
        self._report(rollout)
        if self.brancher is not None:
            return self._branch(self.brancher, rollout, actor, iteration)
        if self.designer is not None:
            return self._mix(self.designer, rollout, iteration)
        return rollout if self.rephraser is None else self._rephrase(self.rephraser, rollout, actor, iteration)

    def _branch(self, brancher: Brancher, rollout: Rollout, actor: Actor, iteration: int) -> Rollout:
        """The best of a batch's trajectories and their branches; steps that these share count once."""
        branches, shared = brancher.play(
            rollout, self.parameters, actor, self.seeds, iteration, visited=self.exploration.visited, device=self.device
        )
        batch, branched = best(rollout, branches, self.task.groups)
        self._report_beside(branches, branches.lengths - shared, "branch_share", branched)
        return batch

    def _rephrase(self, rephraser: Rephraser, rollout: Rollout, actor: Actor, iteration: int) -> Rollout:
        """The batch with an expert's episodes in it; their steps count, what they return is not the policy's."""
        versions = rephraser.play(actor, self.seeds, iteration, device=self.device)
        batch, replaced = rephrased(rollout, versions, rephraser.plan)
        self._report_beside(versions, versions.lengths, "rephrased_share", replaced)
        return batch

    def _mix(self, designer: Designer, rollout: Rollout, iteration: int) -> Rollout:
        """The batch with a design's episodes in it; their steps count, what they return is not the policy's."""
        visited, trajectories = self.exploration.visited, self.settings.trajectories
        designed = designer.play(self.seeds, trajectories, iteration, visited=visited, device=self.device)
        batch, wins = hybrid(rollout, designed, self.task.groups)
        self._report_beside(designed, designed.lengths, "design_wins", wins)
        return batch

    def _report_beside(self, played: Rollout, lengths: Array, column: str, shares: Array) -> None:
        """Reports episodes played beside the batch's own to the recorder: their steps, and how many are learnt from.

        Args:
            lengths: [seed, episode] steps that count.
            shares: bool or fractions [seed, ...], of which `column` is the mean.
        """
        for row in range(len(self.seeds)):
            steps = int(lengths[row].sum())
            self.env_steps[row] += steps
            share = Episodes(measures={column: shares[row].astype(float).ravel().tolist()})
            fault, diverged = played.faults.get(row), too_large(played.returns[row])
            self.report_collected(row, share, steps=steps, total=self.env_steps[row], fault=fault, diverged=diverged)

    def _shown(self, environment: VectorEnvironment) -> VectorEnvironment:
        """An environment as training sees it."""
        return environment if self.normalisation is None else NormalisedEnvironment(environment, self.normalisation)

    def _prefix_actor(self, iteration: int) -> PrefixActor | None:
        """The earlier policies that begin this iteration's episodes, where the objective asks for that."""
        if self.prefix_policies is None:
            return None
        groups, trajectories = self.task.groups, self.settings.trajectories
        self.prefixes = self.prefix_policies.draw(self.seeds, iteration, groups=groups, trajectories=trajectories)
        if self.prefixes is None:
            return None
        earlier = self.network.repeated(self.network.fold(self.prefixes.parameters))
        return PrefixActor(acting(earlier, self.head), self.prefixes.lengths)

    def _report(self, rollout: Rollout | Played) -> None:
        """Tells the recorder what was played."""
        for row in range(len(self.seeds)):
            # As if a seed's episodes had been played one after the other.
            ends = self.env_steps[row] + rollout.lengths[row].cumsum()
            self.env_steps[row] = int(ends[-1])
            measures = {name: values[row].tolist() for name, values in rollout.measures.items()}
            episodes = Episodes(rollout.returns[row].tolist(), ends.tolist(), measures)
            steps = int(rollout.lengths[row].sum())
            self.report_collected(
                row,
                episodes,
                steps=steps,
                total=self.env_steps[row],
                fault=rollout.faults.get(row),
                diverged=too_large(rollout.returns[row]),
            )

    def _renews(self, iteration: int) -> bool:
        """Whether the policy of this iteration becomes the reference for it and for some that follow."""
        every = self.settings.reference
        return iteration % every == 0 if isinstance(every, int) else every == "initial" and iteration == 0

    def _refresh_reference(self, iteration: int) -> None:
        if isinstance(self.settings.reference, int) and self._renews(iteration):
            self.reference = self.parameters.clone()

    def update(self, collected: Rollout, iteration: int) -> None:
        self._refresh_reference(iteration)
        packed = self.engine.batch(
            collected,
            self.parameters,
            self.reference,
            self.task,
            self.objective,
            reference_returns=None if self.reference_sample is None else self.reference_sample.returns,
            expert=self.expert_episode,
            prefixes=self.prefixes,
            greedy_returns=self.greedy_returns,
            flipped=self._flipped(iteration),
        )
        history: list[dict[str, Tensor]] = []
        for epoch in range(self.settings.epochs):
            gradient, diagnostics = packed.gradient(self.objective, wanted_at(epoch, self.settings.epochs))
            diagnostics["gradient_norm"] = self._clip(gradient)
            self.optimiser.step(gradient)
            history.append(diagnostics)
        finite = (
            torch.isfinite(self.parameters).all(1)
            & torch.stack([torch.isfinite(epoch["loss"]) for epoch in history]).all(0)
        ).tolist()
        columns = {name: [epoch[name] for epoch in history if name in epoch] for name in history[0] | history[-1]}
        # One addition after the other: a reduction's order, and so its last bit, depends on the number of seeds.
        values = {name: (sum(column[1:], column[0]) / len(column)).tolist() for name, column in columns.items()}
        failures = self.objective.failures if isinstance(self.objective, MixedObjective) else {}
        for row, key in enumerate(self.keys):
            if row in failures:
                self.recorder.failed(key, failures[row])
                continue
            own = {name: values[name][row] for name in reported_by(self.objective, row, values)}
            observed = partial(_observed, collected, row)
            self.report_updated(row, self.settings.epochs, own, finite=finite[row], observed=observed)

    def _flipped(self, iteration: int) -> Array | None:
        """Which pairs of each seed's batch are reported reversed; None where the task reverses none."""
        if not self.task.flip:
            return None
        shape = self.task.groups, self.settings.trajectories
        return np.stack([flips(self.task.flip, stream("flip", seed, iteration), *shape) for seed in self.seeds])

    def _clip(self, gradient: Tensor) -> Tensor:
        """Scales each seed's gradient [seed, parameter] down to the largest norm allowed; returns the norms before."""
        return self.engine.clip(gradient, self.rows.one_or_each("max_gradient_norm"))

    def keep(self, rows: Sequence[int]) -> None:
        super().keep(rows)
        self.rows = self.rows.keep(rows)
        self.objective = kept(self.objective, rows)
        self.env_steps = [self.env_steps[row] for row in rows]
        if self.normalisation is not None:
            self.normalisation.keep(rows)
        self.reference = None if self.reference is None else self.reference[rows]
        if self.reference_sample is not None:
            self.reference_sample.keep(rows)
        if self.expert_episode is not None:
            self.expert_episode = self.expert_episode.select(rows)
        if self.greedy_returns is not None:
            self.greedy_returns = self.greedy_returns[rows]
        if self.prefix_policies is not None:
            self.prefix_policies.keep(rows)
        if self.prefixes is not None:
            self.prefixes = self.prefixes.select(rows)

    def frozen(self, row: int) -> Frozen:
        statistics = None if self.normalisation is None else self.normalisation.frozen(row)
        return Frozen(self.parameters[row].clone(), statistics)

    def policies(self, policies: Sequence[Frozen]) -> Policies:
        parameters = torch.stack([policy.parameters for policy in policies])
        return self.engine.policies(parameters, statistics_of(policies))

    def named(self, policy: Frozen) -> Mapping[str, Array]:
        return self.network.named(policy.parameters) | named_statistics(policy)

    def close(self) -> None:
        self.collector.close()
        beside = self.reference_sample, self.expert, self.rephraser, self.designer, self.brancher, self.greedy
        for player in beside:
            if player is not None:
                player.close()
        self.evaluator.close()


def batch_blocks(task: Task, settings: TrainerSettings, seeds: Sequence[T]) -> list[list[T]]:
    """The seeds, or rows, that are trained at a time."""
    steps = task.groups * settings.trajectories * padded_horizon(task.horizon)
    numbers = step_numbers(task) + 4 * make_head(task, settings.policy).outputs
    return blocks(seeds, steps, numbers + sum(settings.hidden))


def _observed(rollout: Rollout, row: int) -> Tensor:
    """All observations of a seed's steps, [feature, step]."""
    return rollout.observations[row][:, rollout.mask[row]]
