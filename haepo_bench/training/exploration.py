"""What training has found: states, goals, successes; and how much of that a uniformly random policy would have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import CLEAN_RETURN, Task

#: The measure by which environments that give normalised rewards tell the return before that, the `train_return`.
RECEIVED = "train_return"


class Exploration:
    """Counts for every seed in training; row i belongs to the i-th seed that is still kept.

    Attributes:
        visited: bool [seed, state], which states any training episode has visited; None where a task counts none.
    """

    def __init__(self, task: Task, seeds: int) -> None:
        self._task = task
        self.visited: Array | None = np.zeros((seeds, task.states), bool) if task.states else None
        self._first = np.full(seeds, np.inf)  # env steps until the first success

    def count(self, row: int, steps: int, returns: Array, ends: Array) -> dict[str, float]:
        """Columns for one seed after some more training.

        Args:
            steps: env steps that the seed has taken so far.
            returns: [episode] undiscounted, in the task's own rewards, of the episodes that have just ended.
            ends: [episode] env steps of the seed when each ended.
        """
        task, columns = self._task, {}
        if self.visited is not None:
            visited = self.visited[row]
            columns["state_coverage"] = float(visited.mean())
            if task.goals:
                columns["goals_found"] = float(visited[list(task.goals)].mean())
            if task.uniform is not None and task.uniform.visits is not None:
                columns["relative_coverage"] = float(visited.mean()) / uniform_coverage(task, steps)
        if task.success_return is not None:
            # Returns are sums of float rewards: what equals the bound but for rounding counts.
            successes = ends[returns >= task.success_return - 1e-6]
            self._first[row] = min(self._first[row], *successes) if len(successes) else self._first[row]
            if np.isfinite(self._first[row]):
                columns["first_success"] = float(self._first[row])
                if task.uniform is not None and task.uniform.success:
                    expected = task.uniform.steps / task.uniform.success
                    columns["relative_first_success"] = columns["first_success"] / expected
        return columns

    def state(self) -> dict[str, Any]:
        """What was found so far, row by row."""
        return {"visited": self.visited, "first": self._first}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from a `state`, in which arrays are tensors."""
        if self.visited is not None:
            self.visited[:] = state["visited"].cpu().numpy()
        self._first[:] = state["first"].cpu().numpy()

    def keep(self, rows: Sequence[int]) -> None:
        """Goes on with some seeds."""
        self.visited = None if self.visited is None else self.visited[rows]
        self._first = self._first[rows]


@dataclass(frozen=True)
class Episodes:
    """A seed's training episodes that ended in a while, [episode].

    Args:
        returns: undiscounted, as training receives them (where a measure is `RECEIVED`, normalised).
        steps: env steps that the seed had taken when each ended.
        measures: what the task measures beside returns, by column.
    """

    returns: list[float] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    measures: dict[str, list[float]] = field(default_factory=dict)

    def columns(self, exploration: Exploration, row: int, steps: int) -> dict[str, float]:
        """Their means, and what training has found after so many env steps."""
        clean = np.array(self.measures.get(CLEAN_RETURN, self.measures.get(RECEIVED, self.returns)))
        columns = exploration.count(row, steps, clean, np.array(self.steps))
        if self.returns:
            columns["train_return"] = float(np.mean(self.returns))
        return columns | {name: float(np.mean(values)) for name, values in self.measures.items()}


def uniform_coverage(task: Task, steps: int) -> float:
    """Fraction of the states that a uniformly random policy is expected to visit in so many env steps.

    A state that one episode visits with probability p is visited by n independent ones with 1 - (1 - p)^n; n is taken
    as the steps over the mean length of the uniform policy's episodes, one at least.
    """
    if task.uniform is None or task.uniform.visits is None:
        raise ValueError(f"{task.id} does not say what a uniform policy visits")
    episodes = max(1.0, steps / task.uniform.steps)
    return float((1 - (1 - task.uniform.visits) ** episodes).mean())
