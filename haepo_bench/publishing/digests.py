"""The digests of a published folder: one file that `sha256sum -c` reads, too, and whose own digest stands for all."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from haepo_bench.errors import UserError
from haepo_bench.files import files_below, read_regular, reason_of

DIGESTS_FILE = "digests.sha256"


class Verified(NamedTuple):
    """What a folder is against its digests.

    Args:
        digest: SHA-256 of the file of digests: of everything that was published.
        files: how many it lists.
        changed, missing, added: names below the folder.
    """

    digest: str
    files: int
    changed: list[str]
    missing: list[str]
    added: list[str]

    @property
    def intact(self) -> bool:
        """Whether the folder is what was published."""
        return not (self.changed or self.missing or self.added)


def digests(folder: Path, names: Iterable[str]) -> str:
    """The text of the file of digests: `<SHA-256>  <name>` per line, by name."""
    return "".join(f"{_digest(folder / name)}  {name}\n" for name in sorted(names))


def digest_of(listed: str) -> str:
    """What stands for the whole folder: the SHA-256 of the text of its file of digests."""
    return hashlib.sha256(listed.encode("utf-8")).hexdigest()


def verify(folder: Path) -> Verified:
    """Compares a published folder with its digests.

    Raises:
        UserError: it has none, or something in it cannot be read.
    """
    path = folder / DIGESTS_FILE
    try:
        listed = read_regular(path)
        expected = dict(_entry(line) for line in listed.decode("utf-8").splitlines())
        there = {file.relative_to(folder).as_posix() for file in files_below(folder)} - {DIGESTS_FILE}
        changed = [name for name in sorted(there & expected.keys()) if _digest(folder / name) != expected[name]]
    except FileNotFoundError:
        raise UserError(
            f"there is no {DIGESTS_FILE}",
            where=str(folder),
            remedy="name a folder that `haepo-bench report --publish` has written",
        ) from None
    except OSError as error:
        raise UserError(f"cannot be read: {reason_of(error)}", where=str(error.filename or folder)) from None
    except ValueError as error:
        raise UserError(
            f"is not a list of digests: {error}", where=str(path), remedy="take it from where the folder came from"
        ) from None
    return Verified(
        hashlib.sha256(listed).hexdigest(),
        len(expected),
        changed,
        sorted(expected.keys() - there),
        sorted(there - expected.keys()),
    )


def _entry(line: str) -> tuple[str, str]:
    digest, separator, name = line.partition("  ")
    if not separator or len(digest) != 64:
        raise ValueError(f"the line '{line[:80]}'")
    return name, digest


def _digest(path: Path) -> str:
    return hashlib.sha256(read_regular(path, most=None)).hexdigest()
