"""Exact evaluation of policies on tasks whose episodes are one action with a known expected return (bandits)."""

import numpy as np

from haepo_bench.policies.shapes import Array
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.probes import ProbeSet
from haepo_bench.training.alignment import LogProbs
from haepo_bench.training.seed_record import Evaluation
from haepo_bench.training.streams import stream


class ExactEvaluation:
    """Expected returns of policies: sum over actions of pi(action) times its expected return, mean over groups.

    Args:
        task: one with `expected_returns`.
    """

    def __init__(self, task: Task) -> None:
        assert task.expected_returns is not None
        self._expected = expected = np.asarray(task.expected_returns, np.float64)
        groups, actions = expected.shape
        environment = task.grouped(1)
        # What is shown at the start of each group, through whatever wraps the task; nothing of it is drawn.
        shown = environment.reset([stream("evaluation", 0)])[0]
        environment.close()
        self._every_action = ProbeSet(
            np.repeat(shown, actions, 0),
            np.tile(np.arange(actions), groups),
            np.ones(groups * actions, np.int64),
            expected.ravel(),
        )

    def evaluate(self, log_probs: LogProbs) -> list[Evaluation]:
        """One evaluation per policy; the deviation is that of the actions' expected returns."""
        found = log_probs(self._every_action).astype(np.float64)
        return [self._evaluation(np.exp(own).reshape(self._expected.shape)) for own in found]

    def _evaluation(self, weights: Array) -> Evaluation:
        with np.errstate(invalid="ignore"):  # a policy that is not finite; the recorder sees to it
            probabilities = weights / weights.sum(1, keepdims=True)  # single precision sums to 1 within 1e-6
        mean = float((probabilities * self._expected).sum(1).mean())
        square = float((probabilities * self._expected**2).sum(1).mean())
        likeliest = probabilities == probabilities.max(1, keepdims=True)  # several where it does not prefer any
        greedy = ((likeliest * self._expected).sum(1) / likeliest.sum(1)).mean()
        return Evaluation(mean, float(np.sqrt(max(square - mean**2, 0.0))), float(greedy), 0)
