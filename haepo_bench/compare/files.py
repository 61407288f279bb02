"""A comparison in each of its formats."""

import shutil
from typing import Literal

from haepo_bench.compare.document import CompareDocument

Format = Literal["text", "md", "json", "html"]

HTML_FILE = "compare.html"
#: Tables need so many columns; a narrower terminal folds their cells.
_LEAST_WIDTH, _MOST_WIDTH = 100, 160


def render(document: CompareDocument, form: Format) -> str:
    """The comparison as text of that format."""
    if form == "json":
        return document.model_dump_json(indent=1) + "\n"
    if form == "html":
        from haepo_bench.compare.page import to_html

        return to_html(document)
    from haepo_bench.compare import writers as compare_writers

    if form == "md":
        return compare_writers.to_markdown(document)
    width = shutil.get_terminal_size((_MOST_WIDTH, 50)).columns
    return compare_writers.to_text(document, width=min(max(width, _LEAST_WIDTH), _MOST_WIDTH))
