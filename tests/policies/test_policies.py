"""Policies against scipy and torch.distributions, and the shapes that keep a seed's bits its own."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from haepo_bench.policies.heads import Categorical, DiagonalGaussian, Head
from haepo_bench.policies.mlp import Network
from haepo_bench.policies.shapes import LANES, padded_rows, padded_seeds
from haepo_bench.training.adam import Adam

HEADS = [Categorical(3), DiagonalGaussian(2)]


def distribution(head: Head, outputs: torch.Tensor) -> torch.distributions.Distribution:
    """torch's own distribution for outputs [seed, output, row]."""
    rows = outputs.transpose(1, 2)
    if isinstance(head, Categorical):
        return torch.distributions.Categorical(logits=rows)
    mean, log_std = rows.chunk(2, -1)
    return torch.distributions.Independent(torch.distributions.Normal(mean, log_std.exp()), 1)


@pytest.mark.parametrize("head", HEADS, ids=lambda h: type(h).__name__)
def test_heads_agree_with_torch_distributions(head):
    g = torch.Generator().manual_seed(0)
    outputs, reference = (torch.randn(4, head.outputs, 8, generator=g) for _ in range(2))
    own, other = distribution(head, outputs), distribution(head, reference)
    actions = own.sample()
    log_probs, entropy, kl = head.evaluate(outputs, actions, reference)
    assert torch.allclose(log_probs, own.log_prob(actions), atol=1e-5)
    assert torch.equal(log_probs, head.log_prob(outputs, actions))
    assert torch.allclose(entropy, own.entropy(), atol=1e-5)
    assert torch.allclose(kl, torch.distributions.kl_divergence(own, other), atol=1e-5)


def test_discrete_samples_have_the_right_frequencies():
    """Error rate of this fixed-seed check: within 4 standard errors of each frequency."""
    head, n = Categorical(3), 40_000
    noise = torch.from_numpy(head.noise(np.random.default_rng(0), n, 1))[:, 0][None]
    logits = torch.tensor([0.0, 1.0, -2.0])[None, :, None].expand(1, 3, n)
    p = torch.softmax(torch.tensor([0.0, 1.0, -2.0]), 0)
    counts = torch.bincount(head.sample(logits, noise, None)[0], minlength=3) / n
    assert ((counts - p).abs() < 4 * (p * (1 - p) / n).sqrt()).all()
    greedy = torch.arange(n) % 2 == 0
    assert (head.sample(logits, noise, greedy)[0][greedy] == 1).all()


def test_gaussian_samples_have_the_right_moments():
    head, n = DiagonalGaussian(2), 40_000
    noise = torch.from_numpy(head.noise(np.random.default_rng(0), n, 1))[:, 0][None]
    outputs = torch.tensor([1.0, -2.0, np.log(0.5), np.log(2.0)], dtype=torch.float32)[None, :, None].expand(1, 4, n)
    actions = head.sample(outputs, noise, None)[0]
    assert actions.mean(0).tolist() == pytest.approx([1.0, -2.0], abs=4 * 2 / n**0.5)
    assert actions.std(0).tolist() == pytest.approx([0.5, 2.0], rel=0.02)
    greedy = head.sample(outputs, noise, torch.ones(n, dtype=torch.bool))[0]
    assert torch.equal(greedy, torch.tensor([1.0, -2.0]).expand(n, 2))


@pytest.mark.parametrize(("activation", "plain"), [("tanh", np.tanh), ("relu", lambda z: np.maximum(z, 0))])
def test_network_equals_its_plain_equation(activation, plain):
    network = Network(3, (7, 5), Categorical(4), activation=activation)
    parameters = np.stack([network.initial(np.random.default_rng(s)) for s in range(2)])
    x = np.random.default_rng(9).standard_normal((2, 3, 8)).astype(np.float32)
    outputs = network.outputs(network.fold(torch.from_numpy(parameters)), torch.from_numpy(x)).numpy()
    for seed in range(2):
        named = network.named(torch.from_numpy(parameters[seed]))
        h = x[seed].astype(np.float64)
        for layer in range(3):
            h = named[f"weight_{layer}"] @ h + named[f"bias_{layer}"][:, None]
            h = plain(h) if layer < 2 else h
        np.testing.assert_allclose(outputs[seed], h, atol=1e-6)


def test_initial_weights_are_orthogonal_and_the_last_layer_is_small():
    network = Network(4, (64, 64), DiagonalGaussian(2))
    named = network.named(torch.from_numpy(network.initial(np.random.default_rng(0))))
    np.testing.assert_allclose(named["weight_0"].T @ named["weight_0"], 2 * np.eye(4), atol=1e-5)
    np.testing.assert_allclose(named["weight_1"].T @ named["weight_1"], 2 * np.eye(64), atol=1e-5)
    np.testing.assert_allclose(named["weight_2"] @ named["weight_2"].T, 1e-4 * np.eye(2), atol=1e-8)
    assert not named["bias_1"].any()
    assert not named["log_std"].any()


