"""Training objectives that collect segments (PPO).

The order of things is that of stable_baselines3/common/on_policy_algorithm.py and ppo/ppo.py.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.shapes import Array
from haepo_bench.results.record import Engine
from haepo_bench.tasks.base import Task
from haepo_bench.training.alignment import Policy
from haepo_bench.training.blocks import blocks
from haepo_bench.training.encoders import inputs_of, step_numbers
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.exploration import Exploration
from haepo_bench.training.heads import make_head
from haepo_bench.training.normalisation import named_statistics, normalised_actor, normalised_policy, statistics_of
from haepo_bench.training.ppo_settings import SegmentSettings
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.resuming import State
from haepo_bench.training.segments.collector import Segments
from haepo_bench.training.segments.engines import segment_engine
from haepo_bench.training.segments.minibatches import Minibatches
from haepo_bench.training.streams import stream
from haepo_bench.training.trainer import Trainer
from haepo_bench.training.waiting import Frozen, Policies

#: Of Adam, as in Stable-Baselines3.
_EPSILON = 1e-5


class SegmentTrainer(Trainer[Segments]):
    """Trains one objective on one task for several seeds, on minibatches of segments."""

    def __init__(
        self,
        task: Task,
        objective: Objective,
        settings: SegmentSettings,
        seeds: Sequence[int],
        recorder: Recorder,
        device: str,
        engine: Engine = "torch",
    ) -> None:
        self.task, self.objective, self.settings, self.recorder = task, objective, settings, recorder
        self.device = device
        self.seeds = list(seeds)
        self.head = head = make_head(task)
        self.network = ActorCritic(
            inputs_of(task, settings.encoder),
            settings.net_arch,
            head,
            log_std=settings.log_std_init,
            orthogonal=settings.ortho_init,
            activation=settings.activation,
        )
        self.padded_rows = self.network.policy.padded_rows
        initial = [
            self.network.initial(stream("initialisation", seed), stream("initialisation", seed, 1))
            for seed in self.seeds
        ]
        self.parameters = torch.from_numpy(np.stack(initial)).to(device)
        self.engine = segment_engine(engine, self.network)
        self.optimiser = self.engine.optimiser(self.parameters, settings.learning_rate, _EPSILON)
        self.evaluator = Evaluator(task, head, recorder.episodes, self.padded_rows, self.engine.evaluated_by)
        self.exploration = Exploration(task, len(self.seeds))
        self.collector = self.engine.collector(task, settings, self.seeds, self.exploration)
        self.resumes = self.collector.resumes

    def state(self) -> dict[str, Any]:
        return {**super().state(), "collector": self.collector.state()}

    def restore(self, state: State) -> None:
        super().restore(state)
        self.collector.restore(state["collector"])

    def collect(self, iteration: int) -> Segments:
        K = self.settings.n_envs
        # The budget ends the run within the segment: at the first step of all environments that reaches it.
        left = -(-(self.recorder.budget - self.collector.env_steps) // K)
        steps = min(self.settings.n_steps, left)
        segments = self.collector.collect(self.parameters, iteration, steps)
        for row, episodes in enumerate(segments.episodes):
            self.report_collected(
                row,
                episodes,
                steps=steps * K,
                total=self.collector.env_steps,
                fault=segments.faults.get(row),
                diverged=segments.diverged.get(row, ""),
            )
        return segments

    def update(self, collected: Segments, iteration: int) -> None:
        remaining = 1 - self.collector.env_steps / self.recorder.budget
        if self.settings.learning_rate_schedule == "linear":
            self.optimiser.learning_rate = remaining * self.settings.learning_rate
        minibatches = self.engine.minibatches(collected, self.settings.batch_size, self.task.horizon)
        orders = [stream("minibatch", seed, iteration) for seed in self.seeds]
        seen = self._learn(minibatches, orders, self.objective.at(remaining))
        finite = torch.isfinite(self.parameters).all(1).tolist()
        for row, (gradient_steps, diagnostics) in enumerate(_means(seen)):
            fine = finite[row] and bool(np.isfinite(diagnostics["loss"]))
            observed = partial(collected.observations.__getitem__, row)
            self.report_updated(row, gradient_steps, diagnostics, finite=fine, observed=observed)

    def _learn(
        self, minibatches: Minibatches, orders: Sequence[np.random.Generator], objective: Objective
    ) -> "list[_Seen]":
        """All passes over one iteration's steps; what every minibatch saw."""
        settings, everyone, seen = self.settings, list(range(len(self.seeds))), []
        rows = everyone  # those whose update has not ended early
        for epoch in range(settings.n_epochs):
            minibatches.shuffle(np.stack([order.permutation(minibatches.steps) for order in orders]))
            for number in range(minibatches.count):
                some = None if rows == everyone else rows
                parameters = self.parameters if some is None else self.parameters[some]
                gradient, diagnostics = minibatches.gradient(number, parameters, objective, some)
                diagnostics["gradient_norm"] = self.engine.clip(gradient, settings.max_grad_norm)
                going_on = list(range(len(rows)))
                if settings.target_kl is not None:
                    over = (diagnostics["kl_previous"] > 1.5 * settings.target_kl).tolist()
                    going_on = [place for place in going_on if not over[place]]
                stepped = [rows[place] for place in going_on]
                seen.append(_Seen(epoch, rows, stepped, diagnostics))
                if not stepped:
                    return seen
                if stepped == everyone:
                    self.optimiser.step(gradient)
                else:
                    self.optimiser.step(gradient[going_on], stepped)
                rows = stepped
        return seen

    def keep(self, rows: Sequence[int]) -> None:
        super().keep(rows)
        self.collector.keep(rows)

    def frozen(self, row: int) -> Frozen:
        normalisation = self.collector.normalisation
        return Frozen(self.parameters[row].clone(), None if normalisation is None else normalisation.frozen(row))

    def policies(self, policies: Sequence[Frozen]) -> Policies:
        made = super().policies(policies)
        actor = self.engine.actor(torch.stack([policy.parameters for policy in policies]))
        return made if actor is None else made._replace(actor=normalised_actor(actor, statistics_of(policies)))

    def policy(self, policies: Sequence[Frozen]) -> Policy:
        folded, _ = self.network.fold(torch.stack([policy.parameters for policy in policies]))
        return normalised_policy(self.network.policy.repeated(folded), statistics_of(policies))

    def named(self, policy: Frozen) -> Mapping[str, Array]:
        return self.network.named(policy.parameters) | named_statistics(policy)

    def close(self) -> None:
        self.collector.close()
        self.evaluator.close()


