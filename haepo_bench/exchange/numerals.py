"""Numbers as other people's files write them."""

import math
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from haepo_bench.errors import UserError

#: Between groups of three digits, besides whichever of the point and the comma is not the decimal sign.
_SEPARATORS = "'’_ \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}"
_EXPONENT = "[eE][+-]?[0-9]+"


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    grouped = rf"[0-9]{{1,3}}(?:(?P<separator>[{thousands}{_SEPARATORS}])[0-9]{{3}}(?:(?P=separator)[0-9]{{3}})*)"
    fraction = rf"(?:[{decimal}](?P<fraction>[0-9]*))?"
    return re.compile(rf"(?P<sign>[+-]?)(?P<whole>{grouped}|[0-9]*){fraction}(?P<exponent>{_EXPONENT})?")


_PATTERNS = {".": _pattern(".", ","), ",": _pattern(",", ".")}


def plain_numeral(text: str, decimal: str | None) -> str:
    """A number's text with a decimal point and without thousands separators.

    Args:
        decimal: the decimal sign; None where the text is to be taken as it is.

    Raises:
        ValueError: it is not written that way.
    """
    if decimal is None:
        return text
    match = _PATTERNS[decimal].fullmatch(text.strip())
    if match is None or not (match["whole"] or match["fraction"]):
        if set(text) & set(f".,{_SEPARATORS}"):
            raise ValueError(text)
        return text
    whole = re.sub("[^0-9]", "", match["whole"])
    return f"{match['sign']}{whole or 0}.{match['fraction'] or 0}{match['exponent'] or ''}"


def number(value: Any, where: str, column: str, decimal: str | None = None) -> float | None:
    """A cell as a number, NaN and infinity among them; None where it is empty.

    Args:
        decimal: the decimal sign of numbers in text, which may then have thousands separators.

    Raises:
        UserError: it is something else.
    """
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(plain_numeral(value, decimal) if decimal is not None and isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise UserError(
            f"'{str(value)[:40]}' in the column '{column}' is not a number", where=where, remedy=_remedy(value, decimal)
        ) from None
    except OverflowError:
        return math.inf


def _remedy(value: Any, decimal: str | None) -> str:
    """What to say where the text is a number that is written in another way."""
    signs = [sign for sign in (",", ".") if sign != decimal]
    fitting = [sign for sign in signs if isinstance(value, str) and _PATTERNS[sign].fullmatch(value.strip())]
    if not fitting:
        return ""
    said = " or ".join(f"`decimal: '{sign}'`" for sign in fitting)
    return f"say {said} (--decimal), the decimal sign; then numbers may have thousands separators as well"


def whole_number(text: str, least: int, most: int, decimal: str | None = None) -> int | None:
    """A whole number from its text, such as `7`, `7.0` or `7e2`, exactly; None where it is none within the bounds."""
    try:
        value = Decimal(plain_numeral(text.strip(), decimal))
    except (InvalidOperation, ValueError):
        return None
    # Bounds first: a short text can stand for a number of a billion digits.
    if not value.is_finite() or not least <= value <= most or value != value.to_integral_value():
        return None
    return int(value)
