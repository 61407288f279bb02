"""YAML text to plain data, with the place of every entry, so that later checks can say where a problem is.

Scalars follow the YAML 1.2 core schema, with underscores allowed between digits: `3e-3` and `50_000` are numbers, while
`yes`, `1:30` and `2026-01-01` are text. Tags, merge keys, keys that are not text and numbers that are not finite are
refused.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import yaml

from haepo_bench.errors import UserError

#: Key path of an entry: ("tasks", 1, "budget") is `tasks[1].budget`.
KeyPath = tuple[str | int, ...]

#: A suite with a thousand tasks has a third of this, and PyYAML takes about a second for all of it.
MAX_CHARACTERS = 256 * 1024
#: Entries after aliases are expanded: a few lines of nested aliases can stand for billions.
MAX_ENTRIES = 50_000
MAX_DEPTH = 32
MAX_PROBLEMS_SHOWN = 20

#: What to do about a suite file that holds none.
SUITE_REMEDY = "`haepo-bench init` writes a suite to start from"

_DIGITS = "[0-9]+(?:_[0-9]+)*"
_DECIMAL = re.compile(f"[-+]?{_DIGITS}")
_OTHER_BASE = re.compile("0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(rf"[-+]?(?:\.{_DIGITS}|{_DIGITS}(?:\.(?:{_DIGITS})?)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
#: A key and a value without a space between them; not a Windows path, a URL or a `module:name`.
GLUED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):(?!/)([^\s:].*)", re.DOTALL)
#: What else `str.splitlines` takes for the end of a line.
_BREAKS = frozenset("\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Problem(NamedTuple):
    """Something wrong with one entry."""

    path: KeyPath
    problem: str
    remedy: str = ""


class SuiteError(UserError):
    """A suite file (or what `--set` makes of it) that cannot be run; holds every problem that was found."""

    def __init__(self, problems: Iterable[UserError], *, kind: str = "suite") -> None:
        self.problems = tuple(problems)
        if len(self.problems) == 1:
            (only,) = self.problems
            super().__init__(only.problem, where=only.where, remedy=only.remedy)
            return
        shown = [str(problem) for problem in self.problems[:MAX_PROBLEMS_SHOWN]]
        if len(shown) < len(self.problems):
            shown.append(f"... and {len(self.problems) - len(shown)} more")
        super().__init__("\n".join([f"{len(self.problems)} problems in the {kind}", *shown]))


@dataclass
class Document:
    """Plain data and the places it came from.

    Args:
        data: dictionaries with text keys, lists, text, numbers, booleans and None.
        places: for each key path where it stands, such as `suite.yaml:12` or `--set seeds`; the empty path has one.
        problems: found while reading that do not keep one from reading on.
        kind: what the file is, for messages: a `suite`, a `mapping`.
    """

    data: Any
    places: dict[KeyPath, str]
    problems: list[Problem]
    kind: str = "suite"

    def where(self, path: KeyPath) -> str:
        """Place and key path, such as `suite.yaml:12: tasks[1].budget`."""
        path = self._existing_entry(path)
        place = next(self.places[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.places)
        key = render(path)
        return place if not key or place == f"--set {key}" else f"{place}: {key}"

    def error(self, problems: Iterable[Problem]) -> SuiteError:
        """The problems as one error, each with its place; repeated ones once."""
        found = [
            UserError(_one_line(problem.problem), where=_one_line(self.where(problem.path)), remedy=problem.remedy)
            for problem in dict.fromkeys(problems)
        ]
        return SuiteError(found, kind=self.kind)

    def _existing_entry(self, path: KeyPath) -> KeyPath:
        # `- haepo` stands for `- {use: haepo}`: a path that leads into a scalar ends at the scalar.
        value = self.data
        for n, part in enumerate(path):
            if isinstance(value, str | int | float):
                return path[:n]
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return path
        return path


def render(path: KeyPath) -> str:
    """A key path as people write it, and as `--set` reads it: `tasks[1].budget`."""
    text = ""
    for part in path:
        if isinstance(part, int) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_/-]*", part):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def parse(
    text: str, source: str, place: Callable[[int], str], *, kind: str = "suite", remedy: str = SUITE_REMEDY
) -> Document:
    """Reads one YAML document.

    Args:
        source: what is read, such as a file name; the place of the whole.
        place: the place of a line (counted from 1).
        kind: what the file is, for messages.
        remedy: what to do where the file is empty.

    Raises:
        SuiteError: not YAML, or beyond what a suite may hold (tags, bombs of aliases, depth).
    """
    if len(text) > MAX_CHARACTERS:
        raise _refusal(source, f"is larger than {MAX_CHARACTERS // 1024} KiB, which no {kind} is", "")
    if "\0" in text:
        raise _refusal(source, "is not a text file (it holds NUL characters)", f"a {kind} is a YAML file")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except _TagError as error:
        raise _refusal(
            place(error.line),
            f"the tag '{error.tag}' is refused: a {kind} holds plain data only",
            "remove the tag; put quotes around text that starts with '!'",
        ) from None
    except yaml.reader.ReaderError as error:
        raise _refusal(
            place(text.count("\n", 0, error.position) + 1),
            f"the control character U+{ord(text[error.position]):04X} is not allowed",
            f"a {kind} is a text file: remove the character",
        ) from None
    except RecursionError:
        raise _refusal(source, f"is nested more than {MAX_DEPTH} levels deep", "") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        begun = error.context_mark.line if error.context and error.context_mark else None
        since = f"(begun on line {begun + 1})" if mark and begun is not None and begun != mark.line else ""
        problem = " ".join(part for part in (error.context, since, error.problem) if part)
        tab = "\\t" in problem and "indent with spaces, not with tabs"
        alias = "alias" in problem and "put quotes around text that begins with '*' or '&'"
        glued = mark and _glued_line(text.splitlines(), mark.line)
        raise _refusal(
            place(mark.line + 1) if mark else source,
            f"not valid YAML: {problem}",
            tab or glued or alias or "check indentation, quotes, brackets and colons there and on the line before",
        ) from None
    if root is None:
        raise _refusal(source, "is empty", remedy)
    return replace(_Builder(source, place).build(root), kind=kind)


def scalar(text: str) -> Any:
    """The value of a plain (unquoted) scalar.

    Raises:
        ValueError: a number that is not finite or absurdly long.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    is_integer = _DECIMAL.fullmatch(text)
    if not is_integer and not _OTHER_BASE.fullmatch(text) and not _FLOAT.fullmatch(text):
        return text
    if len(text) > 100:
        raise ValueError(f"a number of {len(text)} characters")
    if is_integer:
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value


