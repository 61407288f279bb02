"""`iib-lpo-stand-in`: where trajectories branch, what is kept, and that nothing else follows from it."""

from typing import Any

import numpy as np
import pytest
import torch
from objective_support import random_batch
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.objectives.grpo import Grpo
from haepo_bench.objectives.iib_lpo import IibLpoStandIn
from haepo_bench.suite.shipped import list_suites
from haepo_bench.training.episodes.branching import best, highest_entropy
from haepo_bench.training.episodes.rollout import Rollout
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings
from haepo_bench.training.streams import stream

SEEDS = [0, 1]


def made(task: str, branches: int) -> tuple[EpisodeTrainer, Rollout]:
    """A trainer whose policies are far from uniform, and a batch of theirs without its branches."""
    recorder = Recorder(SEEDS, budget=10_000, every=10_000, episodes=2)
    settings = TrainerSettings(trajectories=5)
    trainer = EpisodeTrainer(catalogue.task(task), IibLpoStandIn(branches=branches), settings, SEEDS, recorder, "cpu")
    trainer.parameters *= 5
    rollout = trainer.collector.collect(
        trainer.engine.actor(trainer.parameters),
        [stream("environment", seed, 0) for seed in SEEDS],
        [stream("action noise", seed, 0) for seed in SEEDS],
    )
    return trainer, rollout


def test_trajectories_branch_where_the_policy_was_least_sure() -> None:
    trainer, rollout = made("random-walk/8", 1)
    found = highest_entropy(trainer.network, trainer.parameters, rollout, trainer.task.horizon)
    folded = trainer.network.fold(trainer.parameters)
    for trajectory in range(5):
        shown = rollout.observations[:, :, trajectory].float()
        probabilities = torch.softmax(trainer.network.outputs(folded, shown), 1)
        entropy = torch.distributions.Categorical(probs=probabilities.movedim(1, -1)).entropy()
        for row in range(len(SEEDS)):
            taken = entropy[row, : int(rollout.lengths[row, trajectory])]
            assert float(taken[found[row, trajectory]]) == pytest.approx(float(taken.max()), abs=1e-6)
    trainer.close()


def test_branches_share_the_first_steps_and_go_on_by_themselves() -> None:
    trainer, rollout = made("gym/CartPole-v1", 3)
    assert trainer.brancher is not None
    actor = trainer.engine.actor(trainer.parameters)
    played, shared = trainer.brancher.play(rollout, trainer.parameters, actor, SEEDS, 0, visited=None, device="cpu")
    assert played.returns.shape == shared.shape == (2, 15)
    differ = 0
    for row, place in np.ndindex(shared.shape):
        own, until = place // 3, int(shared[row, place])
        assert until < rollout.lengths[row, own]
        assert int(played.lengths[row, place]) > until
        same = slice(0, until + 1)  # the state of the fork itself is the last that is shared
        assert torch.equal(played.observations[row, :, place, same], rollout.observations[row, :, own, same])
        assert torch.equal(played.actions[row, place, :until], rollout.actions[row, own, :until])
        differ += int(played.actions[row, place, until] != rollout.actions[row, own, until])
    # Fresh draws of two actions: of 30 forks some differ at once and some do not.
    assert 0 < differ < 30
    trainer.close()


def episodes(returns: list[float], steps: int, marked: int) -> Rollout:
    """One seed's episodes of so many steps, in which everything is `marked` and the return comes at the end."""
    shape = (1, len(returns), steps)
    rewards = torch.zeros(shape, dtype=torch.float64)
    rewards[0, :, -1] = torch.tensor(returns, dtype=torch.float64)
    lengths = np.full(shape[:2], steps)
    return Rollout(
        torch.full((1, 1, len(returns), steps), float(marked)),
        torch.full(shape, marked),
        rewards,
        torch.ones(shape, dtype=torch.bool),
        lengths,
        np.array([returns]),
        {"coins": np.array([returns]) + 10},
    )


def test_the_best_of_each_group_are_kept() -> None:
    """Two groups of two with two branches each trajectory; ties go to trajectories, then to the first branch."""
    before = episodes([0.0, 3.0, 1.0, 1.0], 2, 1)
    branches = episodes([2.0, 0.0, 2.0, 5.0, 1.0, 0.0, 1.0, 0.5], 3, 2)
    kept, branched = best(before, branches, 2)
    assert kept.returns.tolist() == [[3.0, 5.0, 1.0, 1.0]]
    assert branched.tolist() == [[False, True, False, False]]
    assert kept.lengths.tolist() == [[2, 3, 2, 2]]
    assert kept.mask.sum(-1).tolist() == [[2, 3, 2, 2]]
    assert kept.actions[0, :, 0].tolist() == [1, 2, 1, 1]
    assert kept.observations[0, 0, :, 0].tolist() == [1.0, 2.0, 1.0, 1.0]
    assert kept.rewards.sum(-1).tolist() == kept.returns.tolist()
    assert kept.measures["coins"].tolist() == [[13.0, 15.0, 11.0, 11.0]]
    assert before.returns.tolist() == [[0.0, 3.0, 1.0, 1.0]]


def test_the_loss_is_grpos_with_its_term_of_the_entropy() -> None:
    batch = random_batch(4)
    assert torch.equal(IibLpoStandIn()(batch).loss, Grpo(advantage_entropy_coefficient=0.005)(batch).loss)


@pytest.mark.parametrize("task", ["corridor/8", "gym/CartPole-v1"])
def test_runs_are_the_same_alone_and_among_others(task: str) -> None:
    options: dict[str, Any] = {"trajectories": 6, "branches": 2, "learning_rate": 2e-3}
    among = train("iib-lpo-stand-in", task, [0, 1, 2], 1_000, 500, **options)
    alone = train("iib-lpo-stand-in", task, [1], 1_000, 500, **options)
    assert without_clocks(among[1]) == without_clocks(alone[1])
    for result in among.values():
        assert result.status == "done"
        assert 0 < float(result.curve["branch_share"][-1] or 0) < 1


def test_it_learns_to_balance() -> None:
    """CartPole: the untrained policy holds about 20 steps; seen after 20,000 steps: 144 and 121."""
    for result in train("iib-lpo-stand-in", "gym/CartPole-v1", [0, 1], 20_000, 20_000).values():
        assert result.final["eval_return_greedy"] > 80


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("gym/FrozenLake-v1", "moves must be certain"),
        ("gym/Pendulum-v1", "continuous actions have densities"),
    ],
)
def test_tasks_whose_trajectories_do_not_branch_are_refused(task: str, says: str) -> None:
    made = catalogue.task(task)
    assert says in str(catalogue.algorithm_on(made, "iib-lpo-stand-in").refuses(made))


def test_its_name_says_what_it_is_and_no_suite_of_ours_has_it() -> None:
    assert "stand-in" in str(catalogue.algorithm("iib-lpo-stand-in").information)
    for file in list_suites().values():
        assert "iib-lpo-stand-in" not in file.read_text()
