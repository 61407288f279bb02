"""`genpo`: its objective on segments, with a flow for a policy."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gymnasium import spaces

from haepo_bench.errors import ParameterError
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm, ParameterDescription
from haepo_bench.training.ppo_settings import OURS_SOURCE
from haepo_bench.training.segments.algorithm import SegmentDefinition

_CODE = "wadx2019/genpo"
#: Of the authors' code for Ant, which has 4 minibatches per epoch.
_SETTINGS: dict[str, Any] = {
    "policy": "flow",
    "learning_rate": 5e-4,
    "n_epochs": 5,
    "batch_size": 128,
    "max_grad_norm": 1.0,
}


class GenPODefinition(SegmentDefinition):
    """GenPO, on tasks with continuous actions."""

    def describe_parameters(self) -> list[ParameterDescription]:
        own = {name: (default, _CODE) for name, default in _SETTINGS.items()} | {"normalize": (True, "ours")}
        given = ((d, own.get(d.name)) for d in super().describe_parameters())
        return [replace(d, default=found[0], source=found[1]) if found else d for d, found in given]

    def refuses(self, task: Task) -> str | None:
        if not isinstance(task.action_space, spaces.Box):
            return f"its policy is a flow on continuous actions, and those of {task.id} are discrete"
        return super().refuses(task)

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        if overrides.get("policy", "flow") != "flow":
            raise ParameterError(
                "policy",
                "genpo is defined on a flow",
                remedy="policy: flow, or ppo-batched with a policy of another kind",
            )
        return super().configure(overrides, task)

    def settings_for(self, task: Task) -> tuple[dict[str, Any], tuple[str, ...]]:
        # Clipped steps of values suffice on the scale of the authors' rewards; running statistics bring others to it.
        own = {**_SETTINGS, "normalize": task.normalise is None and task.image is None}
        whose = (
            f"{self.objective.label}: learning rate, epochs, minibatches and gradient norm of its code; {OURS_SOURCE}"
        )
        return own, (whose,)
