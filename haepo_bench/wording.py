"""How numbers are put into words, the same everywhere."""

import math
from collections.abc import Iterable


def duration(seconds: float) -> str:
    """`8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min" if whole % 3600 // 60 else f"{whole // 3600} h"


def data_size(bytes_: int) -> str:
    """`312 B`, `4.1 kB`, `27.0 MB`, `1.3 GB`."""
    if bytes_ < 1000:
        return f"{bytes_} B"
    value, units = bytes_ / 1000, ["kB", "MB", "GB", "TB"]
    while value >= 999.95 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}"


def many(n: int, noun: str) -> str:
    """A count with its noun: `1 run`, `2,000 runs`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def seed_ranges(seeds: Iterable[int]) -> str:
    """Seeds in few words: `0-3, 7`."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(map(str, part)) for part in parts)


def named_seeds(seeds: Iterable[int]) -> str:
    """`seed 3`, `seeds 0-4` or `seeds 0, 2, 7`."""
    listed = list(seeds)
    return f"seed {listed[0]}" if len(listed) == 1 else f"seeds {seed_ranges(listed)}"


def decimals_of(means: Iterable[float | None]) -> int:
    """Decimals that show about three digits of the largest of some mean returns."""
    largest = max((abs(mean) for mean in means if mean is not None), default=0.0)
    exponent = math.floor(math.log10(largest)) if largest else 0
    return max(0, min(6, (3 if exponent > 0 else 2) - exponent))


def fixed(value: float, decimals: int) -> str:
    """A number with fixed decimals, thousands apart, without a negative zero; very large ones in powers of ten."""
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    text = f"{value:,.{decimals}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text
