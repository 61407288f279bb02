"""The control `uniform` on language tasks: the starting policy, which is sampled and evaluated and never updated."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch
from haepo_bench.results.record import Information
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.training.language.algorithm import LanguageAlgorithm, language_algorithm
from haepo_bench.training.language.models import ModelSource
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.recorder import Recorder

if TYPE_CHECKING:
    from haepo_bench.training.language.texts import Texts
    from haepo_bench.training.language.trainer import LanguageTrainer

#: Settings of updates, which it does not make.
_MEANINGLESS = ("epochs", "learning_rate", "max_gradient_norm", "reference", "micro_batch", "gradient_checkpointing")


class NoObjective(Objective):
    """What a policy that never learns minimises: nothing."""

    summary: ClassVar[str] = "no objective"
    label: ClassVar[str] = "starting policy, never trained"

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        raise NotImplementedError("a policy that never learns has no loss")


class UntrainedAlgorithm(LanguageAlgorithm):
    """The starting policy of a language task."""

    def __init__(
        self, objective: Objective, settings: LanguageSettings, source: ModelSource, information: Information
    ) -> None:
        super().__init__(objective, settings, source, information)
        self.parameters = {name: value for name, value in self.parameters.items() if name not in _MEANINGLESS}
        self.notes = ("the starting policy: nothing is learnt", *self.notes)

    def _trainer(
        self, task: LanguageTask, texts: "Texts", seed: int, recorder: Recorder, device: str
    ) -> "LanguageTrainer":
        # Imported here: configuring and describing need no model.
        from haepo_bench.training.language.untrained_trainer import UntrainedTrainer

        return UntrainedTrainer(task, self.objective, self.settings, self.source, texts, seed, recorder, device)


def untrained(name: str, overrides: Mapping[str, Any], task: Task) -> UntrainedAlgorithm:
    """The starting policy of a language task.

    Args:
        overrides: settings of sampling and of the start.

    Raises:
        ParameterError: an unknown setting, a value that it does not take, or a setting of updates.
    """
    for key in overrides:
        if key in _MEANINGLESS:
            raise ParameterError(key, f"{name} has no {key}: it never learns", remedy="remove it")
    if not isinstance(task, LanguageTask):
        raise TypeError(f"{task.id} is not a language task")
    made = language_algorithm(name, NoObjective, overrides, task)
    information = made.information.model_copy(update={"told": None})
    return UntrainedAlgorithm(made.objective, made.settings, made.source, information)
