"""What a flow as critic learns from: samples, losses by hand, and the return's distribution on a chain."""

import itertools
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from test_rows import Kept, timeless, trained
from training_support import train, without_clocks

from haepo_bench import catalogue
from haepo_bench.errors import ParameterError
from haepo_bench.policies.return_flow import STEPS, WIDTH, Field
from haepo_bench.training.advantages import generalised_advantages
from haepo_bench.training.algorithm import BatchRow
from haepo_bench.training.segments.flow_returns import Drawn, FlowReturns, flow_errors, sampled_returns

STUDY = runpy.run_path(str(Path(__file__).parent.parent.parent / "studies" / "flow_critic.py"))


def linear(centres: np.ndarray, slopes: np.ndarray | None = None) -> Field:
    """x = m + u_t (z - t m) for centres [seed, row]: the exact flow of Gaussian returns where the slopes fit."""
    seeds, rows = centres.shape
    skips = np.zeros((seeds, STEPS)) if slopes is None else np.tile(slopes, (seeds, 1))
    seen = np.concatenate([np.zeros((seeds, WIDTH, rows)), centres[:, None]], 1)
    parts = (seen, np.zeros((seeds, WIDTH, 2)), np.zeros((seeds, 1, WIDTH)), np.zeros((seeds, 1, 1)), skips)
    return Field(*(torch.from_numpy(part.astype(np.float32)) for part in parts))


def returns_of(here: Field, after: Field, rewards: np.ndarray, over: np.ndarray, gamma: float, decay: float):
    streams = [np.random.default_rng(seed) for seed in range(len(rewards))]
    return FlowReturns(here, after, rewards, over, gamma=gamma, gae_lambda=decay, streams=streams)


def test_a_sample_has_the_mean_that_advantages_are_estimated_with():
    """All 2^5 ways to go on or not, each with its probability."""
    rng = np.random.default_rng(3)
    rewards, values = rng.normal(size=(2, 1, 1, 5)).astype(np.float32)
    last, decay = np.array([[0.7]], np.float32), 0.6
    over = np.array([[[False, False, True, False, False]]])
    ends = np.concatenate([values[:, :, 1:], last[:, :, None]], 2)
    mean = np.zeros(5)
    for ways in itertools.product([True, False], repeat=5):
        chances = np.where(ways, 0.0, 0.99).astype(np.float32)[None, None]
        weight = math.prod(decay if way else 1 - decay for way in ways)
        mean += weight * sampled_returns(rewards, ends, over, chances, gamma=0.9, decay=decay)[0, 0]
    advantages = generalised_advantages(rewards, values, last, over, gamma=0.9, gae_lambda=decay)
    np.testing.assert_allclose(mean, (values + advantages)[0, 0], rtol=1e-5)


def test_samples_are_of_what_follows_each_step():
    """Where x is m(s) whatever z, every path ends at m of what follows, also at the end of an environment's segment."""
    centres = np.arange(8.0).reshape(1, 8)  # two environments, three steps, padding
    rewards = np.full((1, 2, 3), 0.5, np.float32)
    over = np.array([[[False, True, False], [False, False, False]]])
    made = returns_of(linear(centres), linear(np.array([[10.0, 20.0]])), rewards, over, 0.5, 0.0)
    of = Drawn(*made.drawn().unbind(1))
    np.testing.assert_allclose(of.returns[0], [0.5 + 0.5 * m for m in (1, -0.0, 10, 4, 5, 20)], rtol=1e-6)
    assert of.follows[0].tolist() == [1, 0, 1, 1, 1, 1]
    again = Drawn(*made.drawn().unbind(1))
    assert not torch.equal(again.noise, of.noise)
    # Something of each step: R = r + gamma (r + gamma ...) where it always goes on.
    whole = returns_of(linear(centres), linear(np.array([[10.0, 20.0]])), rewards, over, 0.5, 1.0)
    np.testing.assert_allclose(Drawn(*whole.drawn().unbind(1)).returns[0, :2], [0.5 + 0.25, 0.5], rtol=1e-6)


