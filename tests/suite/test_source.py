"""Source without comments, docstrings and blank lines: nothing else is cut, and every Python cuts the same."""

import ast
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import haepo_bench
from haepo_bench.suite.source import code_of, read_source

NESTED = r'''
"""A docstring # with a hash."""
def shown(row, width):  # gone
    "another"

    first = f"{row!r:{width}} # kept {'é # too'}"   # gone é
    second = ("a#"   # gone

              "b" f'{row["q"]}#')
    third = f"""{f'{first:>{width}}'} # in a string

      {second}  {{ # }} """;  """cut"""
    """cut
    # with this
    """
    return rf'\{third}' 'x' f"{'#' * width:#>{width}}"  # gone


class Empty: """cut"""
'''
LEFT = r'''
def shown(row, width):
    first = f"{row!r:{width}} # kept {'é # too'}"
    second = ("a#"
              "b" f'{row["q"]}#')
    third = f"""{f'{first:>{width}}'} # in a string

      {second}  {{ # }} """;
    return rf'\{third}' 'x' f"{'#' * width:#>{width}}"
class Empty:
'''


def code(source: str) -> str:
    return code_of(source, ast.parse(source))


def test_what_is_left_of_nested_strings() -> None:
    assert code(NESTED) == LEFT.strip("\n")


def test_a_known_hash() -> None:
    """The same on every Python: since 3.12 f-strings are several tokens, before they were one."""
    assert hashlib.sha256(code(NESTED).encode()).hexdigest() == KNOWN_HASH


KNOWN_HASH = "c74c64f8964ff925816ecd29267adc14a9da20295b90353dda79753ab14091e7"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1", "# why\nx = 1  # what\n\n\n"),
        ("x = 1\r\ny = 2", "x = 1\n\n\ny = 2"),
        ("def f():\n    return 1", 'def f():\n    """Says."""\n    return 1'),
        ("async def f():\n    return 1", "async def f():\n    '''Says # it.'''\n\n    # more\n    return 1"),
        ("class A:\n    x = 1", 'class A:\n    """Says."""\n    x = 1\n    """attribute"""'),
        ("x = (1,\n 2)", "x = (1,  # one\n\n # two\n 2)"),
        ("x = ('a'\n 'b')", "x = ('a'  # one\n\n 'b')"),
        ("if x:\n    y()", "if x:\n    'nothing'\n    y()"),
    ],
)
def test_what_does_not_count(before: str, after: str, tmp_path: Path) -> None:
    texts = []
    for text in (before, after):
        file = tmp_path / "module.py"
        file.write_bytes(text.encode())
        texts.append(code(read_source(file)))
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 'a # b'", "x = 'a # c'"),
        ("x = '''a\n\nb'''", "x = '''a\nb'''"),
        ("x = '''a  \nb'''", "x = '''a\nb'''"),
        ("x = '''# a\n'''", "x = '''# b\n'''"),
        ("x = f'''{y} # a\n'''", "x = f'''{y} # b\n'''"),
        ("def f():\n    return 'a'", "def f():\n    return 'b'"),
        ("f('a')", "f('b')"),
        ("x = lambda: 'a'", "x = lambda: 'b'"),
        ("x: 'a' = 1", "x: 'b' = 1"),
        ("if x:\n    y()\n    z()", "if x:\n    y()\nz()"),
    ],
)
def test_what_counts(before: str, after: str) -> None:
    assert code(before) != code(after)


@given(st.data())
def test_comments_anywhere_between_statements(data: st.DataObject) -> None:
    """Of one of our own files: a comment on its own line, wherever a logical line starts, changes nothing."""
    path = Path(haepo_bench.__file__).parent / "objectives" / "grpo.py"
    source = read_source(path)
    tree = ast.parse(source)
    starts = sorted({node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)})
    line = data.draw(st.sampled_from(starts)) - 1
    lines = source.split("\n")
    if lines[line - 1].lstrip().startswith("@"):  # a decorator's function
        line -= 1
    lines.insert(
        line, "# " + data.draw(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=9))
    )
    assert code("\n".join(lines)) == code(source)


def test_what_is_left_of_our_files_means_the_same() -> None:
    """What is left, where it can be parsed, is the same program as the file without its docstrings."""
    package = Path(haepo_bench.__file__).parent
    for path in sorted((package / "training").rglob("*.py")):
        source = read_source(path)
        left = code(source)
        assert len(left) <= len(source)
        try:
            tree = ast.parse(left)
        except (SyntaxError, IndentationError):  # a body that was nothing but a docstring
            continue
        assert ast.dump(tree) == ast.dump(_bare(ast.parse(source))), path


def _bare(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            if isinstance(body, list):
                body[:] = [statement for statement in body if not _is_bare_string(statement)]
    return tree


def _is_bare_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_the_encoding_that_a_file_declares(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_bytes("# -*- coding: latin-1 -*-\nx = 'é'  # é\n".encode("latin-1"))
    assert code(read_source(file)) == "x = 'é'"
    file.write_bytes(b"\xef\xbb\xbf" + "x = 'é'".encode())
    assert code(read_source(file)) == "x = 'é'"
