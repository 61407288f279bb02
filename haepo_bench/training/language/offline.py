"""`dpo-offline`: the objective of `dpo` on a fixed set of preferences, as the paper has it."""

import inspect
from collections.abc import Mapping
from typing import Any

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition, ParameterDescription
from haepo_bench.training.definition import control_without, information
from haepo_bench.training.language.algorithm import describe_language_parameters, language_algorithm
from haepo_bench.training.parameters import describe_fields

#: DPO's reference is the policy that training starts from; `completions` are the two of each pair.
_DEFAULTS = {"reference": "initial"}


class _OfflineDpo(Dpo):
    """The same loss; its label says what feedback it receives."""

    summary = "DPO on the fixed preferences of a language task"
    label = "offline DPO, fixed pairs"


class DpoOffline(AlgorithmDefinition):
    """Direct Preference Optimization (arXiv 2305.18290) on the fixed preferences of a language task."""

    name = "dpo-offline"
    summary = _OfflineDpo.summary
    version = Dpo.version
    confidence = Dpo.confidence
    information = information(_OfflineDpo)

    def __init__(self) -> None:
        self.description = _DESCRIPTION + (inspect.getdoc(Dpo) or "")

    def describe_parameters(self) -> list[ParameterDescription]:
        shared = describe_language_parameters(_OfflineDpo, **_DEFAULTS)
        return [*describe_fields(Dpo), *(d for d in shared if d.name not in _MEANINGLESS)]

    def refuses(self, task: Task) -> str | None:
        if not isinstance(task, LanguageTask):
            return f"{task.id} is not a language task, so it has no fixed preferences"
        if task.pairs:
            return None
        return control_without(task, "fixed preferences") or f"{task.id} has no fixed preferences"

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        for name in overrides:
            if name in _MEANINGLESS:
                raise ParameterError(name, f"dpo-offline has no {name}: it samples nothing", remedy="remove it")
        if not isinstance(task, LanguageTask):
            raise TypeError(f"{task.id} is not a language task")
        return language_algorithm(self.name, _OfflineDpo, overrides, task, offline=True, **_DEFAULTS)


_MEANINGLESS = ("completions",)

_DESCRIPTION = """DPO on pairs that were there before training.

Each batch is `prompts` pairs of the task's preference set, drawn anew, each a group of two responses of which the first
is preferred. The reference is the policy that training starts from. Env steps are the tokens of the responses read.
Evaluation samples, as that of all others.

"""
