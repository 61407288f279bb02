"""A table's rows as LaTeX that can be read on paper: columns that wrap, and several blocks where one would be wider."""

import re
import textwrap
from collections.abc import Sequence

from haepo_bench.report.latex_text import latex

#: Letters on a line of text in \\footnotesize, on the 4.8 inches of LaTeX's article.
_LINE = 88
#: Lines of a page that the blocks of one table may take, which leaves some to caption and notes.
_PAGE = 46
#: What the space between two columns takes of them.
_GAP = 2
#: Words longer than this reach over their column's edge.
_WORD = 30
#: Rows up to which a wide table is turned.
_FEW = 3
#: Width of a letter, in em.
_LETTER = 0.48


def tabulars(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Lines of LaTeX, packages booktabs and array, for as many floats as there have to be.

    In each are blocks below each other, each with the first column, as many as a page holds.

    A table of few rows that would need several blocks is turned: a line for each of its columns. After the first block
    what explains a name (`name: explanation`) is left out.
    """
    every = list(zip(columns, *rows, strict=True))
    blocks = _blocks(every)
    if len(blocks) > 1 and len(rows) <= _FEW:
        every = list(zip(*every, strict=True))
        blocks = _blocks(every)
    floats: list[list[str]] = []
    used = _PAGE
    for n, block in enumerate(blocks):
        names = [text.split(": ", 1)[0] for text in every[0]] if n else every[0]
        shown = [names, *(every[i] for i in block)]
        height = _height(shown)
        if used + height > _PAGE:
            floats.append([r"\footnotesize\setlength{\tabcolsep}{3pt}"])
            used = 0
        else:
            floats[-1].append(r"\par\medskip")
        floats[-1] += _tabular(shown)
        used += height
    return floats


def _tabular(shown: Sequence[Sequence[str]]) -> list[str]:
    kinds = "".join(_kind(texts, _width(texts), first=i == 0) for i, texts in enumerate(shown))
    head, *body = zip(*shown, strict=True)
    return [
        rf"\begin{{tabular}}{{{kinds}}}",
        r"\toprule",
        " & ".join(map(_cell, head)) + r" \\",
        r"\midrule",
        # An empty group: a line that starts with [ would be taken for an argument of the row end before it.
        *("{}" + " & ".join(map(_cell, row)) + r" \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _height(shown: Sequence[Sequence[str]]) -> int:
    """Lines that a block takes, about."""
    widths = [_width(texts) for texts in shown]
    return 2 + sum(
        max(len(textwrap.wrap(text, width)) or 1 for text, width in zip(row, widths, strict=True))
        for row in zip(*shown, strict=True)
    )


def _blocks(every: Sequence[Sequence[str]]) -> list[list[int]]:
    """Numbers of the columns beside the first one that go together on a line."""
    widths = [_width(texts) for texts in every]
    blocks: list[list[int]] = [[]]
    for i, width in enumerate(widths[1:], 1):
        taken = widths[0] + sum(widths[other] + _GAP for other in blocks[-1])
        if blocks[-1] and taken + width + _GAP > _LINE:
            blocks.append([])
        blocks[-1].append(i)
    return blocks


def _width(texts: Sequence[str]) -> int:
    """Letters that a column is wide: its longest word at least, and so that no cell has much more than four lines."""
    head, *body = (len(text) for text in texts)
    word = max((len(word) for text in texts for word in _whole(text).split(" ")), default=0)
    longest = max(body, default=0)
    return max(min(word, _WORD), min(longest, 18), min(-(-max(head, longest) // 4), 40))


def _kind(texts: Sequence[str], width: int, *, first: bool) -> str:
    if max(map(len, texts)) <= width:
        return "l" if first else "r"
    side = "right" if first else "left"
    return rf">{{\ragged{side}\arraybackslash}}p{{{_LETTER * width:.1f}em}}"


def _whole(text: str) -> str:
    """The text with intervals that do not break."""
    return re.sub(r"\[[^\[\]]*\]", lambda found: found[0].replace(" ", "\u00a0"), text)


def _cell(text: str) -> str:
    return latex(_whole(text)).replace("\u00a0", "~")
