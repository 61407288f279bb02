"""`dfpo-reconstructed`: PPO on segments, with a flow for a critic."""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.dfpo import DfpoReconstructed
from haepo_bench.policies import return_flow
from haepo_bench.tasks.base import LANGUAGE, Task
from haepo_bench.training.algorithm import Algorithm, ParameterDescription
from haepo_bench.training.segments import flow_returns
from haepo_bench.training.segments.algorithm import PPOBatched

#: In place of what `ppo-batched` has.
_OWN: dict[str, Any] = {"critic": "flow", "normalize": True, "vf_coef": 0.0}


class DFPO(PPOBatched):
    """DFPO as far as it is known: `ppo-batched` with another critic, and normalised rewards."""

    def __init__(self) -> None:
        super().__init__("dfpo-reconstructed", DfpoReconstructed)
        parts = (DfpoReconstructed, return_flow, flow_returns)
        self.description = "\n\n".join([*(inspect.getdoc(part) or "" for part in parts), self.common])

    def describe_parameters(self) -> list[ParameterDescription]:
        described = super().describe_parameters()
        return [replace(d, default=_OWN[d.name], source="ours") if d.name in _OWN else d for d in described]

    def refuses(self, task: Task) -> str | None:
        if task.backend == LANGUAGE:
            return "its critic is a network of its own, and value heads of language models are scalars"
        return super().refuses(task)

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        if overrides.get("critic", "flow") != "flow":
            raise ParameterError(
                "critic", f"{self.name} is defined by a flow as critic", remedy="use ppo-batched, which has both"
            )
        return super().configure(overrides, task)

    def settings_for(self, task: Task) -> tuple[dict[str, Any], tuple[str, ...]]:
        settings, notes = super().settings_for(task)
        # Noise of deviation 1 becomes returns: running statistics bring these near to it.
        own = {**_OWN, "normalize": task.normalise is None and task.image is None}
        return {**settings, **own}, notes
