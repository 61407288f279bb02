"""What differs between two settings documents."""

import json
from collections.abc import Mapping
from typing import Any

from haepo_bench.text import plain


def settings_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """(key, before, now) for each setting that differs: keys joined by dots, values as JSON, None where absent."""
    left, right = dict(_leaves(before)), dict(_leaves(now))
    changed = [key for key in dict.fromkeys([*left, *right]) if left.get(key) != right.get(key)]
    return [(plain(key), left.get(key), right.get(key)) for key in changed]


def _leaves(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    leaves: list[tuple[str, str]] = []
    for key, value in document.items():
        if isinstance(value, Mapping) and value:
            leaves += _leaves(value, f"{prefix}{key}.")
        else:
            leaves.append((f"{prefix}{key}", plain(json.dumps(value, sort_keys=True, ensure_ascii=False))))
    return leaves
