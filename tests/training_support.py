"""Training in this process, for tests."""

from collections.abc import Sequence
from typing import Any

import torch  # noqa: F401  # before the first test, so that conftest.py can hold it to one thread

from haepo_bench import catalogue
from haepo_bench.results.columns import CLOCK_COLUMNS
from haepo_bench.tasks.base import Task
from haepo_bench.training.algorithm import Algorithm
from haepo_bench.training.recorder import Recorder, SeedResult


def train(
    algorithm: str | Algorithm, task: str | Task, seeds: Sequence[int], budget: int, every: int, **parameters: Any
) -> dict[int, SeedResult]:
    made = catalogue.task(task) if isinstance(task, str) else task
    if isinstance(algorithm, str):
        algorithm = catalogue.algorithm_on(made, algorithm).configure(parameters, made)
    results: list[SeedResult] = []
    recorder = Recorder(seeds, budget=budget, every=every, episodes=5, on_finished=results.append)
    algorithm.train(made, seeds, recorder, device="cpu")
    assert not recorder.live
    return {result.seed: result for result in results}


def without_clocks(result: SeedResult) -> dict[str, Any]:
    return {name: column for name, column in result.curve.items() if name not in CLOCK_COLUMNS}
