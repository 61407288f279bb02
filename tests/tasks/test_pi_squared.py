"""The closed-form prediction of HAEPO's weighted variant: against numerical derivatives, the objective, training."""

import numpy as np
import pytest
import torch
from benchmark_scripts import load
from scipy.integrate import solve_ivp

from haepo_bench.objectives.base import TrajectoryBatch
from haepo_bench.objectives.haepo import HaepoWeighted
from haepo_bench.objectives.reinforce import Reinforce
from haepo_bench.tasks.bandit.pi_squared import ARMS, reinforce, weighted_reading

REWARDS = np.array(ARMS)
POLICIES = ([0.25, 0.25, 0.25, 0.25], [0.6, 0.25, 0.1, 0.05], [0.05, 0.8, 0.1, 0.05], [0.2, 0.1, 0.1, 0.6])


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max())
    return exponentials / exponentials.sum()


def test_values_of_the_worked_example():
    policy = [0.6, 0.25, 0.1, 0.05]
    assert weighted_reading(policy).value == pytest.approx(0.2425, abs=5e-5)
    assert reinforce(policy).value == pytest.approx(0.33)
    assert weighted_reading(policy).gradient.argmax() == 1
    assert reinforce(policy).gradient.argmax() == 3


@pytest.mark.parametrize(("predict", "share"), [(weighted_reading, 0.5), (reinforce, 1.0)])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_update_direction_is_half_the_derivative_of_the_value(predict, share, policy):
    """All of it for REINFORCE. Central differences, whose error is of order 1e-10."""
    logits, h = np.log(policy), 1e-5
    numerical = [
        (predict(softmax(logits + h * unit)).value - predict(softmax(logits - h * unit)).value) / (2 * h)
        for unit in np.eye(4)
    ]
    assert predict(policy).gradient == pytest.approx(share * np.array(numerical), abs=1e-8)


@pytest.mark.parametrize(("objective", "predict"), [(HaepoWeighted, weighted_reading), (Reinforce, reinforce)])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("normalisation", ["none", "standardise"])
def test_the_objectives_gradient_on_a_large_batch_is_the_predicted_one(objective, predict, policy, normalisation):
    """On 40 batches of 20,000 pulls: within 4.5 standard errors of their mean in each of 64 comparisons.

    With other streams one run in about 250 would fail (Student's t with 39 degrees of freedom: 6e-5 a comparison), for
    right predictions; the batches are large enough that their finite size moves the expectation by less than that.
    """
    batches, pulls = 40, 20_000
    arms = np.random.default_rng(0).choice(4, p=policy, size=(batches, pulls))
    logits = torch.log(torch.tensor(policy, dtype=torch.float64)).repeat(batches, 1).requires_grad_()
    log_probs = torch.log_softmax(logits, -1).gather(1, torch.from_numpy(arms))[:, None, :, None]
    rewards, nothing = torch.from_numpy(REWARDS[arms])[:, None, :], torch.zeros_like(log_probs)
    batch = TrajectoryBatch(
        log_probs=log_probs,
        entropy=nothing,
        kl_to_reference=nothing,
        behaviour_log_probs=log_probs.detach(),
        reference_log_probs=log_probs.detach(),
        mask=torch.ones(batches, 1, pulls, 1, dtype=torch.bool),
        rewards=rewards[..., None],
        returns=rewards,
        horizon=1,
    )
    made = objective(entropy_coefficient=0.0, kl_coefficient=0.0, return_normalisation=normalisation)
    loss = made(batch).loss
    (gradient,) = torch.autograd.grad(-loss.sum(), logits)
    found = gradient.numpy()
    predicted = predict(policy)
    p = np.array(policy)
    deviation = 1.0 if normalisation == "none" else np.sqrt(p @ REWARDS**2 - (p @ REWARDS) ** 2)
    errors = found.std(0, ddof=1) / batches**0.5
    assert (np.abs(found.mean(0) - predicted.gradient / deviation) < 4.5 * errors + 1e-12).all()
    assert errors.max() < 0.005  # small against the gradients, whose largest parts are 0.02 to 0.5
    if normalisation == "none" and objective is HaepoWeighted:
        values = -loss.detach().numpy()
        assert values.mean() == pytest.approx(predicted.value, abs=4.5 * values.std(ddof=1) / batches**0.5)


@pytest.mark.parametrize(
    ("predict", "policy", "leaders"),
    [
        (weighted_reading, [0.6, 0.25, 0.1, 0.05], [(1, 11), (2, 55), (3, 93)]),
        (reinforce, [0.6, 0.25, 0.1, 0.05], [(1, 10), (3, 20)]),
        (weighted_reading, [0.85, 0.1, 0.04, 0.01], [(1, 91), (2, 464), (3, 319_000)]),
        (reinforce, [0.85, 0.1, 0.04, 0.01], [(1, 27), (2, 40), (3, 94)]),
    ],
)
def test_which_arm_leads_when(predict, policy, leaders):
    """The table of the module's docstring, by numerical integration of the gradient flow."""
    end = 1.1 * leaders[-1][1]
    flow = solve_ivp(
        lambda t, logits: predict(softmax(logits)).gradient,
        (0, end),
        np.log(policy),
        method="LSODA",
        rtol=1e-8,
        atol=1e-10,
        dense_output=True,
    )
    times = np.geomspace(1, end, 4000)
    leading = np.array([flow.sol(t).argmax() for t in times])
    changes = np.flatnonzero(np.diff(leading)) + 1
    assert leading[0] == 0
    assert leading[changes].tolist() == [arm for arm, _ in leaders]
    assert times[changes] == pytest.approx([t for _, t in leaders], rel=0.02)


def test_the_real_training_loop_follows_the_prediction():
    """Ten updates of 4,096 pulls: each batch's mean return lies within 6 standard errors of the predicted policy's.

    Rewards deviate by at most 0.4 from their mean. 4.5 for the batch's own noise, the rest for what earlier batches
    moved.
    """
    predictions = load("predictions")
    for name in ("haepo-weighted", "reinforce"):
        curves = predictions.compare_training(name, (0.6, 0.25, 0.1, 0.05), seeds=2, updates=10, pulls=4096)
        assert curves.measured.shape == (2, 10)
        assert curves.predicted[:, 0] == pytest.approx(0.33, abs=0.01)
        assert (curves.predicted[:, -1] > 0.34).all()
        assert curves.measured == pytest.approx(curves.predicted, abs=6 * 0.4 / 64)


def test_predictions_are_printed_and_drawn(tmp_path, monkeypatch, capsys):
    predictions = load("predictions")
    monkeypatch.setattr(predictions, "POLICIES", 3)
    monkeypatch.setattr("sys.argv", ["predictions.py", "--seeds=2", "--updates=4", "--trajectories=64",
                                     f"--out={tmp_path}/p.png"])  # fmt: skip
    predictions.main()
    printed = capsys.readouterr().out
    assert printed.count("| haepo-weighted |") == printed.count("| reinforce |") == 7
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
