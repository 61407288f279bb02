"""`flip(<task>,<p>)`: which pairs are reversed, how often, and whom it concerns."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from language_support import small_tiny_model
from objective_support import random_batch
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import TaskError
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.ipo import Ipo
from haepo_bench.objectives.pairs import preferred
from haepo_bench.tasks.lm.base import LanguageTask
from haepo_bench.training.flips import flips
from haepo_bench.training.streams import stream


def test_each_pair_is_reversed_with_the_stated_probability_and_whole() -> None:
    """30,000 pairs within 4 standard errors: a false alarm in 16,000."""
    drawn = np.stack([flips(0.3, stream("flip", seed, 0), 10, 25) for seed in range(10)])
    assert (drawn == drawn.swapaxes(-1, -2)).all()
    below = np.tril_indices(25, -1)
    pairs = drawn[..., below[0], below[1]]
    assert not drawn[..., np.arange(25), np.arange(25)].any()
    assert abs(pairs.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / pairs.size)
    # Independently: two pairs that share a trajectory are reversed together as often as chance has it.
    together = (drawn[..., 1, 0] & drawn[..., 2, 0]).mean()
    assert abs(together - 0.09) < 4 * np.sqrt(0.09 * 0.91 / 100)


@pytest.mark.parametrize("which", ["all", "best-worst"])
def test_reversed_pairs_are_the_same_pairs_the_other_way_round(which: Any) -> None:
    batch = random_batch(3)
    shape = (*batch.returns.shape, batch.returns.shape[-1])
    below = torch.tril(torch.rand(shape, generator=torch.Generator().manual_seed(1)) < 0.5, -1)
    flipped = below | below.transpose(-1, -2)
    true, reported = preferred(batch, which), preferred(replace(batch, flipped=flipped), which)
    returns = batch.returns
    for place in np.ndindex(*shape):
        *group, i, j = place
        counts = bool(true[place] | true[(*group, j, i)])
        higher = bool(returns[(*group, i)] > returns[(*group, j)])
        assert bool(reported[place]) == (counts and higher != bool(flipped[place])), place
    assert (true != reported).any()


@pytest.mark.parametrize("objective", [Dpo(entropy_coefficient=0.0), Ipo(entropy_coefficient=0.0)])
def test_all_reversed_is_the_loss_of_negated_returns(objective: Any) -> None:
    batch = random_batch(2)
    everywhere = torch.ones(*batch.returns.shape, batch.returns.shape[-1], dtype=torch.bool)
    reversed_loss = objective(replace(batch, flipped=everywhere)).loss
    negated = objective(replace(batch, returns=-batch.returns)).loss
    assert torch.allclose(reversed_loss, negated)
    assert not torch.allclose(reversed_loss, objective(batch).loss)


def test_pair_methods_learn_from_reversed_orders_and_are_evaluated_by_the_true_return() -> None:
    """With every order reversed `dpo` unlearns what the task rewards; with none it learns it."""
    own = {"entropy_coefficient": 0.0, "trajectories": 16}
    right = train("dpo", "flip(bandit/pi-squared,0)", [0, 1], 1_200, 600, **own)
    wrong = train("dpo", "flip(bandit/pi-squared,1)", [0, 1], 1_200, 600, **own)
    for seed in (0, 1):
        start, _, end = right[seed].curve["eval_return"]
        assert float(end) > 0.8 > float(start)  # type: ignore[arg-type]
        assert float(wrong[seed].curve["eval_return"][-1]) < 0.35  # type: ignore[arg-type]
        assert "clean_return" not in wrong[seed].curve


def test_nothing_changes_for_algorithms_that_receive_returns_nor_at_probability_zero() -> None:
    for algorithm, address in (("reinforce", "flip(corridor/8,0.5)"), ("dpo", "flip(corridor/8,0)")):
        plain = train(algorithm, "corridor/8", [3], 400, 200)[3]
        assert without_clocks(train(algorithm, address, [3], 400, 200)[3]) == without_clocks(plain)


def test_seeds_are_reversed_alike_alone_and_among_others() -> None:
    together = train("ipo", "flip(random-walk/5,0.3)", [1, 2, 3], 600, 300)
    alone = train("ipo", "flip(random-walk/5,0.3)", [2], 600, 300)[2]
    assert without_clocks(alone) == without_clocks(together[2])


@pytest.mark.parametrize(
    ("address", "flip"),
    [
        ("flip(corridor/8,0.1)", 0.1),
        ("flip(flip(corridor/8,0.1),0.2)", 0.26),  # one of the two: .1 x .8 + .2 x .9
        ("delayed(flip(corridor/8,0.1))", 0.1),
        ("noise(delayed(flip(corridor/8,0.1)),1)", 0.1),
        ("flip(noise(corridor/8,1),0.1)", 0.1),
        ("window(flip(corridor/8,1),2)", 1.0),
        ("flip(lm/arithmetic,0.3)", 0.3),
        ("corridor/8", 0.0),
    ],
)
def test_wrappers_around_and_inside(address: str, flip: float) -> None:
    task = catalogue.task(address)
    assert task.flip == pytest.approx(flip)
    assert task.id == address


def test_training_of_a_task_with_corrupted_rewards_inside_stays_corrupted() -> None:
    environment = catalogue.task("flip(scale(corridor/8,1000),0.1)").training().vector(4)
    environment.reset([np.random.default_rng(0)])
    rewards = [environment.step(np.ones((1, 4), int), np.ones((1, 4), bool)).rewards for _ in range(8)]
    assert np.max(rewards) > 100


def test_probabilities_are_checked() -> None:
    for wrong in ("flip(corridor/8)", "flip(corridor/8,1.5)", "flip(corridor/8,-0.1)"):
        with pytest.raises(TaskError, match="flip"):
            catalogue.task(wrong)


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with small_tiny_model(tmp_path_factory.mktemp("cache")):
        yield


@pytest.mark.usefixtures("cache")
def test_language_tasks_reverse_sampled_pairs_and_fixed_ones() -> None:
    own = {"prompts": 4, "completions": 4, "fine_tuning_steps": 0}
    address = "random-reward(lm/arithmetic)"
    plain, reported = (train("dpo", task, [0], 300, 300, **own)[0] for task in (address, f"flip({address},1)"))
    assert plain.curve["loss"][-1] != reported.curve["loss"][-1]
    inner, flipped = catalogue.task("lm/arithmetic"), catalogue.task("flip(lm/arithmetic,0.3)")
    assert isinstance(inner, LanguageTask)
    assert isinstance(flipped, LanguageTask)
    assert len(inner.pairs) == len(flipped.pairs) == 850
    turned = [
        a.chosen == b.rejected and a.rejected == b.chosen for a, b in zip(inner.pairs, flipped.pairs, strict=True)
    ]
    kept = [a == b for a, b in zip(inner.pairs, flipped.pairs, strict=True)]
    assert all(a != b for a, b in zip(turned, kept, strict=True))
    # Fixed draws; 4 standard errors.
    assert abs(np.mean(turned) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 850)
    assert flipped.gold_is_reward
