"""Policies that wait for their evaluation, so that several are evaluated together.

An evaluation is a few episodes long and costs mostly calls, of which eight together need as many as one. Which policies
are evaluated together depends on what else is trained and on how fast, and never changes a byte: a policy's episodes
follow from its seed and the number of its evaluation point, and its numbers are its own (policies/shapes.py).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from haepo_bench.policies.shapes import Array
from haepo_bench.training.alignment import LogProbs, RewardAlignment
from haepo_bench.training.episodes.rollout import Actor
from haepo_bench.training.evaluation import Evaluator
from haepo_bench.training.recorder import Recorder

#: Longest wait while others train on: a finished run is stored no later.
_SECONDS = 2.0


class Frozen(NamedTuple):
    """A seed's policy as it was at some moment.

    Args:
        parameters: [parameter], a copy.
        normalisation: mean and variance [2, feature] float64 of its observations; None where they are not normalised.
    """

    parameters: Tensor
    normalisation: Array | None = None


class _Waiting(NamedTuple):
    key: int
    seed: int
    number: int
    policy: Frozen


class Policies(NamedTuple):
    """Several policies as an evaluation asks them; row i belongs to the i-th."""

    actor: Actor
    log_probs: LogProbs


class WaitingEvaluations:
    """The policies that have collected evaluation points and are not evaluated yet.

    Args:
        policies: makes frozen policies ready to be asked.
        named: a policy as named arrays.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        recorder: Recorder,
        alignment: RewardAlignment,
        policies: Callable[[Sequence[Frozen]], Policies],
        named: Callable[[Frozen], Mapping[str, Array]],
        *,
        device: str,
    ) -> None:
        self._evaluator, self._recorder, self._alignment, self._device = evaluator, recorder, alignment, device
        self._policies, self._named = policies, named
        self._waiting: list[_Waiting] = []
        self._since = 0.0

    def add(self, key: int, seed: int, number: int, policy: Frozen) -> None:
        """A policy that has crossed evaluation points, the last of which is `number`.

        Args:
            key: what the recorder calls its row.
        """
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append(_Waiting(key, seed, number, policy))

    def serve(self, *, everything: bool = False) -> None:
        """Evaluates, where enough wait or wait for long enough, and tells the recorder.

        Args:
            everything: evaluate all that wait, because nothing more will come.
        """
        late = everything or (bool(self._waiting) and time.monotonic() - self._since >= _SECONDS)
        while self._waiting and (late or len(self._waiting) >= self._evaluator.together):
            some, self._waiting = self._waiting[: self._evaluator.together], self._waiting[self._evaluator.together :]
            # A seed whose earlier evaluation ended it was never trained so far.
            unfinished = set(self._recorder.unfinished)
            self._evaluate([one for one in some if one.key in unfinished])
            self._since = time.monotonic()

    def _evaluate(self, some: Sequence[_Waiting]) -> None:
        if not some:
            return
        with self._recorder.evaluating([one.key for one in some]):
            policies = self._policies([one.policy for one in some])
            due = [(one.seed, one.number) for one in some]
            evaluations = self._evaluator.evaluate(policies.actor, due, policies.log_probs, device=self._device)
            columns = self._alignment.columns([one.seed for one in some], policies.log_probs)
        recorder = self._recorder
        for one, evaluation, own in zip(some, evaluations, columns, strict=True):
            if one.key not in recorder.unfinished:
                continue
            if recorder.wants_policies and one.number == len(recorder.marks) - 1:
                recorder.policy(one.key, self._named(one.policy))
            recorder.evaluated(one.key, evaluation._replace(measures={**evaluation.measures, **own}))
