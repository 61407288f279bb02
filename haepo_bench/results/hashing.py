"""One hash for equal documents, on whatever machine and in whatever order their keys stand."""

import hashlib
import json
from typing import Any

_NESTED = (dict, list, tuple)


def canonical_json(document: Any) -> str:
    """One text for equal documents: sorted keys, no spaces, ASCII.

    Raises:
        TypeError: a key that is not text, or a value that JSON does not have.
        ValueError: a number that is not finite.
    """
    _check_keys(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(document: Any) -> str:
    """SHA-256 of a document's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(document).encode("ascii")).hexdigest()


def _check_keys(value: Any) -> None:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a key that is not text: {key!r}")
        value = value.values()
    elif not isinstance(value, _NESTED):
        return
    for inner in value:
        # Most are not: a call for each would be most of the time that the hash of a search's settings takes.
        if isinstance(inner, _NESTED):
            _check_keys(inner)
