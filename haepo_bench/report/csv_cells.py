"""Cells of CSV tables."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from haepo_bench.report.document_numbers import MeanEstimate
from haepo_bench.text import csv_text


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The table as text; nothing in it that a spreadsheet would take for a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([csv_text(value) if isinstance(value, str) else value for value in row] for row in (header, *rows))
    return out.getvalue()


def estimate_cells(estimate: MeanEstimate | None) -> list[Any]:
    """mean, low, high, n."""
    return [estimate.mean, estimate.low, estimate.high, estimate.n] if estimate else [None] * 4
