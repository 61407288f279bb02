"""The encoder of the native algorithms as a features extractor of Stable-Baselines3."""

import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from haepo_bench.policies.encoders import Encoder, Pixels, layers


class EncoderExtractor(BaseFeaturesExtractor):
    """The same layers on the same flat observations: convolutions, then a dense layer, relu after each.

    Args:
        encoder: its layers.
        pixels: of the images.
    """

    def __init__(self, observation_space: spaces.Box, encoder: Encoder, pixels: Pixels) -> None:
        super().__init__(observation_space, encoder.dense)
        self._pixels = pixels
        made = layers(encoder, pixels)
        parts: list[nn.Module] = []
        for layer in made:
            filters, kernel, stride = layer.convolution
            parts += [nn.Conv2d(layer.channels, filters, kernel, stride), nn.ReLU()]
        flat = made[-1].places * made[-1].convolution.filters
        self._layers = nn.Sequential(*parts, nn.Flatten(), nn.Linear(flat, encoder.dense), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        image = self._pixels.image(observations.T[None], torch.float32)[0].movedim(-1, 0)
        encoded: Tensor = self._layers(image.contiguous())
        return encoded
