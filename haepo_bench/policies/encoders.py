"""Convolutional encoders: an image to a vector, for many seeds at once.

A convolution is a product over patches: pixels are laid out [seed, channel, row of pixels, column, row], with the rows
(steps) last, so that patches are copies of whole runs of memory and the product has the shape of every other one here:
[seed, feature, row]. Its bits do not depend on how many seeds there are (shapes.py), which a library's convolution,
with its choice of algorithms by shape, does not promise.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Convolution(NamedTuple):
    """A layer of square filters, without padding, followed by relu."""

    filters: int
    kernel: int
    stride: int


class Encoder(NamedTuple):
    """Convolutions, then a dense layer of so many units; relu after each.

    Args:
        smallest: side of the smallest image that the convolutions fit into.
    """

    convolutions: tuple[Convolution, ...]
    dense: int
    smallest: int


#: By the name that the hyper-parameter `encoder` has for them.
ENCODERS = {
    # Young and Tian 2019 (arXiv 1903.03176), section 3: of a network for Atari, what 10 x 10 images need.
    "minatar": Encoder((Convolution(16, 3, 1),), 128, 3),
    # Mnih et al. 2015 (Nature 518), Methods: for 84 x 84 images.
    "nature": Encoder((Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1)), 512, 36),
}


class Pixels(NamedTuple):
    """How an image lies in a flat observation.

    Args:
        channels_first: whether the channels of a pixel are apart (as in a stack of frames), else side by side.
        scale: what pixels are multiplied by, so that they are between -1 and 1.
    """

    height: int
    width: int
    channels: int
    channels_first: bool
    scale: float

    def image(self, observations: Tensor, dtype: torch.dtype) -> Tensor:
        """Observations [seed, feature, row] as [seed, channel, height, width, row], scaled."""
        x = observations.to(dtype)
        if self.scale != 1:
            x = x * self.scale
        S, _, rows = x.shape
        if self.channels_first:
            return x.view(S, self.channels, self.height, self.width, rows)
        return x.view(S, self.height, self.width, self.channels, rows).permute(0, 3, 1, 2, 4)


class PlacedConvolution(NamedTuple):
    """A convolution where it is: the shapes of what it takes and of what it makes."""

    convolution: Convolution
    channels: int
    height: int
    width: int

    @property
    def patch(self) -> int:
        """Numbers that one output of a filter is made from."""
        return self.channels * self.convolution.kernel**2

    @property
    def out_height(self) -> int:
        """Rows of outputs of a filter."""
        return (self.height - self.convolution.kernel) // self.convolution.stride + 1

    @property
    def out_width(self) -> int:
        """Columns of outputs of a filter."""
        return (self.width - self.convolution.kernel) // self.convolution.stride + 1

    @property
    def places(self) -> int:
        """Outputs of a filter."""
        return self.out_height * self.out_width

    def patches(self, x: Tensor) -> Tensor:
        """[seed, channel, height, width, row] to [seed, number of a patch, place x row]."""
        _, kernel, stride = self.convolution
        seen = x.unfold(2, kernel, stride).unfold(3, kernel, stride)
        return seen.permute(0, 1, 5, 6, 2, 3, 4).reshape(len(x), self.patch, self.places * x.shape[4])

    def outputs(self, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
        """Filters [seed, filter, number of a patch], bias [seed, filter, 1]: to [seed, filter, height, width, row]."""
        z = torch.baddbmm(bias, weight, self.patches(x)).relu_()
        return z.view(len(x), self.convolution.filters, self.out_height, self.out_width, x.shape[4])

    def gradient(self, x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """d loss / d (weight, bias), for d loss / d (what relu takes) [seed, filter, place x row]."""
        return torch.bmm(gradient, self.patches(x).transpose(1, 2)), gradient.sum(2)

    def back(self, weight: Tensor, gradient: Tensor, rows: int) -> Tensor:
        """d loss / d inputs [seed, channel, height, width, row], likewise.

        Patches overlap; what they say of a pixel is added up in a fixed order.
        """
        _, kernel, stride = self.convolution
        S, high, wide = len(gradient), self.out_height, self.out_width
        parts = torch.bmm(weight.transpose(1, 2), gradient)
        parts = parts.view(S, self.channels, kernel, kernel, high, wide, rows)
        found = gradient.new_zeros(S, self.channels, self.height, self.width, rows)
        for down in range(kernel):
            for right in range(kernel):
                ends = down + stride * (high - 1) + 1, right + stride * (wide - 1) + 1
                found[:, :, down : ends[0] : stride, right : ends[1] : stride] += parts[:, :, down, right]
        return found


def layers(encoder: Encoder, pixels: Pixels) -> tuple[PlacedConvolution, ...]:
    """The convolutions of an encoder on images of that size."""
    made = []
    channels, height, width = pixels.channels, pixels.height, pixels.width
    for convolution in encoder.convolutions:
        layer = PlacedConvolution(convolution, channels, height, width)
        made.append(layer)
        channels, height, width = convolution.filters, layer.out_height, layer.out_width
    return tuple(made)