def test_the_loss_of_a_step_is_that_of_its_equation():
    field = linear(np.array([[0.8, -0.3]]), np.linspace(0.1, 0.6, STEPS))
    drawn = torch.tensor([[[0.4, -1.0], [3, 7], [1.5, 0.2], [0.9, 0.1], [-0.5, 2.0], [1, 0], [0.7, 1.2]]])
    found = flow_errors(field, drawn)
    for row, centre in enumerate((0.8, -0.3)):
        eps, step, sample, point, target, follows, confidence = (float(x) for x in drawn[0, :, row])
        t = step / STEPS

        def velocity(z: float, at: int, centre: float = centre) -> float:
            u, when = 0.1 + 0.5 * at / 9, at / STEPS
            return (centre + u * (z - when * centre) - z) / (1 - when)

        anchor = velocity(t * sample + (1 - t) * eps, int(step)) - (sample - eps)
        bootstrapped = velocity(point, int(step)) - target
        first = velocity(eps, 0)
        straight = (1 - t) * (first - velocity(eps + t * first, int(step)))
        expected = confidence * (anchor**2 + follows * bootstrapped**2) + 0.01 * straight**2
        assert float(found[0, row]) == pytest.approx(expected, rel=1e-5)


def test_the_bootstrapped_loss_has_the_minimum_of_the_anchor():
    """Returns N(1, 4) from what follows, a reward of 0.5, gamma 0.9: at each time the line that fits best is exact.

    Of a Gaussian return N(m, d^2) the velocity is linear in z, with x = m + t d^2 / (t^2 d^2 + (1 - t)^2) (z - t m).
    100,000 steps: standard errors of the lines' heights below 0.02; ten of Euler's steps make the deviation smaller.
    """
    N, gamma, reward, mean, deviation = 100_000, 0.9, 0.5, 1.0, 2.0

    def slopes(d: float) -> np.ndarray:
        t = np.arange(STEPS) / STEPS
        return t * d**2 / (t**2 * d**2 + (1 - t) ** 2)

    following = linear(np.full((1, N), mean), slopes(deviation))
    rewards, over = np.full((1, N, 1), reward, np.float32), np.zeros((1, N, 1), bool)
    of = Drawn(*returns_of(following, following, rewards, over, gamma, 0.95).drawn().unbind(1))
    exact = linear(np.full((1, N), reward + gamma * mean), slopes(gamma * deviation))
    velocity = exact.velocity(of.point, of.step.long())
    for step in range(STEPS):
        rows = of.step[0] == step
        points, targets = of.point[0, rows].double().numpy(), of.velocity[0, rows].double().numpy()
        slope, height = np.polyfit(points, targets, 1)
        places = np.quantile(points, [0.1, 0.5, 0.9])
        nearest = [int(np.abs(points - place).argmin()) for place in places]
        expected = velocity[0, rows].numpy()[nearest]
        np.testing.assert_allclose(slope * points[nearest] + height, expected, atol=0.12)
    # And the anchor's samples have that mean, and the deviation that Euler's steps leave: here 86 % of it.
    left = float(following.deviation(torch.zeros(1, N))[0, 0])
    assert left == pytest.approx(0.86 * deviation, rel=0.01)
    assert float(of.returns.mean()) == pytest.approx(reward + gamma * mean, abs=0.03)
    assert float(of.returns.std()) == pytest.approx(gamma * left, rel=0.02)


def test_the_distribution_of_a_chain_is_recovered_at_the_rate_of_its_sample():
    """Wasserstein's distance falls as about 1 / sqrt(n).

    The slope of its logarithm over that of n, fitted to four means of 8 seeds, is -0.5 with a standard error of 0.09
    where nothing but the outcomes is random (simulated), so that fresh seeds would leave this interval in 0.6 % of all
    cases; seeds are fixed. A critic that is wrong by a constant has a slope near 0.
    """
    sizes = (16, 64, 256, 1024)
    found = [STUDY["learnt"](STUDY["Chain"](n)) for n in sizes]
    distances = [one.distance.mean() for one in found]
    slope = np.polyfit(np.log(sizes), np.log(distances), 1)[0]
    assert -0.75 < slope < -0.25
    assert distances[-1] < 0.08
    for one in found:  # at most so much is the network's own
        assert one.distance.mean() < one.sampled.mean() + 0.1


