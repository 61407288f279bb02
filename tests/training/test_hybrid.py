"""`hybrid-dpo-stand-in`: whether its design is one, what it plays, and what becomes of a batch."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from objective_support import random_batch
from scipy.optimize import LinearConstraint, minimize
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.objectives.coverage import HybridDpoStandIn
from haepo_bench.objectives.dpo import Dpo
from haepo_bench.objectives.plans import DesignPlan
from haepo_bench.suite.shipped import list_suites
from haepo_bench.tasks.base import Array, Moves
from haepo_bench.training.episodes.design import g_optimal
from haepo_bench.training.episodes.hybrid import hybrid
from haepo_bench.training.episodes.rollout import Rollout
from haepo_bench.training.episodes.trainer import EpisodeTrainer
from haepo_bench.training.recorder import Recorder
from haepo_bench.training.settings import TrainerSettings

SEEDS = [0, 1]


def moves_of(address: str) -> Moves:
    moves = catalogue.task(address).moves()
    assert moves is not None
    return moves


def fork(features: Array) -> Moves:
    """Two steps with two actions: from state 0 to 1 or 2, from there to the end (3)."""
    following = np.array([[1, 2], [3, 3], [3, 3], [3, 3]])
    return Moves(following, np.arange(4) == 3, np.array([1.0, 0.0, 0.0, 0.0]), features, 2)


def information(moves: Moves, visits: Array) -> Array:
    """M of visits [state, action], as its definition has it, one step after the other."""
    features, actions = moves.features.shape[1], visits.shape[1]
    found = np.zeros((features * actions, features * actions))
    for state, action in np.argwhere(visits > 0):
        phi = np.kron(np.eye(actions)[action], moves.features[state])
        found += visits[state, action] * np.outer(phi, phi)
    return found


def leverage(moves: Moves, visits: Array, state: int, action: int) -> float:
    phi = np.kron(np.eye(visits.shape[1])[action], moves.features[state])
    return float(phi @ np.linalg.pinv(information(moves, visits), rcond=1e-10) @ phi)


@pytest.mark.parametrize("features", [np.eye(4), np.array([[1.0, 0.0], [1.0, 2.0], [0.5, 1.0], [0.0, 0.0]])])
def test_no_policys_episodes_have_more_leverage_than_the_rank(features: Array) -> None:
    """Kiefer and Wolfowitz: all policies by hand, leverages from the definition. No design gets below the rank."""
    moves = fork(features)
    design = g_optimal(moves, 1e-3)
    assert design.rank == np.linalg.matrix_rank(information(moves, np.ones((4, 2)) * [[1], [1], [1], [0]]))
    largest = max(
        leverage(moves, design.visits, 0, first) + leverage(moves, design.visits, 1 + first, then)
        for first, then in product((0, 1), repeat=2)
    )
    assert design.rank <= largest <= 1.001 * design.rank
    assert design.leverage == pytest.approx(largest)
    # That of the design's own episodes is the rank itself.
    own = sum(design.visits[s, a] * leverage(moves, design.visits, s, a) for s, a in product(range(3), (0, 1)))
    assert own == pytest.approx(design.rank)


def test_the_design_maximises_the_determinant() -> None:
    """Against scipy, over the shares of a fork's four paths, with features that the states share."""
    moves = fork(np.array([[1.0, 0.0], [1.0, 2.0], [0.5, 1.0], [0.0, 0.0]]))
    paths = np.zeros((4, 4, 2))
    for number, (first, then) in enumerate(product((0, 1), repeat=2)):
        paths[number, 0, first] = paths[number, 1 + first, then] = 1.0

    def criterion(shares: Array) -> float:
        _, value = np.linalg.slogdet(information(moves, np.tensordot(shares, paths, 1)))
        return -float(value)

    found = minimize(
        criterion, [0.1, 0.2, 0.3, 0.4], bounds=[(1e-9, 1)] * 4, constraints=LinearConstraint(np.ones((1, 4)), 1, 1)
    )
    design = g_optimal(moves, 1e-4)
    assert -np.linalg.slogdet(information(moves, design.visits))[1] == pytest.approx(found.fun, abs=1e-3)
    # Of the paths each state's two are alike; state 1, with more of the second feature, is worth more visits.
    assert np.allclose(design.visits[1, 0], design.visits[1, 1], atol=1e-2)
    assert design.visits[1].sum() > design.visits[2].sum()


