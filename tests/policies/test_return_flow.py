"""A flow as critic: its equation, its slopes, its mean, and gradients through networks."""

import numpy as np
import pytest
import torch

from haepo_bench.policies.actor_critic import ActorCritic
from haepo_bench.policies.heads import Categorical
from haepo_bench.policies.return_flow import STEPS, WIDTH, Field, ReturnFlow
from haepo_bench.training.segments.flow_returns import flow_errors


def made(seeds: int = 2, rows: int = 5, spread: float = 0.2) -> torch.Tensor:
    """Outputs [seed, output, row] in double precision, of which those behind c(s) and m(s) are the same in all rows.

    Args:
        spread: of what is added to the initial values of those.
    """
    rng = np.random.default_rng(0)
    critic = ReturnFlow()
    free = np.stack([critic.head.initial_free(rng, 0.0) for _ in range(seeds)])
    free = np.repeat((free + rng.normal(0, spread, free.shape))[:, :, None], rows, 2)
    return torch.from_numpy(np.concatenate([rng.normal(size=(seeds, WIDTH + 1, rows)), free], 1))


def by_hand(outputs: np.ndarray, z: float, step: int) -> float:
    """x(z, t, s) of one row's outputs, number by number."""
    c, m = outputs[:WIDTH], outputs[WIDTH]
    a, e, w = (outputs[WIDTH + 1 + i * WIDTH :][:WIDTH] for i in range(3))
    b, u = outputs[4 * WIDTH + 1], outputs[4 * WIDTH + 2 :]
    t = step / STEPS
    y = z - t * m
    units = sum(w[i] / (1 + np.exp(-(c[i] + a[i] * y / (1 - t) + e[i] * t))) for i in range(WIDTH))
    return float(m + units + b + u[step] * y)


def test_paths_are_those_of_the_equation():
    outputs, noise = made(), torch.tensor([[0.3, -1.2, 0.0, 2.0, 0.7]] * 2, dtype=torch.float64)
    path = ReturnFlow().field(outputs).path(noise)
    assert path.shape == (2, STEPS + 1, 5)
    for seed, row in [(0, 0), (1, 3)]:
        z = float(noise[seed, row])
        for step in range(STEPS):
            assert float(path[seed, step, row]) == pytest.approx(z, rel=1e-9)
            velocity = (by_hand(outputs[seed, :, row].numpy(), z, step) - z) / (1 - step / STEPS)
            z += velocity / STEPS
        assert float(path[seed, STEPS, row]) == pytest.approx(z, rel=1e-9)


def test_steps_of_rows_are_those_of_all():
    field, z = ReturnFlow().field(made()), torch.randn(2, 5, dtype=torch.float64)
    steps = torch.tensor([[0, 3, 9, 1, 5], [9, 9, 0, 2, 7]])
    found = field.velocity(z, steps)
    for seed in range(2):
        for row in range(5):
            own = field.velocity(z, int(steps[seed, row]))[seed, row]
            torch.testing.assert_close(found[seed, row], own, rtol=1e-6, atol=1e-6)


def test_the_deviation_is_the_slope_of_the_path():
    field = ReturnFlow().field(made())
    noise = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    (slope,) = torch.autograd.grad(field.path(noise)[:, -1].sum(), noise)
    torch.testing.assert_close(field.deviation(noise.detach()), slope.abs(), rtol=1e-9, atol=1e-12)


def test_a_value_is_the_mean_of_one_step():
    critic, outputs = ReturnFlow(), made(spread=0.0)
    places = (torch.arange(4001, dtype=torch.float64) + 0.5) / 4001
    noise = torch.distributions.Normal(0.0, 1.0).icdf(places)
    for seed, row in [(0, 1), (1, 4)]:
        own = critic.field(outputs[seed : seed + 1, :, row : row + 1].expand(-1, -1, len(noise)))
        mean = (noise + own.velocity(noise[None], 0)).mean()
        # Three nodes for 64 sigmoids.
        assert float(critic.values(outputs)[seed, row]) == pytest.approx(float(mean), abs=0.01)
    # Exact where x is a cubic at most: here without units, x = m + b + u z.
    flat = outputs.clone()
    flat[:, 3 * WIDTH + 1 : 4 * WIDTH + 1] = 0
    torch.testing.assert_close(critic.values(flat), flat[:, WIDTH] + flat[:, 4 * WIDTH + 1])


def test_gradients_through_the_network_are_differences():
    network = ActorCritic(3, (6,), Categorical(2), critic=ReturnFlow())
    rng = np.random.default_rng(2)
    parameters = torch.from_numpy(network.initial(rng, rng).astype(np.float64))[None]
    x = torch.from_numpy(rng.normal(size=(1, 3, 8)))
    drawn = torch.from_numpy(rng.normal(size=(1, 7, 8)))
    drawn[:, 1] = torch.from_numpy(rng.integers(0, STEPS, (1, 8)))

    def loss(theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        folded = network.fold(theta)
        outputs, estimates, inputs = network.forward(folded, x)
        estimates.requires_grad_()
        field: Field = network.critic.field(estimates)  # type: ignore[attr-defined]  # it is a flow
        found = network.critic.values(estimates).square().mean() + flow_errors(field, drawn).mean()
        (back,) = torch.autograd.grad(found, estimates)
        return found.detach(), network.backward(folded, inputs, torch.zeros_like(outputs), back)

    _, gradient = loss(parameters)
    # The first step's velocity is no part of the straightness term's gradient: taken out here, as its weight is 0.01.
    direction = torch.from_numpy(rng.normal(size=parameters.shape))
    ahead, behind = (loss(parameters + sign * 1e-5 * direction)[0] for sign in (1, -1))
    assert float((gradient * direction).sum()) == pytest.approx(float(ahead - behind) / 2e-5, rel=0.02)
