"""Native algorithms: an objective on whole episodes with the trainer configuration that all of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gymnasium import spaces

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.aps import Aps
from haepo_bench.objectives.base import Objective
from haepo_bench.results.record import Engine
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm, BatchRow, ParameterDescription, compiled_where
from haepo_bench.training.definition import ObjectiveDefinition, asked_of_batches, control_without, information
from haepo_bench.training.encoders import check_encoder, check_memory, defaults_on
from haepo_bench.training.episodes.design import MOST_NUMBERS, numbers
from haepo_bench.training.heads import check_policy
from haepo_bench.training.parameters import check_comparison, check_overrides, describe_fields, validated
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings

#: Settings that may differ between rows of a batch.
_OF_ROWS = {"learning_rate", "max_gradient_norm"}


class NativeAlgorithm(Algorithm):
    """An objective with a trainer configuration."""

    batches_seeds = True
    compiled_by = "haepo_bench.training.episodes.compiled"

    def __init__(self, objective: Objective, settings: TrainerSettings) -> None:
        self.objective, self.settings = objective, settings
        self.parameters = {**settings.model_dump(mode="json"), **objective.model_dump(mode="json")}
        self.omitted = settings.omitted | objective.omitted
        self.information = information(type(objective))
        self.notes, self.columns = (), objective.columns
        if settings.pretraining:
            self.executes = ("haepo_bench.training.episodes.pretraining",)
        if settings.pretraining and not objective.pretraining:
            self.columns = (*objective.columns, *Aps.columns)
            own = self.information
            footnote = "; ".join(filter(None, (own.footnote, Aps.footnote)))
            label = f"{own.label}, pretrained by {Aps.label}"
            self.information = own.model_copy(update={"told": Aps.told, "label": label, "footnote": footnote})

    def engines(self, task: Task, device: str) -> tuple[Engine, ...]:
        plain = self.settings.encoder == "none" and self.settings.policy == "plain"
        return compiled_where(device, self.settings.hidden) if plain else ("torch",)

    def resumes(self, task: Task) -> bool:
        return task.forgets

    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        self.train_rows(task, [BatchRow(seed, seed, self) for seed in seeds], recorder, device=device)

    @property
    def shape(self) -> dict[str, Any]:
        return {"settings": self.settings.model_dump(mode="json", exclude=_OF_ROWS), **asked_of_batches(self.objective)}

    def train_rows(self, task: Task, rows: Sequence[BatchRow], recorder: Recorder, *, device: str) -> None:
        # Imported here: configuring and describing need no training loop.
        from haepo_bench.training.episodes.trainer import EpisodeTrainer, batch_blocks
        from haepo_bench.training.episodes.trainers import trainer_class
        from haepo_bench.training.resuming import train_from_checkpoints
        from haepo_bench.training.rows import BatchRows

        by_key = {row.key: row for row in rows}

        def trainer(keys: Sequence[int]) -> EpisodeTrainer:
            own = BatchRows[TrainerSettings].of([by_key[key] for key in keys])
            made = trainer_class(self.settings.pretraining)
            return made(task, self.objective, self.settings, own.seeds, recorder, device, self.engine, own)

        mixed = any(row.algorithm is not self for row in rows)
        blocks = batch_blocks(task, self.settings, list(by_key))
        train_from_checkpoints(blocks, trainer, recorder, device=device, mixed=mixed)


class NativeDefinition(ObjectiveDefinition):
    """An algorithm made from an objective class that learns from whole episodes."""

    def __init__(self, name: str, objective: type[Objective]) -> None:
        super().__init__(name, objective)
        self.information = information(objective)

    @staticmethod
    def settings_of(objective: type[Objective]) -> type[TrainerSettings]:
        return TrainerSettings

    def describe_parameters(self) -> list[ParameterDescription]:
        described = [*describe_fields(self.objective), *describe_fields(TrainerSettings)]
        own = {"reference": self.objective.reference, "pretraining": self.objective.pretraining}
        return [replace(d, default=own.get(d.name, d.default)) for d in described]

    def refuses(self, task: Task) -> str | None:
        if self.objective.discrete_only and isinstance(task.action_space, spaces.Box):
            return "its loss compares probabilities of actions, and continuous actions have densities"
        if not task.deterministic and self.objective().branching is not None:
            return "its trajectories branch, for which their first steps are played again: moves must be certain"
        if self.objective().design is not None:
            moves = task.moves()
            if moves is None:
                return "a design plays a part of its trajectories: only bandits and finite tasks know the moves for one"
            if numbers(moves) > MOST_NUMBERS:
                return f"a design plays a part of its trajectories, and {task.id} is too large to compute one"
        rephrasing = self.objective().rephrasing
        if rephrasing is not None and rephrasing.prompt is not None:
            return "its policy rephrases a response in words, on language tasks alone; elsewhere there is repo-stand-in"
        if self.objective.wants_expert and task.expert() is None:
            return control_without(task, "an expert's episodes") or (
                "it learns from an expert's episodes, which only finite tasks with certain moves have"
            )
        return None

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        own, shared = set(self.objective.model_fields), set(TrainerSettings.model_fields)
        check_overrides(overrides, (self.objective, TrainerSettings), self.name)
        objective = validated(self.objective, {k: v for k, v in overrides.items() if k in own})
        base = {"reference": self.objective.reference, "pretraining": self.objective.pretraining}
        base |= defaults_on(task, overrides, "hidden")
        settings = validated(TrainerSettings, base | {k: v for k, v in overrides.items() if k in shared})
        check_encoder(task, settings.encoder)
        check_policy(task, settings.policy)
        _check_pretraining(task, settings)
        check_memory(
            task,
            "trajectories",
            task.groups * settings.trajectories * task.horizon,
            "fewer trajectories, a shorter time_limit, or an algorithm on segments, such as ppo-batched",
        )
        check_comparison(self.name, objective, "trajectories", settings.trajectories, groups=task.groups)
        return NativeAlgorithm(objective, settings)


def _check_pretraining(task: Task, settings: TrainerSettings) -> None:
    """Refuses pretraining where its features could not be learnt from what the policy is shown.

    Raises:
        ParameterError: says why.
    """
    if not settings.pretraining:
        return
    if settings.encoder != "none":
        raise ParameterError(
            "pretraining",
            f"its features are of vectors, and {task.id} shows images",
            remedy="encoder: none where the image is small, or pretraining: 0",
        )
    if task.normalise is not None:
        raise ParameterError(
            "pretraining",
            f"its features do not follow the running statistics that {task.id} normalises by",
            remedy="remove normalise from the task, or pretraining: 0",
        )
