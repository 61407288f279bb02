"""What language tasks are made of: prompts and preferences."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Example(NamedTuple):
    """One prompt.

    Args:
        prompt: the text that the model continues.
        reference: a response worth the best gold reward, or "" where none is known.
        data: what rewards need to know beside the texts.
    """

    prompt: str
    reference: str = ""
    data: Mapping[str, Any] = MappingProxyType({})


class Pair(NamedTuple):
    """A preference: to `prompt`, `chosen` is the better response."""

    prompt: str
    chosen: str
    rejected: str
