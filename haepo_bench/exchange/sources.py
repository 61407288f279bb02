"""The files that a pattern means, and what their paths say: `logs/{algorithm}/seed_{seed}/monitor.csv`."""

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haepo_bench.errors import UserError, did_you_mean
from haepo_bench.exchange.files import without_gz
from haepo_bench.exchange.formats import CONVENTIONS, detect
from haepo_bench.exchange.logs import metrics_folder
from haepo_bench.exchange.mapping import Format, Source

#: A part of a pattern or a text that stands for a part of the path.
PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: A seed in a path, where no pattern says it: `seed_3`, `seed-3`, `seed3`, `s=3` is too short to be sure.
_SEED = re.compile(r"(?:^|[^A-Za-z])seed[-_=. ]?([0-9]{1,18})(?![0-9])", re.IGNORECASE)
_COPY = re.compile(r" \(([0-9]{1,9})\)\.")
#: How Monitor files of environments are called, before `.monitor.csv`.
_ENVIRONMENT = re.compile(r"(?:(?:env|environment|rank|worker|process|proc|actor|thread)[-_. ]?)?[0-9]+(?:\.[0-9]+)*")
#: A bracket that does not itself stand in brackets.
_BRACKETS = re.compile(r"\[(?!\[\])(?<!\[\[)")


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
        for name in PLACEHOLDER.findall(template):
            if name not in self.captured:
                raise UserError(
                    f"nothing in the pattern '{self.source.files}' is called {{{name}}}",
                    where=where,
                    remedy=did_you_mean(name, self.captured, kind="placeholder"),
                )
        return PLACEHOLDER.sub(lambda match: self.captured[match[1]], template)


def find(source: Source, folder: Path, where: str) -> list[Found]:
    """The files of a source, in the order of their paths; those that belong to one run together.

    Args:
        folder: where patterns start from.
        where: place of the pattern, for messages.

    Raises:
        UserError: no file matches, or the format of one of them is unknown.
    """
    names, expression = _matching(source.files, folder, where)
    found = []
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


def _matching(pattern: str, folder: Path, where: str) -> tuple[list[str], re.Pattern[str]]:
    """What a pattern means, and the expression that captures its placeholders.

    `[` and `]` stand for themselves where something is called so.
    """
    # glob rather than Path.glob, which refuses absolute patterns and those that lead up.
    literal = _BRACKETS.sub("[[]", pattern)
    as_class, as_itself = (
        sorted(glob.glob(PLACEHOLDER.sub("*", searched), root_dir=folder, recursive=True))  # noqa: PTH207
        for searched in (pattern, literal)
    )
    if literal == pattern or not as_itself:
        return as_class, _expression(pattern, where)
    if as_class and as_class != as_itself:
        raise UserError(
            f"the brackets in '{pattern}' mean two things: {as_itself[0]} and {as_class[0]}",
            where=where,
            remedy="write [[] for a bracket that is part of a name",
        )
    return as_itself, _expression(literal, where)


def together(found: Sequence[Found]) -> list[Found]:
    """Joins files of one folder where the format says that they are one run's.

    Raises:
        UserError: files of environments are called so that they may be those of several runs.
    """
    groups: dict[tuple[Any, ...], list[Found]] = {}
    for i, one in enumerate(found):
        path = one.files[0]
        key: tuple[Any, ...] = (i,)
        # Event files of which each counts its steps from 0 are joined when they have been read.
        apart = one.format == "tensorboard" and one.source.resumed == "restarted"
        if CONVENTIONS[one.format].together and not apart:
            parent = metrics_folder(path) if one.format == "mlflow" else None
            # Files that name seeds are runs of their own, wherever they lie.
            seeds = tuple(sorted(set(_SEED.findall(path.name))))
            key = (parent or path.parent, one.format, seeds, tuple(one.captured.items()), id(one.source))
        groups.setdefault(key, []).append(one)
    joined = []
    for members in groups.values():
        first = members[0]
        files = tuple(sorted((one.files[0] for one in members), key=_first_number))
        if first.format == "monitor":
            _check_environments(files, seed_said=first.source.seed is not None or "seed" in first.captured)
        joined.append(Found(files, first.format, first.source, first.captured))
    return joined


def _check_environments(files: Sequence[Path], *, seed_said: bool) -> None:
    """Several Monitor files of a folder are called `0.monitor.csv`, `1.monitor.csv`; or differ in a number, and
    the seed was stated.
    """
    stems = [without_gz(path).removesuffix(".csv").removesuffix("monitor") for path in files]
    stems = [_SEED.sub("", stem).strip("._- ") for stem in stems]
    alike = len({re.sub("[0-9]+", "0", stem) for stem in stems}) == 1
    if len(files) == 1 or (alike and (seed_said or all(_ENVIRONMENT.fullmatch(stem) for stem in stems))):
        return
    raise UserError(
        f"are {files[0].name} and {files[1].name} environments of one run, or runs?",
        where=str(files[0].parent),
        remedy="put each run into a folder of its own, or tell them apart by {seed} or {algorithm} in the pattern of "
        "files; environments of one run are called 0.monitor.csv, 1.monitor.csv, ...",
    )


def _first_number(path: Path) -> tuple[int, str]:
    """Event files carry the second at which they were begun, Monitor files the number of their environment."""
    match = re.search(r"[0-9]+", path.name)
    return (int(match[0]) if match else 0, path.name)


def seed_in(path: Path, form: Format) -> int | None:
    """The seed that a path names, such as 3 in `ppo/seed_3/monitor.csv`; None where it names none or several.

    Copies of one name are counted: `evaluations.npz`, `evaluations (1).npz`. Spinning Up's folders end in `_s3`.
    """
    seeds = {int(match) for match in _SEED.findall(path.as_posix())}
    if not seeds and form == "spinning-up":
        seeds = {int(match) for match in re.findall(r"_s([0-9]{1,18})$", path.parent.name)}
    if not seeds:
        seeds = {int(match) for match in _COPY.findall(path.name)}
    if not seeds and path.with_name(f"{path.stem} (1){path.suffix}").is_file():
        seeds = {0}
    return seeds.pop() if len(seeds) == 1 else None


def _expression(pattern: str, where: str) -> re.Pattern[str]:
    """The pattern as a regular expression that captures its placeholders."""
    parts: list[str] = []
    seen: set[str] = set()
    for token in re.split(r"(\{[^{}]*\}|\*\*/|\*\*|\*|\?|\[[^\]]+\])", Path(pattern).as_posix()):
        placeholder = PLACEHOLDER.fullmatch(token)
        if placeholder:
            name = placeholder[1]
            # Digits alone make a seed, so that `run{seed}_late` is none.
            inner = "[0-9]+" if name == "seed" else "[^/]+?"
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{inner})")
            seen.add(name)
        elif token.startswith("{"):
            raise UserError(
                f"'{token}' is not a placeholder", where=where, remedy="write a name in braces, as in {seed}"
            )
        elif token == "**/":
            parts.append("(?:.*/)?")
        elif token in {"**", "*"}:
            parts.append(".*" if token == "**" else "[^/]*")
        elif token == "?":
            parts.append("[^/]")
        elif token.startswith("[") and token.endswith("]"):
            inner = token[1:-1].replace("[", r"\[")
            parts.append(f"[^{inner[1:]}]" if inner.startswith("!") else f"[{inner}]")
        else:
            parts.append(re.escape(token))
    try:
        return re.compile("".join(parts))
    except re.error as error:
        raise UserError(f"is not a pattern of paths: {error}", where=where) from None
