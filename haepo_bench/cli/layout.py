"""Plain text for terminals and pipes: columns and wrapped paragraphs."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[str]], *, indent: str = "  ") -> str:
    """Rows with their columns aligned; the last column is as wide as it is."""
    table = [tuple(row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)][:-1]
    lines = (
        indent + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def paragraph(text: str, *, indent: str = "") -> str:
    """Text wrapped at the width of the terminal (at most 100 columns)."""
    width = min(shutil.get_terminal_size().columns, 100)
    return textwrap.fill(
        text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def seed_ranges(seeds: Sequence[int]) -> str:
    """Seeds as people write them: `0-4, 7`."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def duration(seconds: float) -> str:
    """`90` as `1m 30s`."""
    whole = round(seconds)
    units = [("d", whole // 86_400), ("h", whole // 3600 % 24), ("m", whole // 60 % 60), ("s", whole % 60)]
    return " ".join(f"{count}{unit}" for unit, count in units if count) or "0s"
