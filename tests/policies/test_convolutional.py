"""Convolutional policies against torch's own convolutions, and the bits of a seed, alone and among others."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from haepo_bench.policies import convolutional
from haepo_bench.policies.convolutional import ConvolutionalNetwork
from haepo_bench.policies.encoders import ENCODERS, Pixels
from haepo_bench.policies.heads import Categorical, DiagonalGaussian, Head
from haepo_bench.training.adam import Adam

MINATAR, STACK = Pixels(10, 10, 4, False, 1.0), Pixels(44, 36, 2, True, 1 / 255)
CASES = [
    ("minatar", Pixels(6, 8, 4, False, 1.0), (), Categorical(3)),
    ("minatar", Pixels(5, 7, 2, True, 0.5), (6,), DiagonalGaussian(2)),
    ("nature", STACK, (6, 5), Categorical(4)),
]


def torch_model(network: ConvolutionalNetwork, parameters: Tensor, observations: Tensor) -> Tensor:
    """Outputs [output, row] of one seed, with torch's layers, from the flat parameters [parameter]."""
    position = 0

    def take(*shape: int) -> Tensor:
        nonlocal position
        size = int(np.prod(shape))
        position += size
        return parameters[position - size : position].view(shape)

    pixels = network.pixels
    x = observations.T * pixels.scale
    if pixels.channels_first:
        x = x.view(-1, pixels.channels, pixels.height, pixels.width)
    else:
        x = x.view(-1, pixels.height, pixels.width, pixels.channels).permute(0, 3, 1, 2)
    for filters, kernel, stride in network.encoder.convolutions:
        weight, bias = take(filters, x.shape[1], kernel, kernel), take(filters)
        x = functional.conv2d(x, weight, bias, stride).relu()
    x = x.flatten(1)
    weight, bias = take(network.encoder.dense, x.shape[1]), take(network.encoder.dense)
    x = functional.linear(x, weight, bias).relu()
    position += -position % 32
    widths = network.behind.widths
    for number, (a, b) in enumerate(pairwise(widths)):
        weight, bias = take(b, a), take(b)
        x = functional.linear(x, weight, bias)
        x = getattr(torch, network.behind.activation)(x) if number < len(widths) - 2 else x
    if isinstance(network.head, DiagonalGaussian):
        x = torch.cat([x, take(network.head.dimensions).expand(len(x), -1)], 1)
    return x.T


def initial(network: ConvolutionalNetwork, seeds: int) -> Tensor:
    return torch.from_numpy(np.stack([network.initial(np.random.default_rng(seed)) for seed in range(seeds)]))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(("name", "pixels", "hidden", "head"), CASES)
def test_outputs_and_gradient_are_those_of_torchs_convolutions(
    name: str, pixels: Pixels, hidden: tuple[int, ...], head: Head, activation: str
) -> None:
    network = ConvolutionalNetwork(ENCODERS[name], pixels, hidden, head, activation=activation, last_gain=1.0)
    g = torch.Generator().manual_seed(0)
    parameters = initial(network, 2).double()
    parameters += 0.01 * torch.randn(parameters.shape, generator=g, dtype=torch.float64)
    features = pixels.height * pixels.width * pixels.channels
    x = torch.rand(2, features, 8, generator=g, dtype=torch.float64) / pixels.scale
    weights = torch.randn(2, head.outputs, 8, generator=g, dtype=torch.float64)
    leaf = parameters.clone().requires_grad_()
    plain = torch.stack([torch_model(network, leaf[seed], x[seed]) for seed in range(2)])
    folded = network.fold(parameters)
    outputs, inputs = network.forward(folded, x)
    assert torch.allclose(outputs, plain, atol=1e-10)
    assert torch.equal(outputs, network.outputs(folded, x))
    (expected,) = torch.autograd.grad((plain * weights).sum(), leaf)
    assert torch.allclose(network.backward(folded, inputs, weights), expected, atol=1e-9)


