"""Training objectives that collect segments (PPO).

The order of things is that of stable_baselines3/common/on_policy_algorithm.py and ppo/ppo.py.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective
from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.critics import ScalarCritic
from haepo_bench.policies.return_flow import ReturnFlow
from haepo_bench.policies.shapes import Array
from haepo_bench.results.record import Engine
from haepo_bench.tasks.base import Task
from haepo_bench.training.blocks import blocks
from haepo_bench.training.encoders import inputs_of, step_numbers
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.exploration import Exploration
from haepo_bench.training.heads import make_head
from haepo_bench.training.mixed_objective import MixedObjective, kept, reported_by
from haepo_bench.training.normalisation import named_statistics, statistics_of
from haepo_bench.training.ppo_settings import SegmentSettings
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.resuming import State
from haepo_bench.training.rows import BatchRows
from haepo_bench.training.segments.collector import Segments
from haepo_bench.training.segments.engines import segment_engine
from haepo_bench.training.segments.minibatches import Minibatches
from haepo_bench.training.streams import stream
from haepo_bench.training.trainer import Trainer
from haepo_bench.training.waiting import Frozen, Policies

#: Of Adam, as in Stable-Baselines3.
_EPSILON = 1e-5


T = TypeVar("T")


class SegmentTrainer(Trainer[Segments]):
    """Trains one objective on one task for several seeds, on minibatches of segments.

    Args:
        rows: where seeds have configurations of their own, of the shape of `objective` and `settings`.
    """

    def __init__(
        self,
        task: Task,
        objective: Objective,
        settings: SegmentSettings,
        seeds: Sequence[int],
        recorder: Recorder,
        device: str,
        engine: Engine = "torch",
        rows: BatchRows[SegmentSettings] | None = None,
    ) -> None:
        self.task, self.objective, self.settings, self.recorder = task, objective, settings, recorder
        self.device = device
        self.rows = BatchRows.alike(seeds, objective, settings) if rows is None else rows
        self.seeds, self.keys = self.rows.seeds, self.rows.keys
        self.objective = self.rows.objective(1)
        self.head = head = make_head(task, settings.policy)
        self.network = ActorCritic(
            inputs_of(task, settings.encoder),
            settings.net_arch,
            head,
            critic=ReturnFlow() if settings.critic == "flow" else ScalarCritic(),
            log_std=settings.log_std_init,
            orthogonal=settings.ortho_init,
            activation=settings.activation,
        )
        initial = [
            self.network.initial(stream("initialisation", seed), stream("initialisation", seed, 1))
            for seed in self.seeds
        ]
        self.parameters = torch.from_numpy(np.stack(initial)).to(device)
        self.engine = segment_engine(engine, self.network)
        self.optimiser = self.engine.optimiser(self.parameters, self.rows.one_or_each("learning_rate"), _EPSILON)
        padded = self.network.policy.padded_rows
        self.evaluator = Evaluator(task, head, recorder.episodes, padded, self.engine.evaluated_by)
        self.exploration = Exploration(task, len(self.seeds))
        self.collector = self.engine.collector(task, settings, self.seeds, self.exploration)
        decays = self.rows.one_or_each("gae_lambda")
        self.collector.gae_lambda = decays if isinstance(decays, float) else np.array(decays)
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
        if "linear" in self.rows.each("learning_rate_schedule"):
            self.optimiser.learning_rate = [_rate(own.settings, remaining) for own in self.rows.configured]
        minibatches = self.engine.minibatches(collected, self.settings.batch_size, self.task.horizon)
        orders = [stream("minibatch", seed, iteration) for seed in self.seeds]
        failures: dict[int, Exception] = {}
        objective = self.objective.at(remaining)
        seen = self._learn(minibatches, orders, objective, failures)
        finite = torch.isfinite(self.parameters).all(1).tolist()
        for row, (gradient_steps, means) in enumerate(_means(seen)):
            if row in failures:
                self.recorder.failed(self.keys[row], failures[row])
                continue
            diagnostics = {name: means[name] for name in reported_by(objective, row, means)}
            fine = finite[row] and bool(np.isfinite(diagnostics["loss"]))
            observed = partial(collected.observations.__getitem__, row)
            self.report_updated(row, gradient_steps, diagnostics, finite=fine, observed=observed)

    def _learn(
        self,
        minibatches: Minibatches,
        orders: Sequence[np.random.Generator],
        objective: Objective,
        failures: dict[int, Exception],
    ) -> "list[_Seen]":
        """All passes over one iteration's steps; what every minibatch saw.

        Args:
            failures: where it is noted, by row, why an objective could not be computed.
        """
        settings, everyone, seen = self.settings, list(range(len(self.seeds))), []
        rows = everyone  # those whose update has not ended early
        largest, targets = self.rows.each("max_grad_norm"), self.rows.each("target_kl")
        for epoch in range(settings.n_epochs):
            minibatches.shuffle(np.stack([order.permutation(minibatches.steps) for order in orders]))
            for number in range(minibatches.count):
                some = None if rows == everyone else rows
                parameters = self.parameters if some is None else self.parameters[some]
                own = objective if some is None else kept(objective, some)
                gradient, diagnostics = minibatches.gradient(number, parameters, own, some)
                failed = own.failures if isinstance(own, MixedObjective) else {}
                failures |= {rows[place]: error for place, error in failed.items()}
                diagnostics["gradient_norm"] = self.engine.clip(gradient, [largest[row] for row in rows])
                going_on = [place for place in range(len(rows)) if place not in failed]
                if any(target is not None for target in targets):
                    limits = [np.inf if targets[row] is None else 1.5 * targets[row] for row in rows]
                    over = diagnostics["kl_previous"].cpu().numpy() > np.array(limits, np.float32)
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
        self.rows = self.rows.keep(rows)
        self.objective = kept(self.objective, rows)
        self.collector.keep(rows)

    def frozen(self, row: int) -> Frozen:
        normalisation = self.collector.normalisation
        return Frozen(self.parameters[row].clone(), None if normalisation is None else normalisation.frozen(row))

    def policies(self, policies: Sequence[Frozen]) -> Policies:
        parameters = torch.stack([policy.parameters for policy in policies])
        return self.engine.policies(parameters, statistics_of(policies))

    def named(self, policy: Frozen) -> Mapping[str, Array]:
        return self.network.named(policy.parameters) | named_statistics(policy)

    def close(self) -> None:
        self.collector.close()
        self.evaluator.close()


def batch_blocks(task: Task, settings: SegmentSettings, seeds: Sequence[T]) -> list[list[T]]:
    """The seeds, or rows, that are trained at a time."""
    numbers = step_numbers(task) + 4 * make_head(task, settings.policy).outputs
    if settings.critic == "flow":
        numbers += 4 * ReturnFlow().head.outputs
    return blocks(seeds, settings.n_envs * settings.n_steps, numbers + 2 * sum(settings.net_arch))


def _rate(settings: SegmentSettings, remaining: float) -> float:
    """The learning rate where so much of the budget is left."""
    linear = settings.learning_rate_schedule == "linear"
    return remaining * settings.learning_rate if linear else settings.learning_rate


class _Seen(NamedTuple):
    """What one minibatch saw: diagnostics [row] of `rows`, of which `stepped` took a gradient step."""

    epoch: int
    rows: list[int]
    stepped: list[int]
    diagnostics: dict[str, Tensor]


def _means(seen: Sequence[_Seen]) -> list[tuple[int, dict[str, float]]]:
    """Gradient steps and mean diagnostics of each seed's update; as with `ppo`, the KL is that of its last epoch."""
    names = list(dict.fromkeys(name for one in seen for name in one.diagnostics))
    kl = names.index("kl_previous")
    columns = []
    for one in seen:
        lacking = torch.full_like(one.diagnostics["loss"], torch.nan)
        stacked = torch.stack([one.diagnostics.get(name, lacking) for name in names])
        columns.append(stacked.cpu().numpy().astype(np.float64))
    means = []
    for seed in seen[0].rows:
        pairs = zip(seen, columns, strict=True)
        own = [(one, column[:, one.rows.index(seed)]) for one, column in pairs if seed in one.rows]
        mean = dict(zip(names, np.mean([column for _, column in own], 0).tolist(), strict=True))
        mean["kl_previous"] = float(np.mean([column[kl] for one, column in own if one.epoch == own[-1][0].epoch]))
        means.append((sum(seed in one.stepped for one, _ in own), mean))
    return means
