"""Plain text for terminals and pipes: columns and wrapped paragraphs."""

import shutil
import textwrap
from collections.abc import Iterable, Sequence

from haepo_bench.terminal import NARROW
from haepo_bench.text import visible


def columns(rows: Iterable[Sequence[str]], *, indent: str = "  ") -> str:
    """Rows with their columns aligned; the last column is as wide as it is."""
    table = [tuple(map(visible, row)) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*table, strict=True)][:-1]
    lines = (
        indent + "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def paragraph(text: str, *, indent: str = "") -> str:
    """Text wrapped at the width of the terminal (at most 100 columns)."""
    width = max(NARROW, min(shutil.get_terminal_size().columns, 100))
    return textwrap.fill(
        visible(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