def batch_blocks(task: Task, settings: SegmentSettings, seeds: Sequence[int]) -> list[list[int]]:
    """The seeds that are trained at a time."""
    numbers = step_numbers(task) + 4 * make_head(task).outputs
    return blocks(seeds, settings.n_envs * settings.n_steps, numbers + 2 * sum(settings.net_arch))


class _Seen(NamedTuple):
    """What one minibatch saw: diagnostics [row] of `rows`, of which `stepped` took a gradient step."""

    epoch: int
    rows: list[int]
    stepped: list[int]
    diagnostics: dict[str, Tensor]


def _means(seen: Sequence[_Seen]) -> list[tuple[int, dict[str, float]]]:
    """Gradient steps and mean diagnostics of each seed's update; as with `ppo`, the KL is that of its last epoch."""
    names = list(seen[0].diagnostics)
    kl = names.index("kl_previous")
    columns = [torch.stack(list(one.diagnostics.values())).cpu().numpy().astype(np.float64) for one in seen]
    means = []
    for seed in seen[0].rows:
        pairs = zip(seen, columns, strict=True)
        own = [(one, column[:, one.rows.index(seed)]) for one, column in pairs if seed in one.rows]
        mean = dict(zip(names, np.mean([column for _, column in own], 0).tolist(), strict=True))
        mean["kl_previous"] = float(np.mean([column[kl] for one, column in own if one.epoch == own[-1][0].epoch]))
        means.append((sum(seed in one.stepped for one, _ in own), mean))
    return means