@pytest.mark.parametrize("hidden", [(), (1,), (6,), (5, 4), (3, 1, 2)])
@pytest.mark.parametrize("head", HEADS, ids=lambda h: type(h).__name__)
@pytest.mark.parametrize("inputs", [1, 3])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_backward_is_the_gradient_that_autograd_finds(hidden, head, inputs, activation):
    network = Network(inputs, hidden, head, activation=activation)
    g = torch.Generator().manual_seed(0)
    parameters = torch.randn(2, sum(network.sizes), generator=g, dtype=torch.float64)
    x = torch.randn(2, inputs, 8, generator=g, dtype=torch.float64)
    weights = torch.randn(2, head.outputs, 8, generator=g, dtype=torch.float64)
    leaf = parameters.clone().requires_grad_()
    plain = []
    for seed in range(2):
        h, position = x[seed], 0
        for number, (a, b) in enumerate(zip(network.widths, network.widths[1:], strict=False)):
            weight = leaf[seed, position : position + a * b].view(b, a)
            position += a * b
            h = weight @ h + leaf[seed, position : position + b, None]
            position += b
            h = getattr(torch, activation)(h) if number < len(hidden) else h
        if isinstance(head, DiagonalGaussian):
            h = torch.cat([h, leaf[seed, position : position + 2, None].expand(-1, 8)])
        plain.append(h)
    outputs, layer_inputs = network.forward(network.fold(parameters), x)
    assert torch.allclose(outputs, torch.stack(plain), atol=1e-12)
    (expected,) = torch.autograd.grad((torch.stack(plain) * weights).sum(), leaf)
    assert torch.allclose(network.backward(network.fold(parameters), layer_inputs, weights), expected, atol=1e-12)


def test_adam_equals_torch_adam_also_after_rows_leave():
    g = torch.Generator().manual_seed(0)
    ours = torch.randn(3, 32, generator=g)
    theirs = ours.clone().requires_grad_()
    reference = torch.optim.Adam([theirs], lr=0.01)
    adam = Adam(ours, 0.01)
    for step in range(10):
        gradient = torch.randn(3, 32, generator=g)
        theirs.grad = gradient.clone()
        reference.step()
        if step == 5:
            ours = ours[[0, 2]]
            adam.keep([0, 2], ours)
        adam.step(gradient if step < 5 else gradient[[0, 2]])
    assert torch.allclose(ours, theirs.detach()[[0, 2]], atol=1e-6)


@settings(deadline=None, max_examples=200)
@given(
    hidden=st.lists(st.integers(1, 17), max_size=2),
    inputs=st.integers(1, 17),
    actions=st.integers(1, 17),
    gaussian=st.booleans(),
    activation=st.sampled_from(["tanh", "relu"]),
    rows=st.integers(1, 64),
    seeds=st.integers(1, 7),
    trajectories=st.integers(1, 9),
    data=st.data(),
)
def test_a_seed_has_the_same_bits_whoever_is_beside_it(
    hidden, inputs, actions, gaussian, activation, rows, seeds, trajectories, data
):
    """Forward, distribution, softmax across trajectories, backward and Adam: alone and among others, bit for bit."""
    head = DiagonalGaussian(actions) if gaussian else Categorical(actions)
    network = Network(inputs, tuple(hidden), head, activation=activation)
    n = network.padded_rows(rows)
    g = torch.Generator().manual_seed(rows * 31 + inputs)
    parameters = torch.from_numpy(np.stack([network.initial(np.random.default_rng(s)) for s in range(seeds)]))
    x = torch.randn(seeds, inputs, n, generator=g)
    picked = data.draw(st.lists(st.integers(0, seeds - 1), min_size=1, max_size=seeds, unique=True))
    noise = torch.from_numpy(np.stack([head.noise(np.random.default_rng(s), n, 1)[:, 0] for s in range(seeds)]))
    scores = torch.randn(seeds, trajectories, generator=g)

    def everything(which: list[int]) -> list[torch.Tensor]:
        own = parameters[which]
        outputs, inputs_of_layers = network.forward(network.fold(own), x[which])
        chosen = head.sample(outputs, noise[which], None)
        leaf = outputs.clone().requires_grad_()
        evaluated = head.evaluate(leaf, chosen, outputs * 0.5)
        (back,) = torch.autograd.grad(sum(part.sum() for part in evaluated), leaf)
        gradient = network.backward(network.fold(own), inputs_of_layers, back)
        updated = own.clone()
        Adam(updated, 0.01).step(gradient)
        padded = torch.zeros(padded_seeds(len(which), trajectories), trajectories)
        padded[: len(which)] = scores[which]
        weights = torch.log_softmax(padded, -1).exp()[: len(which)]
        return [chosen, *(part.detach() for part in evaluated), back, gradient, updated, weights]

    together = everything(list(range(seeds)))
    for full, part in zip(together, everything(picked), strict=True):
        assert torch.equal(full[picked], part)


def test_padding():
    assert LANES == 32
    assert [padded_rows(n, [64, 2]) for n in (1, 16, 17)] == [16, 16, 32]
    assert padded_rows(1, [64, 3]) == 32
    assert [padded_seeds(n, 16) for n in (1, 2, 3)] == [2, 2, 4]
    assert padded_seeds(1, 5) == 32
