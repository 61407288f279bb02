"""Which warnings fail a test: those that our own code causes, not those that other packages cause among themselves."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_ROOT = Path(__file__).parent.parent
_FOLDERS = {_ROOT / name for name in ("tests", "benchmarks", "studies", "trials", "tools")}
_DEPRECATIONS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)


@contextmanager
def caused_are_errors() -> Iterator[None]:
    """Raises each warning that our own code causes, as the filter `error` does; shows the others."""
    shown = warnings.showwarning

    def show(message: Any, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        if caused_by_us(category, filename, lineno):
            raise message
        shown(message, category, filename, lineno, *rest)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


def caused_by_us(category: type[Warning], filename: str, lineno: int) -> bool:
    """Whether our code is to blame for a warning that is being issued now.

    A deprecation is the fault of the call that it is attributed to (`stacklevel`): a package may use another one, or
    itself, in a deprecated way. Others, such as a mean of nothing, are the fault of whoever calls that package.

    Args:
        filename, lineno: what Python attributes the warning to.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and (frame.f_code.co_filename, frame.f_lineno) != (filename, lineno):
        frame = frame.f_back
    if frame is None or _is_ours(frame):
        return frame is not None
    blamed = frame.f_globals.get("__name__", "")
    if issubclass(category, _DEPRECATIONS):
        # What calls a torch module stands behind torch's own dispatch.
        passed = blamed if blamed == "torch.nn.modules.module" else None
    else:
        passed = blamed.partition(".")[0]
    while passed and frame is not None and _within(frame, passed):
        frame = frame.f_back
    return frame is not None and _is_ours(frame)


def _within(frame: FrameType, package: str) -> bool:
    name = frame.f_globals.get("__name__", "")
    return bool(name == package or name.startswith(f"{package}."))


def _is_ours(frame: FrameType) -> bool:
    return _within(frame, "haepo_bench") or not _FOLDERS.isdisjoint(Path(frame.f_code.co_filename).parents)
