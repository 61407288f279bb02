"""ReMax and the greedy episodes that its batches bring along."""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from language_support import Vowels, small_tiny_model, texts
from objective_support import F, gradient, random_batch, toy
from training_support import train

from haepo_bench import catalogue
from haepo_bench.objectives.base import ObjectiveOutput, TrajectoryBatch
from haepo_bench.objectives.remax import Remax
from haepo_bench.training.episodes.algorithm import NativeAlgorithm
from haepo_bench.training.language.models import find_source
from haepo_bench.training.language.settings import LanguageSettings
from haepo_bench.training.language.trainer import LanguageTrainer
from haepo_bench.training.recorder import Recorder, SeedResult
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream

PURE = {"entropy_coefficient": 0.0}


def test_worked_numbers() -> None:
    """Returns 2, 0, 1, 0.5 against 0.75; summed log-probabilities -1.7, -1.5, -1.1, -1.9."""
    value = -(1.25 * -1.7 + -0.75 * -1.5 + 0.25 * -1.1 + -0.25 * -1.9) / 4
    assert float(Remax(**PURE)(toy()).loss.detach()) == pytest.approx(value, abs=1e-12)
    by_hand = torch.tensor([[-1.25] * 2, [0.75] * 2, [-0.25, 0.0], [0.25] * 2], dtype=F) / 4
    assert torch.allclose(gradient(Remax(**PURE)), by_hand, atol=1e-12)


def test_the_advantage_is_each_trajectorys_own() -> None:
    """Unlike a group's mean it does not depend on the others, and a batch in which all lose has a gradient."""
    batch = random_batch(3)
    assert batch.greedy_returns is not None
    A = batch.returns - batch.greedy_returns
    (slope,) = torch.autograd.grad(Remax(**PURE)(batch).loss.sum(), batch.log_probs)
    assert torch.allclose(slope, torch.where(batch.mask, -A[..., None] / 8, 0.0), atol=1e-12)
    assert Remax().compares is None


class Spy(Remax):
    """Keeps the batches that it sees."""

    seen: ClassVar[list[TrajectoryBatch]] = []

    def __call__(self, batch: TrajectoryBatch) -> ObjectiveOutput:
        self.seen.append(batch)
        return super().__call__(batch)


def spied(task: str, budget: int, every: int, **settings: Any) -> dict[int, SeedResult]:
    Spy.seen.clear()
    algorithm = NativeAlgorithm(Spy(), TrainerSettings(epochs=1, trajectories=4, **settings))
    return train(algorithm, task, [0, 1], budget, every)


def test_greedy_returns_are_those_of_the_policy_that_collected() -> None:
    """Moves in the corridor are certain, so that its greedy episodes are those that evaluation plays."""
    results = spied("corridor/8", 400, 40, learning_rate=0.1)
    # An iteration is five episodes of eight steps, and each begins at an evaluation point.
    assert len(Spy.seen) == 9
    for row in (0, 1):
        greedy = [float(batch.greedy_returns[row]) for batch in Spy.seen if batch.greedy_returns is not None]
        assert greedy == pytest.approx(results[row].curve["eval_return_greedy"][:9], abs=1e-6)
        assert len(set(greedy)) > 1
        assert results[row].cost["env_steps_collected"] == 400


@pytest.mark.parametrize("address", ["gym/CartPole-v1", "t-maze/5", "bandit/contextual"])
def test_greedy_episodes_start_where_the_batch_does(address: str) -> None:
    task = catalogue.task(address).training()
    batch, greedy = task.paired(3), task.paired(1)

    def streams(n: int) -> list[np.random.Generator]:
        return [stream("environment", seed, n) for seed in range(3)]

    for n in range(5):
        assert np.array_equal(batch.reset(streams(n))[:, ::3], greedy.reset(streams(n)))
    batch.close()
    greedy.close()


def test_greedy_responses_are_judged_by_the_task(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Sampled anew with the policy as it is, before its update; their tokens count."""

    class Watched(LanguageTrainer):
        def update(self, batch: Any, sampling_seconds: float = 0.0) -> None:
            prompts = [task.train[i] for i in batch.prompts]
            rows = self.policy.sample(
                texts().prompts([one.prompt for one in prompts]),
                np.full((len(prompts), task.horizon), 0.999, np.float32),
                greedy=np.ones(len(prompts), bool),
            )
            gold = task.compute_gold(prompts, texts().decode(rows.texts()))
            assert self.greedy_returns is not None
            assert self.greedy_returns.tolist() == gold.tolist()
            seen.append(batch.tokens + int(rows.lengths.sum()))
            super().update(batch, sampling_seconds)

    seen: list[int] = []
    task = Vowels()
    with small_tiny_model(tmp_path_factory.mktemp("cache")):
        recorder = Recorder([5], budget=400, every=400, episodes=2, on_finished=lambda _: None)
        settings = LanguageSettings(prompts=3, completions=4, fine_tuning_steps=0, learning_rate=0.05)
        trainer = Watched(task, Remax(), settings, find_source("tiny"), texts(), 5, recorder, "cpu")
        trainer.train()
    assert len(seen) > 2
    assert sum(seen) < 400 <= trainer.tokens
