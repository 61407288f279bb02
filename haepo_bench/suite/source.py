"""Python source as far as it can change what a program does: without comments, docstrings and blank lines.

The text itself with spans cut out, so that it is the same whichever Python reads it: syntax trees and streams of
tokens differ from one version to the next. Statements that are nothing but a string are cut wherever they stand. What
stands between the quotes of any other string is left alone, a comment within the braces of an f-string included.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from haepo_bench.files import read_regular

#: Stands for a newline within a string meanwhile; no Python source holds one.
_WITHIN = "\0"
#: Kinds of tokens that f-strings and t-strings begin and end with, since Python 3.12.
_STARTS, _ENDS = {"FSTRING_START", "TSTRING_START"}, {"FSTRING_END", "TSTRING_END"}
#: Most tokens, which are neither comments nor strings.
_OTHERS = {tokenize.NAME, tokenize.OP, tokenize.NEWLINE, tokenize.NL, tokenize.NUMBER}

_Span = tuple[int, int]


def read_source(path: Path) -> str:
    """A file's text with `\\n` for newlines, in the encoding that it declares.

    Raises:
        OSError: it cannot be read.
        SyntaxError: it declares an encoding that there is not.
        UnicodeDecodeError: it is not in the encoding that it declares.
    """
    return decode_source(read_regular(path))


def decode_source(content: bytes) -> str:
    """As `read_source`, of what was read already."""
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    return io.TextIOWrapper(io.BytesIO(content), encoding).read()


def code_of(source: str, tree: ast.Module) -> str:
    """What is left of a module's source.

    Args:
        tree: the syntax tree of `source`.
    """
    lines = source.split("\n")
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))

    def place(line: int, column: int) -> int:
        # A tree counts columns in bytes.
        text = lines[line - 1]
        return starts[line - 1] + (column if text.isascii() else len(text.encode()[:column].decode()))

    bare = [
        (place(node.lineno, node.col_offset), place(node.end_lineno or 0, node.end_col_offset or 0))
        for node in _statements(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    comments, strings = _comments_and_strings(source, starts)
    pieces, at = [], 0
    for start, end, keep in sorted(
        [*((*span, False) for span in (*bare, *comments)), *((*span, True) for span in strings)]
    ):
        if start < at:  # within a docstring
            continue
        pieces.append(source[at:start])
        if keep:
            pieces.append(source[start:end].replace("\n", _WITHIN))
        at = end
    code = "".join([*pieces, source[at:]])
    kept = (line.rstrip() for line in code.split("\n"))
    return "\n".join(line for line in kept if line).replace(_WITHIN, "\n")


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    for inner in ast.iter_child_nodes(node):
        if not isinstance(inner, ast.expr):
            yield inner
            yield from _statements(inner)


def _comments_and_strings(source: str, starts: list[int]) -> tuple[list[_Span], list[_Span]]:
    """Where comments and strings stand, f-strings whole."""
    comments, strings = [], []
    depth = begun = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _OTHERS:
            continue
        kind = tokenize.tok_name[token.type]
        start, end = (starts[line - 1] + column for line, column in (token.start, token.end))
        if kind in _STARTS:
            begun = begun if depth else start
            depth += 1
        elif kind in _ENDS:
            depth -= 1
            if not depth:
                strings.append((begun, end))
        elif not depth and kind == "COMMENT":
            comments.append((start, end))
        elif not depth and kind == "STRING":
            strings.append((start, end))
    return comments, strings