@pytest.mark.parametrize(
    ("name", "task", "parameters"),
    [
        ("dfpo-reconstructed", "gym/CartPole-v1", {"n_envs": 3, "n_steps": 19, "batch_size": 13, "net_arch": [9, 5]}),
        ("dfpo-reconstructed", "random-walk/5", {"n_envs": 5, "n_steps": 10, "net_arch": []}),
        ("ppo-batched", "gym/CartPole-v1", {"critic": "flow", "n_steps": 19, "target_kl": 0.001}),
        ("genpo", "gym/Pendulum-v1", {"critic": "flow", "n_steps": 19}),
    ],
)
def test_a_run_is_the_same_alone_and_among_others(name, task, parameters):
    among = train(name, task, [0, 1, 2], 240, 120, n_epochs=2, **parameters)
    alone = train(name, task, [2], 240, 120, n_epochs=2, **parameters)
    assert without_clocks(among[2]) == without_clocks(alone[2]) != without_clocks(among[1])
    assert among[2].status == "done"
    assert among[2].curve["flow_loss"][-1] > 0


def test_rows_of_several_configurations_have_the_bytes_that_they_have_alone_and_go_on_from_checkpoints():
    task, definition = "gym/CartPole-v1", catalogue.algorithm("dfpo-reconstructed")
    fixed = {"n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2, "net_arch": [8]}
    made = [
        definition.configure({**fixed, "gae_lambda": decay, "target_kl": bound}, catalogue.task(task))
        for decay, bound in ((0.5, None), (0.95, 0.001))
    ]
    rows = [BatchRow(10 + key, key // 2, made[key % 2]) for key in range(4)]
    kept = Kept()
    results, policies, failures = trained(task, rows, budget=160, checkpoints=kept)
    assert not failures
    assert set(kept.kept) == {10, 11, 12, 13}
    for row in rows:
        one = [BatchRow(row.seed, row.seed, row.algorithm)]
        alone, own, _ = trained(task, one, budget=160)
        assert timeless(alone[row.seed]) == timeless(results[row.key])
        assert own[row.seed] == policies[row.key]
        again, own, _ = trained(task, one, budget=160, checkpoints=Kept({row.seed: kept.kept[row.key]}))
        assert again[row.seed].provenance["resumed"][0]["iteration"] == 2
        assert own[row.seed] == policies[row.key]


def test_kernels_leave_flows_to_torch():
    task = catalogue.task("gym/CartPole-v1")
    for name, parameters in (("dfpo-reconstructed", {}), ("ppo-batched", {"critic": "flow"})):
        assert catalogue.algorithm(name).configure(parameters, task).engines(task, "cpu") == ("torch",)
    assert "compiled" in catalogue.algorithm("ppo-batched").configure({}, task).engines(task, "cpu")


@pytest.mark.parametrize(
    ("name", "parameters", "says"),
    [
        ("ppo", {"critic": "flow"}, "Stable-Baselines3 has no flow"),
        ("dfpo-reconstructed", {"critic": "scalar"}, "defined by a flow as critic"),
        ("ppo-batched", {"critic": "flows"}, "scalar"),
        ("reinforce", {"critic": "flow"}, "reinforce has no parameter 'critic'"),
    ],
)
def test_what_does_not_go_with_a_flow_is_refused(name, parameters, says):
    with pytest.raises(ParameterError, match=says) as caught:
        catalogue.algorithm(name).configure(parameters, catalogue.task("gym/CartPole-v1"))
    assert caught.value.parameter == "critic"


def test_language_tasks_are_refused():
    definition, task = catalogue.algorithm("dfpo-reconstructed"), catalogue.task("lm/arithmetic")
    assert "scalars" in (definition.refuses(task) or "")
    assert catalogue.algorithm_on(task, "dfpo-reconstructed").refuses(task)


def test_settings_are_those_of_ppo_batched_but_for_the_critic():
    for address in ("gym/CartPole-v1", "random-walk/20"):
        task = catalogue.task(address)
        own = catalogue.algorithm("dfpo-reconstructed").configure({}, task).parameters
        others = catalogue.algorithm("ppo-batched").configure({}, task).parameters
        assert {k for k in own if own[k] != others[k]} == {"critic", "normalize", "vf_coef"}