def test_worked_numbers() -> None:
    """One-hot features: a leverage is one over the visits. Bandits are played uniformly, with the arms as the rank."""
    bandit = g_optimal(moves_of("bandit/contextual"))
    assert (bandit.rank, bandit.leverage) == (20, pytest.approx(20))
    assert np.allclose(bandit.visits[:4], 1 / 20)
    # Of a fork whose second state has ends of its own to tell apart, log det is that of 2 log 1/2 + 4 log 1/4.
    even = g_optimal(fork(np.eye(4)))
    assert (even.rank, even.leverage) == (6, pytest.approx(6))
    assert np.allclose(even.visits[:3], [[0.5, 0.5], [0.25, 0.25], [0.25, 0.25]])
    # A corridor that ends at once when going left: going on with probability p_t pays p_0 ... p_t to all later ones.
    # With three states log det = sum_t log d(t, right) + log d(t, left), so that p_t = 1 - 1 / (6 - 2 t).
    following, ends = np.array([[3, 1], [3, 2], [3, 3], [3, 3]]), np.arange(4) == 3
    line = g_optimal(Moves(following, ends, np.array([1.0, 0, 0, 0]), np.eye(4), 3), 1e-6)
    right = line.visits[:3, 1] / line.visits[:3].sum(1)
    assert right == pytest.approx([5 / 6, 3 / 4, 1 / 2], abs=1e-3)


@pytest.mark.parametrize("address", ["deep-sea/8", "key-door/5", "umbrella/10", "multi-goal/4", "random-walk/8"])
def test_designs_of_the_catalogues_tasks_are_within_their_bound(address: str) -> None:
    moves = moves_of(address)
    design = g_optimal(moves)
    assert design.rank <= design.leverage <= 1.05 * design.rank
    assert np.allclose(design.policy.sum(2), 1)
    own = sum(
        design.visits[state, action] * leverage(moves, design.visits, state, action)
        for state, action in np.argwhere(design.visits > 0)
    )
    assert own == pytest.approx(design.rank, rel=1e-6)


def trainer_on(address: str, trajectories: int, **parameters: Any) -> EpisodeTrainer:
    recorder = Recorder(SEEDS, budget=100_000, every=100_000, episodes=2)
    objective, settings = HybridDpoStandIn(**parameters), TrainerSettings(trajectories=trajectories)
    return EpisodeTrainer(catalogue.task(address), objective, settings, SEEDS, recorder, "cpu")


def test_what_is_played_is_the_design() -> None:
    """Visits of 2 x 60 x 32 episodes against those of the design, within 4.5 standard errors; 110 comparisons."""
    trainer = trainer_on("deep-sea/10", 64)
    assert trainer.designer is not None
    design, counts = trainer.designer.design, 0.0
    for iteration in range(60):
        played = trainer.designer.play(SEEDS, 64, iteration, visited=None, device="cpu")
        assert played.returns.shape == (2, 32)
        states = played.observations.argmax(1)[played.mask].numpy()
        shown = trainer.task.moves().features.argmax(1)  # type: ignore[union-attr]
        actions = played.actions[played.mask].numpy()
        number = {cell: state for state, cell in enumerate(shown) if not trainer.task.moves().terminal[state]}  # type: ignore[union-attr]
        flat = [number[cell] * 2 + action for cell, action in zip(states, actions, strict=True)]
        counts = counts + np.bincount(flat, minlength=design.visits.size)
    episodes, expected = 2 * 60 * 32, design.visits.ravel()
    error = np.sqrt(expected * (1 - np.minimum(expected, 1)) / episodes)
    assert (np.abs(counts / episodes - expected) <= 4.5 * error + 1e-9).all()
    trainer.close()


def episodes(returns: list[float], steps: int, marked: int) -> Rollout:
    """One seed's episodes of so many steps, in which everything is `marked` and the return comes at the end."""
    shape = (1, len(returns), steps)
    rewards = torch.zeros(shape, dtype=torch.float64)
    rewards[0, :, -1] = torch.tensor(returns, dtype=torch.float64)
    full, mask = torch.full((1, 1, *shape[1:]), float(marked)), torch.ones(shape, dtype=torch.bool)
    lengths, paid = np.full(shape[:2], steps), np.array([returns])
    return Rollout(full, torch.full(shape, marked), rewards, mask, lengths, paid, {"coins": paid + 10})


