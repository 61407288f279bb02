"""Algorithms on language tasks: an objective with the settings that all of them share there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from haepo_bench.errors import ParameterError, blamed_on
from haepo_bench.objectives.base import Objective
from haepo_bench.objectives.spaces import Space
from haepo_bench.results.record import TINY_MODEL, Information
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.lm.base import TINY, LanguageTask
from haepo_bench.training.algorithm import Algorithm, ParameterDescription
from haepo_bench.training.definition import ObjectiveDefinition, control_without
from haepo_bench.training.language.checks import check_rephrasing, check_task, try_rewards
from haepo_bench.training.language.credit import CREDIT_COLUMNS
from haepo_bench.training.language.models import ModelSource, check_extra, find_source, load_texts
from haepo_bench.training.language.settings import LanguageSegmentSettings, LanguageSettings
from haepo_bench.training.parameters import check_comparison, check_overrides, describe_fields, validated
from haepo_bench.training.recorder import Recorder

if TYPE_CHECKING:
    from haepo_bench.training.language.texts import Texts
    from haepo_bench.training.language.trainer import LanguageTrainer

#: Hyper-parameters of losses whose defaults are others than with small policies, each with its source. All prompts of
#: all batches are sampled for, where a small policy's task has one group or few.
_LOSS_DEFAULTS: dict[str, tuple[Any, str]] = {
    "vf_coef": (0.1, "TRL"),
    "reference_episodes": (8, "ours; TRL has as many for A*-PO"),
}
_NOTES = (
    "env steps are sampled tokens",
    "KL to reference and previous policy: k3 on the taken tokens",
)


class LanguageAlgorithm(Algorithm):
    """An objective with its settings and the model that it trains.

    Args:
        offline: it learns from the task's fixed preferences.
    """

    batches_seeds = False

    def __init__(
        self,
        objective: Objective,
        settings: LanguageSettings,
        source: ModelSource,
        information: Information,
        *,
        offline: bool = False,
    ) -> None:
        self.objective, self.settings, self.source, self.information = objective, settings, source, information
        self.offline = offline
        self.columns = (*objective.columns, *(CREDIT_COLUMNS if objective.implicit_reward else ()))
        weights = {"weights": source.identity} if source.identity else {}
        self.parameters = {**settings.model_dump(mode="json"), **objective.model_dump(mode="json"), **weights}
        self.omitted = settings.omitted | objective.omitted
        if offline:
            del self.parameters["completions"]  # those of a pair are two
        start = TINY_MODEL if source.name == TINY else f"the model {source.name}"
        tokens = ("env steps are tokens of the preferences read",) if offline else _NOTES[:1]
        self.notes = (start, *tokens, *_NOTES[1:])

    def resumes(self, task: Task) -> bool:
        return True

    def train(self, task: Task, seeds: Sequence[int], recorder: Recorder, *, device: str) -> None:
        if not isinstance(task, LanguageTask):
            raise TypeError(f"{task.id} is not a language task")
        from haepo_bench.training.resuming import train_from_checkpoints

        try_rewards(task)  # before anything is fine-tuned
        texts = load_texts(self.source, task, chat=self.settings.chat_template)
        train_from_checkpoints(
            ([seed] for seed in seeds),
            lambda one: self._trainer(task, texts, one[0], recorder, device),
            recorder,
            device=device,
            unit="tokens",
        )

    def _trainer(
        self, task: LanguageTask, texts: "Texts", seed: int, recorder: Recorder, device: str
    ) -> "LanguageTrainer":
        # Imported here: configuring and describing need no model.
        from haepo_bench.training.language.trainer import LanguageTrainer

        return LanguageTrainer(
            task, self.objective, self.settings, self.source, texts, seed, recorder, device, offline=self.offline
        )


class LanguageDefinition(ObjectiveDefinition):
    """An algorithm made from an objective class, as it trains language models."""

    @staticmethod
    def settings_of(objective: type[Objective]) -> type[LanguageSettings]:
        return settings_class(objective)

    def describe_parameters(self) -> list[ParameterDescription]:
        return describe_language_parameters(self.objective)

    @property
    def spaces(self) -> dict[str, Space]:
        # What is described are the settings alone: the objective's own are those of small policies.
        own = {each.name: each.search for each in describe_fields(self.objective) if each.search is not None}
        return own | super().spaces

    def refuses(self, task: Task) -> str | None:
        if not isinstance(task, LanguageTask):
            return f"{task.id} is not a language task"
        if self.objective().design is not None:
            return "a design plays a part of its trajectories: only bandits and finite tasks know the moves for one"
        if self.objective.pretraining:
            return "it pretrains on features of what small policies observe, and responses have none"
        if self.objective.wants_halves:
            return f"its policy is a flow on continuous actions, and the tokens of {task.id} are discrete"
        if not self.objective.wants_expert:
            return None
        rephrasing = self.objective().rephrasing
        if rephrasing is not None and rephrasing.prompt is None:
            return "its scripted expert plays only finite tasks with certain moves; on language tasks there is repo"
        without = sum(not task.expert_response(example) for example in task.train)
        if not without:
            return None
        return control_without(task, "an expert's responses") or (
            "it learns from an expert's response to each prompt, and "
            f"{task.id} has none for {without:,} of {len(task.train):,} prompts"
        )

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        if not isinstance(task, LanguageTask):
            raise TypeError(f"{task.id} is not a language task")
        return language_algorithm(self.name, self.objective, overrides, task)


def settings_class(objective: type[Objective]) -> type[LanguageSettings]:
    """The settings that an objective has on language tasks."""
    return LanguageSegmentSettings if objective.collects == "segments" else LanguageSettings


def describe_language_parameters(objective: type[Objective], **defaults: Any) -> list[ParameterDescription]:
    """What `objective` has on language tasks instead of the settings of small policies.

    Args:
        defaults: that differ for this algorithm.
    """
    own = {"reference": objective.reference, **defaults}
    described = [replace(d, default=own.get(d.name, d.default)) for d in describe_fields(settings_class(objective))]
    for d in describe_fields(objective):
        if d.name in _LOSS_DEFAULTS:
            default, source = _LOSS_DEFAULTS[d.name]
            described.append(replace(d, default=default, source=source))
    return described


def language_algorithm(
    name: str,
    objective: type[Objective],
    overrides: Mapping[str, Any],
    task: LanguageTask,
    *,
    offline: bool = False,
    **defaults: Any,
) -> LanguageAlgorithm:
    """An objective configured for a language task, everything checked that can be without loading weights.

    Args:
        defaults: of settings, that differ for this algorithm.

    Raises:
        ParameterError: an unknown hyper-parameter, or a value that it does not take.
        UserError: a library that is not installed, a model that cannot be loaded, prompts that do not fit.
    """
    chosen = settings_class(objective)
    own, shared = set(objective.model_fields), set(chosen.model_fields)
    check_overrides(overrides, (objective, chosen), name)
    changed = {field: default for field, (default, _) in _LOSS_DEFAULTS.items() if field in own}
    values = {"reference": objective.reference, **defaults, **changed, **overrides}
    settings = validated(chosen, {k: v for k, v in values.items() if k in shared})
    made = validated(objective, {k: v for k, v in values.items() if k in own})
    if not offline:
        check_comparison(name, made, "completions", settings.completions, groups=settings.prompts)
    if settings.fine_tuning_steps and not task.demonstrations:
        raise ParameterError(
            "fine_tuning_steps", f"{task.id} has no demonstrations to fine-tune on", remedy="set it to 0"
        )
    check_extra(adapters=settings.lora_rank is not None)
    with blamed_on("model"):
        source = find_source(task.model)
    check_task(task, source, chat=settings.chat_template)
    if made.rephrasing is not None and made.rephrasing.prompt is not None:
        with blamed_on("rephrasing_prompt"):
            check_rephrasing(task, source, made.rephrasing.prompt, chat=settings.chat_template)
    information = Information(
        told=objective.told,
        critic=objective.collects == "segments",
        discount=settings.gamma if isinstance(settings, LanguageSegmentSettings) else None,
        label=objective.label,
        footnote=objective.footnote,
    )
    return LanguageAlgorithm(made, settings, source, information, offline=offline)
