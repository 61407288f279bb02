"""Rows of a batch with objectives of their own: every number has the bits that it has where they are alone."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from haepo_bench import catalogue
from haepo_bench.errors import UserError
from haepo_bench.objectives.base import EntropyBonus, Objective, ObjectiveOutput, TrajectoryBatch, hyper
from haepo_bench.objectives.genpo import GenPo
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.ppo import Ppo
from haepo_bench.policies.shapes import padded_seeds
from haepo_bench.training.episodes.algorithm import NativeDefinition
from haepo_bench.training.mixed_objective import MixedObjective
from haepo_bench.training.row_values import RowByRow, RowValue

CLASSES = {
    name: definition.objective
    for name, definition in ((name, catalogue.algorithm(name)) for name in catalogue.ALGORITHMS)
    if isinstance(definition, NativeDefinition)
}
LEAVES = ("log_probs", "entropy", "kl_to_reference", "values", "halves_apart")
#: Classes whose rows must be computed at once whatever the numbers: they are searched most.
AT_ONCE = {"haepo-weighted", "haepo-listwise", "haepo-ranking", "grpo", "dpo", "reinforce", "rloo", "awr", "rebel"}


def drawn(cls: type[Objective], generator: np.random.Generator) -> Objective:
    """A configuration near the default: numbers and switches drawn, what a batch is made by left alone."""
    plain, own = cls(), {}
    for name in cls.model_fields:
        value = getattr(plain, name)
        if isinstance(value, float):
            zero = value == 0 or generator.random() < 0.2
            own[name] = (
                float(generator.choice([0.0, 0.05, 0.3])) if zero else value * float(generator.uniform(0.6, 1.4))
            )
        elif isinstance(value, bool) and generator.random() < 0.3:
            own[name] = not value
    found = plain
    for name, value in own.items():
        try:
            found = cls.model_validate({**found.model_dump(), name: value})
        except (ValueError, UserError):
            continue
    return found


def batch_for(plain: Objective, seeds: int, groups: int, trajectories: int, steps: int) -> TrajectoryBatch:
    made = torch.Generator().manual_seed(seeds)
    rows = padded_seeds(seeds, groups * trajectories)
    shape = rows, groups, trajectories, steps

    def uniform(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.rand(*shape, generator=made, dtype=dtype)

    mask = torch.arange(steps) < (uniform(*shape[:3]) * steps).ceil()[..., None]
    log_probs = -3 * uniform(*shape)
    rewards = torch.where(mask, uniform(*shape, dtype=torch.float64), 0.0)
    return TrajectoryBatch(
        log_probs=log_probs,
        entropy=uniform(*shape),
        kl_to_reference=uniform(*shape),
        behaviour_log_probs=log_probs + uniform(*shape) - 0.5,
        reference_log_probs=log_probs + uniform(*shape) - 0.5,
        mask=mask,
        rewards=rewards,
        returns=rewards.sum(-1).round(decimals=1),
        horizon=steps - 3,
        reference_returns=uniform(*shape[:2], plain.reference_sample, dtype=torch.float64) * steps
        if plain.reference_sample
        else None,
        tempered_log_probs=tuple(log_probs + uniform(*shape) for _ in plain.temperatures) or None,
        greedy_returns=steps * uniform(rows, groups, 1, dtype=torch.float64) if plain.wants_greedy else None,
        expert_log_probs=-uniform(rows, groups, steps) if plain.wants_expert else None,
    )


def segments(seeds: int, steps: int) -> TrajectoryBatch:
    whole = batch_for(Grpo(), seeds, 1, 1, steps)
    values, advantages = (torch.rand(*whole.mask.shape, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    own = {each.name: getattr(whole, each.name) for each in fields(whole)}
    behind = {"values": values, "behaviour_values": 1 - values, "advantages": advantages, "value_targets": advantages}
    behind["halves_apart"] = values
    own = {name: value[:seeds] if isinstance(value, Tensor) else value for name, value in {**own, **behind}.items()}
    return TrajectoryBatch(**own)


def evaluated(objective: Objective, batch: TrajectoryBatch) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
    """Loss, diagnostics and the gradient of the sum of losses by all that carries one."""
    own = {each.name: getattr(batch, each.name) for each in fields(batch)}
    leaves = {name: own[name].detach().clone().requires_grad_() for name in LEAVES if own[name] is not None}
    found = objective(TrajectoryBatch(**{**own, **leaves}))
    back = torch.autograd.grad(found.loss.sum(), list(leaves.values()), allow_unused=True, materialize_grads=True)
    return found.loss.detach(), found.diagnostics, list(back)


def rows_of(batch: TrajectoryBatch, rows: list[int], padded: int) -> TrajectoryBatch:
    """Some rows, and rows of padding as a batch of theirs alone has it."""
    index = torch.tensor([*rows, *[len(batch.mask) - 1] * (padded - len(rows))])

    def taken(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(taken, value))
        return value[index] if isinstance(value, Tensor) else value

    return TrajectoryBatch(**{each.name: taken(getattr(batch, each.name)) for each in fields(batch)})


def bits(x: Tensor) -> list[int]:
    return x.contiguous().view(torch.int32 if x.dtype is torch.float32 else torch.int64).flatten().tolist()


def compare(objectives: list[Objective], batch: TrajectoryBatch, padding: int, alone: Any) -> MixedObjective:
    mixed = MixedObjective.of(objectives, padding)
    assert isinstance(mixed, MixedObjective)
    loss, diagnostics, back = evaluated(mixed, batch)
    assert not mixed.failures
    for objective in {id(own): own for own in objectives}.values():
        rows = [row for row, own in enumerate(objectives) if own is objective]
        own_loss, own_diagnostics, own_back = evaluated(objective, alone(rows))
        count = len(rows)
        assert bits(loss[rows]) == bits(own_loss[:count]), objective
        for row in rows:
            assert mixed.reported(row) == frozenset(own_diagnostics)
        for name, value in own_diagnostics.items():
            assert bits(diagnostics[name][rows]) == bits(value[:count].to(diagnostics[name].dtype)), (name, objective)
        for theirs, mine in zip(back, own_back, strict=True):
            assert torch.equal(theirs[rows], mine[:count]), objective
    return mixed


@pytest.mark.parametrize("name", CLASSES)
def test_every_objective_in_random_mixtures(name: str) -> None:
    cls, generator = CLASSES[name], np.random.default_rng(sum(map(ord, name)))
    for seeds, groups, trajectories, steps in ((7, 1, 16, 32), (16, 1, 16, 64), (9, 2, 5, 32)):
        groups = 1 if cls.wants_expert else groups
        configurations = [drawn(cls, generator) for _ in range(4)]
        objectives = [configurations[generator.integers(4)] for _ in range(seeds)]
        batch = batch_for(cls(), seeds, groups, trajectories, steps)

        def alone(rows: list[int]) -> TrajectoryBatch:
            return rows_of(batch, rows, padded_seeds(len(rows), groups * trajectories))  # noqa: B023

        mixed = compare(objectives, batch, padded_seeds(1, groups * trajectories), alone)
        assert not (mixed._apart and name in AT_ONCE)


@pytest.mark.parametrize("cls", [Ppo, GenPo])
def test_losses_of_segments_in_random_mixtures(cls: type[Objective]) -> None:
    generator = np.random.default_rng(0)
    for seeds, steps in ((5, 64), (64, 64), (3, 32)):
        configurations = [drawn(cls, generator).at(float(generator.random())) for _ in range(4)]
        objectives = [configurations[generator.integers(4)] for _ in range(seeds)]
        batch = segments(seeds, steps)
        mixed = compare(objectives, batch, 1, lambda rows: rows_of(batch, rows, len(rows)))  # noqa: B023
        assert not mixed._apart


class Odd(EntropyBonus):
    """Raises for one value, and has a diagnostic for another."""

    level: float = hyper(0.5, "made up")

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        if self.level == 0.25:
            raise ValueError("a level of 0.25")
        loss = batch.masked_sum(batch.log_probs).mean((-1, -2)) * 2.0**self.level
        return ObjectiveOutput(loss, {"high": loss.detach()} if self.level > 0.6 else {})


def test_an_objective_that_raises_fails_its_own_rows_alone() -> None:
    objectives = [Odd(level=level) for level in (0.5, 0.25, 0.7, 0.25)]
    mixed = MixedObjective.of(objectives, 2)
    assert isinstance(mixed, MixedObjective)
    batch = batch_for(Odd(), 4, 1, 16, 32)
    loss, diagnostics, back = evaluated(mixed, batch)
    assert {row: str(error) for row, error in mixed.failures.items()} == {1: "a level of 0.25", 3: "a level of 0.25"}
    assert torch.isnan(loss[:4]).tolist() == [False, True, False, True]
    assert [mixed.reported(row) for row in (0, 2)] == [frozenset(), frozenset({"high"})]
    assert torch.isnan(diagnostics["high"][:4]).tolist() == [True, True, False, True]
    assert back[0][[1, 3]].abs().sum() == 0
    assert not isinstance(mixed.keep([1, 3]), MixedObjective)  # two equal ones are not a mixture


def test_what_is_not_certain_to_give_each_row_its_bits_is_refused() -> None:
    h, x = RowValue([0.1, 0.2, 0.3]), torch.rand(3, 4)
    for wrong in (
        lambda: x**h, lambda: torch.full((3,), 1.0).lerp(x[:, 0], h), lambda: float(h), lambda: torch.arange(4) * h,
        lambda: 1 if h > 0.15 else 0, lambda: x.clamp(min=h * 0.0), lambda: hash(h), lambda: f"{h:g}",
    ):  # fmt: skip
        with pytest.raises(RowByRow):
            wrong()  # type: ignore[no-untyped-call]
    assert bool(h)
    assert h > 0
    assert (2**0.5 * h / 3 + 1).values == tuple(2**0.5 * v / 3 + 1 for v in h.values)
