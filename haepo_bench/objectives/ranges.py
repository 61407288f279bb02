"""What a range must be for numbers to be drawn from it."""

import math
import sys
from typing import Any, TypeGuard

#: Significant digits of a drawn number: what a file shows is what was trained.
DIGITS = 4
#: So many numbers of so many digits a range holds at least.
_LEAST_NUMBERS = 20


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether it is a whole or a real number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: int | float) -> bool:
    """Whether a number is one of those that computers reckon with: neither infinite nor NaN, nor a larger integer."""
    return abs(value) <= sys.float_info.max


def check_range(ends: Any, *, logarithm: bool, whole: bool) -> None:
    """Refuses what is not a range, and ranges from which nothing can be drawn, or nothing but the ends.

    Args:
        ends: least and greatest number; anything, where it is foreign text.
        logarithm: whether it is drawn from uniformly in the logarithm.
        whole: whether whole numbers are drawn.

    Raises:
        ValueError: says why.
    """
    if not isinstance(ends, list) or len(ends) != 2 or not all(map(is_number, ends)):
        raise ValueError(f"a range is [least, greatest], two numbers, not {ends}")
    low, high = ends
    if not all(map(is_finite, ends)):
        raise ValueError(f"a range has finite ends, not {ends}")
    if not low < high:
        raise ValueError(f"the least value must be below the greatest, got {ends}")
    if logarithm and low <= 0:
        raise ValueError(f"a logarithm needs a least value above 0, not {low}")
    if not math.isfinite(high / low if logarithm else high - low):
        raise ValueError(f"the range is wider than numbers are: {ends}")
    integers = all(each == round(each) for each in ends)
    if whole and not integers:
        raise ValueError(f"a range of whole numbers begins and ends with one, not {ends}")
    # Of as many digits as are drawn, at the greater end: how far apart numbers are.
    step = 10.0 ** (math.floor(math.log10(max(abs(low), abs(high)))) + 1 - DIGITS)
    if not integers and high - low < _LEAST_NUMBERS * step:
        raise ValueError(f"{ends} holds hardly any numbers of {DIGITS} digits, which are what is drawn")
