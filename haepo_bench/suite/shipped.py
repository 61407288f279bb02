"""Suites that come with the program, found by name."""

from pathlib import Path

import haepo_bench
from haepo_bench.errors import UserError, did_you_mean


def list_suites() -> dict[str, Path]:
    """Name to file of every shipped suite."""
    return {path.stem: path for path in sorted(_folder().glob("*.yaml"))}


def find_suite(name_or_path: str) -> Path:
    """A suite file: an existing path, else the shipped suite of that name.

    Raises:
        UserError: neither.
    """
    path = Path(name_or_path)
    try:
        if path.exists():
            return path
    except (OSError, ValueError):  # a name too long, or with a NUL character in it, is not a path
        pass
    suites = list_suites()
    if name_or_path in suites:
        return suites[name_or_path]
    names = did_you_mean(path.stem, suites, kind="suite", more="`haepo-bench list suites`")
    raise UserError(
        f"no such suite: '{name_or_path}' is neither a file nor the name of a suite that comes with haepo-bench",
        remedy=names or "`haepo-bench init` writes a suite to start from",
    )


def _folder() -> Path:
    package = Path(haepo_bench.__file__).parent
    shipped = package / "shipped_suites"
    # An editable installation has no package data: its suites lie beside the package.
    return shipped if shipped.is_dir() else package.parent / "suites"
