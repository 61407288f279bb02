"""Which observations are images, and how one lies in a flat observation."""

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

#: Sides of the smallest image, of several channels and of one: below, a space is a table of numbers.
_SMALLEST, _SMALLEST_PLAIN = 5, 8
#: Numbers of an observation beyond which a fully connected network learns nothing from pixels.
MOST_PIXELS = 5_000


class Image(NamedTuple):
    """An image, its numbers end to end.

    Args:
        channels_first: whether its axes are channel, row, column (as of a stack of frames); else row, column, channel.
        scale: what pixels are multiplied by so that they are between -1 and 1.
        whole: whether pixels are whole numbers from 0 to 255: a byte holds one.
    """

    height: int
    width: int
    channels: int
    channels_first: bool
    scale: float
    whole: bool

    @property
    def described(self) -> str:
        """Such as `10 x 10 pixels of 4 channels`."""
        return f"{self.height} x {self.width} pixels of {self.channels} channel{'s' if self.channels != 1 else ''}"

    @property
    def pixel_bytes(self) -> int:
        """Memory that a pixel's channel takes where it is kept."""
        return 1 if self.whole else 4


def image_of(space: spaces.Space[Any]) -> Image | None:
    """The image that a space's observations are; None where they are none.

    A Box of three axes with finite bounds is one, and so is one of two axes and bytes or bits. Of three axes the
    shorter one of first and last is that of the channels.
    """
    if not isinstance(space, spaces.Box) or not space.is_bounded() or not space.low.size:
        return None
    whole = space.dtype in (np.uint8, np.bool_)
    if len(space.shape) == 2 and whole and min(space.shape) >= _SMALLEST_PLAIN:
        height, width, channels, first = *space.shape, 1, True
    elif len(space.shape) == 3:
        first = space.shape[0] < space.shape[2]
        channels, height, width = space.shape if first else (space.shape[2], *space.shape[:2])
        if min(height, width) < _SMALLEST:
            return None
    else:
        return None
    # In float64: the greatest minus the least of int8 is not an int8.
    largest = max(abs(float(np.min(space.low))), abs(float(np.max(space.high))))
    return Image(height, width, channels, first, 1 / largest if largest > 1 else 1.0, whole)