class _TagError(Exception):
    def __init__(self, tag: str, line: int) -> None:
        self.tag, self.line = tag, line


class _Loader(yaml.SafeLoader):
    """Composes nodes; refuses tags. Scalars are resolved by `scalar`, not by PyYAML's rules of YAML 1.1."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's stubs have no types for it
        if getattr(event, "tag", None) is not None:
            raise _TagError(event.tag.replace("tag:yaml.org,2002:", "!!"), event.start_mark.line + 1)
        return super().compose_node(parent, index)


class _Builder:
    """Turns nodes into plain data; aliases become copies, so that nothing is shared."""

    def __init__(self, source: str, place: Callable[[int], str]) -> None:
        self._source, self._place = source, place
        self._places: dict[KeyPath, str] = {(): source}
        self._problems: list[Problem] = []
        self._entries = 0

    def build(self, root: yaml.Node) -> Document:
        data = self._value(root, ())
        return Document(data, self._places, self._problems)

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise _refusal(
                self._source,
                f"stands for more than {MAX_ENTRIES:,} entries once its aliases are expanded",
                "write out what is needed instead of aliases (*name)",
            )
        if len(path) > MAX_DEPTH:
            raise _refusal(self._at(node), f"is nested more than {MAX_DEPTH} levels deep", "")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            values = []
            for index, child in enumerate(node.value):
                self._places[*path, index] = self._at(child)
                values.append(self._value(child, (*path, index)))
            return values
        assert isinstance(node, yaml.ScalarNode)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, child in node.value:
            key = self._scalar(key_node, path) if isinstance(key_node, yaml.ScalarNode) else None
            glued = _glued(key_node, child)
            if glued is not None:
                # Read as it was meant, so that nothing else is said of it.
                key, child = glued.key, glued.value
                problem = f"'{key_node.value}' is one word without a value: a space is missing behind the colon"
                self._problems.append(Problem((*path, key), problem, f"write {key}: {glued.value.value}"))
            if not isinstance(key, str):
                shown = f"'{key_node.value}'" if isinstance(key_node, yaml.ScalarNode) else "a list or a mapping"
                remedy = "put quotes around a key that is meant as text"
                if _is_number(key) and isinstance(child, yaml.ScalarNode) and not child.value:
                    remedy = "a decimal is written with a point, as in 0.5: the comma separates entries"
                raise _refusal(self._at(key_node), f"{shown} as a key: keys are text", remedy)
            line = key_node.start_mark.line + 1
            self._places[*path, key] = self._at(key_node)
            if key in lines:
                problem = f"the key is there twice, first on line {lines[key]}"
                self._problems.append(Problem((*path, key), problem, "remove one of the two"))
                continue
            lines[key] = line
            values[key] = self._value(child, (*path, key))
        return values

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.style is not None:  # quoted, or a block of text
            return node.value
        try:
            return scalar(node.value)
        except ValueError as error:
            self._problems.append(Problem(path, str(error), "write a finite number, or put quotes around text"))
            return None

    def _at(self, node: yaml.Node) -> str:
        return self._place(node.start_mark.line + 1)


def _glued_line(lines: list[str], number: int) -> str:
    """What to do about a missing space behind a colon, on a line or on the one before; empty where there is none."""
    for line in reversed(lines[max(0, number - 1) : number + 1]):
        match = GLUED.fullmatch(line.strip().removeprefix("- "))
        if match:
            return f"is a space missing behind the colon? write {match[1]}: {match[2]}"
    return ""


def _one_line(text: str) -> str:
    """A text that may quote a file's: a problem is one line, so that it can be found by its place."""
    return "".join("\\n" if character == "\n" else " " if character in _BREAKS else character for character in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Glued(NamedTuple):
    """A key and a value that YAML reads as one word, because no space is between them."""

    key: str
    value: yaml.ScalarNode


def _glued(key: yaml.Node, value: yaml.Node) -> _Glued | None:
    """`{candidate:median}`: a plain word with a colon in it for a key, and nothing for a value."""
    if not isinstance(key, yaml.ScalarNode) or not isinstance(value, yaml.ScalarNode):
        return None
    if key.style is not None or value.style is not None or value.value:
        return None
    match = GLUED.fullmatch(key.value)
    if match is None:
        return None
    name, text = match.groups()
    return _Glued(name, yaml.ScalarNode(key.tag, text, key.start_mark, key.end_mark, style=None))


def _refusal(where: str, problem: str, remedy: str) -> SuiteError:
    return SuiteError([UserError(problem, where=where, remedy=remedy)])
