"""Text that others wrote (names, messages, notes), made safe for each kind of output.

Everything from a record goes through `plain` once, when the report document is built; each writer then escapes what its
own format would interpret. What goes to a terminal passes `visible` in terminal.py.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Sequence

#: Control characters, halves of surrogate pairs, invisible characters (zero width, bidirectional overrides, tags) and
#: separators of lines: what moves a cursor, recolours, or makes a line read as something else than it says.
_INVISIBLE = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})
#: What several scripts and emoji need between their letters; between Latin ones they only make two names look alike.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    """The text with control and invisible characters shown as Python writes them (`\\x1b`); ends of lines stay."""
    # Almost all text: nothing to look at character by character.
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    shown = ""
    for character in text:
        shown += _visible(shown[-1:], character)  # what stands before it, as it is shown
    return shown


def plain(text: str) -> str:
    """One line of visible text: white space becomes single spaces."""
    return visible(" ".join(text.split()))


def plain_lines(text: str) -> str:
    """Visible text of several lines, with its indentation."""
    return "\n".join(visible(line.expandtabs(4)) for line in text.splitlines())


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters, cut in the middle: names differ at their ends."""
    if len(text) <= width:
        return text
    head = (width - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def markdown(text: str) -> str:
    """Text that Markdown shows as it is, inside a table cell too."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~$#!])", r"\\\1", text)


def markdown_list(lines: Iterable[str]) -> str:
    """Lines of text as a list."""
    return "\n".join(f"- {markdown(line)}" for line in lines)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Container[int] = ()) -> str:
    """A GitHub-flavoured table, without a line end after it.

    Args:
        columns, rows: cells that are Markdown already; `markdown` makes them of text.
        right: numbers of the columns that are aligned right.
    """
    rule = ["---:" if i in right else "---" for i in range(len(columns))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (columns, rule, *rows))


def csv_text(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def unquoted_csv_text(text: str) -> str:
    """What `csv_text` was given, read back from a table."""
    return text[1:] if text[:1] == "'" and text[1:2] in ("=", "+", "-", "@") else text


def _visible(before: str, character: str) -> str:
    code = ord(character)
    # The last two of each plane are not characters.
    if character == "\n" or not (unicodedata.category(character) in _INVISIBLE or code & 0xFFFE == 0xFFFE):
        return character
    if character in _JOINERS and before > "\x7f":
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
