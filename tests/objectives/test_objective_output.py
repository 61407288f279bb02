"""What an objective may return, and what is said where it returned something else."""

from typing import Any

import pytest
import torch
from torch import Tensor

from haepo_bench.objectives.base import Objective, ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.output import ObjectiveFault, output_of


class Returning(Objective):
    """Returns what a test says."""

    what: Any = None

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        found: ObjectiveOutput = self.what(batch.log_probs)
        return found


def batch() -> TrajectoryBatch:
    numbers = torch.zeros(3, 1, 4, 5)
    leaf = torch.zeros(3, 1, 4, 5, requires_grad=True)
    return TrajectoryBatch(
        log_probs=leaf, entropy=numbers, kl_to_reference=numbers, behaviour_log_probs=numbers,
        reference_log_probs=numbers, mask=numbers == 0, rewards=numbers, returns=numbers.sum(-1), horizon=5,
    )  # fmt: skip


def loss(log_probs: Tensor) -> Tensor:
    return log_probs.sum((1, 2, 3))


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda x: 1.0, "returned a float, not an ObjectiveOutput"),
        (lambda x: None, "returned a NoneType, not an ObjectiveOutput"),
        (loss, "returned a tensor [3], not an ObjectiveOutput"),
        (lambda x: ObjectiveOutput(x.sum(), {}), "a loss that is a tensor [], not [3], one number per seed"),
        (lambda x: ObjectiveOutput(x.sum(-1), {}), "a loss that is a tensor [3, 1, 4], not [3]"),
        (lambda x: ObjectiveOutput(loss(x).detach(), {}), "a loss without gradient"),
        (lambda x: ObjectiveOutput(loss(x), None), "diagnostics that are a NoneType, not a dict"),
        (lambda x: ObjectiveOutput(loss(x), {3: loss(x)}), "a diagnostic that is called 3, which is not text"),
        (lambda x: ObjectiveOutput(loss(x), {"\ud800": loss(x)}), r"called '\ud800', which is not text"),
        (lambda x: ObjectiveOutput(loss(x), {"a": "b"}), "a diagnostic 'a' that is a str, not [3]"),
        (lambda x: ObjectiveOutput(loss(x), {"a": torch.zeros(7, 7)}), "a diagnostic 'a' that is a tensor [7, 7]"),
    ],
)
def test_what_cannot_be_trained_with_is_named(what: Any, said: str) -> None:
    with pytest.raises(ObjectiveFault) as caught:
        output_of(Returning(what=what), batch())
    assert str(caught.value).startswith("Returning.__call__ returned ")
    assert said in str(caught.value)
    assert "return ObjectiveOutput(loss, diagnostics)" in caught.value.remedy


def test_what_is_right_is_passed_on() -> None:
    found = output_of(Returning(what=lambda x: ObjectiveOutput(loss(x), {"a": loss(x)})), batch())
    assert found.loss.shape == (3,)