def test_the_gradient_is_that_of_finite_differences() -> None:
    network = ConvolutionalNetwork(ENCODERS["nature"], Pixels(36, 36, 1, True, 1.0), (), Categorical(2))
    g = torch.Generator().manual_seed(1)
    parameters = initial(network, 1).double()
    x = torch.rand(1, 36 * 36, 8, generator=g, dtype=torch.float64)
    weights = torch.randn(1, 2, 8, generator=g, dtype=torch.float64)

    def loss(at: Tensor) -> float:
        return float((network.outputs(network.fold(at), x) * weights).sum())

    _, inputs = network.forward(network.fold(parameters), x)
    gradient = network.backward(network.fold(parameters), inputs, weights)
    for _ in range(5):
        direction = torch.randn(parameters.shape, generator=g, dtype=torch.float64)
        numerical = (loss(parameters + 1e-8 * direction) - loss(parameters - 1e-8 * direction)) / 2e-8
        assert float((gradient * direction).sum()) == pytest.approx(numerical, rel=1e-4)


@pytest.mark.parametrize(("rows", "seeds"), [(3, 5), (130, 2)])
@pytest.mark.parametrize(("name", "pixels", "hidden", "head"), CASES)
def test_a_seed_has_the_same_bits_whoever_is_beside_it(
    name: str,
    pixels: Pixels,
    hidden: tuple[int, ...],
    head: Head,
    rows: int,
    seeds: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Forward, distribution, backward and Adam: alone, among others, and in groups of any size, bit for bit."""
    network = ConvolutionalNetwork(ENCODERS[name], pixels, hidden, head)
    n = network.padded_rows(rows)
    g = torch.Generator().manual_seed(rows)
    parameters = initial(network, seeds)
    features = pixels.height * pixels.width * pixels.channels
    x = torch.randint(0, 2, (seeds, features, n), generator=g, dtype=torch.uint8)
    noise = torch.from_numpy(np.stack([head.noise(np.random.default_rng(s), n, 1)[:, 0] for s in range(seeds)]))

    def everything(which: list[int], seen: Tensor = x) -> list[Tensor]:
        own = parameters[which]
        folded = network.fold(parameters).select(torch.tensor(which)) if which[0] else network.fold(own)
        outputs, inputs = network.forward(folded, seen[which])
        chosen = head.sample(outputs, noise[which], None)
        leaf = outputs.clone().requires_grad_()
        (back,) = torch.autograd.grad(sum(p.sum() for p in head.evaluate(leaf, chosen, outputs * 0.5)), leaf)
        gradient = network.backward(folded, inputs, back)
        updated = own.clone()
        Adam(updated, 0.01).step(gradient)
        return [outputs, chosen, back, gradient, updated]

    together = everything(list(range(seeds)))
    for picked in ([seeds - 1], [0], [seeds - 1, 0]):
        for full, part in zip(together, everything(picked), strict=True):
            assert torch.equal(full[picked], part)
    for full, part in zip(together, everything(list(range(seeds)), x.float()), strict=True):  # bytes or numbers
        assert torch.equal(full, part)
    for numbers in (1, 2 * n * network._patch_numbers):
        monkeypatch.setattr(convolutional, "_GROUP_NUMBERS", numbers)
        for full, part in zip(together, everything(list(range(seeds))), strict=True):
            assert torch.equal(full, part)


def test_initial_weights_are_orthogonal_and_named() -> None:
    network = ConvolutionalNetwork(ENCODERS["minatar"], MINATAR, (5,), Categorical(3))
    assert sum(network.sizes) % 32 == 0
    named = network.named(initial(network, 1)[0])
    assert {name: array.shape for name, array in named.items()} == {
        "filters_0": (16, 4, 3, 3),
        "filter_bias_0": (16,),
        "encoder_weight": (128, 1024),
        "encoder_bias": (128,),
        "weight_0": (5, 128),
        "bias_0": (5,),
        "weight_1": (3, 5),
        "bias_1": (3,),
    }
    filters = named["filters_0"].reshape(16, 36)
    np.testing.assert_allclose(filters @ filters.T, 2 * np.eye(16), atol=1e-5)
    np.testing.assert_allclose(named["encoder_weight"] @ named["encoder_weight"].T, 2 * np.eye(128), atol=1e-5)
    assert not named["filter_bias_0"].any()


def test_chunks_and_what_is_kept_follow_from_the_size_of_images() -> None:
    small = ConvolutionalNetwork(ENCODERS["minatar"], MINATAR, (), Categorical(3))
    large = ConvolutionalNetwork(ENCODERS["nature"], Pixels(84, 84, 4, True, 1 / 255), (), Categorical(6))
    assert (small.chunk_rows, large.chunk_rows) == (256, 32)
    assert small.keeps(14_000)
    assert not large.keeps(1_000)
