"""The files that a pattern means, and what their paths say: `logs/{algorithm}/seed_{seed}/monitor.csv`."""

import glob
import re
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from haepo_bench.errors import UserError, did_you_mean
from haepo_bench.exchange.formats import CONVENTIONS, detect
from haepo_bench.exchange.mapping import Format, Source

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: A seed in a path, where no pattern says it: `seed_3`, `seed-3`, `seed3`, `s=3` is too short to be sure.
_SEED = re.compile(r"(?:^|[^A-Za-z])seed[-_=. ]?([0-9]{1,18})(?![0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """Files that are read together.

    Args:
        files: one, or several of one run.
        captured: what the placeholders of the pattern stand for.
    """

    files: tuple[Path, ...]
    format: Format
    source: Source
    captured: dict[str, str]

    def fill(self, template: str, where: str) -> str:
        """A template with its placeholders filled in.

        Raises:
            UserError: one of them is not in the pattern.
        """
        for name in _PLACEHOLDER.findall(template):
            if name not in self.captured:
                raise UserError(
                    f"nothing in the pattern '{self.source.files}' is called {{{name}}}",
                    where=where,
                    remedy=did_you_mean(name, self.captured, kind="placeholder"),
                )
        return _PLACEHOLDER.sub(lambda match: self.captured[match[1]], template)


def find(source: Source, folder: Path, where: str) -> list[Found]:
    """The files of a source, in the order of their paths; those that belong to one run together.

    Args:
        folder: where patterns start from.
        where: place of the pattern, for messages.

    Raises:
        UserError: no file matches, or what one of them is cannot be told.
    """
    searched = _PLACEHOLDER.sub("*", source.files)
    expression = _expression(source.files, where)
    found = []
    # glob rather than Path.glob, which refuses absolute patterns and those that lead up.
    names = sorted(glob.glob(searched, root_dir=folder, recursive=True))  # noqa: PTH207
    for name in names:
        match = expression.fullmatch(Path(name).as_posix())
        path = folder / name
        if match and not path.is_dir():
            form = source.format or detect(path)
            if form is None:
                raise UserError(
                    "cannot tell what kind of file this is",
                    where=str(path),
                    remedy=f"say `format:` in the mapping: {', '.join(CONVENTIONS)}",
                )
            found.append(Found((path,), form, source, match.groupdict()))
    if not found:
        folders = [str(folder / name) for name in names]
        raise UserError(
            f"no file matches '{source.files}'",
            where=where,
            remedy=f"{folders[0]} is a folder: name the files in it" if folders else f"patterns start from {folder}",
        )
    return together(found)


def together(found: list[Found]) -> list[Found]:
    """Joins files of one folder where the format says that they are one run's."""
    joined = []
    for _, group in groupby(found, key=lambda one: (one.files[0].parent, one.format, one.captured, one.source)):
        members = list(group)
        if CONVENTIONS[members[0].format].together:
            files = tuple(sorted((one.files[0] for one in members), key=_first_number))
            joined.append(Found(files, members[0].format, members[0].source, members[0].captured))
        else:
            joined += members
    return joined


def _first_number(path: Path) -> tuple[int, str]:
    """Event files carry the second at which they were begun, Monitor files the number of their environment."""
    match = re.search(r"[0-9]+", path.name)
    return (int(match[0]) if match else 0, path.name)


def seed_in(path: Path) -> int | None:
    """The seed that a path names, such as 3 in `ppo/seed_3/monitor.csv`; None where it names none or several."""
    seeds = {int(match) for match in _SEED.findall(path.as_posix())}
    return seeds.pop() if len(seeds) == 1 else None


def _expression(pattern: str, where: str) -> re.Pattern[str]:
    """The pattern as a regular expression that captures its placeholders."""
    parts: list[str] = []
    seen: set[str] = set()
    for token in re.split(r"(\{[^{}]*\}|\*\*/|\*\*|\*|\?|\[[^\]]+\])", Path(pattern).as_posix()):
        placeholder = _PLACEHOLDER.fullmatch(token)
        if placeholder:
            name = placeholder[1]
            # Digits alone make a seed, so that `run{seed}_late` is none.
            inner = "[0-9]+" if name == "seed" else "[^/]+?"
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{inner})")
            seen.add(name)
        elif token.startswith("{"):
            raise UserError(f"'{token}' is no placeholder", where=where, remedy="write a name in braces, as in {seed}")
        elif token == "**/":
            parts.append("(?:.*/)?")
        elif token in {"**", "*"}:
            parts.append(".*" if token == "**" else "[^/]*")
        elif token == "?":
            parts.append("[^/]")
        elif token.startswith("[") and token.endswith("]"):
            parts.append(token.replace("[!", "[^", 1))
        else:
            parts.append(re.escape(token))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise UserError(f"is no pattern of paths: {error}", where=where) from None
