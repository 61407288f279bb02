"""Evaluating policies on separate seeded environments: the sampled policy and the greedy one in the same pass."""

from collections.abc import Callable, Sequence

import numpy as np

from haepo_bench.policies.heads import Head
from haepo_bench.tasks.base import GYMNASIUM, Task, VectorEnvironment
from haepo_bench.training.alignment import LogProbs
from haepo_bench.training.episodes.rollout import Actor, Collector
from haepo_bench.training.exact import ExactEvaluation
from haepo_bench.training.seed_record import Evaluation
from haepo_bench.training.streams import stream

#: Rows that are evaluated at a time: beyond, calls are few beside the arithmetic, which leaves the cache.
_ROWS = 1280


class Evaluator:
    """Evaluates one task's policies; every algorithm sees the same episodes for the same seed and evaluation point.

    Args:
        episodes: of the sampled policy, and as many of the greedy one; none where the task's returns are known exactly.
        padded: rows to rows of the tensors that the actor is given (`Network.padded_rows`).
        collector: makes what plays so many episodes of an environment; torch's where left out.

    Attributes:
        together: policies that are worth evaluating at a time.
    """

    def __init__(
        self,
        task: Task,
        head: Head,
        episodes: int,
        padded: Callable[[int], int] = lambda rows: rows,
        collector: Callable[[Task, VectorEnvironment, int], Collector] | None = None,
    ) -> None:
        self._episodes, rows = episodes, padded(2 * episodes)
        # Environments that are stepped one by one gain nothing from company, and there would be as many as episodes.
        self.together = 1 if task.backend == GYMNASIUM else max(1, _ROWS // rows)
        self._task = task
        environment = task.vector(2 * episodes)
        if collector is None:
            self._collector = Collector(task, environment, head, 2 * episodes, rows)
        else:
            self._collector = collector(task, environment, 2 * episodes)
        self._greedy = np.repeat([False, True], episodes)
        self._exact = None if task.expected_returns is None else ExactEvaluation(task)

    def evaluate(
        self, actor: Actor, due: Sequence[tuple[int, int]], log_probs: LogProbs, *, device: str = "cpu"
    ) -> list[Evaluation]:
        """One evaluation per (seed, number of the point); row i of the policy behind `actor` belongs to `due[i]`.

        Args:
            log_probs: of the same policies.
        """
        if self._exact is not None:
            return self._exact.evaluate(log_probs)
        goals = list(self._task.goals)
        visited = np.zeros((len(due), self._task.states or 0), bool) if goals else None
        played = self._collector.play(
            actor,
            [stream("evaluation", *key) for key in due],
            [stream("evaluation noise", *key) for key in due],
            greedy=self._greedy,
            visited=visited,
            device=device,
        )
        sampled, greedy = played.returns[:, : self._episodes], played.returns[:, self._episodes :]
        faults = [played.faults.get(row) for row in range(len(due))]
        retained = [{}] * len(due) if visited is None else [{"goals_retained": float(v[goals].mean())} for v in visited]
        with np.errstate(over="ignore", invalid="ignore"):  # the recorder sees to it
            return [
                Evaluation(float(a.mean()), float(a.std()), float(b.mean()), int(steps), measures, fault=fault)
                for a, b, steps, measures, fault in zip(
                    sampled, greedy, played.lengths.sum(-1), retained, faults, strict=True
                )
            ]

    def close(self) -> None:
        """Lets go of the environments."""
        self._collector.close()
