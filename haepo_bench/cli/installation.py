"""What is installed, what is needed, and what is known to work."""

import importlib.metadata as metadata
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import haepo_bench
from haepo_bench.files import read_regular

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

#: The versions that the tests last passed with, every package's; part of the distribution.
LOCK = "constraints.txt"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


class Group(NamedTuple):
    """Packages that belong together.

    Args:
        subject: such as `torch` or `extra lm`.
        wanted: distribution to the versions that are asked for, such as `>=5,<6`; None where any will do.
        remedy: how to install them.
        required: whether nothing works without.
    """

    subject: str
    wanted: "dict[str, SpecifierSet | None]"
    remedy: str = ""
    required: bool = False


def groups() -> list[Group] | None:
    """What the distribution asks for on this machine, extras last; None where haepo-bench is not installed."""
    from packaging.requirements import Requirement

    try:
        stated = [Requirement(text) for text in metadata.requires("haepo-bench") or ()]
        extras = metadata.metadata("haepo-bench").get_all("Provides-Extra") or ()
    except metadata.PackageNotFoundError:
        return None

    def wanted(extra: str) -> "dict[str, SpecifierSet | None]":
        applies = (one for one in stated if one.marker is None or one.marker.evaluate({"extra": extra}))
        return {one.name: one.specifier for one in applies if one.name != "haepo-bench"}

    required = wanted("")
    found = [Group(name, {name: asked}, f"pip install {name}", True) for name, asked in required.items()]
    for extra in extras:
        own = {name: asked for name, asked in wanted(extra).items() if name not in required}
        found.append(Group(f"extra {extra}", own, f"pip install 'haepo-bench[{extra}]'"))
    return found


def version(distribution: str) -> str | None:
    """The version that is installed; None where none is."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def known_to_work(distribution: str) -> list[str]:
    """The versions that the tests passed with; several where they differ between Python versions or systems."""
    return _locked().get(_normal(distribution), [])


@cache
def _locked() -> dict[str, list[str]]:
    package = Path(haepo_bench.__file__).parent
    # An editable installation has no package data: the file is beside the package.
    file = next((folder / LOCK for folder in (package, package.parent) if (folder / LOCK).is_file()), None)
    return {} if file is None else pinned(read_regular(file).decode("utf-8"))


def pinned(lock: str) -> dict[str, list[str]]:
    """Distribution to versions, of a list of constraints."""
    found: dict[str, list[str]] = {}
    for name, number in _PINNED.findall(lock):
        found.setdefault(_normal(name), []).append(number)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
