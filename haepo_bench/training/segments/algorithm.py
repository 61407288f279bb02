"""Algorithms on segments: an objective that collects them plus Stable-Baselines3's training settings; `ppo-batched`."""

from collections.abc import Mapping, Sequence
from typing import Any

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.base import Objective
from haepo_bench.results.record import Engine, Information
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm, BatchRow, ParameterDescription, compiled_where
from haepo_bench.training.definition import ObjectiveDefinition, asked_of_batches
from haepo_bench.training.encoders import defaults_on
from haepo_bench.training.parameters import check_overrides, describe_fields, validated
from haepo_bench.training.ppo_settings import (
    OURS_SOURCE,
    ZOO_SOURCE,
    SegmentSettings,
    check_normalize,
    check_segments,
    zoo_settings,
)
from haepo_bench.training.recorder import Recorder

#: Settings that may differ between rows of a batch.
_OF_ROWS = {"learning_rate", "learning_rate_schedule", "max_grad_norm", "target_kl", "gae_lambda"}


class SegmentAlgorithm(Algorithm):
    """An objective on segments with its training settings."""

    batches_seeds = True
    compiled_by = "haepo_bench.training.segments.compiled"

    def __init__(self, objective: Objective, settings: SegmentSettings, notes: tuple[str, ...]) -> None:
        self.objective, self.settings, self.notes, self.columns = objective, settings, notes, objective.columns
        self.parameters = {**settings.model_dump(mode="json"), **objective.model_dump(mode="json")}
        self.omitted = settings.omitted | objective.omitted
        self.information = Information(
            told=objective.told,
            critic=True,
            discount=settings.gamma,
            label=objective.label,
            footnote=objective.footnote,
        )

    def engines(self, task: Task, device: str) -> tuple[Engine, ...]:
        own = self.settings
        plain = own.encoder == "none" and own.policy == "plain" and own.critic == "scalar"
        return compiled_where(device, own.net_arch) if plain else ("torch",)

    def resumes(self, task: Task) -> bool:
        environment = task.training().vector(1)
        environment.close()
        return environment.resumes

    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        self.train_rows(task, [BatchRow(seed, seed, self) for seed in seeds], recorder, device=device)

    @property
    def shape(self) -> dict[str, Any]:
        return {"settings": self.settings.model_dump(mode="json", exclude=_OF_ROWS), **asked_of_batches(self.objective)}

    def train_rows(self, task: Task, rows: Sequence[BatchRow], recorder: Recorder, *, device: str) -> None:
        # Imported here: configuring and describing need no training loop.
        from haepo_bench.training.resuming import train_from_checkpoints
        from haepo_bench.training.rows import BatchRows
        from haepo_bench.training.segments.trainer import SegmentTrainer, batch_blocks

        by_key = {row.key: row for row in rows}

        def trainer(keys: Sequence[int]) -> SegmentTrainer:
            own = BatchRows[SegmentSettings].of([by_key[key] for key in keys])
            return SegmentTrainer(task, self.objective, self.settings, own.seeds, recorder, device, self.engine, own)

        mixed = any(row.algorithm is not self for row in rows)
        blocks = batch_blocks(task, self.settings, list(by_key))
        train_from_checkpoints(blocks, trainer, recorder, device=device, mixed=mixed)


class SegmentDefinition(ObjectiveDefinition):
    """An algorithm made from an objective class that collects segments."""

    @staticmethod
    def settings_of(objective: type[Objective]) -> type[SegmentSettings]:
        return SegmentSettings

    def describe_parameters(self) -> list[ParameterDescription]:
        return [*describe_fields(self.objective), *describe_fields(SegmentSettings)]

    def refuses(self, task: Task) -> str | None:
        environment = task.vector(1)
        environment.close()
        if not environment.restarts:
            return f"{task.id} cannot start single episodes anew (its VectorEnvironment has no `restart`)"
        return None

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        own, shared = set(self.objective.model_fields), set(SegmentSettings.model_fields)
        check_overrides(overrides, (self.objective, SegmentSettings), self.name)
        check_normalize(overrides, task)
        base, (whose, *reasons) = self.settings_for(task)
        if overrides:
            whose += f", except {', '.join(sorted(overrides))}"
        values = {**base, **defaults_on(task, overrides, "net_arch"), **overrides}
        settings = validated(SegmentSettings, {k: v for k, v in values.items() if k in shared})
        check_segments(task, settings)
        objective = validated(self.objective, {k: v for k, v in values.items() if k in own})
        return SegmentAlgorithm(objective, settings, (whose, *reasons))

    def published(self, task: Task) -> dict[str, Any]:
        return self.settings_for(task)[0]

    def settings_for(self, task: Task) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What differs from the defaults on a task unless the user says otherwise; notes: whose settings, and why."""
        return {}, (f"{self.objective.label}: {OURS_SOURCE}",)


class PPOBatched(SegmentDefinition):
    """The algorithm of Stable-Baselines3's PPO on the seed-batched engine."""

    def __init__(self, name: str, objective: type[Objective]) -> None:
        super().__init__(name, objective)
        self.description += _DESCRIPTION

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        for name in ("use_sde", "sde_sample_freq"):
            if name in overrides:
                raise ParameterError(
                    name, "ppo-batched has no state-dependent exploration", remedy="use ppo, which has it"
                )
        return super().configure(overrides, task)

    def settings_for(self, task: Task) -> tuple[dict[str, Any], tuple[str, ...]]:
        published = zoo_settings(task.id, task.normalise)
        if published is None:
            return super().settings_for(task)
        gymnasium_id, settings = published
        if settings.get("use_sde"):
            ours, notes = super().settings_for(task)
            return ours, (*notes, f"the Zoo's for {gymnasium_id} need state-dependent exploration, which only ppo has")
        return settings, (f"{self.objective.label}: {ZOO_SOURCE} settings for {gymnasium_id}",)


_DESCRIPTION = """

The same algorithm as `ppo`, with all seeds of a job trained as one batch: separate networks for policy and value,
generalised advantage estimation with V bootstrapping at truncation but not at termination, minibatches shuffled anew
each epoch, advantages normalised within each minibatch, Adam with epsilon 1e-5, one gradient norm over both networks.
`normalize` is Stable-Baselines3's VecNormalize. What `ppo` has and this has not is state-dependent exploration. Unlike
`ppo` it shares its initial policy with the native algorithms, seed by seed. Settings are those of `ppo`, task by task,
where they need no state-dependent exploration.
"""
