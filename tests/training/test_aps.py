"""`aps`, and `pretraining` of all native algorithms: its rewards, the regression of w, what is trained on what."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.engine.library import status
from haepo_bench.errors import ParameterError
from haepo_bench.policies.conditioned import Conditioned
from haepo_bench.policies.heads import Categorical, DiagonalGaussian
from haepo_bench.policies.mlp import Network
from haepo_bench.tasks.base import Normalise
from haepo_bench.tasks.finite.maze import MOVES, generated
from haepo_bench.tasks.finite.tabular import Tabular
from haepo_bench.training.episodes.intrinsic import Features, Steps, entropy_reward, nearest, regressed

ENGINES = ["torch", *(["compiled"] if status().library is not None else [])]
#: Columns of pretraining that no reward counts in.
UNREWARDED = ("state_coverage", "entropy_reward", "skill_reward", "policy_entropy", "loss")


def by_hand(points: NDArray[Any], k: int, before: list[float]) -> NDArray[Any]:
    """log(1 + mean max(d / M - 1e-4, 0)) from all pairs of points; adds the distances to those of `before`."""
    pairs = np.sqrt(((points[:, None] - points[None]) ** 2).sum(2))
    closest = np.sort(pairs, 1)[:, :k]
    before += closest.ravel().tolist()
    mean = sum(before) / len(before) or 1.0
    return np.array([np.log(1 + sum(max(d / mean - 1e-4, 0) for d in row) / len(row)) for row in closest])


@pytest.mark.parametrize(("points", "k"), [(40, 12), (5, 12), (2, 2), (200, 3)])
def test_entropy_rewards_are_those_of_all_pairs(points: int, k: int) -> None:
    rng = np.random.default_rng(points)
    drawn = rng.normal(size=(points, 4))
    drawn[points // 2 :] = drawn[: points - points // 2]  # states of finite tasks are seen many times
    distances = nearest(drawn, k)
    seen: list[float] = []
    wanted = by_hand(drawn, k, seen)
    np.testing.assert_allclose(entropy_reward(distances, sum(seen) / len(seen)), wanted, atol=1e-12)


def test_states_that_all_look_alike_give_no_entropy() -> None:
    assert not entropy_reward(nearest(np.ones((30, 3)), 12), 0.0).any()


def made(inputs: int = 5, size: int = 3, seeds: tuple[int, ...] = (0,), k: int = 6) -> Features:
    return Features(inputs, (8,), size, k, seeds)


def drawn_steps(number: int, count: int, inputs: int = 5, size: int = 3) -> Steps:
    rng = np.random.default_rng(number)
    w = rng.normal(size=(count, size))
    return Steps(
        rng.normal(size=(count, inputs)).astype(np.float32), (w / np.linalg.norm(w, axis=1)[:, None]).astype("f4")
    )


def test_rewards_are_entropy_and_the_direction_w_with_one_running_mean() -> None:
    features = made()
    seen: list[float] = []
    for number, count in enumerate((30, 17)):
        steps = drawn_steps(number, count)
        phi = features.of(0, steps.arrived)
        found = features.rewards(0, steps)
        np.testing.assert_allclose(found.entropy, by_hand(phi, 6, seen), atol=1e-9)
        cosines = [float(w @ p) / float(np.sqrt(p @ p)) for w, p in zip(steps.w, phi, strict=True)]
        np.testing.assert_allclose(found.skill, cosines, atol=1e-7)


def test_features_follow_the_gradient_of_the_mean_direction() -> None:
    features, steps = made(), drawn_steps(3, 21)
    parameters = features._parameters.clone().requires_grad_()
    rows = torch.from_numpy(steps.arrived.T.copy())[None]
    network = features._network
    phi = network.outputs(network.fold(parameters), rows)[0].T
    loss = -(torch.from_numpy(steps.w) * phi / phi.norm(dim=1, keepdim=True)).sum(1).mean()
    (wanted,) = torch.autograd.grad(loss, parameters)
    torch.testing.assert_close(features._gradient(0, steps), wanted[0], atol=1e-6, rtol=1e-4)
    before = features.rewards(0, steps).skill.mean()
    for _ in range(200):
        features.learn([steps])
    assert features.rewards(0, steps).skill.mean() > before + 0.05


def test_regression_recovers_the_direction_of_the_rewards() -> None:
    rng = np.random.default_rng(5)
    phi, w = rng.normal(size=(4096, 10)), rng.normal(size=10)
    w /= np.linalg.norm(w)
    rewards = 3.7 * (phi / np.linalg.norm(phi, axis=1, keepdims=True)) @ w
    np.testing.assert_allclose(regressed(5 * phi, rewards), w, atol=1e-10)
    # Noise of standard deviation 1: errors of a number of w are about sqrt(10 / 4096) / 3.7 = 0.013 at the seed drawn.
    noisy = regressed(phi, rewards + rng.normal(size=4096))
    assert float(noisy @ w) > 0.99
    assert not regressed(phi, np.zeros(4096)).any()
    assert not regressed(np.zeros((0, 10)), np.zeros(0)).any()


@pytest.mark.parametrize("hidden", [(9, 5), ()])
@pytest.mark.parametrize("head", [Categorical(3), DiagonalGaussian(2)])
def test_a_policy_at_w_is_a_policy_of_observations(hidden: tuple[int, ...], head: Any) -> None:
    rng = np.random.default_rng(6)
    plain = Network(4, hidden, head)
    both = Conditioned(plain, 3)
    own = torch.from_numpy(plain.initial(rng)) + 0.1
    own[sum(plain.sizes[:-1]) :] = 0.0
    wide = both.initial(own, rng)
    assert torch.equal(both.given(wide, torch.zeros(3)), own)
    w = torch.from_numpy(rng.normal(size=3)).float()
    shown = torch.from_numpy(rng.normal(size=(1, 4, 16))).float()
    wider = torch.cat([shown, w[None, :, None].expand(1, 3, 16)], 1)
    of_both = both.network.outputs(both.network.fold(wide[None]), wider)
    at_w = plain.outputs(plain.fold(both.given(wide, w)[None]), shown)
    torch.testing.assert_close(at_w, of_both, atol=1e-6, rtol=1e-5)
    assert not torch.equal(both.given(wide, w), own)


def table(moves: NDArray[Any], rewards: NDArray[Any], *, start: int, horizon: int) -> Tabular:
    """A task whose episodes never end before the horizon."""
    endless = np.zeros(len(moves), bool)
    given: dict[str, Any] = {"version": 1, "next_state": moves, "reward": rewards, "terminal": endless}
    return Tabular("test/table", "test", start=start, horizon=horizon, **given)


def maze(size: int, horizon: int) -> Tabular:
    """A maze without rewards."""
    (drawing,) = generated(size, 1)
    row, column = np.divmod(np.arange(size * size), size)
    ahead = ~drawing[2 * row[:, None] + 1 + MOVES[:, 0], 2 * column[:, None] + 1 + MOVES[:, 1]]
    moves = np.arange(size * size)[:, None] + np.where(ahead, MOVES @ (size, 1), 0)
    return table(moves, np.zeros(moves.shape), start=0, horizon=horizon)


def line(right: bool, cells: int = 9, horizon: int = 16) -> Tabular:
    """Left or right from the middle of a line; every step gives more the nearer it leads to one end."""
    at = np.arange(cells)
    moves = np.stack([np.maximum(at - 1, 0), np.minimum(at + 1, cells - 1)], 1)
    worth = at / (cells - 1) / horizon
    return table(moves, (worth if right else worth[::-1])[moves], start=cells // 2, horizon=horizon)


def test_a_maze_without_rewards_is_covered_faster_than_by_chance() -> None:
    """Relative to a uniform policy, of which 1 is expected. Fixed seeds, so no error rate: 1.19 seen."""
    found = train("aps", maze(8, 100), [0, 1, 2], 40_000, 40_000, pretraining=1.0).values()
    assert np.mean([result.curve["relative_coverage"][-1] for result in found]) > 1.1
    assert all(result.curve["eval_return"] == [0.0, 0.0] for result in found)


def test_half_of_the_budget_is_trained_without_rewards() -> None:
    (result,) = train("aps", "random-walk/20", [0], 2_000, 200).values()
    assert result.curve["pretraining"][:4] == [1.0] * 4
    assert result.curve["pretraining"][-3:] == [0.0] * 3
    assert result.cost["env_steps_collected"] < 2_000 + 16 * 100
    assert result.curve["env_steps"] == list(range(0, 2_001, 200))
    (plain,) = train("reinforce", "random-walk/20", [0], 2_000, 200).values()
    assert result.curve["eval_return"][0] == plain.curve["eval_return"][0]  # the initial policy is everyone's
    assert "pretraining" not in plain.curve
    (only,) = train("aps", "random-walk/20", [0], 1_000, 200, pretraining=1.0).values()
    assert set(only.curve["pretraining"]) == {1.0}


def test_objectives_share_their_pretraining_and_rewards_do_not_count_in_it() -> None:
    settings: dict[str, Any] = {"pretraining": 0.5, "trajectories": 8}
    rightwards, leftwards = line(right=True), line(right=False)
    own = train("aps", rightwards, [1], 4_000, 400, **settings)[1].curve
    objective = train("grpo", rightwards, [1], 4_000, 400, **settings)[1].curve
    rewards = train("aps", leftwards, [1], 4_000, 400, **settings)[1].curve
    for name in ("eval_return", "train_return", *UNREWARDED):
        assert own[name][:5] == objective[name][:5], name
    assert own["eval_return"][6:] != objective["eval_return"][6:]
    for name in UNREWARDED:
        assert own[name][:5] == rewards[name][:5], name
    assert own["eval_return"][1:5] != rewards["eval_return"][1:5]  # w is regressed on other rewards


def test_zero_shot_beats_chance_and_fine_tuning_finds_the_optimum() -> None:
    """A uniform policy has 0.5 on average, and the best one 0.953. Fixed seeds, so no error rate: 0.67 seen."""
    zero_shot = []
    for right in (True, False):
        for result in train("aps", line(right=right), [0, 1, 2], 12_000, 1_000).values():
            zero_shot.append(np.mean(result.curve["eval_return"][2:6]))
            assert result.final["eval_return_greedy"] == pytest.approx(61 / 64)
    assert np.mean(zero_shot) > 0.6


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("task", ["multi-goal/4", "maze/4", "gym/Pendulum-v1"])
def test_a_run_is_the_same_alone_and_among_others(engine: Any, task: str) -> None:
    odd = {"trajectories": 3, "hidden": [9, 5], "epochs": 2, "pretraining": 0.5, "pretraining_rewards": 50}
    made = catalogue.task(task)
    algorithm = catalogue.algorithm("grpo").configure(odd, made)
    algorithm.engine = engine
    budget = 40 * made.horizon
    among = train(algorithm, made, [0, 1, 2, 3], budget, budget // 4)
    assert without_clocks(among[3]) == without_clocks(train(algorithm, made, [3], budget, budget // 4)[3])
    assert without_clocks(among[2]) != without_clocks(among[3])


def test_where_its_features_cannot_be_learnt_it_says_so() -> None:
    definition, task = catalogue.algorithm("aps"), catalogue.task("gym/Pendulum-v1")
    task.normalise = Normalise(True, True)
    with pytest.raises(ParameterError, match="do not follow the running statistics"):
        definition.configure({}, task)
    definition.configure({"pretraining": 0.0}, task)
    with pytest.raises(ParameterError, match="less than or equal to 1"):
        definition.configure({"pretraining": 1.5}, catalogue.task("corridor/8"))
    made = catalogue.task("lm/arithmetic")
    assert "responses have none" in str(catalogue.algorithm_on(made, "aps").refuses(made))


def test_tables_say_what_was_pretrained() -> None:
    task = catalogue.task("corridor/8")
    plain = catalogue.algorithm("grpo").configure({}, task).information
    pretrained = catalogue.algorithm("grpo").configure({"pretraining": 0.5}, task).information
    assert (plain.told, pretrained.told) == ("returns", "per-step rewards")
    assert pretrained.label == f"{plain.label}, pretrained by APS (on-policy)"
    assert "without rewards" in pretrained.footnote
    own = catalogue.algorithm("aps").configure({}, task).information
    assert (own.label, own.told) == ("APS (on-policy)", "per-step rewards")
