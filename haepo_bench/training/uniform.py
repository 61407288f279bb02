"""`uniform`: a control that never learns, so that every number has one beside it that nothing was learnt for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from haepo_bench.results.record import Information
from haepo_bench.tasks.base import LANGUAGE, Task
from haepo_bench.training.algorithm import Algorithm, AlgorithmDefinition, ParameterDescription
from haepo_bench.training.parameters import check_overrides


class UniformControl(AlgorithmDefinition):
    """The uniformly random policy, played, counted and evaluated like any other, and never updated."""

    name = "uniform"
    summary = "the uniformly random policy, which never learns: a control"
    version = 1
    learns = False
    confidence = "high: there is nothing to get wrong"
    information = Information(told=None, critic=False, discount=None, label="uniform policy, never trained")

    @property
    def description(self) -> str:  # type: ignore[override]  # a long text, made when asked for
        """What it does on each kind of task."""
        return _DESCRIPTION

    def describe_parameters(self) -> list[ParameterDescription]:
        return []

    def refuses(self, task: Task) -> str | None:
        if task.backend == LANGUAGE:
            return None
        space = task.action_space
        if isinstance(space, spaces.Box) and not (np.isfinite(space.low) & np.isfinite(space.high)).all():
            return "there is no uniform distribution over actions without finite bounds"
        return None

    def configure(self, overrides: Mapping[str, Any], task: Task) -> Algorithm:
        # What plays on one kind of task needs nothing of the other's.
        if task.backend == LANGUAGE:
            from haepo_bench.training.language.untrained import untrained

            return untrained(self.name, overrides, task)
        from haepo_bench.training.episodes.uniform import UniformAlgorithm

        check_overrides(overrides, (), self.name)
        return UniformAlgorithm(self.information)


_DESCRIPTION = """A policy that never learns: the control that every claim must be able to lose.

Discrete actions are drawn with equal probabilities, continuous ones uniformly from within their bounds. There is no
greedy action where all are equally likely, so greedy episodes are drawn likewise. Training episodes are played, their
env steps, coverage and successes counted, and policies evaluated at the same points as with any other algorithm. On
language tasks it is the starting policy, unchanged: the fine-tuned tiny model, or the model that is named.

It is a control, not a baseline: claims compare with it only where a suite names it among the baselines, and no ranking
includes it. What it would win cannot be claimed.
"""
