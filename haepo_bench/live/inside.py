"""Paths that come with a request, kept inside a folder."""

from pathlib import Path, PurePosixPath


def stays_inside(path: Path, root: Path) -> bool:
    """Whether a path leads below a resolved folder, whatever links it has; False where that is unknown."""
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, ValueError, RuntimeError):  # a circle of links, a name that no file can have
        return False


def inside(folder: Path, address: str) -> Path | None:
    """The file that an address below a folder means; None where it is not there or leads out, by `..` or by a link."""
    parts = PurePosixPath(address).parts
    if not parts or any(part in {"/", "..", ""} or "\0" in part or "\\" in part for part in parts):
        return None
    try:
        found = folder.joinpath(*parts).resolve(strict=True)
        return found if found.is_relative_to(folder.resolve()) and found.is_file() else None
    except (OSError, ValueError, RuntimeError):  # a circle of links, a name that no file can have
        return None