def test_groups_hold_the_policys_trajectories_and_the_designs() -> None:
    """Two groups of two and one. Of each group's two pairs the design wins both, or one and a half."""
    both, wins = hybrid(episodes([0.0, 3.0, 1.0, 2.0], 2, 1), episodes([4.0, 2.0], 3, 2), 2)
    assert both.returns.tolist() == [[0.0, 3.0, 4.0, 1.0, 2.0, 2.0]]
    assert both.lengths.tolist() == [[2, 2, 3, 2, 2, 3]]
    assert both.mask.sum(-1).tolist() == both.lengths.tolist()
    assert both.actions[0, :, 0].tolist() == [1, 1, 2, 1, 1, 2]
    assert both.measures["coins"].tolist() == [[10.0, 13.0, 14.0, 11.0, 12.0, 12.0]]
    assert wins.tolist() == [[1.0, 0.75]]


@pytest.mark.parametrize(
    ("share", "trajectories", "played"), [(0.5, 8, 4), (0.3, 10, 3), (0.99, 4, 3), (0.01, 16, 0), (0.5, 2, 1)]
)
def test_the_policy_keeps_a_trajectory(share: float, trajectories: int, played: int) -> None:
    assert DesignPlan(share).among(trajectories) == played


def test_the_loss_is_dpos_and_without_a_design_so_is_the_run() -> None:
    batch = random_batch(4)
    assert torch.equal(HybridDpoStandIn()(batch).loss, Dpo()(batch).loss)
    plain = train("dpo", "bandit/contextual", SEEDS, 400, 200, reference="initial")
    without = train("hybrid-dpo-stand-in", "bandit/contextual", SEEDS, 400, 200, design_share=0.0)
    for seed in SEEDS:
        assert without_clocks(plain[seed]) == without_clocks(without[seed])


@pytest.mark.parametrize("task", ["bandit/contextual", "key-door/5"])
def test_runs_are_the_same_alone_and_among_others(task: str) -> None:
    options: dict[str, Any] = {"trajectories": 6, "learning_rate": 2e-3}
    among = train("hybrid-dpo-stand-in", task, [0, 1, 2], 1_000, 500, **options)
    alone = train("hybrid-dpo-stand-in", task, [1], 1_000, 500, **options)
    assert without_clocks(among[1]) == without_clocks(alone[1])
    for result in among.values():
        assert result.status == "done"
        assert 0 <= float(result.curve["design_wins"][-1] or 0) <= 1
        # A design's steps are part of the budget.
        assert 1_000 <= result.cost["env_steps_collected"] < 1_000 + 2 * 6 * catalogue.task(task).horizon


def test_on_a_contextual_bandit_it_comes_closer_to_the_best_arms_than_without_a_design() -> None:
    """After 1,000 pulls each; the best is 2."""
    options: dict[str, Any] = {"trajectories": 8, "learning_rate": 3e-3}
    means = {
        share: np.mean(
            [
                result.final["eval_return"]
                for result in train(
                    "hybrid-dpo-stand-in", "bandit/contextual", range(10), 1_000, 1_000, design_share=share, **options
                ).values()
            ]
        )
        for share in (0.0, 0.5)
    }
    assert means[0.5] > means[0.0]


@pytest.mark.parametrize("task", ["gym/CartPole-v1", "lm/arithmetic"])
def test_tasks_that_do_not_know_their_moves_are_refused(task: str) -> None:
    made = catalogue.task(task)
    assert "know the moves" in str(catalogue.algorithm_on(made, "hybrid-dpo-stand-in").refuses(made))


def test_tasks_too_large_for_a_design_are_refused() -> None:
    made = catalogue.task("random-walk/1000")
    assert "too large" in str(catalogue.algorithm_on(made, "hybrid-dpo-stand-in").refuses(made))


def test_its_name_says_what_it_is_and_no_suite_of_ours_has_it() -> None:
    assert "stand-in" in str(catalogue.algorithm("hybrid-dpo-stand-in").information)
    for file in list_suites().values():
        assert "hybrid-dpo-stand-in" not in file.read_text()
