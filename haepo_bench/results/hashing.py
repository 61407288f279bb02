"""One hash for equal documents, on whatever machine and in whatever order their keys stand."""

import hashlib
import json
from typing import Any


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
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key that is not text: {key!r}")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)
