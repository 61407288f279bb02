"""Flows as policies: the map and its inverse, densities against other ways to find them, and bytes."""

import math

import numpy as np
import pytest
import torch

from haepo_bench.policies.flow import MIXING, STEPS, Flow
from haepo_bench.policies.mlp import Network


def made(dimensions: int, seeds: int = 2, rows: int = 8, scale: float = 1.0) -> tuple[Flow, torch.Tensor, torch.Tensor]:
    """A head, outputs of networks with weights far from initial ones, and noise [seed, row, 2 dimension]."""
    head = Flow(dimensions)
    network = Network(3, (8,), head)
    rng = np.random.default_rng(dimensions)
    parameters = np.stack([network.initial(rng) for _ in range(seeds)])
    parameters = torch.from_numpy(parameters + scale * rng.normal(0, 0.3, parameters.shape).astype(np.float32))
    observations = torch.from_numpy(rng.normal(size=(seeds, 3, rows)).astype(np.float32))
    noise = torch.from_numpy(head.noise(rng, seeds, rows))
    return head, network.outputs(network.fold(parameters), observations), noise


@pytest.mark.parametrize("dimensions", [1, 2, 6])
def test_the_inverse_undoes_the_map(dimensions):
    head, outputs, noise = made(dimensions, rows=256)
    actions = head.sample(outputs, noise, None)
    assert actions.shape == (2, 256, 2 * dimensions)
    found = head.inverse(outputs, actions).transpose(1, 2)
    torch.testing.assert_close(found, noise, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_log_probabilities_are_those_of_a_change_of_variables(dimensions):
    head, outputs, noise = made(dimensions)
    outputs, noise = outputs.double(), noise.double()
    actions = head.sample(outputs, noise, None)
    found = head.log_prob(outputs, actions)
    normal = torch.distributions.Normal(0.0, 1.0)
    for seed, row in [(0, 0), (1, 3), (1, 7)]:
        own = outputs[seed : seed + 1, :, row : row + 1]

        def mapped(u, own=own):
            return head.sample(own, u[None, None], None)[0, 0]

        jacobian = torch.autograd.functional.jacobian(mapped, noise[seed, row])
        expected = normal.log_prob(noise[seed, row]).sum() - torch.linalg.slogdet(jacobian).logabsdet
        torch.testing.assert_close(found[seed, row], expected, rtol=0, atol=1e-10)
        assert torch.linalg.slogdet(jacobian).logabsdet == pytest.approx(2 * STEPS * dimensions * math.log(MIXING))


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_densities_integrate_to_one_and_entropy_is_exact(temperature):
    head, outputs, _ = made(1, seeds=1, rows=1)
    outputs = head.tempered(outputs.double(), temperature)
    grid = torch.linspace(-7, 7, 141, dtype=torch.float64)
    actions = torch.cartesian_prod(grid, grid)[None]
    rows = outputs.expand(-1, -1, actions.shape[1])
    log_p = head.log_prob(rows, actions)
    cell = float(grid[1] - grid[0]) ** 2
    assert float(log_p.exp().sum()) * cell == pytest.approx(1, abs=1e-4)
    if temperature == 1:
        entropy = head.evaluate(rows, actions, rows)[1]
        assert float(-(log_p.exp() * log_p).sum()) * cell == pytest.approx(float(entropy[0, 0]), abs=1e-3)
    else:  # proportional to the density to the power of 1 / temperature
        difference = log_p - head.log_prob(rows[:, : head.outputs], actions) / temperature
        torch.testing.assert_close(difference, difference[:, :1].expand_as(difference), rtol=0, atol=1e-6)


def test_divergence_distance_and_greedy_actions():
    head, outputs, noise = made(2, seeds=1, rows=512)
    other = made(2, seeds=1, rows=512, scale=0.9)[1]
    actions = head.sample(outputs, noise[:1], None)
    log_probs, _, kl = head.evaluate(outputs, actions, outputs)
    assert torch.equal(log_probs, head.log_prob(outputs, actions))
    assert float(kl.abs().max()) == 0
    log_ratio = log_probs - head.log_prob(other, actions)
    kl = head.evaluate(outputs, actions, other)[2]
    assert float(kl.min()) >= 0
    # The same mean as the plain estimate within 5 standard errors: one false alarm in a million.
    error = float((kl - log_ratio).std()) / math.sqrt(512)
    assert abs(float(kl.mean() - log_ratio.mean())) < 5 * error
    apart = head.apart(outputs, actions, outputs)
    torch.testing.assert_close(apart, (actions[..., :2] - actions[..., 2:]).norm(dim=2), rtol=0, atol=1e-4)
    greedy = head.sample(outputs, noise[:1], torch.ones(512, dtype=torch.bool))
    assert bool((head.log_prob(outputs, greedy) >= log_probs).all())
    played = head.played(actions.numpy())
    np.testing.assert_allclose(played, (actions[..., :2] + actions[..., 2:]).numpy() / 2, rtol=1e-6)


def test_gradients_of_the_network_agree_with_finite_differences():
    head = Flow(1)
    network = Network(2, (4,), head)
    rng = np.random.default_rng(0)
    parameters = torch.from_numpy(network.initial(rng)[None].astype(np.float64))
    observations = torch.from_numpy(rng.normal(size=(1, 2, 8)))
    actions = torch.from_numpy(rng.normal(size=(1, 8, 2)))

    def loss(parameters: torch.Tensor) -> torch.Tensor:
        return head.log_prob(network.outputs(network.fold(parameters), observations), actions).sum()

    folded = network.fold(parameters)
    outputs, inputs = network.forward(folded, observations)
    outputs.requires_grad_()
    (back,) = torch.autograd.grad(head.log_prob(outputs, actions).sum(), outputs)
    found = network.backward(folded, inputs, back)[0]
    for number in rng.choice(sum(network.sizes[:-1]), 40, replace=False):
        step = torch.zeros_like(parameters)
        step[0, number] = 1e-5
        expected = float(loss(parameters + step) - loss(parameters - step)) / 2e-5
        assert float(found[number]) == pytest.approx(expected, rel=1e-5, abs=1e-6)
