"""Text without what says who made it and where: absolute paths, host names, user names."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

#: Parts of file names: what a quotation mark, a bracket or a separator of lists ends.
_PART = r"[^\s/\\'\"<>|:;,()\[\]{}]+"
#: Absolute paths of two parts and more; no fractions, no addresses on the web. In quotation marks they may have spaces.
_QUOTED = re.compile(r"(?P<mark>['\"])(?:/|[A-Za-z]:\\)(?P<path>[^'\"\n]*[/\\][^'\"\n]*)(?P=mark)")
_PATH = re.compile(rf"(?<![\w./\\~-])(?:~|[A-Za-z]:(?=\\))?[/\\]{_PART}(?:[/\\]{_PART})+[/\\]?|~[/\\]{_PART}")
#: From here on a path says which code it was, on any machine alike.
_INSTALLED = re.compile(r"(?:.*[/\\])?(?:site-packages|dist-packages|lib[/\\]python[0-9.]+)[/\\](.+)", re.DOTALL)
#: Whose home a path is in.
_HOME = re.compile(r"(?:/home/|/Users/|\\Users\\)([^\s/\\'\"]+)")
#: Names that say nothing about anybody, and words that would be replaced in prose.
_ANYBODY = frozenset({"root", "user", "runner", "admin", "ubuntu", "localhost", "node", "host", "machine", "shared"})
_SHORTEST = 3


class Cleaner:
    """Cleans texts, all by the same names.

    Args:
        nodes: host names; each becomes `node-1`, `node-2`, ... in the order given, so that runs of one stay together.
            A name without its domain is the same host.
        users: user names; each becomes `user`.
    """

    def __init__(self, nodes: Sequence[str], users: Iterable[str]) -> None:
        hosts = dict.fromkeys(name.partition(".")[0] for name in nodes if name)
        numbers = {host: f"node-{number}" for number, host in enumerate(hosts, 1)}
        self._nodes = {name: numbers[name.partition(".")[0]] for name in [*filter(None, nodes), *hosts]}
        names = dict.fromkeys(users, "user") | self._nodes
        said = [name for name in names if len(name) >= _SHORTEST and name.lower() not in _ANYBODY]
        self._names = names
        # The longest first: `gpu-1.example.org` before `gpu-1`.
        alternatives = "|".join(re.escape(name) for name in sorted(said, key=len, reverse=True))
        self._said = re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])") if said else None

    def text(self, text: str) -> str:
        """The text with paths cut to what is the same on every machine, and names replaced."""
        text = _QUOTED.sub(lambda found: f"{found['mark']}{_shortened(found['path'])}{found['mark']}", text)
        text = _PATH.sub(lambda found: _shortened(found[0]), text)
        return self._said.sub(lambda found: self._names[found[0]], text) if self._said else text

    def document(self, value: Any, key: str = "") -> Any:
        """A JSON document with all its texts cleaned; what it calls `node` is a host name whatever it looks like."""
        if isinstance(value, dict):
            return {self.text(name): self.document(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.document(inner, key) for inner in value]
        if isinstance(value, str):
            return self._nodes.get(value, value) if key == "node" else self.text(value)
        return value


def users_in(text: str) -> set[str]:
    """Users whose home a path in the text is in."""
    return set(_HOME.findall(text))


def _shortened(path: str) -> str:
    installed = _INSTALLED.fullmatch(path)
    if installed:
        return f".../{installed[1]}"
    return ".../" + re.split(r"[/\\]", path.rstrip("/\\"))[-1]
