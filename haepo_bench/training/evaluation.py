"""Evaluating policies on separate seeded environments: the sampled policy and the greedy one in the same pass."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from haepo_bench.policies.heads import Head
from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task
from haepo_bench.training.alignment import LogProbs
from haepo_bench.training.episodes.rollout import Actor, Collector
from haepo_bench.training.exact import ExactEvaluation
from haepo_bench.training.recorder import Evaluation, Recorder
from haepo_bench.training.streams import stream


class Evaluator:
    """Evaluates one task's policies; every algorithm sees the same episodes for the same seed and evaluation point.

    Args:
        episodes: of the sampled policy, and as many of the greedy one; none where the task's returns are known exactly.
        padded: rows to rows of the tensors that the actor is given (`Network.padded_rows`).
    """

    def __init__(self, task: Task, head: Head, episodes: int, padded: Callable[[int], int] = lambda rows: rows) -> None:
        self._episodes = episodes
        self._task = task
        self._collector = Collector(task, task.vector(2 * episodes), head, 2 * episodes, padded(2 * episodes))
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
        rollout = self._collector.collect(
            actor,
            [stream("evaluation", *key) for key in due],
            [stream("evaluation noise", *key) for key in due],
            greedy=self._greedy,
            visited=visited,
            device=device,
        )
        sampled, greedy = rollout.returns[:, : self._episodes], rollout.returns[:, self._episodes :]
        faults = [rollout.faults.get(row) for row in range(len(due))]
        retained = [{}] * len(due) if visited is None else [{"goals_retained": float(v[goals].mean())} for v in visited]
        with np.errstate(over="ignore", invalid="ignore"):  # the recorder sees to it
            return [
                Evaluation(float(a.mean()), float(a.std()), float(b.mean()), int(steps), measures, fault=fault)
                for a, b, steps, measures, fault in zip(
                    sampled, greedy, rollout.lengths.sum(-1), retained, faults, strict=True
                )
            ]

    def serve(
        self,
        recorder: Recorder,
        seeds: Sequence[int],
        actor: Callable[[list[int]], Actor],
        named: Callable[[int], Mapping[str, Array]],
        log_probs: Callable[[list[int]], LogProbs],
        measured: Callable[[list[int]], list[dict[str, float]]],
        *,
        device: str = "cpu",
    ) -> None:
        """Evaluates the policies that have collected evaluation points, and tells the recorder.

        Args:
            seeds: in training, whose places in this list are rows.
            actor: rows to their policies.
            named: a row to its policy as named arrays.
            log_probs: rows to those of their policies.
            measured: rows to further columns of theirs.
        """
        due = recorder.due()
        if not due:
            return
        rows = [seeds.index(seed) for seed, _ in due]
        with recorder.evaluating([seed for seed, _ in due]):
            evaluations = self.evaluate(actor(rows), due, log_probs(rows), device=device)
            columns = measured(rows)
        for (seed, _), row, evaluation, own in zip(due, rows, evaluations, columns, strict=True):
            if recorder.wants_policies and recorder.ending(seed):
                recorder.policy(seed, named(row))
            recorder.evaluated(seed, evaluation._replace(measures={**evaluation.measures, **own}))

    def close(self) -> None:
        """Lets go of the environments."""
        self._collector.close()
